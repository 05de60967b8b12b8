#!/usr/bin/python3
"""Writes a disk from which a virtual machine of a board's kind boots by UEFI to Postern.

    image.py BOARD [FILES]      (make BOARD=qemu-x86_64 image FILES=DIR)

Two partitions: `postern`, a FAT that every system can read and write, with boot loader, kernel, appliance, configuration
and rules; and `postern-state`, an ext4 for what Postern remembers. What is in the folder FILES lies over the first one's
files as they come (disk/). The same inputs give the same bytes.

Rejected: one signed image in the loader's file (a unified kernel), because nobody could replace the kernel or read the
command line without our tools; a file system for the root, because what is in memory cannot be spoilt by a power cut.
"""
import os
import shutil
import subprocess
import sys
import tempfile

import kernel
import machine

MIB = 1 << 20
BOOT_AT, BOOT_SIZE = 1, 96      # MiB
STATE_AT, STATE_SIZE = 97, 31
DISK_SIZE = 129                 # one more for the second copy of the partition table
# The same on every disk, since nothing looks for a disk by them.
DISK_ID, BOOT_ID, STATE_ID, HASH_SEED = ('0f1d3c5e-7a29-4b68-90c4-d2e6f8a1b30%d' % number for number in range(4))
LOADER = 'timeout 0\neditor no\n'
ENTRY = """title   Postern
linux   /EFI/postern/vmlinuz
initrd  /EFI/postern/appliance.gz
options console=tty0 console=%s quiet panic=30 cma=0 pst.disk
"""
SAID = """
%(path)s: %(size)d MiB, for virtual machines with UEFI. Its first partition has postern.conf and network, which you edit
before the first start: put them into a folder and say FILES=DIR, or mount the partition. To try it:

    %(system)s %(options)s -m %(memory)s -nographic -bios %(firmware)s \\
      -drive file=%(path)s,format=raw,if=virtio -nic user,model=virtio-net-pci,hostfwd=tcp:127.0.0.1:2525-:25
"""


def run(*command, **more):
    # /sbin is not in everybody's path
    environment = dict(os.environ, PATH=os.environ['PATH'] + ':/usr/sbin:/sbin', SOURCE_DATE_EPOCH='0',
                       E2FSPROGS_FAKE_TIME='1', TZ='UTC')
    done = subprocess.run(command, text=True, check=False, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          env=environment, **more)
    if done.returncode:
        raise SystemExit('image: %s: %s' % (' '.join(command), done.stdout))


def first_partition(board, folder, files):
    """Puts into the folder what the first partition holds."""
    def put(name, data):
        os.makedirs(os.path.dirname(os.path.join(folder, name)), exist_ok=True)
        with open(os.path.join(folder, name), 'wb') as file:
            file.write(data)
    parts = board.parts()
    put('EFI/BOOT/' + board.loader, machine.read(parts, 'boot.efi'))
    put('EFI/postern/vmlinuz', machine.read(parts, 'vmlinuz'))
    put('EFI/postern/appliance.gz', board.appliance(kernel.DISK_DRIVERS))
    put('loader/loader.conf', LOADER.encode())
    put('loader/entries/postern.conf', (ENTRY % board.console).encode())
    rules = os.path.join(machine.TOP, 'rules')
    for name in os.listdir(rules):
        if name.endswith(('.cf', '.sig')):
            put('rules/' + name, machine.read(rules, name))
    for source in filter(None, (os.path.join(machine.HERE, 'disk'), files)):
        shutil.copytree(source, folder, dirs_exist_ok=True)


def write(board, path, files=''):
    """Writes the disk to path; `files` is a folder of the owner's, or empty."""
    if not board.has_disk:
        raise SystemExit('%s has no UEFI: a disk image can be made for %s' % (board.name, ', '.join(
            name for name in machine.boards() if machine.Board(name).has_disk)))
    if files and not os.path.isdir(files):
        raise SystemExit('FILES=%s: there is no such folder' % files)
    new = path + '.new'
    with open(new, 'wb') as file:
        file.truncate(DISK_SIZE * MIB)
    run('sfdisk', '--quiet', new, input='label: gpt\nlabel-id: %s\n'
        'start=%dMiB, size=%dMiB, type=uefi, name=postern, uuid=%s\n'
        'start=%dMiB, size=%dMiB, type=linux, name=postern-state, uuid=%s\n'
        % (DISK_ID, BOOT_AT, BOOT_SIZE, BOOT_ID, STATE_AT, STATE_SIZE, STATE_ID))
    fat = '%s@@%dM' % (new, BOOT_AT)
    run('mformat', '-i', fat, '-F', '-v', 'POSTERN', '-N', BOOT_ID[:8], '-T', str(BOOT_SIZE * MIB // 512), '::')
    with tempfile.TemporaryDirectory() as folder:
        first_partition(board, folder, files)
        run('mcopy', '-i', fat, '-s', *(os.path.join(folder, name) for name in sorted(os.listdir(folder))), '::/')
    run('mke2fs', '-q', '-F', '-t', 'ext4', '-L', 'postern-state', '-U', STATE_ID,
        '-E', 'offset=%d,root_owner=100:100,hash_seed=%s,lazy_itable_init=0' % (STATE_AT * MIB, HASH_SEED),
        new, '%dk' % (STATE_SIZE * 1024))
    os.rename(new, path)


def main():
    board = machine.Board(sys.argv[1])
    board.build()
    os.makedirs(board.out, exist_ok=True)
    path = os.path.join(board.out, 'postern.img')
    write(board, path, sys.argv[2] if len(sys.argv) > 2 else '')
    print(SAID % {'path': os.path.relpath(path, machine.TOP), 'size': DISK_SIZE, 'memory': board.disk_memory,
                  'system': board.system, 'options': board.options, 'firmware': board.firmware})


if __name__ == '__main__':
    main()
