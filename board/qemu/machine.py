"""An emulated board: its image, and a QEMU that runs it.

The image is an initramfs in two archives, which the kernel lays over each other: the appliance (busybox, drivers, init,
Postern), the same bytes for the same inputs, and the owner's part (configuration and addresses), which is on the disk where
there is one (image.py). Networking is QEMU's
user mode: no privilege, and the guest sees the host's loopback at HOST. Its network is one set aside for documentation,
not a private one, so that Postern takes its clients for strangers. TCG only, so that every machine gives the same result.
"""
import configparser
import gzip
import os
import re
import shlex
import socket
import subprocess
import threading
import time

import kernel

HERE = os.path.dirname(os.path.abspath(__file__))
TOP = os.path.dirname(os.path.dirname(HERE))
NETWORK, HOST, GUEST = '198.51.100.0/24', '198.51.100.2', '198.51.100.15'


def cpio(entries):
    """An archive in the kernel's format of (name, mode, bytes); no times, no owners, numbered in order."""
    out = bytearray()
    for number, (name, mode, data) in enumerate([*entries, ('TRAILER!!!', 0, b'')], 1):
        raw = name.encode() + b'\0'
        fields = (number, mode, 0, 0, 1, 0, len(data), 0, 0, 0, 0, len(raw), 0)
        out += b'070701' + b''.join(b'%08X' % field for field in fields) + raw
        out += b'\0' * (-len(out) % 4) + data
        out += b'\0' * (-len(out) % 4)
    return bytes(out)


def tree(files):
    """The files {name: (mode, bytes)} with the folders they lie in, sorted."""
    entries = {name: (0o100000 | mode, data) for name, (mode, data) in files.items()}
    for name in files:
        while os.path.dirname(name):
            name = os.path.dirname(name)
            entries[name] = (0o40755, b'')
    return [(name, *entries[name]) for name in sorted(entries)]


def read(*path):
    with open(os.path.join(*path), 'rb') as file:
        return file.read()


class Board:
    def __init__(self, name):
        config = configparser.ConfigParser()
        path = os.path.join(TOP, 'board', name, 'machine.ini')
        if not config.read(path):
            raise SystemExit('%s is no emulated board (there is no %s); see board/README.md' % (name, path))
        self.name = name
        self.__dict__.update(config['machine'])
        self.has_disk = 'firmware' in config['machine']
        self.out = os.path.join(TOP, 'build', name)
        self.program = os.path.join(TOP, 'build', self.target, 'postern')

    def build(self):
        make_program(self.target)

    def parts(self):
        """The folder with the kernel and what else is Debian's."""
        return kernel.fetch_kernel(self.kernel, self.arch)

    def appliance(self, drivers):
        """An initramfs of what is there now, but for the owner's part; the same bytes for the same inputs."""
        parts = self.parts()
        loaded = kernel.with_needed(parts, drivers)
        files = {'modules/' + os.path.basename(path): (0o644, read(path)) for path in loaded}
        files['modules/order'] = (0o644, ''.join(os.path.basename(path)[:-3] + '\n' for path in loaded).encode())
        files['bin/busybox'] = (0o755, read(parts, 'busybox'))
        files['init'] = (0o755, read(HERE, 'init'))
        files['etc/dhcp'] = (0o755, read(HERE, 'dhcp'))
        files['etc/acpi/PWRF/00000080'] = (0o755, read(HERE, 'power-button'))
        files['usr/sbin/postern'] = (0o755, read(self.program))
        files['etc/passwd'] = (0o644, b'root:x:0:0::/:/bin/sh\npostern:x:100:100::/:/bin/false\n')
        files['etc/group'] = (0o644, b'root:x:0:\npostern:x:100:\n')
        return gzip.compress(cpio(tree(files)), 9, mtime=0)

    def image(self):
        """Paths of the kernel and of the appliance's initramfs, made anew."""
        os.makedirs(self.out, exist_ok=True)
        path = os.path.join(self.out, 'initramfs.gz')
        with open(path, 'wb') as file:
            file.write(self.appliance(kernel.DRIVERS))
        return os.path.join(self.parts(), 'vmlinuz'), path

    def memory_kib(self):
        return int(self.memory) * 1024


def boards():
    """The names of all emulated boards."""
    above = os.path.join(TOP, 'board')
    return sorted(name for name in os.listdir(above) if os.path.exists(os.path.join(above, name, 'machine.ini')))


