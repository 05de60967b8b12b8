# A stand-in for OpenWrt's /lib/functions.sh: as much of it as our scripts use, reading $UCI_FILE.
config_load() { [ -r "$UCI_FILE" ]; }

# Every line as SECTION<tab>TYPE<tab>OPTION<tab>VALUE, of the file's sections in order.
_uci() {
	awk -v q="'" '
		function value(from,   text) { text = $0; sub(/^[ \t]*(option|list)[ \t]+[^ \t]+[ \t]+/, "", text); gsub("^" q "|" q "$", "", text); return text }
		/^[ \t]*#/ || /^[ \t]*$/ { next }
		$1 == "config" { type = $2; name = $3; gsub(q, "", name); if (name == "") name = "cfg" ++count; print name "\t" type "\t\t"; next }
		{ print name "\t" type "\t" $2 "\t" value() }' "$UCI_FILE"
}

config_get() { # VARIABLE SECTION OPTION [DEFAULT]
	eval "$1=\$(_uci | awk -F '\t' -v s=\"\$2\" -v o=\"\$3\" -v d=\"\${4:-}\" '\$1 == s && \$3 == o { v = \$4; f = 1 } END { print f ? v : d }')"
}

config_get_bool() {
	config_get _bool "$2" "$3" "${4:-0}"
	case $_bool in 1 | on | yes | true) eval "$1=1" ;; *) eval "$1=0" ;; esac
}

config_list_foreach() { # SECTION OPTION FUNCTION ARGUMENTS...
	_section=$1 _option=$2 _function=$3
	shift 3
	_values=$(_uci | awk -F '\t' -v s="$_section" -v o="$_option" '$1 == s && $3 == o { print $4 }')
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
	for _one in $(_uci | awk -F '\t' -v t="$2" '$2 == t && $3 == "" { print $1 }'); do
		"$1" "$_one"
	done
}
