#!/usr/bin/python3
"""Reads an .apk or packages.adb of apk v3 field by field, and refuses what is not as the format wants it. Written from the
format's description (apk-v3(5), apk-package(5) and the numbers of apk's schema), apart from what writes ours.

    apk_reader.py FILE [PUBLIC.pem]     prints what it holds; with a key, only if that key has signed it

Nothing is skipped: each byte of the description belongs to exactly one value, or is zero and there for alignment.
"""
import base64
import hashlib
import os
import re
import subprocess
import sys
import tempfile
import zlib


class Refused(Exception):
    """Why this is no package."""


def need(truth, text, *values):
    if not truth:
        raise Refused(text % values)


def little(raw, at, size):
    need(0 <= at and at + size <= len(raw), 'at %d: %d bytes are wanted, there are %d', at, size, max(len(raw) - at, 0))
    return int.from_bytes(raw[at:at + size], 'little')


# --- the description: a tree of values -----------------------------------------------------------------------------
#
# A schema is (kind, ...): ('text', pattern), ('bytes', length or 0), ('number', most), ('array', of what, most),
# ('object', {slot: (name, schema)}).

LINE = ('text', r'[^\0\n]+')
OWNER = ('object', {1: ('mode', ('number', 0o7777)), 2: ('user', LINE), 3: ('group', LINE)})
FILE = ('object', {1: ('name', ('text', r'[^\0\n/]+')), 2: ('acl', OWNER), 3: ('size', ('number', 1 << 40)),
                   4: ('mtime', ('number', 1 << 40)), 5: ('hash', ('bytes', 32)), 6: ('target', ('bytes', 0))})
FOLDER = ('object', {1: ('name', ('text', r'[^\0\n/]+(/[^\0\n/]+)*')), 2: ('acl', OWNER), 3: ('files', ('array', FILE, 1 << 16))})
VERSION = ('text', r'\d+(\.\d+)*[a-z]?(_(alpha|beta|pre|rc|cvs|svn|git|hg|p)\d*)*(~[0-9a-f]+)?(-r\d+)?')
DEPENDENCY = ('object', {1: ('name', ('text', r'[^\0\s]+')), 2: ('version', VERSION), 3: ('match', ('number', 31))})
DEPENDENCIES = ('array', DEPENDENCY, 1 << 10)
INFO_FIELDS = {
    1: ('name', ('text', r'[a-zA-Z0-9][a-zA-Z0-9._+-]*')), 2: ('version', VERSION), 3: ('hashes', ('bytes', 20)),
    4: ('description', LINE), 5: ('arch', ('text', r'[a-z0-9_-]+')), 6: ('license', LINE), 7: ('origin', LINE),
    8: ('maintainer', LINE), 9: ('url', LINE), 10: ('repo-commit', ('bytes', 20)), 11: ('build-time', ('number', 1 << 40)),
    12: ('installed-size', ('number', 1 << 40)), 13: ('file-size', ('number', 1 << 40)),
    14: ('provider-priority', ('number', 1 << 16)), 15: ('depends', DEPENDENCIES), 16: ('provides', DEPENDENCIES),
    17: ('replaces', DEPENDENCIES), 18: ('install-if', DEPENDENCIES), 19: ('recommends', DEPENDENCIES),
    20: ('layer', ('number', 1)), 21: ('tags', ('array', LINE, 1 << 10))}
INFO = ('object', INFO_FIELDS)
SCRIPT = ('text', r'#!/[^\0]*\n')
SCRIPTS = ('object', {slot: (name, SCRIPT) for slot, name in enumerate(
    ('trigger', 'pre-install', 'post-install', 'pre-deinstall', 'post-deinstall', 'pre-upgrade', 'post-upgrade'), 1)})
PACKAGE = ('object', {1: ('info', INFO), 2: ('paths', ('array', FOLDER, 1 << 16)), 3: ('scripts', SCRIPTS),
                      4: ('triggers', ('array', LINE, 1 << 10)), 5: ('replaces-priority', ('number', 1 << 16))})
# An index knows a package by the SHA-256 of its whole description.
ROW = ('object', {**INFO_FIELDS, 3: ('hashes', ('bytes', 32))})
INDEX = ('object', {1: ('description', LINE), 2: ('packages', ('array', ROW, 1 << 16)), 3: ('pkgname-spec', LINE)})


