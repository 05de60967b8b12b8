TRIPLET := x86_64-linux-gnu
ARCHFLAGS := -march=x86-64
# nothing between where the machine is one itself
QEMU_USER := $(if $(filter x86_64,$(shell uname -m)),,qemu-x86_64-static)
SIZE_MAX := 1200000
SIZE_MAX_MINIMAL := 560000
