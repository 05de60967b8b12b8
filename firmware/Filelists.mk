# Which sources make up which module: named groups only, no rules, so that every build (host, tests, boards, packages)
# reads the same list. A new file in a module's folder is part of it at once. Order is that of the layers, top first.
#
#   MODULES           the modules of this checkout that have sources
#   <module>_SRCS     the sources of one module
#   FIRMWARE_SRCS     everything; MAIN_SRC is the only file with a main()

MODULES_ALL := app admin config proxy relay rules check policy facts link smtp mail net tls crypto dns store loop base

$(foreach m,$(MODULES_ALL),$(eval $(m)_SRCS := $(sort $(wildcard firmware/$(m)/*.c))))

MODULES := $(foreach m,$(MODULES_ALL),$(if $($(m)_SRCS),$(m)))
FIRMWARE_SRCS := $(foreach m,$(MODULES),$($(m)_SRCS))
MAIN_SRC := $(wildcard firmware/app/main.c)
