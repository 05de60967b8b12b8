# Builds the third-party libraries for one target straight from their unpacked sources: no configure, no cmake.
# The Makefile calls it with
#   SRC     the folder fetch.py unpacked into, with mbedtls/ lwip/ pcre2/ cares/ cmocka/
#   OUT     where the objects and lib*.a go; a stamp named "done" says that all of them are there
#   CFG     the folder of our configuration headers
#   OPT     -Os or -O2
#   OPT_CRYPTO    the same for what computes in mbedTLS: -O2 as a rule, because a TLS handshake is three times dearer at -Os
#   COMPACT what else makes code smaller and slower, for all but that
#   JIT, UNICODE  y or empty
#   LWIP_SIZES    the sizes of lwIP's pools, as -D

include firmware/deps/flags.mk

Q := $(if $(V),,@)
AR ?= ar
CFLAGS := $(OPT) -g1 -w -std=gnu11 -ffunction-sections -fdata-sections $(ARCHFLAGS)
M := $(SRC)/mbedtls
P := $(SRC)/pcre2
A := $(SRC)/cares
L := $(SRC)/lwip
K := $(SRC)/cmocka

mbedtls_SRCS := $(wildcard $(M)/library/*.c) \
	$(addprefix $(M)/3rdparty/everest/library/,everest.c x25519.c Hacl_Curve25519_joined.c)
mbedtls_COMPUTE := aes aesce aesni bignum bignum_core chacha20 constant_time ecp ecp_curves everest gcm \
	Hacl_Curve25519_joined poly1305 sha256 sha512 x25519
mbedtls_FLAGS := $(DEPS_MBEDTLS_FLAGS) -I$(M)/library $(addprefix -I$(M)/3rdparty/everest/include/everest,/ /kremlib)

# PCRE2's own list for builds without configure (NON-AUTOTOOLS-BUILD); the tables and pcre2.h ship ready to be copied.
pcre2_SRCS := $(patsubst %,$(P)/src/pcre2_%.c,auto_possess chkdint compile compile_class config context convert \
	dfa_match error extuni find_bracket jit_compile maketables match match_data newline ord2utf pattern_info \
	script_run serialize string_utils study substitute substring tables ucd valid_utf xclass) \
	$(OUT)/pcre2/pcre2_chartables.c
pcre2_FLAGS := -DHAVE_CONFIG_H -DPCRE2_CODE_UNIT_WIDTH=8 -I$(CFG)/pcre2 -I$(OUT)/include/pcre2 -I$(P)/src \
	$(if $(JIT),-DPOSTERN_WITH_JIT) $(if $(UNICODE),-DPOSTERN_WITH_UNICODE)

cares_SRCS := $(filter-out %_win32.c %_kqueue.c %/windows_port.c %/ares_android.c %/ares_sysconfig_win.c \
	%/ares_sysconfig_mac.c,$(wildcard $(A)/src/lib/*.c $(A)/src/lib/*/*.c))
cares_FLAGS := -DHAVE_CONFIG_H -DCARES_BUILDING_LIBRARY -D_GNU_SOURCE $(DEPS_CARES_FLAGS) -I$(A)/src/lib \
	-I$(A)/src/lib/include

lwip_SRCS := $(filter-out %/raw.c,$(wildcard $(L)/src/core/*.c $(L)/src/core/ipv4/*.c $(L)/src/core/ipv6/*.c)) \
	$(L)/src/netif/ethernet.c
lwip_FLAGS := $(DEPS_LWIP_FLAGS)

cmocka_SRCS := $(K)/src/cmocka.c
cmocka_FLAGS := -DHAVE_CONFIG_H -D_GNU_SOURCE -I$(CFG)/cmocka $(DEPS_CMOCKA_FLAGS)

LIBS := mbedtls pcre2 cares lwip cmocka

$(OUT)/done: $(LIBS:%=$(OUT)/lib%.a)
	$(Q)touch $@

# $(1) library, $(2) one source: c-ares has the same file name in two folders, so objects carry the folder
object = $(OUT)/$(1)/$(notdir $(patsubst %/,%,$(dir $(2))))-$(basename $(notdir $(2))).o

define compile
$(call object,$(1),$(2)): $(2) | $(OUT)/$(1)
	$(Q)$$(CC) $$(CFLAGS) $(if $(filter $($(1)_COMPUTE),$(basename $(notdir $(2)))),$(OPT_CRYPTO),$(COMPACT)) \
		$$($(1)_FLAGS) -c -o $$@ $$<
endef

define library
$(OUT)/lib$(1).a: $(foreach s,$($(1)_SRCS),$(call object,$(1),$(s)))
	$(if $(Q),@echo "  AR      $(1)")
	$(Q)rm -f $$@; $(AR) rcs $$@ $$^
$(OUT)/$(1):
	$(Q)mkdir -p $$@
$(foreach s,$($(1)_SRCS),$(eval $(call compile,$(1),$(s))))
endef
$(foreach l,$(LIBS),$(eval $(call library,$(l))))

$(filter $(OUT)/pcre2/%.o,$(foreach s,$(pcre2_SRCS),$(call object,pcre2,$(s)))): $(OUT)/include/pcre2/pcre2.h

$(OUT)/include/pcre2/pcre2.h: $(P)/src/pcre2.h.generic
	$(Q)mkdir -p $(@D)
	$(Q)cp $< $@

$(OUT)/pcre2/pcre2_chartables.c: $(P)/src/pcre2_chartables.c.dist | $(OUT)/pcre2
	$(Q)cp $< $@
