#!/bin/sh
# The bill is what it was told to say.
cat
