"""A small DNS server for tests, by UDP and TCP, on loopback: honest, or as bad as they come.

    server = Dnsd(zone, faults)      zone: text, `NAME TYPE DATA [ttl=N]` a line; faults: {name: kind}

A name that is in the zone with another type, or has names below it, has no such data; all others do not
exist. `server.count(name)` says how often a name was asked. Faults of a name, or '*' for all:
    silent  servfail  refused  truncate (UDP answers are cut, TCP is whole)  slow:SECONDS
    wrong-id  wrong-question  other-port (the answer comes from another socket)  garbage  short
    loop (a CNAME to itself)  pointer-loop (a name that points at itself)  many:N (N addresses)
    wrong-first (a forged answer, then the right one)  huge (a TXT of 60,000 bytes)
"""
import ipaddress
import socket
import struct
import threading
import time

TYPES = {'A': 1, 'NS': 2, 'CNAME': 5, 'SOA': 6, 'PTR': 12, 'MX': 15, 'TXT': 16, 'AAAA': 28}


def name_bytes(name):
    out = b''
    for label in name.rstrip('.').split('.'):
        if label:
            out += bytes([len(label)]) + label.encode('latin-1')
    return out + b'\0'


def data_bytes(kind, data):
    if kind in ('A', 'AAAA'):
        return ipaddress.ip_address(data).packed
    if kind == 'MX':
        preference, name = data.split()
        return struct.pack('>H', int(preference)) + name_bytes(name)
    if kind == 'TXT':
        raw = data.encode('latin-1')
        return b''.join(bytes([len(raw[i:i + 255])]) + raw[i:i + 255]
                        for i in range(0, max(len(raw), 1), 255))
    return name_bytes(data)


def read_name(query, at):
    labels = []
    while query[at]:
        labels.append(query[at + 1:at + 1 + query[at]].decode('latin-1'))
        at += 1 + query[at]
    return '.'.join(labels), at + 1


def record(owner, kind, ttl, data):
    return owner + struct.pack('>HHIH', kind, 1, ttl, len(data)) + data


