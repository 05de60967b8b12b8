# A stand-in for procd and its shell side: what it is told is a line, its words parted by tabs, of /tmp/procd/told; what a service's
# instance is made of lies in /tmp/procd/NAME while there is one.
_tell() {
	_line=$1
	shift
	for _word; do _line="$_line	$_word"; done
	echo "$_line" >>"${_to:-/tmp/procd/told}"
}

procd_open_service() {
	_to=/tmp/procd/new
	: >$_to
}
procd_open_instance() { _tell instance; }
procd_close_instance() { :; }
procd_set_param() { _tell "$@"; }
procd_add_jail() { _tell jail "$@"; }
procd_add_jail_mount() { _tell mount "$@"; }
procd_add_jail_mount_rw() { _tell mount_rw "$@"; }
procd_add_reload_trigger() { _tell config_trigger "$@"; }
procd_add_raw_trigger() { _tell raw_trigger "$@"; }
# It is restarted if anything it is made of is another, the files named by `file` as well.
procd_close_service() {
	service_triggers
	for _file in $(sed -n 's/^file	//p' $_to); do md5sum "$_file" >>$_to; done
	_to=
	if ! grep -q '^instance' /tmp/procd/new; then
		rm -f "/tmp/procd/$_service"
		_tell none
	elif cmp -s /tmp/procd/new "/tmp/procd/$_service"; then
		_tell same
	else
		mv /tmp/procd/new "/tmp/procd/$_service"
		_tell started
	fi
}
procd_running() { [ -e "/tmp/procd/$1" ]; }
procd_send_signal() { _tell signal "$@"; }
procd_kill() {
	_tell stopped
	rm -f "/tmp/procd/$1"
}
