#!/bin/sh
# Hands on what came in.
cat
