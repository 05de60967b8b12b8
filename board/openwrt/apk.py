"""Writes an .apk, the package of OpenWrt 25.12 and later (apk v3), the same bytes for the same content.

An .apk is `ADBd`, then, deflated: `ADB.`, the schema `pckg`, and blocks: one with the description of everything (an ADB: a
tree of values in one piece of memory, offsets for pointers), one with its signature if there is a key, one more for the bytes
of each file that has any. All is little-endian; blocks begin at multiples of 8. An index of packages is the same with the
schema `indx` and no files; it knows a package by the SHA-256 of its description.

What OpenWrt's scripts look for besides the files is in /lib/apk/packages: NAME.list (files), NAME.conffiles,
NAME.conffiles_static (with their sums, by which sysupgrade sees what was changed) and NAME.rusers (who is to be made).
"""
import hashlib
import struct
import zlib

INT, INT32, INT64, BLOB8, BLOB16, BLOB32, ARRAY, OBJECT = 1, 2, 3, 8, 9, 10, 13, 14
ADB_BLOCK, SIGNATURE_BLOCK, DATA_BLOCK = 0, 1, 2
PACKAGE, INDEX = b'pckg', b'indx'
IDENTITY = 20       # bytes of the package's hash
# Slots of the objects, from 1.
INFO = {'name': 1, 'version': 2, 'hashes': 3, 'description': 4, 'arch': 5, 'license': 6, 'origin': 7, 'maintainer': 8, 'url': 9,
        'installed-size': 12, 'file-size': 13, 'depends': 15}
SCRIPTS = {'post-install': 3, 'pre-deinstall': 4, 'post-upgrade': 7}

BEGIN = '[ -s ${IPKG_INSTROOT}/lib/functions.sh ] || exit 0\n. ${IPKG_INSTROOT}/lib/functions.sh\n' \
        'export root="${IPKG_INSTROOT}"\nexport pkgname="%s"\n'
INSTALL = '[ "${IPKG_NO_SCRIPT}" = "1" ] && exit 0\n' + BEGIN + 'add_group_and_user\ndefault_postinst\n%s'
REMOVE = BEGIN + 'default_prerm\n%s'


class Memory:
    """The tree of values. Each function hands out the tagged word that stands for what it has written."""

    def __init__(self):
        self.bytes = bytearray(8)       # version 0, and the root, which comes last
        self.written = {}

    def put(self, tag, content, alignment, once=False):
        """What is there already is not written again, unless it is to be filled in later."""
        at = None if once else self.written.get((content, alignment))
        if at is None:
            self.bytes += bytes(-len(self.bytes) % alignment)
            at = len(self.bytes)
            self.bytes += content
            if not once:
                self.written[content, alignment] = at
        return tag << 28 | at

    def blob(self, content, once=False):
        if isinstance(content, str):
            content = content.encode()
        if not content:
            return 0
        for tag, form, size in ((BLOB8, '<B', 1), (BLOB16, '<H', 2), (BLOB32, '<I', 4)):
            if len(content) < 1 << 8 * size:
                return self.put(tag, struct.pack(form, len(content)) + content, size, once)
        raise ValueError('a value of %d bytes' % len(content))

    def number(self, value):
        if value < 1 << 28:
            return INT << 28 | value
        if value < 1 << 32:
            return self.put(INT32, struct.pack('<I', value), 4)
        return self.put(INT64, struct.pack('<Q', value), 4)

    def slots(self, tag, words):
        """Their number, counting itself, and the words; nothing at the end is not written."""
        words = list(words)
        while words and words[-1] == 0:
            words.pop()
        if not words:
            return 0
        return self.put(tag, struct.pack('<%dI' % (len(words) + 1), len(words) + 1, *words), 4)

    def array(self, words):
        return self.slots(ARRAY, words)

    def object(self, fields):
        return self.slots(OBJECT, [fields.get(slot, 0) for slot in range(1, max(fields, default=0) + 1)])

    def root(self, word):
        self.bytes[4:8] = struct.pack('<I', word)


def block(kind, *parts):
    size = 4 + sum(len(part) for part in parts)
    if size >= 1 << 30:
        raise ValueError('a block of %d bytes' % size)
    return b''.join((struct.pack('<I', kind << 30 | size), *parts, bytes(-size % 8)))


