# A stand-in for OpenWrt's rules.mk: as much of it as a package's Makefile sees.
include $(TOPDIR)/.config

INCLUDE_DIR := $(TOPDIR)/include
DL_DIR := $(TOPDIR)/dl
BUILD_DIR := $(TOPDIR)/build_dir
STAGING_DIR := $(TOPDIR)/staging_dir
CP := cp -fpR
INSTALL_BIN := install -m0755
INSTALL_DIR := install -d -m0755
INSTALL_DATA := install -m0644
INSTALL_CONF := install -m0600
TARGET_CC := toy-openwrt-linux-musl-gcc
TARGET_AR := toy-openwrt-linux-musl-ar
TARGET_CFLAGS := -Os -pipe -mtoy=1
TARGET_LDFLAGS := -L$(STAGING_DIR)/lib -znow
