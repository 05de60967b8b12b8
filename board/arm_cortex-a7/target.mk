TRIPLET := arm-linux-gnueabihf
ARCHFLAGS := -mcpu=cortex-a7 -mfpu=neon-vfpv4 -mfloat-abi=hard
QEMU_USER := qemu-arm-static -cpu cortex-a7
SIZE_MAX := 910000
SIZE_MAX_MINIMAL := 420000
OPENWRT_ARCH := arm_cortex-a7_neon-vfpv4
