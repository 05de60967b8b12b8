# A stand-in for OpenWrt's package.mk. As there, what a package defines is read twice: when BuildPackage is called, and when its
# lines are run.
PKG_BUILD_DIR ?= $(BUILD_DIR)/$(PKG_NAME)-$(PKG_VERSION)
PKG_JOBS := $(if $(PKG_BUILD_PARALLEL),-j2)
SOURCE := $(CURDIR)

define Package/Default
  DEPENDS:=
  USERID:=
  SECTION:=
  CATEGORY:=
  TITLE:=
endef

define Steps
dump:
	@echo 'Package: $(1)'
	@echo 'Version: $(PKG_VERSION)-r$(PKG_RELEASE)'
	@echo 'Depends: libc $(DEPENDS)'
	@echo 'Section: $(SECTION)'
	@echo 'Category: $(CATEGORY)'
	@echo 'Title: $(TITLE)'
	@echo 'License: $(PKG_LICENSE)'
	@echo 'License-Files: $(PKG_LICENSE_FILES)'
	@echo 'Maintainer: $(PKG_MAINTAINER)'
	@echo 'Require-User: $(USERID)'
	@echo 'Conffiles: $(strip $(Package/$(1)/conffiles))'
	@echo 'Config: $(strip $(Package/$(1)/config))'
	@echo 'Config-Depends: $(PKG_CONFIG_DEPENDS)'
	@echo 'File-Depends: $(PKG_FILE_DEPENDS)'
	@echo 'Description: $(strip $(Package/$(1)/description))'

prepare:
$(Build/Prepare)

configure:
$(Build/Configure)

compile:
$(Build/Compile)

install:
$(call Package/$(1)/install,$(TOPDIR)/root)
endef

define BuildPackage
$(eval $(Package/Default))
$(eval $(Package/$(1)))
$(eval $(call Steps,$(1)))
endef

.PHONY: dump prepare configure compile install
