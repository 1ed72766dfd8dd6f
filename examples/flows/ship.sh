#!/bin/sh
# The parcel is what it was told to hold.
cat