class Tree:
    def __init__(self, raw):
        self.raw = raw
        self.taken = {0: 8}         # where a value's bytes begin: how many they are
        self.identity_at = 0

    def take(self, at, size, alignment):
        need(at % alignment == 0, 'at %#x: not at a multiple of %d', at, alignment)
        need(at >= 8, 'at %#x: inside the header', at)
        need(at + size <= len(self.raw), 'at %#x: %d bytes reach beyond the end', at, size)
        need(self.taken.setdefault(at, size) == size, 'at %#x: two values of different size', at)
        return self.raw[at:at + size]

    def blob(self, tag, at):
        width = {8: 1, 9: 2, 10: 4}[tag]
        size = little(self.raw, at, width)
        need(size >= (1, 1 << 8, 1 << 16)[tag - 8], 'at %#x: %d bytes in too wide a form', at, size)
        return self.take(at, width + size, width)[width:]

    def number(self, tag, value):
        if tag == 1:
            return value
        width = {2: 4, 3: 8}[tag]
        return int.from_bytes(self.take(value, width, 4), 'little')

    def slots(self, at):
        count = little(self.raw, at, 4)
        need(count >= 2, 'at %#x: %d slots', at, count)
        raw = self.take(at, 4 * count, 4)
        words = [little(raw, 4 * slot, 4) for slot in range(count)]
        need(words[-1] != 0, 'at %#x: the last slot is empty', at)
        return words

    def value(self, word, schema, path):
        """What the word stands for; None for nothing."""
        tag, rest, kind = word >> 28, word & 0xfffffff, schema[0]
        if word == 0:
            return None
        allowed = {'text': (8, 9, 10), 'bytes': (8, 9, 10), 'number': (1, 2, 3), 'array': (13,), 'object': (14,)}[kind]
        need(tag in allowed, '%s: %#x is no %s', path, word, kind)
        if kind == 'number':
            number = self.number(tag, rest)
            need(number <= schema[1], '%s: %d', path, number)
            return number
        if kind == 'bytes':
            content = self.blob(tag, rest)
            need(schema[1] in (0, len(content)), '%s: %d bytes', path, len(content))
            if path == '/info/hashes':
                self.identity_at = rest + 1
            return content
        if kind == 'text':
            try:
                text = self.blob(tag, rest).decode()
            except UnicodeDecodeError:
                raise Refused('%s: not UTF-8' % path) from None
            need(re.fullmatch(schema[1], text), '%s: %r', path, text)
            return text
        words = self.slots(rest)
        if kind == 'array':
            need(len(words) - 1 <= schema[2], '%s: %d of them', path, len(words) - 1)
            values = [self.value(item, schema[1], '%s[%d]' % (path, number)) for number, item in enumerate(words[1:], 1)]
            need(None not in values, '%s: one is nothing', path)
            return values
        need(len(words) - 1 <= max(schema[1]), '%s: %d fields', path, len(words) - 1)
        found = {}
        for slot, item in enumerate(words[1:], 1):
            name, of = schema[1][slot]
            found[name] = self.value(item, of, '%s/%s' % (path, name))
        return {name: value for name, value in found.items() if value is not None}

    def everything_is_used(self):
        end = 0
        for at, size in sorted(self.taken.items()):
            need(at >= end, 'at %#x: inside another value', at)
            need(at - end < 8 and not any(self.raw[end:at]), 'at %#x: %d bytes of no value', end, at - end)
            end = at + size
        need(end == len(self.raw), 'at %#x: %d bytes of no value', end, len(self.raw) - end)


def read_tree(raw, schema):
    need(len(raw) >= 16, 'a description of %d bytes', len(raw))
    need(raw[0] == 0 and raw[1] == 0, 'version %d.%d of the format', raw[0], raw[1])
    need(raw[2:4] == b'\0\0', 'reserved bytes: %s', raw[2:4].hex())
    tree = Tree(raw)
    found = tree.value(little(raw, 4, 4), schema, '')
    need(found is not None, 'there is nothing')
    tree.everything_is_used()
    return found, tree.identity_at


def read_package(raw):
    found, at = read_tree(raw, PACKAGE)
    need(at, 'no hash of the whole')
    blank = raw[:at] + bytes(20) + raw[at + 20:]
    need(hashlib.sha256(blank).digest()[:20] == found['info']['hashes'], 'the hash of the whole is not %s',
         found['info']['hashes'].hex())
    return found


# --- signatures ----------------------------------------------------------------------------------------------------

