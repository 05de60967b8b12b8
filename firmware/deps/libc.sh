#!/bin/sh
# Builds the C library of one board into OUT and writes OUT/cc, the compiler everything else for that board is made with.
# usage: libc.sh SRC OUT TRIPLET ARCHFLAGS      (the Makefile calls it)
#
# OUT/cc is Debian's compiler for TRIPLET with none of Debian's C library in reach: musl's headers, the compiler's own, and
# last the kernel's; linking takes musl's start files and libc.a alone. The linker's warnings are fatal, because a library
# of the wrong float ABI is no more than a warning to it, and computes zeros on the device.
#
# musl's own wrapper (a specs file) is not used: its paths are absolute, and it links the compiler's run-time library, which
# on a machine without FPU is the wrong one. There, libgcc's few files are built from source here.
set -eu
src=$1 out=$2 triplet=$3 archflags=$4

mkdir -p build/deps
exec 9>build/deps/lock
flock -n 9 || { echo "deps: another build is at the libraries, waiting for it"; flock 9; }
[ ! -e "$out/done" ] || exit 0

soft=''
case $archflags in *-msoft-float*) soft=libgcc ;; esac
[ -d "$src" ] || /usr/bin/python3 firmware/deps/fetch.py "$src" musl $soft
if [ "${CI:-}" = true ] && grep UNPINNED "$src/versions"; then
	echo "deps: the C library is not the pinned one, which CI does not accept" >&2
	exit 1
fi

# musl's assembly for MIPS wants each function's address in a register, which only calls to position-independent code have
musl_flags=
for flag in $archflags; do
	case $flag in -mplt | -mno-shared) ;; *) musl_flags="$musl_flags $flag" ;; esac
done

top=$(pwd)
echo "deps: building musl for $triplet $archflags into $out"
rm -rf "$out"
mkdir -p "$out/build" "$out/kernel"
(
	cd "$out/build"
	CC="$triplet-gcc" AR="$triplet-ar" RANLIB="$triplet-ranlib" CFLAGS="-Os -g1 -ffunction-sections -fdata-sections $musl_flags" \
		"$top/$src/musl/configure" --target="$triplet" --prefix="$top/$out" --syslibdir="$top/$out/lib" \
		--disable-shared --disable-wrapper >config.log 2>&1 &&
		make -s -j"$(nproc)" >make.log 2>&1 9>&- && make -s install >>make.log 2>&1
) || { tail -n 20 "$out"/build/*.log >&2; exit 1; }

headers=/usr/$triplet/include
[ -d "$headers/linux" ] || headers=/usr/include
for folder in linux asm-generic; do
	ln -s "$headers/$folder" "$out/kernel/$folder"
done
if [ -d "$headers/asm" ]; then
	ln -s "$headers/asm" "$out/kernel/asm"
else
	ln -s "$headers/$triplet/asm" "$out/kernel/asm"
fi

compile="$archflags -fno-pie -fno-pic -nostdinc -isystem $top/$out/include -isystem $("$triplet-gcc" -print-file-name=include)"
if [ -n "$soft" ]; then
	sh firmware/deps/softfloat.sh "$src/libgcc" "$out" "$triplet" "$archflags"
	runtime="$top/$out/lib/libsoftgcc.a"
else
	runtime="$("$triplet-gcc" $archflags -print-libgcc-file-name) $("$triplet-gcc" $archflags -print-file-name=libgcc_eh.a)"
fi

cat >"$out/cc" <<END
#!/bin/sh
case " \$* " in
*" -c "* | *" -E "* | *" -S "* | *" -r "* | *" --version "*)
	exec $triplet-gcc $compile -idirafter $top/$out/kernel "\$@"
	;;
esac
exec $triplet-gcc $compile -nostdlib -static -no-pie -Wl,-z,noexecstack,--fatal-warnings $top/$out/lib/crt1.o $top/$out/lib/crti.o \\
	"\$@" -Wl,--start-group $top/$out/lib/libc.a $runtime -Wl,--end-group $top/$out/lib/crtn.o
END
chmod 755 "$out/cc"
rm -rf "$out/build"
touch "$out/done"
