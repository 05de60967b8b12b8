"""The packages: what the writers write is what a reader of its own finds, and both kinds carry the same tree."""
import gzip
import hashlib
import io
import os
import re
import subprocess
import sys
import tarfile

import apk_reader

HERE = os.path.dirname(os.path.abspath(__file__))
PACKAGE = os.path.join(os.path.dirname(os.path.dirname(HERE)), 'board', 'openwrt')
sys.path.insert(0, PACKAGE)
import apk          # noqa: E402
import ipk          # noqa: E402
import package      # noqa: E402

NOTES = '/lib/apk/packages/postern'


class Failed(Exception):
    pass


def check(truth, text):
    if not truth:
        raise Failed(text)


def same(found, wanted, what):
    check(found == wanted, '%s: %s, not %s' % (what, found, wanted))


# --- the hand-made package -----------------------------------------------------------------------------------------

def fixture(name='fixture.txt'):
    """{part: bytes} of a file made by hand, whose offsets must be right."""
    parts, part = {}, bytearray()
    with open(os.path.join(HERE, name), encoding='ascii') as stream:
        for line in stream:
            words = []
            for word in re.findall(r'"[^"]*"|#.*|\S+', line):
                if word.startswith('#'):
                    break
                words.append(word)
            if not words:
                continue
            if words[0] == 'part':
                part = parts[words[1]] = bytearray()
                continue
            check(int(words[0].rstrip(':'), 16) == len(part), '%s: %s is %x' % (name, words[0], len(part)))
            for word in words[1:]:
                if word.startswith('"'):
                    part += word.strip('"').encode()
                else:
                    byte, _, times = word.partition('*')
                    part += bytes([int(byte, 16)]) * int(times or 1)
    return parts


def fixture_file():
    return bytes(b''.join(fixture().values()))


def by_hand(found):
    """What the package of the fixture must hold."""
    same({name: found.info.get(name) for name in ('name', 'version', 'arch', 'description', 'installed-size', 'depends')},
         {'name': 'a', 'version': '1', 'arch': 'noarch', 'description': 'd' * 256, 'installed-size': 3,
          'depends': [{'name': 'libc'}]}, 'info')
    same(found.folders['/etc'], (0o755, 'root', 'root'), 'folder')
    same(found.files['/etc/x'], (0o644, 'root', 'root', b'hi\n'), 'file')


def fixture_is_read():
    found = apk_reader.read(fixture_file())
    by_hand(found)
    same((found.folders.keys(), found.files.keys(), found.scripts), ({'/etc'}, {'/etc/x'}, {'post-install': '#!/bin/sh\n'}), 'tree')


def fixture_is_written():
    """The same package by the writer, though its bytes may lie elsewhere."""
    one = package.Package(name='a', version='1', description='d' * 256, files={'/etc/x': (0o644, b'hi\n')}, depends=('libc',),
                          origin='')
    found = apk_reader.read(apk.apk(one))
    found.info['installed-size'] -= len('/etc/x\n')
    by_hand(found)


def refused(raw):
    try:
        apk_reader.read(raw)
    except apk_reader.Refused:
        return True
    return False


def every_bit_counts():
    raw = fixture_file()
    for at in range(len(raw)):
        for bit in range(8):
            broken = bytearray(raw)
            broken[at] ^= 1 << bit
            check(refused(bytes(broken)), 'byte %#x, bit %d: nobody sees it' % (at, bit))
    for size in range(len(raw)):
        check(refused(raw[:size]), '%d bytes of %d are enough' % (size, len(raw)))
    check(refused(raw + bytes(8)) and refused(raw + b'\1'), 'more than there is')


def resigned(raw):
    """The description with its hash made right, so that it takes another look to see what is wrong."""
    blank = raw[:0x14] + bytes(20) + raw[0x28:0x230]
    return raw[:0x14] + hashlib.sha256(blank).digest()[:20] + raw[0x28:]


