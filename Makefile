# Postern: `make` alone prints what there is to make.
#
# Every goal passes here twice: first to see that the machine has what the goal needs (board/host/setup.sh), then,
# with SET_UP=done, to make it. The second pass is one graph over all sources; only the third-party libraries are built
# by a make of their own (firmware/deps/deps.mk), because every build directory of the same configuration shares them.

MAKEFLAGS += --no-builtin-rules --no-print-directory
.SUFFIXES:
.DEFAULT_GOAL := help

BOARD ?= host
SAN ?=
comma := ,
BOARDS := $(sort $(patsubst board/%/,%,$(dir $(wildcard board/*/target.mk board/*/machine.ini))))
ifeq ($(BOARD),host)
ifeq ($(origin CC),default)
CC := gcc
endif
AR := $(if $(findstring clang,$(CC)),ar,gcc-ar)
# one directory per way of building, unless O= names one
O ?= build/host$(if $(filter-out gcc,$(CC)),-$(notdir $(CC)))$(if $(SAN),-$(subst $(comma),-,$(SAN)))
else
O ?= build/$(BOARD)
# what a device is: board/README.md has the names in its target.mk
TARGET_MK := $(wildcard board/$(BOARD)/target.mk)
MACHINE := $(wildcard board/$(BOARD)/machine.ini)
ifeq ($(TARGET_MK)$(MACHINE),)
$(error BOARD=$(BOARD): there is no such board; there are: host $(BOARDS))
endif
-include $(TARGET_MK)
# of a device only the lock, the recipe and the compiler make the C library
LIBC_NAME := $(shell { cat firmware/deps/lock-boards firmware/deps/libc.sh firmware/deps/softfloat.sh; \
	$(TRIPLET)-gcc --version; echo $(ARCHFLAGS); } 2>&1 | sha256sum | cut -c1-12)
LIBC := build/deps/musl-$(BOARD)-$(LIBC_NAME)
LIBC_SRC := build/deps/src-$(if $(findstring soft,$(ARCHFLAGS)),libgcc,musl)-$(shell cat firmware/deps/lock-boards \
	firmware/deps/fetch.py | sha256sum | cut -c1-12)
CC := $(LIBC)/cc
# Nothing unwinds a stack on a device. musl says of uintptr_t in no way cmocka.h knows that it is there.
override ARCHFLAGS += -fno-unwind-tables -fno-asynchronous-unwind-tables -DHAVE_UINTPTR_T
AR := $(TRIPLET)-gcc-ar
endif
PYTHON := /usr/bin/python3
JOBS := $(shell nproc 2>/dev/null || echo 1)
Q := $(if $(V),,@)

CONFIG_GOALS := defconfig menuconfig olddefconfig savedefconfig
TEST_GOALS := test tidy unit contract conformance e2e lwip interop sim fuzz-replay
BUILD_GOALS := all postern tests size board-unit package repository
BOARD_GOALS := qemu qemu-test qemu-cost image board-test
GOALS := help run run-lwip bench fuzz clean distclean $(CONFIG_GOALS) $(TEST_GOALS) $(BUILD_GOALS) $(BOARD_GOALS)

.PHONY: $(GOALS)

