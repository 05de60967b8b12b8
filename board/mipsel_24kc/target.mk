TRIPLET := mipsel-linux-gnu
ARCHFLAGS := -mips32r2 -mtune=24kc -msoft-float
QEMU_USER := qemu-mipsel-static -cpu 24Kc
SIZE_MAX := 1300000
SIZE_MAX_MINIMAL := 600000
