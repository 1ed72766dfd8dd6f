#!/bin/sh
# Files the ticket, a moment after its caller was answered.
sleep 1
cat
