"""Signatures and the index of a folder: what is signed, by which key, and that nothing else passes for it; the reader asks openssl
with the file's bytes and the public key alone."""
import base64
import gzip
import hashlib
import os
import re
import subprocess
import sys

import apk_reader
import packages
from packages import PACKAGE, Failed, apk, check, package, same

import sign         # noqa: E402, from board/openwrt like what packages imports

ED25519 = bytes.fromhex('302a300506032b6570032100')     # how an Ed25519 public key begins, for openssl


def pem(der):
    return b'-----BEGIN PUBLIC KEY-----\n%s-----END PUBLIC KEY-----\n' % base64.encodebytes(der)


def reason_of(call, *arguments):
    """What the reader says against it; nothing if it takes it."""
    try:
        call(*arguments)
    except apk_reader.Refused as reason:
        return str(reason)
    return ''


# --- made by hand --------------------------------------------------------------------------------------------------

def by_hand():
    """(the signed package, the signed index, the public key)"""
    one = packages.fixture('fixture.txt')
    more = packages.fixture('signatures.txt')
    return (bytes(one['file'] + one['description'] + more['signature'] + one['data']),
            bytes(more['index-file'] + more['index'] + more['index-signature']), pem(bytes(more['public'])))


def signature_is_good():
    raw, index, key = by_hand()
    found = apk_reader.read(raw, key)
    check(found.signed, 'not signed')
    packages.by_hand(found)
    row, = apk_reader.read_index(index, key)
    same(row, {'name': 'a', 'version': '1', 'arch': 'noarch', 'hashes': found.digest, 'installed-size': 3, 'file-size': len(raw),
               'depends': [{'name': 'libc'}]}, 'row')


def every_bit_counts():
    """Of the signature: its block's head, its own, the key's name, the ECDSA signature, what fills it up. In the index, one a byte."""
    raw, index, key = by_hand()
    size = len(packages.fixture('signatures.txt')['signature'])
    for read, whole, begin, bits in ((apk_reader.read, raw, 0x240, range(8)),
                                     (apk_reader.read_index, index, len(index) - size, [5])):
        for at in range(begin, begin + size):
            for bit in bits:
                broken = bytearray(whole)
                broken[at] ^= 1 << bit
                check(reason_of(read, bytes(broken), key), 'byte %#x, bit %d: nobody sees it' % (at, bit))


def it_is_of_these_bytes():
    """The description changed with its hashes made right; the same one as what it is not; another key; no signature."""
    raw, index, key = by_hand()
    description, signature = packages.resigned(raw[12:0x240].replace(b'\x01x', b'\x01y')), raw[0x240:0x2a0]
    lie = raw[:12] + description + raw[0x240:]
    same(reason_of(apk_reader.read, lie), '', 'the lie, signature aside')
    check('not that of the key' in reason_of(apk_reader.read, lie, key), 'a changed description')
    head, digest = signature[4:22], hashlib.sha512(raw[12:0x240 - 4]).digest()
    for schema, agreed in ((b'pckg', True), (b'indx', False)):
        words = ('dgst', '-sha512', '-verify', '%(key)s', '-signature', '%(signature)s', '%(message)s')
        same(apk_reader.openssl_agrees(words, schema + head + digest, signature[22:94], apk_reader.public_key(key)), agreed,
             schema.decode())
    other = pem(sign.P256 + bytes(64))
    check('signed by the key' in reason_of(apk_reader.read, raw, other), 'another key')
    check('not signed' in reason_of(apk_reader.read, packages.fixture_file(), key), 'no signature')
    check('second signature' in reason_of(apk_reader.read, raw[:0x240] + 2 * signature + raw[0x2a0:], key), 'two')
    check('behind' in reason_of(apk_reader.read, raw[:0x240] + raw[0x2a0:] + signature, key), 'behind the data')
    check('data' in reason_of(apk_reader.read_index, index + raw[-16:], key), 'data in an index')


# --- ours ----------------------------------------------------------------------------------------------------------