def scripts(package):
    install = INSTALL % (package.name, package.postinst)
    return {
        'post-install': '#!/bin/sh\n' + install,
        'post-upgrade': '#!/bin/sh\nexport PKG_UPGRADE=1\n' + install,
        'pre-deinstall': '#!/bin/sh\n' + REMOVE % (package.name, package.prerm),
    }


def tree(package):
    """The package's files, and what apk's side of OpenWrt wants to find beside them."""
    files = dict(package.files)
    notes = '/lib/apk/packages/' + package.name

    def note(kind, lines):
        files[notes + kind] = (0o644, ''.join(line + '\n' for line in lines).encode())

    if package.users:
        note('.rusers', package.users)
    listed = sorted(files, key=str.encode)
    if package.conffiles:
        note('.conffiles', package.conffiles)
        note('.conffiles_static', ['%s %s' % (path, hashlib.sha256(package.files[path][1]).hexdigest())
                                   for path in package.conffiles])
    note('.list', listed)
    return files


def folders(files):
    """{folder: {name: (mode, bytes)}}; without the leading slash, and with the folders that hold only folders."""
    found = {'': {}}
    for path, entry in files.items():
        *above, name = path.strip('/').split('/')
        for depth in range(len(above) + 1):
            found.setdefault('/'.join(above[:depth]), {})
        found['/'.join(above)][name] = entry
    return {folder: found[folder] for folder in sorted(found, key=str.encode)}


def info(memory, package, hashes, size, file_size=0):
    """Of a package, in itself and in an index."""
    texts = {'name': package.name, 'version': package.version, 'description': package.description,
             'arch': 'noarch' if package.architecture == 'all' else package.architecture, 'license': package.license,
             'origin': package.origin, 'maintainer': package.maintainer, 'url': package.url}
    fields = {INFO[name]: memory.blob(text) for name, text in texts.items()}
    fields[INFO['hashes']] = hashes
    fields[INFO['installed-size']] = memory.number(max(size, 1))       # a package of size 0 need not be fetched
    if file_size:
        fields[INFO['file-size']] = memory.number(file_size)
    fields[INFO['depends']] = memory.array([memory.object({1: memory.blob(name)}) for name in sorted(package.depends)])
    return memory.object(fields)


def contents(memory, package):
    """(folders, data blocks, bytes in all)"""
    blob, number = memory.blob, memory.number

    def owner(mode):
        return memory.object({1: number(mode), 2: blob('root'), 3: blob('root')})

    paths, data, size = [], [], 0
    for folder, entries in folders(tree(package)).items():
        files = []
        for name in sorted(entries, key=str.encode):
            mode, content = entries[name]
            size += len(content)
            files.append(memory.object({1: blob(name), 2: owner(mode), 3: number(len(content)), 4: number(0),
                                        5: blob(hashlib.sha256(content).digest())}))
            if content:
                data.append(block(DATA_BLOCK, struct.pack('<II', len(paths) + 1, len(files)), content))
        paths.append(memory.object({1: blob(folder), 2: owner(0o755), 3: memory.array(files)}))
    return memory.array(paths), data, size


def container(schema, description, key, data):
    signature = [block(SIGNATURE_BLOCK, key.sign(schema, description))] if key else []
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    raw = b''.join((b'ADB.', schema, block(ADB_BLOCK, description), *signature, *data))
    return b'ADBd' + packer.compress(raw) + packer.flush()


def describe(package):
    """(description, data blocks, bytes in all)"""
    memory = Memory()
    paths, data, size = contents(memory, package)
    identity = memory.blob(bytes(IDENTITY), once=True)
    memory.root(memory.object({1: info(memory, package, identity, size), 2: paths,
                               3: memory.object({SCRIPTS[name]: memory.blob(text) for name, text in scripts(package).items()})}))
    at = (identity & (1 << 28) - 1) + 1
    memory.bytes[at:at + IDENTITY] = hashlib.sha256(memory.bytes).digest()[:IDENTITY]
    return bytes(memory.bytes), data, size


def apk(package, key=None):
    description, data, _ = describe(package)
    return container(PACKAGE, description, key, data)


def index(packages, key=None):
    """packages.adb; [(package, bytes of its .apk)], which lie beside it as NAME-VERSION.apk."""
    memory = Memory()
    rows = []
    for package, file_size in sorted(packages, key=lambda one: one[0].name.encode()):
        description, _, size = describe(package)
        rows.append(info(memory, package, memory.blob(hashlib.sha256(description).digest()), size, file_size))
    memory.root(memory.object({2: memory.array(rows)}))
    return container(INDEX, bytes(memory.bytes), key, [])
