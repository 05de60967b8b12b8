#!/usr/bin/python3
"""firmware/deps/fetch.py: which mirrors it asks, which files it takes, what it makes of a diff."""
import contextlib
import gzip
import hashlib
import io
import os
import sys
import tarfile
import tempfile
import unittest
from unittest import mock

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))
sys.path.insert(0, os.path.join(TOP, 'firmware', 'deps'))
sys.dont_write_bytecode = True
import fetch    # noqa: E402

ONE_LINE = '''
# deb http://commented.example/debian bookworm main
deb http://mirror.example/debian/ bookworm main contrib  # the nearest
deb [arch=amd64 signed-by=/etc/keys/own.gpg] http://own.example/debian-security bookworm-security main
deb-src http://mirror.example/debian bookworm-updates main
deb cdrom:[Debian 12]/ bookworm main
deb https://vendor.example/apt stable main
deb https://tools.example/debian tools-bookworm main
'''
DEB822 = '''# made by the installer
Types: deb
URIs: http://mirror.example/debian
Suites: bookworm bookworm-updates
Components: main non-free-firmware
Signed-By:
 -----BEGIN PGP PUBLIC KEY BLOCK-----
 .
 mDMEZ
 -----END PGP PUBLIC KEY BLOCK-----

Enabled: no
Types: deb
URIs: http://off.example/debian
Suites: bookworm
Components: main

Types: deb deb-src
URIs: http://mirror.example/debian-security
Suites: bookworm-security
Components: main
'''


class Mirrors(unittest.TestCase):
    def ask(self, text, reader):
        with tempfile.NamedTemporaryFile('w', suffix='.txt') as file:
            file.write(text)
            file.flush()
            fields = list(reader(file.name))
        with mock.patch.object(fetch, 'machine_sources', lambda: iter(fields)), \
                mock.patch.object(fetch, 'KEYRING', '/dev/null'):
            return fetch.trixie_sources()

    def test_one_line(self):
        found = self.ask(ONE_LINE, fetch.one_line_sources)
        self.assertEqual(found, [
            'Types: deb-src\nURIs: http://mirror.example/debian\nSuites: trixie\n'
            'Components: main\nSigned-By: /dev/null',
            'Types: deb-src\nURIs: http://own.example/debian-security\nSuites: trixie-security\n'
            'Components: main\nSigned-By: /etc/keys/own.gpg'])

    def test_deb822(self):
        found = self.ask(DEB822, fetch.deb822_sources)
        self.assertEqual(len(found), 2)
        self.assertIn('URIs: http://mirror.example/debian\nSuites: trixie\n', found[0])
        self.assertIn('Signed-By: \n -----BEGIN PGP', found[0])
        self.assertIn('URIs: http://mirror.example/debian-security\nSuites: trixie-security\n',
                      found[1])

    def test_mirror_without_debian_in_its_name(self):
        found = self.ask('deb http://cache.example/os bookworm main\n', fetch.one_line_sources)
        self.assertEqual(len(found), 1)
        self.assertIn('http://cache.example/os\nSuites: trixie\n', found[0])


class Files(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.entry = fetch.Entry('thing', '1.0')
        self.entry.orig = ('thing.tar', hashlib.sha256(b'good').hexdigest())
        self.entry.patches = [('thing.diff.gz', '-', hashlib.sha256(b'fix').hexdigest())]
        patch = mock.patch.object(fetch, 'cache_folders', lambda: [self.folder.name])
        patch.start()
        self.addCleanup(patch.stop)
        self.addCleanup(self.folder.cleanup)
        self.put('thing.diff.gz', gzip.compress(b'fix'))

    def put(self, name, data):
        with open(os.path.join(self.folder.name, name), 'wb') as file:
            file.write(data)

    def find(self):
        with contextlib.redirect_stdout(io.StringIO()):
            return fetch.find(self.entry)

    def test_right_bytes(self):
        self.put('thing.tar', b'good')
        self.assertEqual(sorted(self.find()), ['thing.diff.gz', 'thing.tar'])

    def test_wrong_bytes(self):
        self.put('thing.tar', b'goof')
        self.assertIsNone(self.find())

    def test_wrong_patch(self):
        self.put('thing.tar', b'good')
        self.put('thing.diff.gz', gzip.compress(b'mischief'))
        self.assertIsNone(self.find())

    def test_truncated_patch(self):
        self.put('thing.tar', b'good')
        self.put('thing.diff.gz', gzip.compress(b'fix')[:-9])
        self.assertIsNone(self.find())


class Lock(unittest.TestCase):
    def test_every_entry_is_pinned(self):
        entries = fetch.read_lock(fetch.LOCK)
        self.assertEqual({entry.name for entry in entries},
                         {'mbedtls', 'lwip', 'pcre2', 'cares', 'cmocka'})
        for entry in entries:
            self.assertTrue(entry.version.startswith(entry.series), entry.name)
            for digest in [entry.orig[1]] + [digest for _, _, digest in entry.patches]:
                self.assertRegex(digest, '^[0-9a-f]{64}$')
            for file, digest in entry.ours:
                self.assertEqual(fetch.sha256(fetch.read_file(
                    os.path.join(fetch.PATCHES, file))), digest, file)

    def test_our_patch_is_checked(self):
        with tempfile.TemporaryDirectory() as folder:
            tar = os.path.join(folder, 'thing.tar')
            with tarfile.open(tar, 'w') as out:
                member = tarfile.TarInfo('thing-1.0/a.c')
                member.size = 4
                out.addfile(member, io.BytesIO(b'one\n'))
            diff = b'why\n\n--- a/a.c\n+++ b/a.c\n@@ -1 +1 @@\n-one\n+two\n'
            with open(os.path.join(folder, 'own.diff'), 'wb') as file:
                file.write(diff)
            entry = fetch.Entry('thing', '1.0')
            entry.orig = ('thing.tar', '')
            entry.ours = [('own.diff', fetch.sha256(diff))]
            with mock.patch.object(fetch, 'PATCHES', folder):
                fetch.unpack(entry, {'thing.tar': tar}, os.path.join(folder, 'one'))
                self.assertEqual(fetch.read_file(os.path.join(folder, 'one', 'a.c')), b'two\n')
                entry.ours = [('own.diff', fetch.sha256(b'else'))]
                with self.assertRaises(fetch.Trouble):
                    fetch.unpack(entry, {'thing.tar': tar}, os.path.join(folder, 'two'))

    def test_diff_without_packaging(self):
        diff = (b'--- a/debian/rules\n+++ b/debian/rules\n@@ -0,0 +1 @@\n+x\n'
                b'--- a/src/a.c\n+++ b/src/a.c\n@@ -1 +1 @@\n--- not a header\n+y\n'
                b'--- a/debian/control\n+++ b/debian/control\n@@ -0,0 +1 @@\n+z\n')
        self.assertEqual(fetch.upstream_part(diff),
                         b'--- a/src/a.c\n+++ b/src/a.c\n@@ -1 +1 @@\n--- not a header\n+y\n')


if __name__ == '__main__':
    report = io.StringIO()
    result = unittest.TextTestRunner(stream=report).run(
        unittest.defaultTestLoader.loadTestsFromModule(sys.modules['__main__']))
    bad = len(result.failures) + len(result.errors)
    if bad:
        print(report.getvalue())
    print('%d passed, %d failed' % (result.testsRun - bad, bad))
    sys.exit(1 if bad else 0)
