#!/bin/sh
# Gets the error and what it is about.
cat
