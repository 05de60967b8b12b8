#!/bin/sh
# Installs what a Debian machine lacks to build, run or test Postern: says what first, then asks apt for it.
# usage: [KEY=PEM] setup.sh build|run|test|fuzz|bench|board        (all hold what build needs; board: another machine's programs)
# Does nothing, quickly, where everything is there, whatever brought it there.
set -eu

missing=''

# need PACKAGE PROBE: the package is missing unless the command, or a file the absolute pattern fits, is there
need() {
	case $2 in
	/*)
		for file in $2; do
			[ ! -e "$file" ] || return 0
		done
		;;
	*) ! command -v "$2" >/dev/null || return 0 ;;
	esac
	missing="$missing $1"
}

kind=${1:-build}

compiler=${CC:-gcc}
case $compiler in
*clang*) need clang "$compiler" ;;
gcc) need gcc gcc ;;
esac
need binutils ar
need libc6-dev /usr/include/stdlib.h
need patch patch
need python3 /usr/bin/python3
need python3-kconfiglib /usr/lib/python3/dist-packages/kconfiglib.py

case $kind in
run)
	need curl curl
	need iproute2 ip
	;;
test)
	need gcc gcc
	need clang clang
	need curl curl
	need iproute2 ip
	need nftables nft
	need busybox busybox
	need openssl openssl
	need testssl.sh testssl
	need chromium chromium
	need gpg gpg
	need gpg-agent gpg-agent
	need python3-spf /usr/lib/python3/dist-packages/spf.py
	need libmail-spf-perl /usr/share/perl5/Mail/SPF.pm
	need libclang-rt-dev '/usr/lib/llvm-*/lib/clang/*/lib/linux/libclang_rt.fuzzer-*.a'
	;;
fuzz)
	need clang clang
	need libclang-rt-dev '/usr/lib/llvm-*/lib/clang/*/lib/linux/libclang_rt.fuzzer-*.a'
	;;
board)
	case ${BOARD:-} in
	*x86_64*) architectures='x86-64:amd64' ;;
	*aarch64*) architectures='aarch64:arm64' ;;
	*arm*) architectures='arm:armhf' ;;
	*mips*) architectures='mipsel:mipsel' ;;
	*) architectures='x86-64:amd64 aarch64:arm64 arm:armhf mipsel:mipsel' ;;
	esac
	for architecture in $architectures; do
		triplet=${architecture%:*}-linux-gnu
		[ "$triplet" != arm-linux-gnu ] || triplet=arm-linux-gnueabihf
		tool=$triplet-gcc
		[ "$triplet" != x86-64-linux-gnu ] || tool=x86_64-linux-gnu-gcc
		# a machine's own compiler comes with gcc
		if [ "$(uname -m)-linux-gnu-gcc" != "$tool" ]; then
			need "gcc-$triplet" "$tool"
			need "libc6-dev-${architecture#*:}-cross" "/usr/${tool%-gcc}/include/linux/if_tun.h"
		else
			need gcc "$tool"
		fi
	done
	need make make
	need curl curl
	need openssl openssl
	need qemu-user-static qemu-mipsel-static
	need qemu-system-x86 qemu-system-x86_64
	need qemu-system-arm qemu-system-aarch64
	need qemu-system-mips qemu-system-mipsel
	need ovmf /usr/share/ovmf/OVMF.fd
	need qemu-efi-aarch64 /usr/share/qemu-efi-aarch64/QEMU_EFI.fd
	need fdisk /sbin/sfdisk
	need e2fsprogs /sbin/mke2fs
	need mtools mcopy
	need ipxe-qemu /usr/lib/ipxe/qemu/efi-virtio.rom
	;;
bench)
	need iproute2 ip
	need nftables nft
	need strace strace
	need valgrind valgrind
	;;
esac

# what packages are signed with
[ -z "${KEY:-}${OPKG_KEY:-}" ] || need openssl openssl

[ -n "$missing" ] || exit 0

missing=$(printf '%s\n' $missing | sort -u | tr '\n' ' ')
echo "set-up: missing Debian packages: $missing"

if ! command -v apt-get >/dev/null; then
	echo "set-up: this is no Debian machine (no apt-get): install what these packages hold, then try again" >&2
	exit 1
fi

as_root=''
if [ "$(id -u)" -ne 0 ]; then
	if ! command -v sudo >/dev/null; then
		echo "set-up: run this as root, then try again:" >&2
		echo "    apt-get update && apt-get install --no-install-recommends $missing" >&2
		exit 1
	fi
	as_root='sudo'
fi

apt() {
	$as_root env DEBIAN_FRONTEND=noninteractive apt-get -qq -oDpkg::Use-Pty=0 -oDPkg::Lock::Timeout=500 "$@"
}

echo "set-up: installing them with apt-get (nothing else of this machine is changed)"
apt -s --no-install-recommends install $missing >/dev/null 2>&1 || apt update
if ! apt -y --no-install-recommends install $missing; then
	# Lists of last month name packages that the mirror has replaced since.
	apt update
	apt -y --no-install-recommends install $missing
fi
echo "set-up: done"
