#!/bin/sh
# Fails, so that its error handler is seen.
echo "no oracle today" >&2
exit 3
