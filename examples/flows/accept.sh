#!/bin/sh
# The number that the caller is told at once.
echo '{"ticket": 41}'