def lies_are_seen():
    """What is wrong although every hash is right. OFFSET in the description, bytes, what the reader says."""
    parts = {name: bytes(part) for name, part in fixture().items()}
    for at, lie, why in (
            (0x00, '01', 'version'), (0x02, '01', 'reserved'), (0x13, '13', 'bytes'), (0x65, '00', 'too wide'),
            (0x166, '01', 'no value'), (0x168, '05', 'fields'), (0x16c, 'ff1f0010', 'mode'), (0x170, '29000080', 'inside|user'),
            (0x188, '05', 'inside|no hash|no value'), (0x18c, '32000080', 'beyond|inside|name'), (0x190, '7a0100e0', 'multiple'),
            (0x194, '04000010', 'installed-size'), (0x1a4, '880100d0', 'is no'), (0x1c4, '00000000', 'last slot'),
            (0x200, '04000010', 'installed-size'), (0x21c, '37000080', 'inside|scripts|beyond'), (0x224, '00000000', 'info|no value'),
            (0x228, '00000000', 'no value'), (0x2d, '03652f63', 'without'), (0x2d, '032f7463', 'name'), (0x2d, '032e2e2f', 'name'),
            (0x0c, '06202020', 'arch'), (0x0a, '0178', 'version'), (0x31, '012f', 'name'), (0x31, '012e', 'without a name')):
        lie = bytes.fromhex(lie)
        description = parts['description']
        description = resigned(description[:at] + lie + description[at + len(lie):])
        try:
            apk_reader.read(parts['file'] + description + parts['data'])
        except apk_reader.Refused as reason:
            check(re.search(why, str(reason)), 'at %#x: %s' % (at, reason))
        else:
            raise Failed('at %#x: nobody sees %s' % (at, lie.hex()))


# --- ours ----------------------------------------------------------------------------------------------------------

class Ipk:
    """An .ipk, taken apart: files {path: (mode, owner, bytes)}, folders {path: mode}, control {name: bytes}."""

    def __init__(self, raw):
        with tarfile.open(fileobj=io.BytesIO(gzip.decompress(raw))) as outer:
            same(outer.getnames(), ['./debian-binary', './data.tar.gz', './control.tar.gz'], 'parts')
            same(outer.extractfile('./debian-binary').read(), b'2.0\n', 'debian-binary')
            self.data = gzip.decompress(outer.extractfile('./data.tar.gz').read())
            control = gzip.decompress(outer.extractfile('./control.tar.gz').read())
        self.files, self.folders, self.control = {}, {}, {}
        with tarfile.open(fileobj=io.BytesIO(self.data)) as tar:
            for member in tar:
                same((member.uid, member.gid, member.mtime), (0, 0, 0), member.name)
                path = member.name[1:].rstrip('/') or '/'
                if member.isdir():
                    self.folders[path] = member.mode
                else:
                    self.files[path] = (member.mode, tar.extractfile(member).read())
        with tarfile.open(fileobj=io.BytesIO(control)) as tar:
            for member in tar:
                self.control[member.name[2:]] = tar.extractfile(member).read()
        self.fields = dict(line.split(': ', 1) for line in self.control['control'].decode().splitlines())


