#!/usr/bin/python3
"""Sends one message through Postern on an address of its own, and keeps what went over the wire.

    run_lwip.py --postern BINARY        (root)

In a network namespace of its own, so that nothing of the machine's network is touched: a TAP device, whose outer end has
192.0.2.1, and Postern with its own TCP/IP behind it, on 192.0.2.25 and 2001:db8::25. The capture is build/run/lwip.pcap.
"""
import argparse
import os
import re
import select
import socket
import struct
import subprocess
import sys
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
TOP = os.path.dirname(os.path.dirname(HERE))
RUN = os.path.join(TOP, 'build', 'run')
CAPTURE = os.path.join(RUN, 'lwip.pcap')
CONFIG = """\
hostname  mx.example.org
interface tap0  address 192.0.2.25/24 gateway 192.0.2.1  address 2001:db8::25/64
listen    tap0:25
relay     example.org  to 127.0.0.1:2526
tls       state %s
dns       off
"""
MESSAGE = 'From: me@example.net\r\nTo: you@example.org\r\nSubject: by %s\r\n\r\nIt works.\r\n'
ETH_P_ALL = 3


class Capture(threading.Thread):
    """Every frame of a device, as a pcap file."""

    def __init__(self, device, path):
        super().__init__(daemon=True)
        self.socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL))
        self.socket.bind((device, 0))
        self.out = open(path, 'wb')
        self.out.write(struct.pack('<IHHiIII', 0xa1b2c3d4, 2, 4, 0, 0, 65535, 1))
        self.count = 0
        self.going = True

    def run(self):
        while self.going:
            if not select.select([self.socket], [], [], 0.1)[0]:
                continue
            frame = self.socket.recv(65535)
            now = time.time()
            self.out.write(struct.pack('<IIII', int(now), int(now % 1 * 1000000), len(frame), len(frame)) + frame)
            self.count += 1

    def end(self):
        self.going = False
        self.join()
        self.out.close()


def ip(*words):
    subprocess.run(['ip', *words], check=True)


def start(arguments):
    child = subprocess.Popen(arguments, cwd=TOP, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    for line in child.stdout:
        print('%s: %s' % (os.path.basename(arguments[0]) + ' ' + arguments[1], line.rstrip()), flush=True)
        if re.search(r'\bready\b', line):
            threading.Thread(target=lambda: [None for _ in child.stdout], daemon=True).start()
            return child
    sys.exit('run-lwip: it ended before it was ready, see above')


def send(host):
    subprocess.run(['curl', '-sS', '--url', 'smtp://%s/client.example.net' % host, '--mail-from', 'me@example.net',
                    '--mail-rcpt', 'you@example.org', '-T', '-'], input=MESSAGE % host, text=True, check=True,
                   timeout=30)


def main():
    parser = argparse.ArgumentParser(description='one message through Postern with its own TCP/IP')
    parser.add_argument('--postern', required=True, help='the binary')
    options = parser.parse_args()
    binary = os.path.abspath(os.path.join(TOP, options.postern))
    if os.geteuid() != 0:
        sys.exit('run-lwip: this takes root, for a network namespace and a TAP device: sudo make run-lwip')
    if os.environ.get('POSTERN_NAMESPACE') != 'yes':
        os.environ['POSTERN_NAMESPACE'] = 'yes'
        os.execvp('unshare', ['unshare', '--net', sys.executable, *sys.argv])
    maildir = os.path.join(RUN, 'maildir-lwip')
    os.makedirs(maildir, exist_ok=True)
    with open(os.path.join(RUN, 'lwip.conf'), 'w', encoding='ascii') as out:
        out.write(CONFIG % RUN)
    ip('link', 'set', 'lo', 'up')
    ip('tuntap', 'add', 'dev', 'tap0', 'mode', 'tap')
    ip('address', 'add', '192.0.2.1/24', 'dev', 'tap0')
    ip('-6', 'address', 'add', '2001:db8::1/64', 'dev', 'tap0', 'nodad')
    ip('link', 'set', 'tap0', 'up')
    capture = Capture('tap0', CAPTURE)
    capture.start()
    children = []
    try:
        children.append(start([binary, 'sink', '--listen', '127.0.0.1:2526', '--maildir', maildir]))
        children.append(start([binary, 'run', '-c', os.path.join(RUN, 'lwip.conf')]))
        for host in ('192.0.2.25', '[2001:db8::25]'):
            send(host)
            print('run-lwip: accepted by %s, on its way inside over 127.0.0.1' % host, flush=True)
    finally:
        for child in reversed(children):
            child.terminate()
            child.wait(30)
        capture.end()
    print('run-lwip: %d frames in %s (tcpdump -r, or Wireshark)' % (capture.count, os.path.relpath(CAPTURE, TOP)))


if __name__ == '__main__':
    main()
