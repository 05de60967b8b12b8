# A stand-in for OpenWrt's /lib/functions.sh: as much of it as our scripts use, reading $UCI_FILE or the file in /etc/config.
# Read once: _V_SECTION_OPTION is the last value, _L_SECTION_OPTION the values of a list, one a line, _T_SECTION the kind of section.
config_load() {
	: "${UCI_FILE:=/etc/config/$1}"
	[ -r "$UCI_FILE" ] || return 1
	eval "$(awk -v q="'" '
		function value(text) {
			text = $0
			sub(/^[ \t]*(option|list)[ \t]+[^ \t]+[ \t]+/, "", text)
			gsub("^" q "|" q "$", "", text)
			gsub(q, q "\\" q q, text)
			return text
		}
		/^[ \t]*#/ || /^[ \t]*$/ { next }
		$1 == "config" {
			name = $3
			gsub(q, "", name)
			if (name == "") name = "cfg" ++count
			names = names " " name
			print "_T_" name "=" $2
			next
		}
		{
			print "_V_" name "_" $2 "=" q value() q
			if ($1 == "list") lists[name "_" $2] = lists[name "_" $2] value() "\n"
		}
		END {
			for (list in lists) print "_L_" list "=" q lists[list] q
			print "_SECTIONS=" q names q
		}' "$UCI_FILE")"
}

config_get() { # VARIABLE SECTION OPTION [DEFAULT]
	eval "$1=\${_V_$2_$3-\${4:-}}"
}

config_get_bool() {
	config_get _bool "$2" "$3" "${4:-0}"
	case $_bool in 1 | on | yes | true) eval "$1=1" ;; *) eval "$1=0" ;; esac
}

config_list_foreach() { # SECTION OPTION FUNCTION ARGUMENTS...
	eval "_values=\${_L_$1_$2-}"
	_function=$3
	shift 3
	_old=$IFS
	IFS='
'
	for _value in $_values; do
		IFS=$_old
		"$_function" "$_value" "$@"
		IFS='
'
	done
	IFS=$_old
}

config_foreach() { # FUNCTION TYPE
	for _one in $_SECTIONS; do
		eval "_type=\$_T_$_one"
		[ "$_type" != "$2" ] || "$1" "$_one"
	done
}

# What packages call at installation and removal. ROOT is empty on a router, a folder where an image is made.
_package() { # ARGUMENT: the name, and where its list lies
	ROOT=${IPKG_INSTROOT:-}
	_name=${pkgname:-$(basename "${1%.*}")}
	_list=$ROOT/usr/lib/opkg/info/$_name.list
	[ -f "$_list" ] || _list=$ROOT/lib/apk/packages/$_name.list
}

add_group_and_user() {
	_package "${1:-}"
	_wanted=$(sed -n 's/^Require-User: *//p' "$ROOT/usr/lib/opkg/info/$_name.control" 2>/dev/null)
	[ ! -f "$ROOT/lib/apk/packages/$_name.rusers" ] || _wanted=$(cat "$ROOT/lib/apk/packages/$_name.rusers")
	for _pair in $_wanted; do # USER=UID:GROUP=GID
		_user=${_pair%%:*} _group=${_pair#*:}
		grep -q "^${_group%=*}:" "$ROOT/etc/group" || echo "${_group%=*}:x:${_group#*=}:" >>"$ROOT/etc/group"
		grep -q "^${_user%=*}:" "$ROOT/etc/passwd" ||
			echo "${_user%=*}:x:${_user#*=}:${_group#*=}:${_user%=*}:/var/run/${_user%=*}:/bin/false" >>"$ROOT/etc/passwd"
	done
}

_init_scripts() { grep -s '^/etc/init.d/' "$_list"; }

default_postinst() {
	_package "${1:-}"
	_status=0
	if [ -f "$ROOT/usr/lib/opkg/info/$_name.list" ]; then
		add_group_and_user "$_name.x"
		[ ! -f "$ROOT/usr/lib/opkg/info/$_name.postinst-pkg" ] || (. "$ROOT/usr/lib/opkg/info/$_name.postinst-pkg") || _status=$?
	fi
	for _script in $(_init_scripts); do
		if [ -n "$ROOT" ]; then
			/bin/sh "$ROOT/etc/rc.common" "$ROOT$_script" enable
		else
			[ "${PKG_UPGRADE:-}" = 1 ] || "$_script" enable
			"$_script" start
		fi
	done
	return $_status
}

default_prerm() {
	_package "${1:-}"
	for _script in $(_init_scripts); do
		if [ -n "$ROOT" ]; then
			/bin/sh "$ROOT/etc/rc.common" "$ROOT$_script" disable
		else
			[ "${PKG_UPGRADE:-}" = 1 ] || "$_script" disable
			"$_script" stop
		fi
	done
}
