#!/bin/sh
# Finds the commit that made a lock's holds longer, its waits longer or the load slower:
#
#   git bisect run sh bisect.sh GOOD RECORD...
#
# GOOD is a folder of recordings of the good kernel, five boots or more. RECORD... builds and boots the
# kernel that is checked out, and leaves recordings of as many boots in the folder that it gets as its
# last argument. A commit that cannot be tried is skipped.
set -u
good=$1
shift
recordings=$(mktemp -d) || exit 128
trap 'rm -rf "$recordings"' EXIT
"$@" "$recordings" || exit 125
lockprof compare "good=$good" --vs "this=$recordings" --fail-on-regression=5
case $? in
0) exit 0 ;;
4) exit 1 ;;
*) exit 125 ;;
esac
