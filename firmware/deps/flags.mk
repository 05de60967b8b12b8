# What a user of each library must pass to the compiler; shared by the libraries' own build and by ours.
# Wants SRC (unpacked sources), OUT (built libraries), CFG (our configuration headers).

DEPS_MBEDTLS_FLAGS = -DMBEDTLS_CONFIG_FILE='"postern_mbedtls_config.h"' -I$(CFG)/mbedtls -I$(SRC)/mbedtls/include \
	-I$(SRC)/mbedtls/3rdparty/everest/include
DEPS_PCRE2_FLAGS = -DPCRE2_CODE_UNIT_WIDTH=8 -DPCRE2_STATIC -I$(OUT)/include/pcre2
DEPS_CARES_FLAGS = -DCARES_STATICLIB -I$(CFG)/cares -I$(SRC)/cares/include
# lwIP's htons() macros would clash with those of <netinet/in.h>.
# LWIP_SIZES: the sizes of its pools, as -D
DEPS_LWIP_FLAGS = -DLWIP_DONT_PROVIDE_BYTEORDER_FUNCTIONS $(LWIP_SIZES) -I$(CFG)/lwip -I$(SRC)/lwip/src/include
DEPS_CMOCKA_FLAGS = -I$(SRC)/cmocka/include
