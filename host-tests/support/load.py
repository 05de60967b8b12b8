#!/usr/bin/python3
"""Large messages at a steady rate, and a server that only counts and checks them.

    load.py send HOST:PORT --clients N --bytes B --rate BYTES_PER_S [--domain D]
    load.py sink HOST:PORT

Both print one JSON object: send when it is done, sink when it gets SIGTERM. A message's body is a
known pattern, so that its length and CRC show whether it came through whole.
"""
import argparse
import collections
import json
import re
import signal
import socket
import sys
import threading
import time
import zlib

LINE = b''.join(b'%02d-abcdefghijklmnopqrstuvwxyz-' % i for i in range(2)) + b'\r\n'
BLOCK = LINE * (65536 // len(LINE))


def pieces(size):
    """The body of `size` octets as a list of blocks; it ends with CRLF."""
    count, rest = divmod(size, len(BLOCK))
    tail = BLOCK[:max(rest, 2) - 2] + b'\r\n'
    return [BLOCK] * count + [tail.replace(b'\r\r\n', b'x\r\n')]




class Sender(threading.Thread):
    def __init__(self, number, options, address):
        super().__init__(daemon=True)
        self.number = number
        self.options = options
        self.address = address
        self.result = 'unfinished'

    def run(self):
        try:
            self.result = self.talk()
        except OSError as reason:
            self.result = 'error: %s' % reason

    def talk(self):
        sock = socket.create_connection(self.address, 60)
        sock.settimeout(600)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 131072)
        replies = sock.makefile('rb')

        def reply():
            while True:
                line = replies.readline()
                if not line:
                    raise OSError('closed')
                if line[3:4] != b'-':
                    return line.decode('latin-1').strip()
        commands = [None, 'EHLO c%d.example' % self.number,
                    'MAIL FROM:<a%d@example.com>' % self.number,
                    'RCPT TO:<u%d@%s>' % (self.number, self.options.domain), 'DATA']
        for command in commands:
            if command:
                sock.sendall(command.encode() + b'\r\n')
            text = reply()
            if text[0] not in '23':
                return text
        sock.sendall(b'Subject: load %d\r\nMessage-ID: <%d@load>\r\n\r\n' % (self.number,
                                                                             self.number))
        started, sent = time.monotonic(), 0
        for piece in pieces(self.options.bytes):
            sock.sendall(piece)
            sent += len(piece)
            ahead = sent / self.options.rate - (time.monotonic() - started)
            if ahead > 0:
                time.sleep(ahead)
        sock.sendall(b'.\r\n')
        text = reply()
        sock.close()
        return text


def send(options, address):
    started = time.monotonic()
    senders = [Sender(i, options, address) for i in range(options.clients)]
    for sender in senders:
        sender.start()
    for sender in senders:
        sender.join()
    counts = collections.Counter(s.result[:3] if s.result[:3].isdigit() else s.result
                                 for s in senders)
    others = sorted({s.result for s in senders if not s.result.startswith('250')})[:5]
    print(json.dumps({'results': counts, 'others': others,
                      'seconds': round(time.monotonic() - started, 1)}))


class Receiver(threading.Thread):
    """One connection of the counting server."""

    def __init__(self, sock, done):
        super().__init__(daemon=True)
        self.sock = sock
        self.done = done

    def run(self):
        try:
            self.talk()
        except OSError:
            pass
        self.sock.close()

    def talk(self):
        sock, held = self.sock, b''
        sock.sendall(b'220 load ESMTP\r\n')
        while True:
            while b'\n' not in held:
                data = sock.recv(4096)
                if not data:
                    return
                held += data
            line, held = held.split(b'\n', 1)
            verb = line[:4].upper()
            if verb == b'EHLO':
                sock.sendall(b'250-load\r\n250-PIPELINING\r\n250-SIZE 100000000\r\n250 8BITMIME\r\n')
            elif verb == b'DATA':
                sock.sendall(b'354 go\r\n')
                if not self.body(held):
                    return
                held = b''
                sock.sendall(b'250 2.0.0 ok\r\n')
            elif verb == b'QUIT':
                sock.sendall(b'221 bye\r\n')
                return
            else:
                sock.sendall(b'250 ok\r\n')

    def body(self, data):
        """Counts up to the final dot; nothing may follow it before our reply."""
        while b'\r\n\r\n' not in data:
            more = self.sock.recv(65536)
            if not more:
                return False
            data += more
        header, data = data.split(b'\r\n\r\n', 1)
        area = bytearray(1 << 18)
        view, crc, size, tail = memoryview(area), 0, 0, b''
        data = b'\r\n' + data
        # the CRLF in front of the body belongs to the header, five octets stay back for the dot
        while True:
            data = tail + data
            if data.endswith(b'\r\n.\r\n'):
                crc, size = zlib.crc32(data[:-3], crc), size + len(data) - 3
                break
            keep = min(5, len(data))
            crc, size = zlib.crc32(data[:len(data) - keep], crc), size + len(data) - keep
            tail = data[len(data) - keep:]
            got = self.sock.recv_into(view)
            if not got:
                return False
            data = bytes(view[:got])
        number = re.search(rb'Subject: load (\d+)', header)
        self.done.append((int(number.group(1)) if number else -1, size - 2, crc))
        return True


def sink(address):
    done, listener = [], socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind(address)
    listener.listen(512)
    print('ready', flush=True)

    def accept():
        while True:
            sock, _ = listener.accept()
            Receiver(sock, done).start()
    threading.Thread(target=accept, daemon=True).start()
    signal.sigwait([signal.SIGTERM, signal.SIGINT])
    print(json.dumps({'messages': done}), flush=True)


def whole(size):
    """What (size, crc) the sink reports for an undamaged message."""
    first = zlib.crc32(b'\r\n')
    for piece in pieces(size):
        first = zlib.crc32(piece, first)
    return sum(map(len, pieces(size))), first


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument('what', choices=('send', 'sink'))
    parser.add_argument('address')
    parser.add_argument('--clients', type=int, default=10)
    parser.add_argument('--bytes', type=int, default=1 << 20)
    parser.add_argument('--rate', type=float, default=1e6)
    parser.add_argument('--domain', default='example.org')
    options = parser.parse_args()
    host, port = options.address.rsplit(':', 1)
    address = (host, int(port))
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM] if options.what == 'sink' else [])
    if options.what == 'send':
        send(options, address)
    else:
        sink(address)
    return 0


if __name__ == '__main__':
    sys.exit(main())
