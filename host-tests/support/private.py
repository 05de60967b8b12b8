"""Run a server from an unpacked package as if it were installed, seen by nobody else.

The command runs as root in a mount namespace of its own, where /etc/passwd and /etc/group are
copies with the users it wants, /usr is the machine's with the package laid over it, and directories
with fixed names (/run, /var/spool, ...) are directories of the instance. The network is the
machine's: these servers listen on the loopback.
"""
import grp
import os
import pwd
import shutil
import subprocess

SCRIPT = """\
set -e
package=$1; shift
[ -z "$package" ] || mount -t overlay overlay -o "lowerdir=$package/usr:/usr" /usr
while [ "$1" != -- ]; do mount --bind "$1" "$2"; shift 2; done
shift
exec "$@"
"""


class Accounts:
    """Copies of passwd and group with users and groups added; `ids` has their numbers."""

    def __init__(self, directory, users=(), groups=()):
        taken = {p.pw_uid for p in pwd.getpwall()} | {g.gr_gid for g in grp.getgrall()}
        free = (n for n in range(64000, 65000) if n not in taken)
        self.passwd = os.path.join(directory, 'passwd')
        self.group = os.path.join(directory, 'group')
        shutil.copy('/etc/passwd', self.passwd)
        shutil.copy('/etc/group', self.group)
        self.ids = {}
        for name in users:
            try:
                self.ids[name] = pwd.getpwnam(name).pw_uid
            except KeyError:
                self.ids[name] = number = next(free)
                with open(self.passwd, 'a') as out:
                    out.write('%s:x:%d:%d::/nonexistent:/usr/sbin/nologin\n' % (
                        name, number, number))
                with open(self.group, 'a') as out:
                    out.write('%s:x:%d:\n' % (name, number))
        for name in groups:
            try:
                self.ids[name] = grp.getgrnam(name).gr_gid
            except KeyError:
                self.ids[name] = next(free)
                with open(self.group, 'a') as out:
                    out.write('%s:x:%d:\n' % (name, self.ids[name]))


def is_possible(package):
    """False where root may not do it, as in most containers."""
    return subprocess.run(['unshare', '--mount', '--propagation', 'private', 'mount', '-t',
                           'overlay', 'overlay', '-o', 'lowerdir=%s/usr:/usr' % package, '/usr'],
                          capture_output=True).returncode == 0


def argv(command, accounts, package='', binds=()):
    """`package`: where it was unpacked, laid over /usr. `binds`: pairs (what, where)."""
    pairs = [(accounts.passwd, '/etc/passwd'), (accounts.group, '/etc/group'), *binds]
    return ['unshare', '--mount', '--propagation', 'private', 'sh', '-c', SCRIPT, 'sh', package,
            *(word for pair in pairs for word in pair), '--', *command]