def public_key(pem):
    """The bytes of a public key, whatever stands before it in the file."""
    found = re.search(b'-----BEGIN PUBLIC KEY-----\n([A-Za-z0-9+/=\n]*)-----END PUBLIC KEY-----\n', pem)
    need(found, 'no public key')
    return base64.b64decode(found.group(1))


def openssl_agrees(words, message, signature, der):
    """Whether openssl takes the signature for one of the key; words name the files %(message)s, %(signature)s, %(key)s."""
    with tempfile.TemporaryDirectory(prefix='pst-sign-') as folder:
        files = {'message': message, 'signature': signature, 'key': der}
        for name, content in files.items():
            files[name] = os.path.join(folder, name)
            with open(files[name], 'wb') as stream:
                stream.write(content)
        done = subprocess.run(['openssl', *[word % files for word in words]], stdout=subprocess.DEVNULL,
                              stderr=subprocess.DEVNULL, check=False)
    return done.returncode == 0


def check_signature(schema, description, content, der):
    """What is signed is the schema, the head of the signature and the SHA-512 of the description."""
    need(len(content) > 20, 'a signature of %d bytes', len(content))
    head, signature = content[:18], content[18:]
    # openssl does not look at what is behind its end.
    need(signature[0] == 0x30 and signature[1] == len(signature) - 2, 'a signature of %d bytes, not %d', signature[1],
         len(signature) - 2)
    need(head[0] == 0, 'a signature of version %d', head[0])
    need(head[1] == 4, 'a signature with hash %d', head[1])
    if der is None:
        return
    need(head[2:] == hashlib.sha512(der[-65:]).digest()[:16], 'signed by the key %s', head[2:].hex())
    message = schema + head + hashlib.sha512(description).digest()
    need(openssl_agrees(('dgst', '-sha512', '-verify', '%(key)s', '-signature', '%(signature)s', '%(message)s'), message,
                        signature, der), 'the signature is not that of the key')


# --- the container -------------------------------------------------------------------------------------------------

def unpack(raw):
    """The bytes without compression."""
    need(raw[:3] == b'ADB', 'no ADB: %r', raw[:4])
    if raw[3:4] == b'.':
        return raw
    need(raw[3:4] == b'd', 'compression %r', raw[3:4])
    stream = zlib.decompressobj(-15)
    try:
        plain = stream.decompress(raw[4:])
    except zlib.error as error:
        raise Refused('compression: %s' % error) from None
    need(stream.eof and not stream.unused_data, 'compression: %d bytes behind its end, or no end', len(stream.unused_data))
    need(plain[:4] == b'ADB.', 'no ADB inside: %r', plain[:4])
    return plain


def blocks(raw):
    """(kind, content), in order."""
    at = 8
    while at < len(raw):
        word = little(raw, at, 4)
        kind, size = word >> 30, word & 0x3fffffff
        need(kind < 3 and size >= 4, 'block at %d: kind %d, size %d', at, kind, size)
        end = at + size
        padded = end + -size % 8
        need(padded <= len(raw), 'block at %d: %d bytes are not there', at, padded - len(raw))
        need(not any(raw[end:padded]), 'block at %d: what fills it up is not zero', at)
        yield kind, raw[at + 4:end]
        at = padded


def in_order(names, what):
    for before, after in zip(names, names[1:]):
        need(before.encode() < after.encode(), '%s: %r before %r', what, before, after)


def link(file, path):
    """Where a symbolic link leads, or None."""
    if 'target' not in file:
        return None
    need(little(file['target'], 0, 2) == 0o120000, '%s: of a kind that no package of ours has', path)
    need('hash' not in file and file['size'] == len(file['target']) - 2, '%s: size %d', path, file['size'])
    return file['target'][2:].decode()