class Ours:
    """Both packages of the program, built once; tests compare."""

    def __init__(self, postern, folder):
        self.postern, self.folder = postern, folder
        self.raw = {}

    def build(self):
        for number in range(2):
            out = os.path.join(self.folder, 'out%d' % number)
            os.mkdir(out)
            subprocess.run([sys.executable, os.path.join(PACKAGE, 'package.py'), '--postern', self.postern, '--architecture',
                            'aarch64_cortex-a53', '--out', out], check=True, timeout=60, stdout=subprocess.DEVNULL,
                           env=dict(os.environ, TZ='UTC%d' % number, PYTHONHASHSEED=str(number)))
            names = sorted(os.listdir(out))
            version = package.program_version()
            same(names, ['luci-app-postern-%s.apk' % version, 'luci-app-postern_%s_all.ipk' % version,
                         'postern-%s.apk' % version, 'postern_%s_aarch64_cortex-a53.ipk' % version], 'names')
            raw = {('pages ' if name.startswith('luci') else '') + name[-3:]: package.read(os.path.join(out, name))
                   for name in names}
            check(number == 0 or raw == self.raw, 'two builds differ')
            self.raw = raw
        self.ipk, self.apk = Ipk(self.raw['ipk']), apk_reader.read(self.raw['apk'])

    def ipk_is_whole(self):
        for name, mode in (('/usr/sbin/postern', 0o755), ('/etc/init.d/postern', 0o755), ('/etc/config/postern', 0o600),
                           ('/usr/libexec/postern-config', 0o755), ('/usr/share/postern/rules/10_form.cf', 0o644),
                           ('/usr/share/postern/rules/os.sig', 0o644)):
            check(name in self.ipk.files and self.ipk.files[name][0] == mode, '%s: %s' % (name, self.ipk.files.get(name, (0,))[0]))
        same(self.ipk.files['/usr/sbin/postern'][1], package.read(self.postern), 'the program')
        fields = self.ipk.fields
        same((fields['Package'], fields['Architecture'], fields['Version'], fields['Installed-Size'], fields['Require-User']),
             ('postern', 'aarch64_cortex-a53', package.program_version(), str(len(self.ipk.data)), 'postern=465:postern=465'),
             'control')
        same(self.ipk.control['conffiles'], b'/etc/config/postern\n', 'conffiles')

    def same_tree(self):
        notes = {path: entry for path, entry in self.apk.files.items() if path.startswith('/lib/apk/')}
        files = {path: entry for path, entry in self.apk.files.items() if path not in notes}
        same(sorted(files), sorted(self.ipk.files), 'files')
        for path, (mode, user, group, content) in self.apk.files.items():
            same((user, group), ('root', 'root'), path)
            check(path in notes or self.ipk.files[path] == (mode, content), '%s: mode or bytes differ' % path)
        folders = {path: entry[0] for path, entry in self.apk.folders.items() if not path.startswith('/lib/apk')}
        same(folders, self.ipk.folders, 'folders')
        same(self.apk.links, {}, 'links')

    def pages(self):
        ipk, apk = Ipk(self.raw['pages ipk']), apk_reader.read(self.raw['pages apk'])
        files = {path: entry for path, entry in apk.files.items() if not path.startswith('/lib/apk/')}
        same({path: (entry[0], entry[3]) for path, entry in files.items()}, ipk.files, 'files')
        for path in ('/www/luci-static/resources/view/postern/status.js', '/usr/share/rpcd/acl.d/luci-app-postern.json',
                     '/usr/share/luci/menu.d/luci-app-postern.json'):
            check(path in files, 'no %s' % path)
        same((apk.info['arch'], ipk.fields['Architecture']), ('noarch', 'all'), 'architecture')

    def same_words(self):
        info, fields = self.apk.info, self.ipk.fields
        same((info['name'], info['version'], info['arch'], info['description'], [one['name'] for one in info['depends']]),
             (fields['Package'], fields['Version'], fields['Architecture'], fields['Description'], fields['Depends'].split(', ')),
             'info')

    def notes(self):
        """What OpenWrt's scripts read in /lib/apk/packages, against the .ipk's control."""
        files = self.apk.files
        same(files[NOTES + '.conffiles'][3], self.ipk.control['conffiles'], 'conffiles')
        wanted = ''.join('%s %s\n' % (path, hashlib.sha256(self.ipk.files[path][1]).hexdigest())
                         for path in self.ipk.control['conffiles'].decode().split())
        same(files[NOTES + '.conffiles_static'][3].decode(), wanted, 'conffiles_static')
        same(files[NOTES + '.rusers'][3].decode(), self.ipk.fields['Require-User'] + '\n', 'rusers')
        same(files[NOTES + '.list'][3].decode().split('\n'), sorted([*self.ipk.files, NOTES + '.rusers']) + [''], 'list')
        same([path for path in files if path.startswith('/lib/apk/')],
             [NOTES + kind for kind in ('.conffiles', '.conffiles_static', '.list', '.rusers')], 'notes')

    def scripts(self):
        same(sorted(self.apk.scripts), ['post-install', 'post-upgrade', 'pre-deinstall'], 'scripts')
        same(sorted(self.ipk.control), ['conffiles', 'control', 'postinst', 'prerm'], 'control')
        texts = [*self.apk.scripts.values(), self.ipk.control['postinst'].decode(), self.ipk.control['prerm'].decode()]
        for text in texts:
            done = subprocess.run(['busybox', 'ash', '-n'], input=text, text=True, capture_output=True, check=False)
            check(done.returncode == 0, '%s: %s' % (text, done.stderr))

    def broken(self):
        """One bit anywhere: in the compressed file, and in what is inside."""
        raw = self.raw['apk']
        plain = apk_reader.unpack(raw)
        for at in range(0, len(raw) - 1, len(raw) // 40):  # in the last byte, bits behind deflate's end mean nothing
            check(refused(raw[:at] + bytes([raw[at] ^ 4]) + raw[at + 1:]), 'compressed byte %d: nobody sees it' % at)
        for at in (*range(0, 4096, 61), *range(4096, len(plain), len(plain) // 60), len(plain) - 1):
            check(refused(plain[:at] + bytes([plain[at] ^ 1]) + plain[at + 1:]), 'byte %d: nobody sees it' % at)

    @staticmethod
    def another_package():
        """One for every machine, with lines of its own in the scripts, no user and no configuration."""
        one = package.Package(name='luci-app-a', version='0.1-r2', description='A page', depends=('luci-base', 'a'),
                              files={'/www/a.js': (0o644, b''), '/www/b/c.js': (0o644, bytes(70000))},
                              postinst='echo come\n', prerm='echo go\n')
        other, found = Ipk(ipk.ipk(one)), apk_reader.read(apk.apk(one))
        same((other.fields['Architecture'], found.info['arch']), ('all', 'noarch'), 'architecture')
        same([item['name'] for item in found.info['depends']], ['a', 'luci-base'], 'depends')
        same({path: (mode, content) for path, (mode, _, _, content) in found.files.items() if path.startswith('/www')},
             other.files, 'tree')
        check('Require-User' not in other.fields and 'conffiles' not in other.control, 'more than there is')
        same([path for path in found.files if path.startswith('/lib')], ['/lib/apk/packages/luci-app-a.list'], 'notes')
        same((other.control['postinst-pkg'], other.control['prerm-pkg']), (b'echo come\n', b'echo go\n'), 'scripts')
        for name, line in (('post-install', 'echo come'), ('post-upgrade', 'echo come'), ('pre-deinstall', 'echo go')):
            check(found.scripts[name].endswith('\n%s\n' % line), '%s: %s' % (name, found.scripts[name]))


def tests(postern, folder):
    """(name, function)."""
    ours = Ours(postern, folder)
    yield 'apk: the package made by hand is read', fixture_is_read
    yield 'apk: the writer writes it too', fixture_is_written
    yield 'apk: every bit of it counts', every_bit_counts
    yield 'apk: lies with right hashes are seen', lies_are_seen
    yield 'packages: two builds are the same', ours.build
    yield 'packages: the .ipk', ours.ipk_is_whole
    yield 'packages: the same tree', ours.same_tree
    yield 'packages: the same words', ours.same_words
    yield 'packages: what lies in /lib/apk/packages', ours.notes
    yield 'packages: the pages', ours.pages
    yield 'packages: scripts', ours.scripts
    yield 'packages: a broken bit is seen', ours.broken
    yield 'packages: another one', ours.another_package
