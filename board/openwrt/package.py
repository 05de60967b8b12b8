#!/usr/bin/python3
"""Writes Postern's packages for OpenWrt: .ipk for opkg (releases up to 24.10), .apk for apk (25.12 and later), of one tree, and
the same bytes for the same content.

    package.py --postern BINARY --architecture NAME --out FOLDER|FILE.ipk|FILE.apk [--version VERSION]

BINARY should be static and stripped (`make BOARD=aarch64_cortex-a53 all`); NAME is what `opkg print-architecture` or
`apk --print-arch` says. Another package is a `Package` of its own, handed to `write`.
"""
import argparse
import dataclasses
import os
import re

import apk
import ipk

HERE = os.path.dirname(os.path.abspath(__file__))
TOP = os.path.dirname(os.path.dirname(HERE))
PRIVATE = {'/etc/config/postern': 0o600}


@dataclasses.dataclass
class Package:
    """What both kinds of package are made of."""
    name: str
    version: str                        # as apk orders them, with -rNUMBER
    description: str                    # one line
    files: dict                         # {path: (mode, bytes)}, all root's
    architecture: str = 'all'           # or one of OpenWrt's; `all` is apk's noarch
    depends: tuple = ()                 # names of packages
    conffiles: tuple = ()               # which of the files are the owner's once he has changed them
    users: tuple = ()                   # NAME=UID:GROUP=GID to be made at installation
    postinst: str = ''                  # lines of shell after OpenWrt's own part of the installation, with $PKG_UPGRADE
    prerm: str = ''                     # ... and of the removal
    section: str = 'mail'
    origin: str = 'postern'             # the source that it is built from
    license: str = ''
    maintainer: str = ''
    url: str = ''


def read(path):
    with open(path, 'rb') as stream:
        return stream.read()


def folder(path, private=None):
    """{path: (mode, bytes)} of the files below a folder, executable as they are there."""
    found = {}
    for above, _, names in os.walk(path):
        for name in names:
            file = os.path.join(above, name)
            target = '/' + os.path.relpath(file, path)
            found[target] = (0o755 if os.access(file, os.X_OK) else (private or {}).get(target, 0o644), read(file))
    return found


def program_version():
    with open(os.path.join(TOP, 'firmware', 'app', 'app.h'), encoding='ascii') as stream:
        return re.search(r'PST_VERSION "([^"]+)"', stream.read()).group(1) + '-r1'


def postern(binary, architecture, version):
    files = folder(os.path.join(HERE, 'files'), PRIVATE)
    files['/usr/sbin/postern'] = (0o755, read(binary))
    for path, entry in folder(os.path.join(TOP, 'rules')).items():
        if path.endswith(('.cf', '.sig')):
            files['/usr/share/postern/rules' + path] = (0o644, entry[1])
    return Package(name='postern', version=version, architecture=architecture, files=files, depends=('libc',),
                   license='MIT', description='A spam-filtering SMTP proxy in front of an internal mail server',
                   conffiles=('/etc/config/postern',), users=('postern=465:postern=465',))


def luci(version):
    """The pages for OpenWrt's web interface, the same for every device."""
    above = os.path.join(HERE, 'luci')
    files = folder(os.path.join(above, 'root'))
    files.update({'/www' + path: entry for path, entry in folder(os.path.join(above, 'htdocs')).items()})
    return Package(name='luci-app-postern', version=version, files=files, depends=('libc', 'luci-base', 'postern'),
                   section='luci', license='MIT', description='Pages for Postern in LuCI: status and settings')


def write(package, out):
    """Both kinds into a folder, or the one that the file's name says."""
    names = ['%s_%s_%s.ipk' % (package.name, package.version, package.architecture),
             '%s-%s.apk' % (package.name, package.version)]
    for path in [os.path.join(out, name) for name in names] if os.path.isdir(out) else [out]:
        content = (apk.apk if path.endswith('.apk') else ipk.ipk)(package)
        with open(path, 'wb') as stream:
            stream.write(content)
        print('%s: %d bytes' % (path, len(content)))


def main():
    parser = argparse.ArgumentParser(description="Postern's packages for OpenWrt")
    parser.add_argument('--postern', required=True)
    parser.add_argument('--architecture', required=True)
    parser.add_argument('--out', required=True)
    parser.add_argument('--version', default=program_version())
    options = parser.parse_args()
    write(postern(options.postern, options.architecture, options.version), options.out)
    if os.path.isdir(options.out):
        write(luci(options.version), options.out)


if __name__ == '__main__':
    main()