class Dnsd:
    def __init__(self, zone='', faults=None, host='127.0.0.1', port=0):
        self.records, self.faults, self.asked = {}, dict(faults or {}), {}
        self.lock = threading.Lock()
        self.add(zone)
        self.udp = socket.socket(socket.AF_INET6 if ':' in host else socket.AF_INET,
                                 socket.SOCK_DGRAM)
        for _ in range(50):
            self.udp.bind((host, port))
            self.host, self.port = host, self.udp.getsockname()[1]
            self.tcp = socket.socket(self.udp.family, socket.SOCK_STREAM)
            self.tcp.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                self.tcp.bind((host, self.port))
                break
            except OSError:
                self.tcp.close()
                self.udp.close()
                self.udp = socket.socket(self.udp.family, socket.SOCK_DGRAM)
        self.tcp.listen(64)
        self.ended = False
        for run in (self.serve_udp, self.serve_tcp):
            threading.Thread(target=run, daemon=True).start()

    @property
    def address(self):
        return '%s:%d' % ('[%s]' % self.host if ':' in self.host else self.host, self.port)

    def add(self, zone):
        for line in zone.splitlines():
            words = line.split(None, 2)
            if len(words) < 3 or line.lstrip().startswith('#'):
                continue
            name, kind, data = words
            ttl = 300
            if ' ttl=' in data:
                data, ttl = data.rsplit(' ttl=', 1)
            self.records.setdefault(name.lower().rstrip('.'), []).append((kind, int(ttl), data))

    def replace(self, zone):
        self.records = {}
        self.add(zone)

    def count(self, name=None):
        with self.lock:
            return sum(self.asked.values()) if name is None else self.asked.get(name.lower(), 0)

    def stop(self):
        self.ended = True
        for sock in (self.udp, self.tcp):
            try:
                sock.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
            sock.close()

    def serve_udp(self):
        while not self.ended:
            try:
                query, peer = self.udp.recvfrom(4096)
            except OSError:
                return
            if len(query) < 17:
                continue
            threading.Thread(target=self.answer_udp, args=(query, peer), daemon=True).start()

    def serve_tcp(self):
        while not self.ended:
            try:
                conn, _ = self.tcp.accept()
            except OSError:
                return
            threading.Thread(target=self.answer_tcp, args=(conn,), daemon=True).start()

    def answer_udp(self, query, peer):
        try:
            for reply in self.replies(query, False):
                if reply[0] == 'other':
                    with socket.socket(self.udp.family, socket.SOCK_DGRAM) as other:
                        other.sendto(reply[1], peer)
                else:
                    self.udp.sendto(reply[1], peer)
        except OSError:
            pass

    def answer_tcp(self, conn):
        try:
            with conn:
                while True:
                    head = conn.recv(2, socket.MSG_WAITALL)
                    if len(head) < 2:
                        return
                    query = conn.recv(struct.unpack('>H', head)[0], socket.MSG_WAITALL)
                    for _, reply in self.replies(query, True):
                        conn.sendall(struct.pack('>H', len(reply)) + reply)
        except OSError:
            pass

    def find(self, name, kind):
        """(rcode, [(owner, type, ttl, data)])"""
        rows, seen, out = self.records.get(name), set(), []
        while rows is not None:
            found = [(name, TYPES[k], ttl, data_bytes(k, d)) for k, ttl, d in rows
                     if TYPES[k] == kind]
            alias = [(ttl, d) for k, ttl, d in rows if k == 'CNAME']
            if found or not alias or name in seen:
                return 0, out + found
            seen.add(name)
            out.append((name, 5, alias[0][0], name_bytes(alias[0][1])))
            name = alias[0][1].lower().rstrip('.')
            rows = self.records.get(name)
        if out:
            return 3, out
        below = any(n.endswith('.' + name) for n in self.records)
        return (0 if below else 3), []

    def message(self, query, end, flags, rows, negative=True):
        answers = b''.join(record(name_bytes(owner), kind, ttl, data)
                           for owner, kind, ttl, data in rows)
        authority = b''
        if negative and not rows:
            soa = name_bytes('ns.test') + name_bytes('host.test') + \
                struct.pack('>IIIII', 1, 1, 1, 1, 120)
            authority = record(name_bytes('test'), 6, 300, soa)
        return (query[:2] + struct.pack('>HHHHH', flags, 1, len(rows), 1 if authority else 0, 0) +
                query[12:end] + answers + authority)

    def replies(self, query, by_tcp):
        name, at = read_name(query, 12)
        kind = struct.unpack('>H', query[at:at + 2])[0]
        end, key = at + 4, name.lower()
        with self.lock:
            self.asked[key] = self.asked.get(key, 0) + 1
        fault = self.faults.get(key, self.faults.get('*', ''))
        code, rows = self.find(key, kind)
        good = self.message(query, end, 0x8580 | code, rows)
        word, _, value = fault.partition(':')
        if word == 'silent':
            return []
        if word == 'slow':
            time.sleep(float(value))
        elif word == 'servfail':
            good = self.message(query, end, 0x8182, [], False)
        elif word == 'refused':
            good = self.message(query, end, 0x8185, [], False)
        elif word == 'truncate' and not by_tcp:
            good = self.message(query, end, 0x8780, [], False)
        elif word == 'wrong-id':
            good = bytes([good[0] ^ 1]) + good[1:]
        elif word == 'wrong-question':
            good = good[:12] + name_bytes('another.test') + good[at:]
        elif word == 'other-port':
            return [('other', good)]
        elif word == 'garbage':
            good = query[:2] + b'\x81\x80' + bytes(range(200))
        elif word == 'short':
            good = good[:len(good) - 3]
        elif word == 'loop':
            good = self.message(query, end, 0x8580, [(name, 5, 300, name_bytes(name))])
        elif word == 'pointer-loop':
            good = (query[:2] + struct.pack('>HHHHH', 0x8580, 1, 1, 0, 0) + query[12:end] +
                    struct.pack('>H', 0xc000 | end) + struct.pack('>HHIH', kind, 1, 300, 4) +
                    b'\x7f\0\0\2')
        elif word == 'many':
            rows = [(name, 1, 300, struct.pack('>I', 0x7f000000 + i)) for i in range(int(value))]
            whole = self.message(query, end, 0x8580, rows)
            good = whole if by_tcp or len(whole) < 1200 else \
                self.message(query, end, 0x8780, [], False)
        elif word == 'huge':
            whole = self.message(query, end, 0x8580,
                                 [(name, 16, 300, data_bytes('TXT', 'x' * 60000))])
            good = whole if by_tcp else self.message(query, end, 0x8780, [], False)
        elif word == 'wrong-first':
            forged = bytes([good[0] ^ 1]) + good[1:]
            return [('same', forged), ('same', good)]
        return [('same', good)]
