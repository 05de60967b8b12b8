# A stand-in for OpenWrt's /lib/functions.sh: as much of it as our scripts use, reading $UCI_FILE.

# Each value becomes _v_SECTION_OPTION, each item of a list _l_SECTION_OPTION_NUMBER, of _n_SECTION_OPTION.
config_load() {
	[ -r "$UCI_FILE" ] || return 1
	_sections=''
	eval "$(awk -v q="'" '
		function quoted(text,   part, count, i, all) {
			count = split(text, part, q)
			all = q part[1]
			for (i = 2; i <= count; i++)
				all = all q "\\" q q part[i]
			return all q
		}
		function value(text) {
			text = $0
			sub(/^[ \t]*(option|list)[ \t]+[^ \t]+[ \t]+/, "", text)
			gsub("^" q "|" q "$", "", text)
			return text
		}
		/^[ \t]*#/ || /^[ \t]*$/ { next }
		$1 == "config" {
			name = $3
			gsub(q, "", name)
			if (name == "")
				name = "cfg" ++made
			print "_sections=\"$_sections " $2 "/" name "\""
			next
		}
		{
			key = name "_" $2
			print "_v_" key "=" quoted(value())
			print "_n_" key "=" ++items[key]
			print "_l_" key "_" items[key] "=" quoted(value())
		}' "$UCI_FILE")"
}

config_get() { # VARIABLE SECTION OPTION [DEFAULT]
	eval "$1=\${_v_$2_$3-\${4:-}}"
}

config_get_bool() {
	config_get _bool "$2" "$3" "${4:-0}"
	case $_bool in 1 | on | yes | true) eval "$1=1" ;; *) eval "$1=0" ;; esac
}

config_list_foreach() { # SECTION OPTION FUNCTION ARGUMENTS...
	_key=$1_$2 _function=$3 _item=0
	eval "_items=\${_n_$_key:-0}"
	shift 3
	while [ "$_item" -lt "$_items" ]; do
		_item=$((_item + 1))
		eval "_value=\$_l_${_key}_$_item"
		"$_function" "$_value" "$@"
	done
}

config_foreach() { # FUNCTION TYPE
	for _one in $_sections; do
		[ "${_one%%/*}" != "$2" ] || "$1" "${_one#*/}"
	done
}
