TRIPLET := aarch64-linux-gnu
ARCHFLAGS := -mcpu=cortex-a53
QEMU_USER := qemu-aarch64-static -cpu cortex-a53
SIZE_MAX := 1300000
SIZE_MAX_MINIMAL := 600000