def make_program(target, name='postern'):
    """Path of a program of the target, made anew if it must be."""
    path = os.path.join('build', target, name)
    subprocess.run(['make', '-j%d' % (os.cpu_count() or 1), 'SET_UP=done', 'BOARD=' + target, path], cwd=TOP, check=True,
                   env={key: value for key, value in os.environ.items()
                        if key != 'O' and not key.startswith(('MAKE', 'MFLAGS'))})
    return os.path.join(TOP, path)


def free_port():
    with socket.socket() as probe:
        probe.bind(('127.0.0.1', 0))
        return probe.getsockname()[1]


class Guest:
    """A running board. `port` on the host's loopback leads to its port 25; console lines are kept in `lines`.

    It boots from memory, by the image, with the configuration and `more` files {name: (mode, bytes)}; with `own` its
    kernel has no address: the configuration gives it to Postern. Or from a disk, which has all of that.
    """

    def __init__(self, board, image=None, conf='', arguments='', options='', port=0, echo=False, own=False, more=None,
                 disk=''):
        self.board, self.port, self.lines, self.echo = board, port or free_port(), [], echo
        self.initrd = ''
        if disk:
            start = ['-m', board.disk_memory, '-bios', board.firmware, '-drive', 'file=%s,format=raw,if=virtio' % disk]
        else:
            self.initrd = os.path.join(board.out, 'initrd-%d' % self.port)
            with open(self.initrd, 'wb') as file:
                file.write(read(image[1]) + self.owners_part(conf, own, more or {}))
            start = ['-m', board.memory, '-kernel', image[0], '-initrd', self.initrd,
                     # no memory set aside for devices that a board does not have
                     '-append', 'console=%s quiet panic=-1 cma=0 %s' % (board.console, arguments)]
        self.began = time.monotonic()
        self.process = subprocess.Popen(
            [board.system, *shlex.split(board.options), *start,
             '-netdev', 'user,id=n0,ipv6=off,net=%s,host=%s,dhcpstart=%s,hostfwd=tcp:127.0.0.1:%d-%s:25'
             % (NETWORK, HOST, GUEST, self.port, GUEST), '-device', 'virtio-net-pci,netdev=n0,romfile=',
             '-no-reboot', '-nographic', '-monitor', 'none', *shlex.split(options)],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        self.reader = threading.Thread(target=self.read, daemon=True)
        self.reader.start()

    @staticmethod
    def owners_part(conf, own, more):
        network = 'ADDRESS=%s\nNETMASK=255.255.255.0\nGATEWAY=%s\n' % ('' if own else GUEST, HOST)
        return gzip.compress(cpio(tree({'etc/postern/postern.conf': (0o644, conf.encode()),
                                        'etc/postern/network': (0o644, network.encode()), **more})), 9, mtime=0)

    def read(self):
        for line in self.process.stdout:
            text = line.decode('utf-8', 'replace').rstrip('\r\n')
            self.lines.append(text)
            if self.echo:
                print(text, flush=True)

    @property
    def address(self):
        return '127.0.0.1', self.port

    def wait(self, pattern, seconds=None):
        """The match of the first console line that fits; an error with the console's end if none comes."""
        deadline = time.monotonic() + (seconds or float(self.board.seconds))
        seen = 0
        while time.monotonic() < deadline:
            while seen < len(self.lines):
                match = re.search(pattern, self.lines[seen])
                if match:
                    return match
                seen += 1
            if self.process.poll() is not None:
                break
            time.sleep(0.05)
        raise AssertionError('the guest did not say %r; its console ends\n  %s' % (pattern, '\n  '.join(self.lines[-25:])))

    def ready(self):
        """Seconds from power-on to a running proxy."""
        self.wait(r'^ready ')
        return time.monotonic() - self.began

    def count(self, pattern):
        return sum(bool(re.search(pattern, line)) for line in self.lines)

    def memory(self):
        """[(pss, rss, available)] in KiB, of each second with pst.memory."""
        found = (re.search(r'^board: memory pss (\d+) rss (\d+) available (\d+)', line) for line in list(self.lines))
        return [tuple(int(figure) for figure in match.groups()) for match in found if match and int(match[1])]

    def cut(self):
        """The power cut, which is also how a test ends."""
        self.process.kill()
        self.process.wait()
        self.reader.join(5)
        if self.initrd and os.path.exists(self.initrd):
            os.unlink(self.initrd)
