#!/bin/sh
# Builds libsoftgcc.a, what a compiler for a CPU without FPU calls for floating point and 64-bit integers, from libgcc's sources.
# usage: softfloat.sh LIBGCC OUT TRIPLET ARCHFLAGS      (libc.sh calls it; OUT holds musl already)
#
# Debian's libgcc for mipsel is hard float: it links, and every result is wrong. printf and strtod of the C library need these
# routines, so doing without floating point in our own code does not help.
set -eu
gcc=$1 out=$2 triplet=$3 archflags=$4
build=$out/build/softgcc
mkdir -p "$build/shim"

# libgcc2.c wants the compiler's own headers; this is all it takes from them.
for header in tconfig auto-host coretypes libgcc_tm; do
	: >"$build/shim/$header.h"
done
cat >"$build/shim/tsystem.h" <<END
#include <stddef.h>
#include <limits.h>
extern void abort(void) __attribute__((noreturn));
END
cat >"$build/shim/tm.h" <<END
#define UNITS_PER_WORD 4
#define MIN_UNITS_PER_WORD 4
#define BITS_PER_UNIT 8
END

flags="-Os -g1 $archflags -fno-builtin -ffunction-sections -I$gcc/include"
names='extendsfdf2 truncdfsf2'
for m in sf df; do
	names="$names add${m}3 div${m}3 eq${m}2 ge${m}2 le${m}2 mul${m}3 neg${m}2 sub${m}3 unord${m}2 fix${m}si fixuns${m}si"
	names="$names fix${m}di fixuns${m}di floatsi${m} floatunsi${m} floatdi${m} floatundi${m}"
done
for name in $names; do
	"$triplet-gcc" $flags -I"$gcc/libgcc/soft-fp" -I"$gcc/libgcc/config/mips" -c "$gcc/libgcc/soft-fp/$name.c" -o "$build/$name.o"
done

for name in _muldi3 _negdi2 _lshrdi3 _ashldi3 _ashrdi3 _cmpdi2 _ucmpdi2 _udivdi3 _umoddi3 _divdi3 _moddi3 _udivmoddi4 _clz \
	_clzsi2 _clzdi2 _ctzsi2 _ctzdi2 _ffssi2 _ffsdi2 _popcount_tab _popcountsi2 _popcountdi2 _paritysi2 _bswapsi2 _bswapdi2; do
	"$triplet-gcc" $flags -DIN_LIBGCC2 -fbuilding-libgcc -D"L$name" -nostdinc -isystem "$out/include" -I"$build/shim" \
		-I"$gcc/libgcc" -c "$gcc/libgcc/libgcc2.c" -o "$build/$name.o"
done
"$triplet-ar" rcs "$out/lib/libsoftgcc.a" "$build"/*.o
