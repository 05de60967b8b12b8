"""The packages at work: installed, upgraded and removed in a root like OpenWrt's, under busybox, with stand-ins for its functions
and for procd (stubs/); and the program in a jail that shows it what the init script asks for, no more.

What opkg and apk do with files is modelled here: a file of the package that its owner has changed stays.
"""
import hashlib
import os
import re
import shutil
import subprocess
import sys

import packages
from packages import check, same

HERE = os.path.dirname(os.path.abspath(__file__))
STUBS = os.path.join(HERE, 'stubs')
UCI = '/etc/config/postern'
RELAY = "\nconfig relay\n\tlist domain 'example.org'\n\tlist server '192.0.2.10:25'\n"
TREE = ('bin', 'dev', 'etc/config', 'etc/init.d', 'etc/rc.d', 'lib/functions', 'proc', 'tmp/procd', 'usr/sbin', 'usr/bin', 'sbin', 'var')


def libraries(program):
    """What a dynamic program needs besides itself."""
    found = subprocess.run(['ldd', program], capture_output=True, text=True, check=False).stdout
    return re.findall(r'(/\S+) \(0x', found)


class Root:
    """A folder that is a router."""

    def __init__(self, folder, postern):
        self.folder, self.postern = folder, postern
        for name in TREE:
            os.makedirs(os.path.join(folder, name))
        busybox = shutil.which('busybox')
        self.copy(busybox, '/bin/busybox')
        for library in {*libraries(busybox), *libraries(postern)}:
            self.copy(library, library)
        for name, target in (('functions.sh', '/lib/functions.sh'), ('procd.sh', '/lib/functions/procd.sh'), ('rc.common', '/etc/rc.common')):
            self.copy(os.path.join(STUBS, name), target)
        self.write('/etc/passwd', b'root:x:0:0:root:/root:/bin/ash\n')
        self.write('/etc/group', b'root:x:0:\n')
        self.write('/sbin/ujail', b'', 0o755)
        self.write('/usr/sbin/logger', b'#!/bin/sh\necho "$*" >>/tmp/log\n', 0o755)

    def applets(self):
        self.run('/bin/busybox', '--install', '-s', '/usr/bin')
        os.symlink('busybox', self.path('/bin/sh'))

    def path(self, name):
        return os.path.join(self.folder, name.lstrip('/'))

    def copy(self, source, target):
        os.makedirs(os.path.dirname(self.path(target)), exist_ok=True)
        shutil.copy(source, self.path(target))

    def write(self, name, content, mode=0o644):
        os.makedirs(os.path.dirname(self.path(name)), exist_ok=True)
        with open(self.path(name), 'wb') as out:
            out.write(content)
        os.chmod(self.path(name), mode)

    def read(self, name):
        with open(self.path(name), 'rb') as stream:
            return stream.read().decode()

    def is_there(self, name):
        return os.path.lexists(self.path(name))

    def run(self, *command, status=0, **environment):
        """In that root, with a /dev; what it wrote."""
        inside = 'mount --bind /dev "$0/dev" && exec chroot "$0" "$@"'
        done = subprocess.run(['unshare', '-m', 'sh', '-c', inside, self.folder, *command], capture_output=True, text=True, timeout=60,
                              check=False, env=dict(environment, PATH='/usr/sbin:/usr/bin:/sbin:/bin'))
        check(done.returncode == status, '%s: status %d: %s%s' % (command, done.returncode, done.stdout, done.stderr))
        return done.stdout + done.stderr

    def told(self):
        """What procd was told since the last question, as lists of words."""
        found = [line.split('\t') for line in self.read('/tmp/procd/told').splitlines()] if self.is_there('/tmp/procd/told') else []
        self.write('/tmp/procd/told', b'')
        return found

    def instance(self):
        """What procd would run: {word: [arguments, ...]}; none if it runs nothing."""
        if not self.is_there('/tmp/procd/postern'):
            return {}
        found = {}
        for line in self.read('/tmp/procd/postern').splitlines():
            word, *rest = line.split('\t')
            found.setdefault(word, []).append(rest)
        return found


# --- the two installers --------------------------------------------------------------------------------------------