class Repository:
    """What `make repository` writes, twice, with keys of its own; and what it writes without any."""

    def __init__(self, postern, folder):
        self.postern, self.folder = postern, os.path.join(folder, 'signed')
        self.files, self.plain, self.again = {}, {}, {}

    def openssl(self, *words):
        subprocess.run(['openssl', *words], check=True, timeout=60, stderr=subprocess.DEVNULL)

    def path(self, name):
        return os.path.join(self.folder, name)

    def run(self, out, *words):
        """(status, complaint)"""
        os.makedirs(self.path(out), exist_ok=True)
        done = subprocess.run([sys.executable, os.path.join(PACKAGE, 'package.py'), '--postern', self.postern, '--architecture',
                               'mipsel_24kc', '--out', self.path(out), '--index', *words], check=False, timeout=60,
                              stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        return done.returncode, done.stderr

    def written(self, out, *words):
        status, complaint = self.run(out, *words)
        same((status, complaint), (0, ''), out)
        return {name: package.read(os.path.join(self.path(out), name)) for name in os.listdir(self.path(out))}

    def build(self):
        os.mkdir(self.folder)
        self.openssl('ecparam', '-name', 'prime256v1', '-genkey', '-noout', '-out', self.path('key.pem'))
        self.openssl('genpkey', '-algorithm', 'ed25519', '-out', self.path('opkg.pem'))
        keys = ('--key', self.path('key.pem'), '--opkg-key', self.path('opkg.pem'))
        self.plain = self.written('plain')
        self.files, self.again = self.written('one', *keys), self.written('two', *keys)
        version = package.program_version()
        names = ['Packages', 'Packages.gz', 'luci-app-postern-%s.apk' % version, 'luci-app-postern_%s_all.ipk' % version,
                 'packages.adb', 'postern-%s.apk' % version, 'postern_%s_mipsel_24kc.ipk' % version]
        same(sorted(self.plain), names, 'names without keys')
        same(sorted(self.files), sorted([*names, 'Packages.sig', 'postern.pem', 'postern.pub']), 'names')

    def apks(self):
        return [name for name in self.files if name.endswith('.apk')]

    def signed(self):
        key = self.files['postern.pem']
        check(key.startswith(b'Copy this file into /etc/apk/keys'), 'what to do with it: %r' % key[:40])
        check(len(self.apks()) == 2, 'packages: %s' % self.apks())
        for name in self.apks():
            check(apk_reader.read(self.files[name], key).signed, name)
            check(not apk_reader.read(self.plain[name]).signed, name)
        apk_reader.read_index(self.files['packages.adb'], key)

    def only_signatures_differ(self):
        """An ECDSA signature is another each time; all else is what it is without a key."""
        for name in self.files:
            if not name.endswith(('.apk', '.adb')):
                same(self.again[name], self.files[name], name)
        same(self.files['Packages'], self.plain['Packages'], 'Packages')
        for name in self.apks():
            found = [[(kind, content) for kind, content in apk_reader.blocks(apk_reader.unpack(files[name]))]
                     for files in (self.plain, self.files, self.again)]
            for blocks in found[1:]:
                same([kind for kind, _ in blocks].count(1), 1, name)
                check([one for one in blocks if one[0] != 1] == found[0], '%s: more than the signature differs' % name)
            check(found[1] != found[2], '%s: the signature is the same' % name)
            same(found[1][1][1][:18], found[2][1][1][:18], name + ': head of the signature')

    def apk_rows(self):
        rows = apk_reader.read_index(self.files['packages.adb'])
        same([row['name'] for row in rows], ['luci-app-postern', 'postern'], 'names')
        for row in rows:
            name = '%s-%s.apk' % (row['name'], row['version'])
            found = apk_reader.read(self.files[name])
            same(row, {**found.info, 'hashes': found.digest, 'file-size': len(self.files[name])}, name)

    def opkg_rows(self):
        same(gzip.decompress(self.files['Packages.gz']), self.files['Packages'], 'Packages.gz')
        rows = self.files['Packages'].decode().split('\n\n')
        same((len(rows), rows[-1]), (3, ''), 'rows')
        for row in rows[:-1]:
            fields = dict(line.split(': ', 1) for line in row.split('\n'))
            raw = self.files[fields['Filename']]
            same(fields, {**packages.Ipk(raw).fields, 'Filename': fields['Filename'], 'Size': str(len(raw)),
                          'SHA256sum': hashlib.sha256(raw).hexdigest()}, fields['Filename'])
        same(sorted(re.findall('Filename: (.*)', self.files['Packages'].decode())),
             sorted(name for name in self.files if name.endswith('.ipk')), 'files')

    def opkg_signature(self):
        """As usign reads it: a comment, and in base64 `Ed`, the key's 8 bytes of name, and the key or signature."""
        found = []
        for name, size in (('postern.pub', 32), ('Packages.sig', 64)):
            comment, line, end = self.files[name].split(b'\n')
            content = base64.b64decode(line, validate=True)
            same((comment[:19], content[:2], len(content), end), (b'untrusted comment: ', b'Ed', 10 + size, b''), name)
            found.append(content)
        key, signature = found
        same(signature[2:10], key[2:10], 'name of the key')
        same(key[2:10], hashlib.sha512(key[10:]).digest()[:8], 'name of the key')
        words = ('pkeyutl', '-verify', '-rawin', '-pubin', '-keyform', 'DER', '-inkey', '%(key)s', '-sigfile', '%(signature)s',
                 '-in', '%(message)s')
        listed, der = self.files['Packages'], ED25519 + key[10:]
        check(apk_reader.openssl_agrees(words, listed, signature[10:], der), 'Packages.sig is not of this key')
        check(not apk_reader.openssl_agrees(words, listed[:-1] + b' ', signature[10:], der), 'it is of any file')
        check(not apk_reader.openssl_agrees(words, listed, bytes(64), der), 'any signature is good')

    def secrets_stay(self):
        """What only the owner of the keys knows is in no file, however packed."""
        secrets = []
        for name, at in (('key.pem', 7), ('opkg.pem', 16)):
            lines = package.read(self.path(name)).splitlines()
            secrets += [lines[1], base64.b64decode(b''.join(lines[1:-1]))[at:at + 32]]
        for name, raw in self.files.items():
            held = [raw]
            if name.endswith(('.apk', '.adb')):
                held.append(apk_reader.unpack(raw))
            if name.endswith('.ipk'):
                held += [content for _, content in packages.Ipk(raw).files.values()]
            check(not any(secret in one for secret in secrets for one in held), '%s: a private key is in it' % name)

    def bad_keys(self):
        """Each is refused before anything is written, and the complaint says how to make a good one, or what is wrong."""
        self.openssl('ecparam', '-name', 'secp384r1', '-genkey', '-noout', '-out', self.path('p384.pem'))
        self.openssl('genpkey', '-algorithm', 'rsa', '-out', self.path('rsa.pem'))
        for words, why in ((('--key', 'p384.pem'), 'prime256v1'), (('--key', 'rsa.pem'), 'prime256v1'),
                           (('--key', 'opkg.pem'), 'prime256v1'), (('--opkg-key', 'key.pem'), 'ed25519'),
                           (('--key', 'nothing.pem'), 'nothing.pem'), (('--key', 'one/postern.pem'), 'openssl')):
            status, complaint = self.run('bad', words[0], self.path(words[1]))
            check(status == 1 and why in complaint and 'Traceback' not in complaint, '%s: %d %s' % (words, status, complaint))
            same(os.listdir(self.path('bad')), [], 'written')
        mine = os.path.join(self.path('bad'), 'postern.pem')
        os.link(self.path('key.pem'), mine)
        status, complaint = self.run('bad', '--key', mine)
        check(status == 1 and 'another folder' in complaint, 'its own place: %d %s' % (status, complaint))
        same(package.read(mine), package.read(self.path('key.pem')), 'the private key')


def index_is_written():
    """That of the fixture, by the writer, though its bytes may lie elsewhere."""
    one = package.Package(name='a', version='1', description='', files={}, depends=('libc',), origin='')
    row, = apk_reader.read_index(apk.index([(one, 0x2b0)]))
    other, = apk_reader.read_index(by_hand()[1])
    for name in ('hashes', 'installed-size'):
        del row[name], other[name]
    same(row, other, 'row')


def tests(postern, folder):
    """(name, function)."""
    ours = Repository(postern, folder)
    yield 'signature: the one made by hand is good', signature_is_good
    yield 'signature: every bit of it counts', every_bit_counts
    yield 'signature: it is of these bytes, by this key', it_is_of_these_bytes
    yield 'index: the writer writes what was made by hand', index_is_written
    yield 'repository: its files', ours.build
    yield 'repository: packages and index are signed', ours.signed
    yield 'repository: two builds differ in signatures only', ours.only_signatures_differ
    yield 'repository: packages.adb says what the packages say', ours.apk_rows
    yield 'repository: Packages says what the packages say', ours.opkg_rows
    yield 'repository: Packages.sig', ours.opkg_signature
    yield 'repository: private keys stay with their owner', ours.secrets_stay
    yield 'repository: bad keys', ours.bad_keys
