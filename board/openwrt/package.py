#!/usr/bin/python3
"""Writes Postern's packages for OpenWrt: .ipk for opkg (releases up to 24.10), .apk for apk (25.12 and later), of one tree, and
the same bytes for the same content.

    package.py --postern BINARY --architecture NAME --out FOLDER|FILE.ipk|FILE.apk [--version VERSION]
               [--key PEM] [--opkg-key PEM] [--index]

BINARY should be static and stripped (`make BOARD=aarch64_cortex-a53 all`); NAME is what `opkg print-architecture` or
`apk --print-arch` says. Another package is a `Package` of its own, handed to `write`. With --key the .apk are signed; with
--index the folder becomes a repository: packages.adb for apk, signed by --key, Packages for opkg, signed by --opkg-key. The
public halves are put beside.
"""
import argparse
import dataclasses
import os
import re
import sys

import apk
import ipk
import sign

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


def put(path, content):
    with open(path, 'wb') as stream:
        stream.write(content)
    print('%s: %d bytes' % (path, len(content)))


def write(package, out, key=None):
    """Both kinds into a folder, or the one that the file's name says; {kind: (path, bytes)}."""
    names = ['%s_%s_%s.ipk' % (package.name, package.version, package.architecture),
             '%s-%s.apk' % (package.name, package.version)]
    written = {}
    for path in [os.path.join(out, name) for name in names] if os.path.isdir(out) else [out]:
        kind = os.path.splitext(path)[1]
        written[kind] = (path, apk.apk(package, key) if kind == '.apk' else ipk.ipk(package))
        put(*written[kind])
    return written


def index(packages, out, key, opkg_key):
    """What makes a repository of a folder; [(package, what was written of it)]."""
    put(os.path.join(out, 'packages.adb'), apk.index([(one, len(written['.apk'][1])) for one, written in packages], key))
    listed = ipk.index([(one, os.path.basename(written['.ipk'][0]), written['.ipk'][1]) for one, written in packages])
    put(os.path.join(out, 'Packages'), listed)
    put(os.path.join(out, 'Packages.gz'), ipk.pack(listed))
    if opkg_key:
        put(os.path.join(out, 'Packages.sig'), opkg_key.sign(listed))


def publish(path, key, use):
    if not key:
        return
    if os.path.exists(path) and os.path.samefile(path, key.path):
        raise sign.Refused('%s: its public half is to be written here; keep it in another folder' % path)
    put(path, key.public())
    print('    the public key: ' + use)


def main():
    parser = argparse.ArgumentParser(description="Postern's packages for OpenWrt")
    parser.add_argument('--postern', required=True)
    parser.add_argument('--architecture', required=True)
    parser.add_argument('--out', required=True)
    parser.add_argument('--version', default=program_version())
    parser.add_argument('--key', default='')
    parser.add_argument('--opkg-key', default='')
    parser.add_argument('--index', action='store_true')
    options = parser.parse_args()
    out, whole = options.out, os.path.isdir(options.out)
    key = sign.ApkKey(options.key) if options.key else None
    opkg_key = sign.OpkgKey(options.opkg_key) if options.opkg_key else None
    if whole:
        publish(os.path.join(out, 'postern.pem'), key, 'copy it into /etc/apk/keys of each router that is to trust it')
        publish(os.path.join(out, 'postern.pub'), opkg_key, '`opkg-key add postern.pub` on each router that is to trust it')
    packages = [postern(options.postern, options.architecture, options.version)]
    if whole:
        packages.append(luci(options.version))
    written = [(one, write(one, out, key)) for one in packages]
    if options.index:
        index(written, out, key, opkg_key)


if __name__ == '__main__':
    try:
        main()
    except sign.Refused as reason:
        sys.exit('package: %s' % reason)