class Installer:
    """What both have in common: files come, but not over what the owner has changed; they go, but not what he has changed."""

    def __init__(self, root):
        self.root, self.kept, self.sums = root, '', {}

    def unpack(self, files, conffiles):
        for path, (mode, content) in files.items():
            changed = path in conffiles and self.root.is_there(path) and \
                hashlib.sha256(self.root.read(path).encode()).hexdigest() != self.sums.get(path)
            self.root.write(path + (self.kept if changed else ''), content, mode)
        self.files = files
        self.sums.update({path: hashlib.sha256(files[path][1]).hexdigest() for path in conffiles})

    def clear(self):
        for path in self.files:
            if path not in self.sums or hashlib.sha256(self.root.read(path).encode()).hexdigest() == self.sums[path]:
                os.unlink(self.root.path(path))


class Opkg(Installer):
    INFO = '/usr/lib/opkg/info/postern.'

    def __init__(self, root):
        super().__init__(root)
        self.kept = '-opkg'

    def script(self, name, *arguments, **environment):
        self.root.run(self.INFO + name, *arguments, **environment)

    def install(self, one, upgrade=False, **environment):
        if upgrade:
            self.script('prerm', 'upgrade', one.version, PKG_UPGRADE='1')
        held = packages.Ipk(packages.ipk.ipk(one))
        self.unpack(held.files, held.control['conffiles'].decode().split())
        for name, content in held.control.items():
            self.root.write(self.INFO + name, content, 0o755)
        self.root.write(self.INFO + 'list', ''.join(path + '\n' for path in held.files).encode())
        self.script('postinst', 'configure', PKG_UPGRADE='1' if upgrade else '0', **environment)

    def remove(self):
        self.script('prerm', 'remove', PKG_UPGRADE='0')
        self.clear()


class Apk(Installer):
    def __init__(self, root):
        super().__init__(root)
        self.kept = '.apk-new'

    def script(self, name, *arguments, **environment):
        self.root.write('/tmp/script', self.held.scripts[name].encode(), 0o755)
        self.root.run('/tmp/script', *arguments, **environment)

    def install(self, one, upgrade=False, **environment):
        self.held = packages.apk_reader.read(packages.apk.apk(one))
        files = {path: (mode, content) for path, (mode, _, _, content) in self.held.files.items()}
        self.unpack(files, self.held.files['/lib/apk/packages/postern.conffiles'][3].decode().split())
        if upgrade:
            self.script('post-upgrade', one.version, '0.0-r0', **environment)
        else:
            self.script('post-install', one.version, **environment)

    def remove(self):
        self.script('pre-deinstall', '0.0-r0')
        self.clear()