class Package:
    """info, scripts: {name: value}; folders: {path: (mode, user, group)}; files: {path: (mode, user, group, bytes)};
    links: {path: target}. Paths begin with a slash."""

    def __init__(self, found):
        self.info, self.scripts = found['info'], found.get('scripts', {})
        self.folders, self.files, self.links, self.wanted = {}, {}, {}, []
        for field in ('name', 'version', 'arch', 'installed-size'):
            need(field in self.info, 'no %s', field)
        in_order([one['name'] for one in self.info.get('depends', [])], 'depends')
        paths = found.get('paths', [])
        in_order([folder.get('name', '') for folder in paths], 'folders')
        for number, folder in enumerate(paths, 1):
            self.add_folder(number, folder)
        size = sum(file['size'] for _, _, _, file in self.wanted)
        need(self.info['installed-size'] == max(size, 1), 'installed-size %d, there are %d', self.info['installed-size'], size)
        self.wanted = [one for one in self.wanted if one[3]['size'] > 0]

    @staticmethod
    def owner(entry, path):
        acl = entry.get('acl', {})
        need(set(acl) == {'mode', 'user', 'group'}, '%s: owner and mode: %s', path, acl)
        return acl['mode'], acl['user'], acl['group']

    def add_folder(self, number, folder):
        path = '/' + folder.get('name', '')
        need(not {'.', '..'} & set(path.split('/')), 'folder %s', path)
        above = path.rpartition('/')[0] or '/'
        need(above == '/' or above in self.folders, '%s comes without %s', path, above)
        self.folders[path] = self.owner(folder, path)
        files = folder.get('files', [])
        in_order([file.get('name', '') for file in files], path)
        for place, file in enumerate(files, 1):
            need(file.get('name', '.') not in ('.', '..'), '%s: a file without a name', path)
            name = path.rstrip('/') + '/' + file['name']
            need('size' in file and 'mtime' in file, '%s: no size or time', name)
            target = link(file, name)
            if target is not None:
                self.links[name] = target
                continue
            need('hash' in file, '%s: no hash', name)
            self.files[name] = (*self.owner(file, name), b'')
            self.wanted.append((number, place, name, file))
            if file['size'] == 0:
                self.check(name, file, b'')

    @staticmethod
    def check(name, file, content):
        need(len(content) == file['size'], '%s: %d bytes, not %d', name, len(content), file['size'])
        need(hashlib.sha256(content).digest() == file['hash'], '%s: its hash is not that of its bytes', name)

    def add_data(self, content):
        need(self.wanted, 'bytes of no file')
        number, place, name, file = self.wanted.pop(0)
        need((little(content, 0, 4), little(content, 4, 4)) == (number, place), 'bytes of file %d of folder %d, not of %s',
             little(content, 4, 4), little(content, 0, 4), name)
        self.check(name, file, content[8:])
        self.files[name] = (*self.files[name][:3], content[8:])


def parts(raw, schema, key):
    """(description, whether it is signed, contents of the data blocks). With a key (a file's bytes) it must be signed by it."""
    raw = unpack(raw)
    need(raw[4:8] == schema, 'schema %r', raw[4:8])
    der = public_key(key) if key else None
    description, signed, data = None, False, []
    for kind, content in blocks(raw):
        if description is None:
            need(kind == 0, 'the first block is of kind %d', kind)
            description = content
            continue
        need(kind != 0, 'a second description')
        if kind == 2:
            data.append(content)
            continue
        need(not signed, 'a second signature')
        need(not data, 'a signature behind the data')
        check_signature(schema, description, content, der)
        signed = True
    need(description is not None, 'no block')
    need(signed or not key, 'it is not signed')
    return description, signed, data


def read(raw, key=None):
    description, signed, data = parts(raw, b'pckg', key)
    package = Package(read_package(description))
    for content in data:
        package.add_data(content)
    need(not package.wanted, 'no bytes of %s', package.wanted[0][2] if package.wanted else '')
    package.signed, package.digest = signed, hashlib.sha256(description).digest()
    return package


def read_index(raw, key=None):
    """[what it says of a package], by name."""
    description, _, data = parts(raw, b'indx', key)
    need(not data, 'data in an index')
    rows = read_tree(description, INDEX)[0].get('packages', [])
    in_order([row.get('name', '') for row in rows], 'packages')
    for row in rows:
        for field in ('name', 'version', 'arch', 'hashes', 'installed-size', 'file-size'):
            need(field in row, '%s: no %s', row.get('name'), field)
    return rows


def show(info):
    for name, value in info.items():
        print('%-16s %s' % (name, value.hex() if isinstance(value, bytes) else value))


def main():
    files = []
    for path in sys.argv[1:3]:
        with open(path, 'rb') as stream:
            files.append(stream.read())
    if unpack(files[0])[4:8] == b'indx':
        for row in read_index(*files):
            show(row)
        return
    package = read(*files)
    show(package.info)
    for path, (mode, user, group) in package.folders.items():
        print('%06o %s:%s %10s %s' % (mode, user, group, '', path))
        for name, (mode, user, group, content) in package.files.items():
            if (name.rpartition('/')[0] or '/') == path:
                print('%06o %s:%s %10d %s' % (mode, user, group, len(content), name))
    for name, text in package.scripts.items():
        print('--- %s\n%s' % (name, text), end='')


if __name__ == '__main__':
    main()
