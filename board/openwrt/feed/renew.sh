#!/bin/sh
# Writes postern/Config.in anew: the options of the top Kconfig, in a menu of the package.
set -eu
cd "$(dirname "$0")"
{
	echo '# The options of the top Kconfig, by renew.sh; OpenWrt reads it before anything of Postern is unpacked.'
	echo
	echo 'menu "Postern options"'
	echo '	depends on PACKAGE_postern'
	sed '/^mainmenu /d' ../../../Kconfig
	echo
	echo endmenu
} >postern/Config.in