class Life:
    """A package's life on a router, step after step."""

    def __init__(self, installer, postern, folder):
        self.kind, self.postern, self.folder = installer, postern, folder

    def package(self, version, change=b''):
        one = packages.package.postern(self.postern, 'x86_64', version)
        one.files['/usr/sbin/postern'] = (0o755, one.files['/usr/sbin/postern'][1] + change)
        return one

    def install(self):
        self.root = Root(self.folder, self.postern)
        self.root.applets()
        self.installer = self.kind(self.root)
        self.installer.install(self.package('1-r1'))
        check('\npostern:x:465:465:' in self.root.read('/etc/passwd') and '\npostern:x:465:' in self.root.read('/etc/group'), 'no user')
        same(os.readlink(self.root.path('/etc/rc.d/S90postern')), '../init.d/postern', 'enabled')
        check(self.root.is_there('/etc/rc.d/K10postern'), 'not stopped at shutdown')
        same(self.root.instance(), {}, 'runs without a relay')
        check('no relay names a mail server' in self.root.read('/tmp/log'), self.root.read('/tmp/log'))
        words = self.root.told()
        same(words, [['none']], 'procd')

    def started(self):
        """By a reload, as UCI's trigger does it, once a relay is there."""
        self.root.write(UCI, (self.root.read(UCI) + RELAY).encode(), 0o600)
        self.root.run('/etc/init.d/postern', 'reload')
        same(self.root.told(), [['started']], 'procd')
        instance = self.root.instance()
        same(instance['command'], [['/usr/sbin/postern', 'run', '-c', '/var/etc/postern/postern.conf']], 'command')
        same((instance['no_new_privs'], instance['term_timeout'], instance['capabilities'], instance['user'], instance['jail']),
             ([['1']], [['40']], [['/etc/capabilities/postern.json']], [['postern']], [['postern', 'log']]), 'confinement')
        same([trigger[0] for trigger in instance['raw_trigger']], ['acme.issue', 'acme.renew'], 'certificates')
        check('relay example.org to 192.0.2.10:25' in self.root.read('/var/etc/postern/postern.conf'), 'configuration')
        for place in ('/var/lib/postern', '/var/run/postern'):
            same(os.stat(self.root.path(place)).st_uid, 465, place)
        self.root.run('/etc/init.d/postern', 'start')
        same(self.root.told(), [['same']], 'a second start')

    def reloaded(self):
        """What changes no place is a signal; a bad value is named, and nothing happens; a new place is a restart."""
        good = self.root.read(UCI)
        self.root.write(UCI, good.replace("'tag'", "'enforce'").encode(), 0o600)
        self.root.run('/etc/init.d/postern', 'reload')
        same(self.root.told(), [['signal', 'postern', '*', 'HUP']], 'procd')
        check('mode enforce' in self.root.read('/var/etc/postern/postern.conf'), 'configuration')
        self.root.write(UCI, good.replace("'tag'", "'perhaps'").encode(), 0o600)
        check("option 'mode'" in self.root.run('/etc/init.d/postern', 'reload', status=1), 'which one is bad')
        same(self.root.told(), [], 'procd')
        check('mode enforce' in self.root.read('/var/etc/postern/postern.conf'), 'the good one is gone')
        self.root.write('/etc/ssl/rules.cf', b'')
        for text, place in ((good.replace("option mode", "list rules_more '/etc/ssl/rules.cf'\n\toption mode"), '/etc/ssl'), (good, '')):
            self.root.write(UCI, text.encode(), 0o600)
            self.root.run('/etc/init.d/postern', 'reload')
            same(self.root.told(), [['started']], 'procd')
            check(not place or place in self.root.instance()['mount'][0], 'place: %s' % self.root.instance()['mount'])
        self.root.write(UCI, good.replace("'1'", "'0'", 1).encode(), 0o600)
        self.root.run('/etc/init.d/postern', 'reload')
        same((self.root.told(), self.root.instance()), ([['none']], {}), 'not enabled')
        self.root.write(UCI, good.encode(), 0o600)
        self.root.run('/etc/init.d/postern', 'reload')
        same(self.root.told(), [['started']], 'enabled again')

    def upgraded(self):
        """The owner's file stays, the new program runs, and the service is as enabled as it was."""
        mine = self.root.read(UCI)
        self.installer.install(self.package('1-r2', b'\n'), upgrade=True)
        same(self.root.read(UCI), mine, 'configuration')
        check(self.root.is_there(UCI + self.installer.kept), 'the new one is not beside it')
        same(self.root.told()[-1], ['started'], 'procd')
        check(self.root.is_there('/etc/rc.d/S90postern'), 'not enabled')
        same(self.root.read('/etc/passwd').count('postern:x:465'), 1, 'users')
        self.root.run('/etc/init.d/postern', 'disable')
        self.installer.install(self.package('1-r3', b'\n\n'), upgrade=True)
        check(not self.root.is_there('/etc/rc.d/S90postern'), 'enabled against its owner')
        self.root.run('/etc/init.d/postern', 'enable')
        self.root.told()

    def removed(self):
        self.installer.remove()
        same((self.root.told(), self.root.instance()), ([['stopped']], {}), 'procd')
        check(not os.listdir(self.root.path('/etc/rc.d')), 'still enabled')
        for path in self.installer.files:
            check(self.root.is_there(path) == (path == UCI), path)
        check('example.org' in self.root.read(UCI), 'configuration')

    def in_an_image(self):
        """Where an image is made nothing runs of it: IPKG_INSTROOT names the folder."""
        folder = self.folder + '-image'
        root = Root(folder, self.postern)
        installer = self.kind(root)
        root.run = lambda *command, **environment: subprocess.run(
            ['busybox', 'ash', root.path(command[0]), *command[1:]], check=True, timeout=60,
            env=dict(environment, PATH=os.environ['PATH'], IPKG_INSTROOT=folder))
        installer.install(self.package('1-r1'))
        check('\npostern:x:465:465:' in root.read('/etc/passwd'), 'no user')
        same(sorted(os.listdir(root.path('/etc/rc.d'))), ['K10postern', 'S90postern'], 'enabled')
        check(not root.is_there('/tmp/procd/told') and not root.is_there('/tmp/log'), 'it was started')

    def tests(self, name):
        for function in (self.install, self.started, self.reloaded, self.upgraded, self.removed, self.in_an_image):
            yield 'service, %s: %s' % (name, function.__name__.replace('_', ' ')), function


# --- the jail ------------------------------------------------------------------------------------------------------

