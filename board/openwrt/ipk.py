"""Writes an .ipk, the package of OpenWrt up to 24.10 (opkg), the same bytes for the same content.

An .ipk is a compressed tar of debian-binary, data.tar.gz and control.tar.gz, in this order.
"""
import gzip
import hashlib
import io
import tarfile

BEGIN = '[ -s ${IPKG_INSTROOT}/lib/functions.sh ] || exit 0\n. ${IPKG_INSTROOT}/lib/functions.sh\n'
POSTINST = '#!/bin/sh\n[ "${IPKG_NO_SCRIPT}" = "1" ] && exit 0\n' + BEGIN + 'default_postinst $0 $@\n'
PRERM = '#!/bin/sh\n' + BEGIN + 'default_prerm $0 $@\n'


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


def control(package, size, file=()):
    fields = [('Package', package.name), ('Version', package.version), ('Depends', ', '.join(package.depends)),
              ('Section', package.section), ('License', package.license), ('URL', package.url),
              ('Maintainer', package.maintainer), ('Architecture', package.architecture),
              ('Require-User', ' '.join(package.users)), ('Installed-Size', str(size)), *file, ('Description', package.description)]
    return ''.join('%s: %s\n' % field for field in fields if field[1]).encode()


def ipk(package):
    data = archive(sorted(package.files.items()))
    about = {'control': (0o644, control(package, len(data))), 'postinst': (0o755, POSTINST.encode()),
             'prerm': (0o755, PRERM.encode())}
    if package.conffiles:
        about['conffiles'] = (0o644, ''.join(path + '\n' for path in package.conffiles).encode())
    # default_postinst and default_prerm run these.
    for name, text in (('postinst-pkg', package.postinst), ('prerm-pkg', package.prerm)):
        if text:
            about[name] = (0o755, text.encode())
    return pack(archive([('debian-binary', (0o644, b'2.0\n')), ('data.tar.gz', (0o644, pack(data))),
                         ('control.tar.gz', (0o644, pack(archive(sorted(about.items()), False))))], False))


def index(packages):
    """Packages; [(package, name of its .ipk, the .ipk)], which lie beside it."""
    rows = []
    for package, name, raw in sorted(packages, key=lambda one: one[1]):
        size = len(archive(sorted(package.files.items())))
        rows.append(control(package, size, (('Filename', name), ('Size', str(len(raw))),
                                            ('SHA256sum', hashlib.sha256(raw).hexdigest()))))
    return b''.join(row + b'\n' for row in rows)
