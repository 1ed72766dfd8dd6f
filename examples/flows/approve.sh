#!/bin/sh
# Somebody agrees.
echo '{"by": "ada"}'
