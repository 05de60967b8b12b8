TRIPLET := mipsel-linux-gnu
# direct calls instead of a table's; either instruction set may call the other
ARCHFLAGS := -mips32r2 -mtune=24kc -msoft-float -mplt -mno-shared -minterlink-mips16
# half-size instructions; not for crypto, which is about speed
COMPACT := -mips16
QEMU_USER := qemu-mipsel-static -cpu 24Kc
SIZE_MAX := 1300000
SIZE_MAX_MINIMAL := 850000