define HELP
Postern, a spam-filtering SMTP proxy

  make run              build, start Postern in front of a built-in mail server, say what to try
  make run-lwip         one message through Postern on an address of its own, captured (root)
  make test             build and run every test (ONLY=suite[,suite] for some)

  make all              the program, in $(O)/postern
  make unit             the unit tests              make contract     the seams' contract suites
  make conformance      dialogues and foreign byte scripts (SUITES=DIR, ONLY=smtp|address|...)
  make e2e              real clients and servers    make tidy         checks of the source itself
  make lwip             the same, by Postern's own TCP/IP on a TAP device and on a packet socket (root)
  make interop          a table of real mail programs: who can speak with whom through Postern
  make sim              simulated sessions, SESSIONS=19000 SEED=1 NET=memory|lwip (host-tests/sim/README.md)
  make fuzz             T=TARGET SECONDS=60: search with libFuzzer
  make bench            Postern beside HAProxy      make size         bytes per module
  make defconfig        start from board/BOARD/defconfig (BOARD=$(BOARD))
  make menuconfig       choose options              make olddefconfig, savedefconfig
  make clean            remove what was built       make distclean    and the libraries, downloads, peers

  make BOARD=NAME package    packages for OpenWrt, in build/NAME, signed with KEY=PEM (board/openwrt/README.md)
  make BOARD=NAME repository    the same with an index, in build/NAME/repository, for KEY=PEM OPKG_KEY=PEM
  make BOARD=qemu-x86_64 image    a disk for virtual machines, FILES=DIR with your configuration (board/README.md)
  make board-test       every board: build, sizes, its tests, mail through a machine (board/README.md)
  BOARD=NAME            all, size, board-unit, qemu, qemu-test, qemu-cost, image for that board: $(BOARDS)

  O=DIR   build directory ($(O))        V=1      show the commands
  CC=gcc|clang                            SAN=asan|ubsan|asan,ubsan|tsan

The first run on a machine installs the Debian packages it needs, and says which.
endef

ifneq ($(SET_UP),done)

# --- first pass: the machine ---------------------------------------------------------------------------------------

.NOTPARALLEL:

again = +$(Q)$(MAKE) $(if $(findstring jobserver,$(MAKEFLAGS)),,-j$(JOBS)) SET_UP=done O='$(O)' $@

help:
	$(info $(HELP))@:

$(BUILD_GOALS) $(CONFIG_GOALS):
	@CC='$(CC)' BOARD='$(BOARD)' sh board/host/setup.sh $(if $(filter host,$(BOARD)),build,board)
	$(again)

run run-lwip:
	@CC='$(CC)' sh board/host/setup.sh run
	$(again)

$(TEST_GOALS):
	@CC='$(CC)' sh board/host/setup.sh test
	$(again)

$(BOARD_GOALS):
	@CC=gcc BOARD='$(BOARD)' sh board/host/setup.sh board
	$(again)

bench fuzz:
	@CC='$(CC)' sh board/host/setup.sh $@
	$(again)

# a file of the build directory
FILE_GOALS := $(filter $(O)/%,$(MAKECMDGOALS))
ifneq ($(FILE_GOALS),)
.PHONY: $(FILE_GOALS)
$(FILE_GOALS):
	@CC='$(CC)' sh board/host/setup.sh build
	$(again)
endif

clean:
	rm -rf $(if $(filter command line environment,$(origin O)),'$(O)',build/host build/host-*)

distclean:
	rm -rf build

else

# --- second pass: goals that only start something ------------------------------------------------------------------

RUNNER := POSTERN_OUT='$(O)' POSTERN_CC='$(CC)' POSTERN_SAN='$(SAN)' $(PYTHON) host-tests/run.py

test:
	$(Q)$(RUNNER) $(if $(ONLY),--only '$(ONLY)')

tidy unit contract e2e lwip:
	$(Q)$(RUNNER) --only $@

interop:
	$(Q)$(RUNNER) --only $@ --full

conformance:
	$(Q)$(RUNNER) --only conformance $(if $(SUITES),--suites '$(SUITES)') $(if $(ONLY),--kinds '$(ONLY)')

bench: all
	$(Q)$(PYTHON) host-tests/bench/run.py --postern '$(O)/postern'

run: all
	$(Q)$(PYTHON) board/host/run.py --postern '$(O)/postern'

run-lwip: all
	$(Q)$(PYTHON) board/host/run_lwip.py --postern '$(O)/postern'

qemu qemu-test qemu-cost:
	$(Q)env -u O $(PYTHON) board/qemu/$(or $(patsubst qemu-%,%,$(filter qemu-%,$@)),run).py '$(BOARD)'

image:
	$(Q)env -u O $(PYTHON) board/qemu/image.py '$(BOARD)' '$(FILES)'

PACKAGE = $(PYTHON) board/openwrt/package.py --postern '$(O)/postern' --architecture '$(or $(OPENWRT_ARCH),$(BOARD))' --key '$(KEY)'
package: all
	$(Q)$(PACKAGE) --out '$(O)'

