"""The kernel, its drivers, a busybox and a boot loader for an emulated board, from Debian's packages.

Nothing is installed, and the machine's own sources and architectures stay as they are: an apt of our own, under build/,
asks the machine's Debian mirror. Which kernel is current, the meta-package says; its bytes are checked by apt against
Debian's signature. The packages stay where the libraries' sources stay, so that the next checkout downloads nothing;
when the mirror cannot be reached, the packages at hand are taken.
"""
import glob
import os
import re
import shutil
import subprocess
import sys
import tarfile

HERE = os.path.dirname(os.path.abspath(__file__))
TOP = os.path.dirname(os.path.dirname(HERE))
sys.path.insert(0, os.path.join(TOP, 'firmware', 'deps'))
import fetch  # noqa: E402

SUITE = 'bookworm'      # the last one with kernels for mipsel
# Those that a kernel has built in are absent from its package; what these need is found in them.
DRIVERS = 'virtio_pci virtio_mmio virtio_net tun'.split()
# What a disk image meets in the machines of others: KVM, Hyper-V, VMware, Xen, the large clouds; and how it reads itself.
DISK_DRIVERS = DRIVERS + ('virtio_blk virtio_scsi sd_mod hv_storvsc hv_netvsc vmw_pvscsi vmxnet3 xen_blkfront xen_netfront '
                          'ena gve ixgbevf button evdev nls_cp437 nls_ascii vfat').split()


class Apt:
    def __init__(self, arch):
        self.root = os.path.join(TOP, 'build', 'apt-' + arch)
        self.arch = arch
        os.makedirs(os.path.join(self.root, 'lists', 'partial'), exist_ok=True)
        os.makedirs(os.path.join(self.root, 'cache', 'archives', 'partial'), exist_ok=True)
        with open(os.path.join(self.root, 'status'), 'a', encoding='ascii'):
            pass
        lines = set()
        for fields in fetch.machine_sources():
            for uri in fields['URIs'].split():
                if 'debian' in uri.lower() and 'main' in fields.get('Components', '').split():
                    suite = SUITE + ('-security' if 'security' in uri else '')
                    key = fields.get('Signed-By') or fetch.KEYRING
                    lines.add('deb [arch=%s signed-by=%s] %s %s main\n' % (arch, key, uri, suite))
        with open(os.path.join(self.root, 'sources.list'), 'w', encoding='utf-8') as file:
            file.writelines(sorted(lines))

    def run(self, tool, *arguments, cwd=None):
        options = ['-oDir::Etc::sourcelist=%s/sources.list' % self.root, '-oDir::Etc::sourceparts=/dev/null',
                   '-oDir::State::Lists=%s/lists' % self.root, '-oDir::Cache=%s/cache' % self.root,
                   '-oDir::State::status=%s/status' % self.root, '-oAPT::Architecture=' + self.arch,
                   '-oAPT::Architectures=' + self.arch, '-oAPT::Sandbox::User=root', '-oAcquire::Languages=none',
                   '-oAcquire::Retries=3']
        return subprocess.run([tool, *options, *arguments], cwd=cwd, text=True, check=False, stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=dict(os.environ, LC_ALL='C'))

    def concrete(self, meta):
        """The package that the meta-package stands for."""
        found = re.search(r'^Depends: (linux-image-[^ ,]+)', self.run('apt-cache', 'show', meta).stdout, re.M)
        return found[1] if found else None

    def package(self, name):
        """Path of the package's current file, downloaded unless it is at hand; None if the mirror does not know it."""
        shown = self.run('apt-cache', 'show', '--no-all-versions', name).stdout
        file = re.search(r'^Filename: \S*/(\S+)$', shown, re.M)
        wanted = re.search(r'^SHA256: (\S+)$', shown, re.M)
        if not file or not wanted:
            return None
        for folder in fetch.cache_folders():
            path = os.path.join(folder, file[1])
            if os.path.exists(path) and fetch.sha256(fetch.read_file(path)) == wanted[1]:
                return path
        print('board: fetching %s' % file[1], flush=True)
        folder = fetch.download_folder()
        result = self.run('apt-get', '-q', 'download', name, cwd=self.root)
        got = glob.glob(os.path.join(self.root, '*.deb'))
        if not got:
            raise SystemExit('board: %s cannot be had:\n%s' % (name, result.stdout))
        path = os.path.join(folder, file[1])
        shutil.move(got[0], path)
        return path


