#!/bin/sh
# Fetches the third-party sources into SRC and builds the libraries into OUT, once for all who want the same.
# usage: build.sh SRC [OUT MAKE VARIABLE=VALUE...]      (the Makefile calls it; SRC alone: only fetch)
set -eu
src=$1 out=${2:-} make=${3:-}
[ $# -lt 3 ] || shift 3

mkdir -p build/deps
exec 9>build/deps/lock
flock -n 9 || { echo "deps: another build is at the libraries, waiting for it"; flock 9; }

[ -d "$src" ] || /usr/bin/python3 firmware/deps/fetch.py "$src"
if [ "${CI:-}" = true ] && grep UNPINNED "$src/versions"; then
	echo "deps: a library is not the pinned one, which CI does not accept" >&2
	exit 1
fi
if [ -n "$out" ] && [ ! -e "$out/done" ]; then
	echo "deps: building mbedTLS, lwIP, PCRE2, c-ares and cmocka into $out"
	$make -f firmware/deps/deps.mk SRC="$src" OUT="$out" "$@" 9>&-
fi
