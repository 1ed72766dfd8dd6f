#!/bin/sh
# What stands in for the step that failed.
cat