repository: all
	$(Q)rm -rf '$(O)/repository' && mkdir '$(O)/repository'
	$(Q)$(PACKAGE) --opkg-key '$(OPKG_KEY)' --out '$(O)/repository' --index

board-test:
	$(Q)env -u O $(PYTHON) board/test.py $(if $(filter-out host,$(BOARD)),$(BOARD)) $(subst $(comma), ,$(ONLY))

# --- configuration -------------------------------------------------------------------------------------------------

KCONFIG := KCONFIG_CONFIG='$(O)/.config' $(PYTHON) -m
DEFCONFIG := $(firstword $(wildcard board/$(BOARD)/defconfig) board/device.defconfig)

defconfig:
	$(Q)mkdir -p '$(O)'
	$(Q)$(KCONFIG) defconfig --kconfig Kconfig $(DEFCONFIG)

menuconfig: $(O)/.config
	$(Q)$(KCONFIG) menuconfig Kconfig

olddefconfig: $(O)/.config
	$(Q)$(KCONFIG) olddefconfig Kconfig

savedefconfig: $(O)/.config
	$(Q)$(KCONFIG) savedefconfig --kconfig Kconfig --out $(DEFCONFIG)

$(O)/.config:
	$(Q)mkdir -p '$(O)'
	$(Q)$(KCONFIG) defconfig --kconfig Kconfig $(DEFCONFIG) >/dev/null

$(O)/auto.conf: $(O)/.config Kconfig
	$(Q)$(KCONFIG) genconfig --header-path '$(O)/autoconf.h' --config-out $@ Kconfig
	$(Q)touch $@

# --- build ---------------------------------------------------------------------------------------------------------

ifneq ($(filter $(BUILD_GOALS) sim fuzz fuzz-replay run run-lwip bench $(O)/%,$(MAKECMDGOALS)),)
include $(O)/auto.conf
include firmware/Filelists.mk
include host-tests/Filelists.mk
endif

OPT := $(if $(CONFIG_POSTERN_OPTIMISE_SIZE),-Os,-O2)
OPT_CRYPTO := $(if $(CONFIG_POSTERN_CRYPTO_SPEED),-O2,$(OPT))
LTO := $(if $(CONFIG_POSTERN_LTO),-flto)

# third-party libraries: one directory for each set of bytes, options and compiler
CFG := firmware/deps/cfg
DEPS_CC ?= $(CC)
DEPS_NAME := $(if $(LIBC),$(BOARD),$(notdir $(DEPS_CC)))
LWIP_SIZES := $(if $(CONFIG_POSTERN_LWIP),-DPOSTERN_LWIP_PCBS=$(CONFIG_POSTERN_LWIP_PCBS) \
	-DPOSTERN_LWIP_BUFFERS=$(CONFIG_POSTERN_LWIP_BUFFERS) \
	-DPOSTERN_LWIP_WINDOW_KIB=$(CONFIG_POSTERN_LWIP_WINDOW_KIB) \
	-DPOSTERN_LWIP_SEND_KIB=$(CONFIG_POSTERN_LWIP_SEND_KIB))
