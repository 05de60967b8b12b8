#!/usr/bin/python3
"""Writes Postern's package for OpenWrt (opkg, releases up to 24.10), the same bytes for the same content.

    package.py --postern BINARY --architecture NAME --out FILE.ipk|FOLDER [--version VERSION]

BINARY should be static and stripped (`make BOARD=aarch64_cortex-a53 all`); NAME is what `opkg print-architecture` says.
An .ipk is a compressed tar of debian-binary, data.tar.gz and control.tar.gz, in this order.
"""
import argparse
import gzip
import io
import os
import re
import tarfile

HERE = os.path.dirname(os.path.abspath(__file__))
TOP = os.path.dirname(os.path.dirname(HERE))
FILES = os.path.join(HERE, 'files')
CONFFILES = ['/etc/config/postern']
PRIVATE = {'/etc/config/postern': 0o600}
CONTROL = """\
Package: postern
Version: %(version)s
Depends: libc
Section: mail
Architecture: %(architecture)s
Require-User: postern=465:postern=465
Installed-Size: %(size)d
Description: A spam-filtering SMTP proxy in front of an internal mail server
"""
SCRIPTS = {
    'postinst': '#!/bin/sh\n[ "${IPKG_NO_SCRIPT}" = "1" ] && exit 0\n. ${IPKG_INSTROOT}/lib/functions.sh\ndefault_postinst $0 $@\n',
    'prerm': '#!/bin/sh\n. ${IPKG_INSTROOT}/lib/functions.sh\ndefault_prerm $0 $@\n',
}


def version_of_program():
    with open(os.path.join(TOP, 'firmware', 'app', 'app.h'), encoding='ascii') as stream:
        return re.search(r'PST_VERSION "([^"]+)"', stream.read()).group(1) + '-r1'


def read(path):
    with open(path, 'rb') as stream:
        return stream.read()


def tree(postern):
    """{path: (mode, bytes)} of what is installed."""
    entries = {'/usr/sbin/postern': (0o755, read(postern))}
    for folder, _, names in os.walk(FILES):
        for name in names:
            path = os.path.join(folder, name)
            target = '/' + os.path.relpath(path, FILES)
            mode = 0o755 if os.access(path, os.X_OK) else PRIVATE.get(target, 0o644)
            entries[target] = (mode, read(path))
    rules = os.path.join(TOP, 'rules')
    for name in os.listdir(rules):
        if name.endswith(('.cf', '.sig')):
            entries['/usr/share/postern/rules/' + name] = (0o644, read(os.path.join(rules, name)))
    return entries


def archive(entries, folders=True):
    """A tar of ./PATH, in order, with nobody's and no time's marks."""
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode='w', format=tarfile.GNU_FORMAT) as tar:
        made = set()
        for path, (mode, content) in entries:
            parts = path.strip('/').split('/')
            for depth in range(0 if folders else len(parts), len(parts)):
                name = './' + ''.join(part + '/' for part in parts[:depth])
                if name not in made:
                    made.add(name)
                    info = tarfile.TarInfo(name)
                    info.type, info.mode = tarfile.DIRTYPE, 0o755
                    tar.addfile(info)
            info = tarfile.TarInfo('./' + path.strip('/'))
            info.mode, info.size = mode, len(content)
            tar.addfile(info, io.BytesIO(content))
    return raw.getvalue()


def pack(raw):
    return gzip.compress(raw, 9, mtime=0)


def ipk(postern, architecture, version):
    data = archive(sorted(tree(postern).items()))
    control = {
        'control': (0o644, (CONTROL % {'version': version, 'architecture': architecture, 'size': len(data)}).encode()),
        'conffiles': (0o644, ''.join(path + '\n' for path in CONFFILES).encode()),
    }
    control.update({name: (0o755, text.encode()) for name, text in SCRIPTS.items()})
    return pack(archive([('debian-binary', (0o644, b'2.0\n')), ('data.tar.gz', (0o644, pack(data))),
                         ('control.tar.gz', (0o644, pack(archive(sorted(control.items()), False))))], False))


def main():
    parser = argparse.ArgumentParser(description="Postern's package for OpenWrt")
    parser.add_argument('--postern', required=True)
    parser.add_argument('--architecture', required=True)
    parser.add_argument('--out', required=True)
    parser.add_argument('--version', default=version_of_program())
    options = parser.parse_args()
    content = ipk(options.postern, options.architecture, options.version)
    if os.path.isdir(options.out):
        options.out = os.path.join(options.out, 'postern_%s_%s.ipk' % (options.version, options.architecture))
    with open(options.out, 'wb') as out:
        out.write(content)
    print('%s: %d bytes' % (options.out, len(content)))


if __name__ == '__main__':
    main()
