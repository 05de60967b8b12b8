TRIPLET := mipsel-linux-gnu
# direct calls instead of a table's; either instruction set may call the other
ARCHFLAGS := -mips32r2 -mtune=24kc -msoft-float -mplt -mno-shared -minterlink-mips16
# half-size instructions; not for what computes in the crypto, which is about speed and has assembly of its own
COMPACT := -mips16
# pages of 16 KiB are the largest kernels use on such boards; room for 64 KiB would be padding in the file
LINKFLAGS := -Wl,-z,max-page-size=16384
QEMU_USER := qemu-mipsel-static -cpu 24Kc
SIZE_MAX := 1020000
SIZE_MAX_MINIMAL := 500000