SRC := build/deps/src-$(shell cat firmware/deps/lock firmware/deps/fetch.py | sha256sum | cut -c1-12)
OUT := build/deps/$(DEPS_NAME)-$(shell { cat firmware/deps/lock firmware/deps/*.mk \
	`find $(CFG) -type f | LC_ALL=C sort`; $(if $(LIBC),echo $(LIBC),$(DEPS_CC) --version); \
	echo $(OPT) '$(OPT_CRYPTO)' $(ARCHFLAGS) $(COMPACT) $(LTO) \
	'$(CONFIG_POSTERN_PCRE2_JIT)' '$(CONFIG_POSTERN_PCRE2_UNICODE)' '$(LWIP_SIZES)'; } | sha256sum | cut -c1-12)
include firmware/deps/flags.mk
DEPS := $(addprefix $(OUT)/lib,mbedtls.a pcre2.a cares.a lwip.a)

ifneq ($(LIBC),)
$(LIBC)/done:
	$(Q)sh firmware/deps/libc.sh '$(LIBC_SRC)' '$(LIBC)' '$(TRIPLET)' '$(ARCHFLAGS)'
endif

$(SRC)/versions:
	$(Q)sh firmware/deps/build.sh '$(SRC)'

$(OUT)/done: $(if $(LIBC),$(LIBC)/done) | $(SRC)/versions
	+$(Q)sh firmware/deps/build.sh '$(SRC)' '$(OUT)' '$(MAKE)' CC='$(DEPS_CC)' AR='$(AR)' OPT='$(OPT)' \
		OPT_CRYPTO='$(OPT_CRYPTO)' CFG='$(CFG)' ARCHFLAGS='$(ARCHFLAGS)' COMPACT='$(COMPACT) $(LTO)' \
		JIT='$(CONFIG_POSTERN_PCRE2_JIT)' UNICODE='$(CONFIG_POSTERN_PCRE2_UNICODE)' LWIP_SIZES='$(LWIP_SIZES)'

$(DEPS) $(OUT)/libcmocka.a: $(OUT)/done

# our own code
WARNINGS := -Wall -Wextra -Wconversion -Wshadow -Wvla -Werror
HARDENING := -fstack-protector-strong -fno-common $(if $(SAN),,-D_FORTIFY_SOURCE=2)
SAN_FLAGS := $(if $(filter asan,$(subst $(comma), ,$(SAN))),-fsanitize=address) \
	$(if $(filter ubsan,$(subst $(comma), ,$(SAN))),-fsanitize=undefined -fno-sanitize-recover=all) \
	$(if $(filter tsan,$(subst $(comma), ,$(SAN))),-fsanitize=thread) \
	$(if $(SAN),-fno-omit-frame-pointer)
CFLAGS := -std=c11 -D_GNU_SOURCE $(WARNINGS) -g $(if $(SAN),-O1,$(OPT)) -ffunction-sections -fdata-sections \
	$(HARDENING) $(SAN_FLAGS) $(ARCHFLAGS) $(COMPACT) $(LTO) -Ifirmware -include $(O)/autoconf.h
# musl seals nothing of a static program after its start, so that room for the seal is but padding
LDFLAGS := -Wl,--gc-sections -Wl,-z,$(if $(LIBC),norelro,relro$(comma)-z$(comma)now) $(SAN_FLAGS) $(ARCHFLAGS) \
	$(LINKFLAGS) $(if $(LTO),-flto=$(JOBS) $(OPT) $(COMPACT))

# A library's headers are in reach of its adapter (NAME_<library>.c) and of the libraries' self test only; as system
# headers, because they are not written for our warnings.
system = $(patsubst -I%,-isystem %,$(1))
LIB_FLAGS = $(if $(filter %_mbedtls,$(basename $<)),$(call system,$(DEPS_MBEDTLS_FLAGS))) \
	$(if $(filter %_pcre2,$(basename $<)),$(call system,$(DEPS_PCRE2_FLAGS))) \
	$(if $(filter %_cares,$(basename $<)),$(call system,$(DEPS_CARES_FLAGS))) \
	$(if $(filter %_lwip,$(basename $<)),$(call system,$(DEPS_LWIP_FLAGS))) \
	$(if $(filter host-tests/%,$<),-Ihost-tests $(call system,$(DEPS_CMOCKA_FLAGS))) \
	$(if $(filter host-tests/unit/deps/%,$<),$(call system,$(DEPS_MBEDTLS_FLAGS) $(DEPS_PCRE2_FLAGS) \
		$(DEPS_CARES_FLAGS) $(DEPS_LWIP_FLAGS)))

objects = $(patsubst %.c,$(O)/%.o,$(1))
programs = $(patsubst host-tests/%.c,$(O)/host-tests/%,$(1))

LIB_OBJS := $(call objects,$(filter-out $(MAIN_SRC),$(FIRMWARE_SRCS)))
SUPPORT_OBJS := $(call objects,$(SUPPORT_SRCS))
TEST_PROGRAMS := $(call programs,$(TEST_SRCS))
TOOL_PROGRAMS := $(call programs,$(TOOL_SRCS))
SIM_PROGRAM := $(O)/host-tests/sim/sim
ALL_OBJS := $(call objects,$(FIRMWARE_SRCS) $(TEST_SRCS) $(SUPPORT_SRCS) $(TOOL_SRCS) $(SIM_SRCS))

all: $(if $(MAIN_SRC),$(O)/postern,$(LIB_OBJS))
postern: $(O)/postern
tests: all $(TEST_PROGRAMS) $(TOOL_PROGRAMS) $(SIM_PROGRAM)

# Objects know the command they were made with, so that another SAN, CC or option makes them anew.
$(O)/flags: FORCE $(if $(LIBC),$(LIBC)/done)
	$(Q)mkdir -p $(@D)
	$(Q)printf '%s\n' "$$($(CC) --version | head -n 1)" '$(CFLAGS) $(LDFLAGS) $(OUT)' >$@.new
	$(Q)cmp -s $@.new $@ && rm $@.new || mv $@.new $@
FORCE:

$(ALL_OBJS): $(O)/%.o: %.c $(O)/flags $(O)/auto.conf | $(OUT)/done $(SRC)/versions
	$(if $(Q),@echo "  CC      $<")
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(CFLAGS) $(LIB_FLAGS) -MMD -MP -c -o $@ $<

$(O)/libpostern.a: $(LIB_OBJS)
$(O)/libsupport.a: $(SUPPORT_OBJS)
$(O)/libpostern.a $(O)/libsupport.a:
	$(Q)mkdir -p $(@D)
	$(Q)rm -f $@; $(AR) rcsT $@ $^

link = $(if $(Q),@echo "  LD      $@";) $(CC) $(LDFLAGS) $(LINK_FLAGS) -o $@ $(filter %.o,$^) -Wl,--start-group $(filter %.a,$^) \
	-Wl,--end-group

# a device gets the program without its symbols, which stay beside it
PROGRAM := $(O)/postern$(if $(LIBC),.full)
$(PROGRAM): LINK_FLAGS := -Wl,-Map=$(O)/postern.map
$(PROGRAM): $(call objects,$(MAIN_SRC)) $(O)/libpostern.a $(DEPS)
	$(link)

ifneq ($(LIBC),)
$(O)/postern: $(PROGRAM)
	$(Q)$(TRIPLET)-strip -o $@ $<

# what an instruction takes by the clock of an emulated board
$(O)/loop: board/qemu/loop.c $(LIBC)/done
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) -Os -static $(ARCHFLAGS) -o $@ $<
endif

$(TEST_PROGRAMS) $(TOOL_PROGRAMS): %: %.o $(O)/libsupport.a $(O)/libpostern.a $(DEPS) $(OUT)/libcmocka.a
	$(link)

SESSIONS ?= 19000
SEED ?= 1
NET ?= memory
sim: $(SIM_PROGRAM)
	$(Q)$(SIM_PROGRAM) -n '$(NET)' -s '$(SESSIONS)' -S '$(SEED)'

# host-tests/sim/signatures_mbedtls.c
$(SIM_PROGRAM): LINK_FLAGS := -Wl,--wrap=psa_sign_hash,--wrap=psa_verify_hash
$(SIM_PROGRAM): $(call objects,$(SIM_SRCS)) $(O)/libsupport.a $(O)/libpostern.a $(DEPS)
	$(link)

include host-tests/fuzz/fuzz.mk

size: all
	$(Q)$(PYTHON) host-tests/tidy/size.py '$(O)' $(SIZE_MAX)
ifneq ($(SIZE_MAX_MINIMAL),)
	+$(Q)$(MAKE) SET_UP=done O='$(O)-minimal' DEFCONFIG=board/minimal.defconfig SIZE_MAX=$(SIZE_MAX_MINIMAL) \
		SIZE_MAX_MINIMAL= size
endif

board-unit: $(TEST_PROGRAMS)
	$(Q)POSTERN_OUT='$(O)' $(if $(QEMU_USER),POSTERN_EMULATOR='$(QEMU_USER)') $(PYTHON) host-tests/run.py --only emulated

-include $(patsubst %.o,%.d,$(ALL_OBJS))
.SECONDARY: $(ALL_OBJS)

endif
