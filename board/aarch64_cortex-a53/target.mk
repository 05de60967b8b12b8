TRIPLET := aarch64-linux-gnu
ARCHFLAGS := -mcpu=cortex-a53
# pages of 16 KiB are the largest kernels use on such boards; room for 64 KiB would be padding in the file
LINKFLAGS := -Wl,-z,max-page-size=16384
QEMU_USER := qemu-aarch64-static -cpu cortex-a53
SIZE_MAX := 1230000
SIZE_MAX_MINIMAL := 590000