def at_hand(pattern):
    found = [path for folder in fetch.cache_folders() for path in glob.glob(os.path.join(folder, pattern))]
    return max(found, key=os.path.getmtime) if found else None


def packages(meta, arch):
    """Paths of the packages: the kernel's, busybox', and the boot loader's, which is None where there is no UEFI."""
    apt = Apt(arch)
    apt.run('apt-get', 'update', '-q')
    name = apt.concrete(meta)
    flavour = meta.replace('linux-image-', '')
    kernel = (name and apt.package(name)) or at_hand('linux-image-6*-%s_*_%s.deb' % (flavour, arch))
    busybox = apt.package('busybox-static') or at_hand('busybox-static_*_%s.deb' % arch)
    loader = apt.package('systemd-boot-efi') or at_hand('systemd-boot-efi_*_%s.deb' % arch)
    if not kernel or not busybox:
        raise SystemExit('board: this machine\'s Debian mirror does not answer for %s, and no package of before is at '
                         'hand: try again with a network' % arch)
    return kernel, busybox, loader


def extract(package, folder, wanted):
    """Takes the members of a package that the function wants, flat, into folder."""
    unpack = subprocess.Popen(['dpkg-deb', '--fsys-tarfile', package], stdout=subprocess.PIPE)
    with tarfile.open(fileobj=unpack.stdout, mode='r|') as tar:
        for member in tar:
            if member.isfile() and wanted(member.name):
                with open(os.path.join(folder, os.path.basename(member.name)), 'wb') as out:
                    shutil.copyfileobj(tar.extractfile(member), out)
    unpack.wait()


def with_needed(folder, names):
    """Paths of the drivers and of all that they need, in loading order."""
    paths = {os.path.basename(path)[:-3].replace('-', '_'): path for path in glob.glob(os.path.join(folder, '*.ko'))}
    order = []

    def load(name):
        if name not in paths or paths[name] in order:
            return
        depends = re.search(rb'\0depends=([^\0]*)\0', fetch.read_file(paths[name]))
        for needed in depends[1].decode().split(',') if depends else ():
            load(needed.replace('-', '_'))
        order.append(paths[name])
    for name in names:
        load(name)
    return order


def fetch_kernel(meta, arch):
    """A folder with vmlinuz, busybox, the drivers' .ko files and, where there is one, the boot loader as boot.efi."""
    folder = os.path.join(TOP, 'build', 'kernel', arch)
    if os.path.exists(os.path.join(folder, 'boot-version')):
        return folder
    kernel, busybox, loader = packages(meta, arch)
    new = '%s.%d' % (folder, os.getpid())
    os.makedirs(new)
    extract(kernel, new, lambda name: name.startswith('./boot/vmlinu') or name.endswith('.ko'))
    extract(busybox, new, lambda name: name == './bin/busybox')
    if loader:
        extract(loader, new, lambda name: re.search(r'/systemd-boot\w+\.efi$', name))
    for pattern, name in (('vmlinu*', 'vmlinuz'), ('systemd-boot*.efi', 'boot.efi')):
        for path in glob.glob(os.path.join(new, pattern)):
            os.rename(path, os.path.join(new, name))
    kept = with_needed(new, DISK_DRIVERS)
    for path in glob.glob(os.path.join(new, '*.ko')):
        if path not in kept:
            os.unlink(path)
    with open(os.path.join(new, 'boot-version'), 'w', encoding='ascii') as file:
        file.writelines(os.path.basename(path) + '\n' for path in (kernel, busybox, loader) if path)
    shutil.rmtree(folder, ignore_errors=True)
    os.rename(new, folder)
    return folder
