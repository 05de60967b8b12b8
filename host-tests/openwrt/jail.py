#!/usr/bin/python3
"""jail.py ROOT READ WRITE LIBRARIES COMMAND...: runs the command as ujail would, then talks to it. In namespaces of its own (mount,
network, processes), made by who starts this.

It sees an empty root with the folders and files of READ and WRITE (blanks between them), its program and libraries and a small /dev,
is the user postern of ROOT, and has the capabilities of ROOT/etc/capabilities/postern.json. Prints the names of the certificates before and after one was replaced.
"""
import ctypes
import json
import os
import re
import signal
import socket
import ssl
import struct
import subprocess
import sys
import time

LIBC = ctypes.CDLL(None, use_errno=True)
MS_RDONLY, MS_NOSUID, MS_REMOUNT, MS_BIND, MS_REC, MS_PRIVATE = 1, 2, 32, 4096, 16384, 1 << 18
PR_CAPBSET_DROP, PR_SET_SECUREBITS, PR_SET_NO_NEW_PRIVS, PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE = 24, 28, 38, 47, 2
NO_SETUID_FIXUP, ALL_LOCKED = 1 << 2, 0x2a
CAPABILITIES = {'CAP_CHOWN': 0, 'CAP_SETGID': 6, 'CAP_SETUID': 7, 'CAP_SETPCAP': 8, 'CAP_NET_BIND_SERVICE': 10}


def call(function, *arguments):
    if function(*arguments) != 0:
        raise OSError(ctypes.get_errno(), '%s: %s' % (arguments, os.strerror(ctypes.get_errno())))


def mount(source, target, kind, flags, options=None):
    call(LIBC.mount, source.encode(), target.encode(), kind.encode(), flags, options)


def show(root, jail, path, writable):
    source, target = root + path, jail + path
    if os.path.isdir(source):
        os.makedirs(target, exist_ok=True)
    else:
        os.makedirs(os.path.dirname(target), exist_ok=True)
        with open(target, 'ab'):
            pass
    mount(source, target, 'bind', MS_BIND)
    if not writable:
        mount(source, target, 'bind', MS_BIND | MS_REMOUNT | MS_RDONLY)


def build(root, read, write, programs):
    jail = root + '/tmp/jail'
    os.mkdir(jail)
    mount('none', '/', 'none', MS_REC | MS_PRIVATE)
    mount('tmpfs', jail, 'tmpfs', MS_NOSUID, b'mode=0755')
    for path in read + programs:
        show(root, jail, path, False)
    for path in write:
        show(root, jail, path, True)
    for device in ('/dev/null', '/dev/urandom'):
        show('', jail, device, True)
    return jail


def enter(jail, sets):
    """What ujail does last. The locks are as there: the program cannot keep capabilities over a change of user."""
    os.chroot(jail)
    os.chdir('/')
    for capability in range(64):
        if not sets['bounding'] >> capability & 1 and LIBC.prctl(PR_CAPBSET_DROP, capability, 0, 0, 0) != 0:
            break
    call(LIBC.prctl, PR_SET_SECUREBITS, NO_SETUID_FIXUP, 0, 0, 0)
    os.setgroups([465])
    os.setresgid(465, 465, 465)
    os.setresuid(465, 465, 465)
    call(LIBC.prctl, PR_SET_SECUREBITS, ALL_LOCKED, 0, 0, 0)
    low = [sets[name] & 0xffffffff for name in ('effective', 'permitted', 'inheritable')]
    call(LIBC.capset, struct.pack('<Ii', 0x20080522, 0), struct.pack('<6I', *low, 0, 0, 0))
    for capability in range(32):
        if sets['ambient'] >> capability & 1:
            call(LIBC.prctl, PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, capability, 0, 0)
    call(LIBC.prctl, PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)


def certificate(deadline):
    """The name in the certificate that STARTTLS shows."""
    while True:
        try:
            peer = socket.create_connection(('127.0.0.1', 25), timeout=10)
            break
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)
    with peer:
        stream = peer.makefile('rwb')
        assert stream.readline().startswith(b'220'), 'greeting'
        stream.write(b'EHLO client.example\r\n')
        stream.flush()
        while stream.readline()[3:4] == b'-':
            pass
        stream.write(b'STARTTLS\r\n')
        stream.flush()
        assert stream.readline().startswith(b'220'), 'STARTTLS'
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        with context.wrap_socket(peer) as tls:
            return re.search(rb'mx\d\.example\.org', tls.getpeercert(True)).group().decode()


def status(pid, name):
    with open('/proc/%d/status' % pid, encoding='ascii') as stream:
        return re.search(r'^%s:\s*(.*)$' % name, stream.read(), re.M).group(1)


def main():
    root, read, write, libraries = sys.argv[1], *(word.split() for word in sys.argv[2:5])
    command = sys.argv[5:]
    subprocess.run(['ip', 'link', 'set', 'lo', 'up'], check=True)
    with open(root + '/etc/capabilities/postern.json', encoding='ascii') as stream:
        sets = {name: sum(1 << CAPABILITIES[one] for one in ones) for name, ones in json.load(stream).items()}
    jail = build(root, read, write, [command[0], *libraries])
    assert not os.path.exists(jail + '/etc/secret'), 'it sees too much'
    mount('proc', '/proc', 'proc', 0)
    process = subprocess.Popen(command, preexec_fn=lambda: enter(jail, sets), stdout=sys.stderr)
    try:
        first = certificate(time.monotonic() + 30)
        assert status(process.pid, 'Uid').split() == ['465'] * 4, status(process.pid, 'Uid')
        assert int(status(process.pid, 'CapPrm'), 16) == 1 << CAPABILITIES['CAP_NET_BIND_SERVICE'], status(process.pid, 'CapPrm')
        # As a renewal does it: other files in the place of the old ones.
        for name in ('cert', 'key'):
            os.chmod(root + '/etc/%s2' % name, 0o640)
            os.chown(root + '/etc/%s2' % name, 0, 465)
            os.replace(root + '/etc/%s2' % name, root + '/etc/acme/mx/' + name)
        process.send_signal(signal.SIGHUP)
        deadline, second = time.monotonic() + 30, first
        while second == first and time.monotonic() < deadline:
            time.sleep(0.2)
            second = certificate(deadline)
        print(first, second)
        assert os.path.exists(root + '/var/run/postern/control.sock'), 'no control socket outside'
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=50) == 0, process.returncode
    finally:
        process.kill()


if __name__ == '__main__':
    main()