class Jail:
    """Postern where only those places are that the init script names: started, talked to, its certificate replaced."""

    def __init__(self, postern, folder):
        self.postern, self.folder = postern, folder

    def prepare(self):
        root = Root(self.folder, self.postern)
        root.applets()
        Opkg(root).install(packages.package.postern(self.postern, 'x86_64', '1-r1'))
        # As OpenWrt's acme has it: a folder of links to files elsewhere.
        for number in (1, 2):
            subprocess.run(['openssl', 'req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-days', '9',
                            '-subj', '/CN=mx%d.example.org' % number, '-keyout', root.path('/etc/key%d' % number),
                            '-out', root.path('/etc/cert%d' % number)], check=True, capture_output=True, timeout=60)
        os.makedirs(root.path('/etc/acme/mx'))
        os.makedirs(root.path('/etc/ssl/acme'))
        for name in ('cert', 'key'):
            os.symlink('/etc/acme/mx/' + name, root.path('/etc/ssl/acme/mx.' + name))
            os.replace(root.path('/etc/%s1' % name), root.path('/etc/acme/mx/' + name))
        os.chmod(root.path('/etc/acme/mx/key'), 0o600)
        root.write('/etc/rules/own.cf', b'')
        root.write('/etc/secret', b'not for mail\n')
        uci = root.read(UCI).replace("option mode", "option cert '/etc/ssl/acme/mx.cert'\n\toption certkey '/etc/ssl/acme/mx.key'\n\t"
                                     "list rules_more '/etc/rules'\n\toption mode").replace("list listen '[::]:25'", '')
        root.write(UCI, (uci + RELAY).encode(), 0o600)
        root.run('/bin/sh', '-c', '. /etc/hotplug.d/acme/50-postern')
        root.run('/etc/init.d/postern', 'start')
        self.root = root
        return root.instance()

    def shown(self):
        instance = self.prepare()
        same(sorted(instance['mount'][0]), ['/etc/acme/mx', '/etc/group', '/etc/passwd', '/etc/rules', '/etc/ssl/acme', '/usr/share/postern',
                                            '/var/etc/postern'], 'to read')
        same(instance['mount_rw'][0], ['/var/lib/postern', '/var/run/postern'], 'to write')
        for name, mode in (('cert', 0o644), ('key', 0o640)):
            found = os.stat(self.root.path('/etc/acme/mx/' + name))
            same((found.st_mode & 0o7777, found.st_uid, found.st_gid), (mode, 0, 465), name)
        self.instance = instance

    def works(self):
        done = subprocess.run(['unshare', '-m', '-n', '-p', '-f', sys.executable, os.path.join(HERE, 'jail.py'), self.root.folder,
                               ' '.join(self.instance['mount'][0]), ' '.join(self.instance['mount_rw'][0]),
                               ' '.join(libraries(self.postern)), *self.instance['command'][0]],
                              capture_output=True, text=True, timeout=120, check=False)
        check(done.returncode == 0, '%s%s' % (done.stdout, done.stderr))
        same(done.stdout.split('\n')[0:1], ['mx1.example.org mx2.example.org'], 'certificates')

    def not_wanted(self):
        self.root.write(UCI, self.root.read(UCI).replace("option mode", "option jail '0'\n\toption mode").encode(), 0o600)
        self.root.run('/etc/init.d/postern', 'reload')
        self.without()

    def not_there(self):
        """Nor without ujail: a user that procd changes to could not listen on port 25."""
        self.root.write(UCI, self.root.read(UCI).replace("\toption jail '0'\n", '').encode(), 0o600)
        self.root.run('/etc/init.d/postern', 'start')
        check('jail' in self.root.instance(), 'no jail')
        os.unlink(self.root.path('/sbin/ujail'))
        self.root.run('/etc/init.d/postern', 'start')
        self.without()

    def without(self):
        instance = self.root.instance()
        check(not {'jail', 'mount', 'mount_rw', 'user', 'capabilities'} & set(instance) and instance['no_new_privs'] == [['1']], str(instance))


def tests(postern, folder):
    stripped = os.path.join(folder, 'stripped')
    if os.geteuid() == 0:
        subprocess.run(['strip', '-o', stripped, postern], check=True, timeout=60)
    for name, kind in (('opkg', Opkg), ('apk', Apk)):
        yield from Life(kind, stripped, os.path.join(folder, name)).tests(name)
    jail = Jail(stripped, os.path.join(folder, 'jail'))
    yield 'jail: what is shown', jail.shown
    yield 'jail: mail and a new certificate', jail.works
    yield 'jail: not wanted', jail.not_wanted
    yield 'jail: not there', jail.not_there
