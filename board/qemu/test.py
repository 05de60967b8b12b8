#!/usr/bin/python3
"""Sends real mail from this machine through an emulated board to a server on this machine.

    test.py BOARD...      (make qemu-test BOARD=qemu-aarch64; make board-test for all)

Two boots of each board. The first: mail in the clear and by STARTTLS, what a list and SPF say by a DNS server here, a
crowd of sessions, and the power cut in the middle of a message. The second: a clock of 1970, no DNS that answers, and the
message of before once more. Then all of it again over Postern's own TCP/IP, and of boards with UEFI the disk image: its
first start, what it remembers over a power cut, the power button. Prints a table of times and memory, and last
`N passed, N failed`.
"""
import itertools
import json
import os
import re
import socket
import ssl
import sys
import threading
import time
import traceback

import image
import machine

sys.path.insert(0, os.path.join(machine.TOP, 'host-tests'))
from support.client import Client, Gone, stuff  # noqa: E402
from support.dnsd import Dnsd  # noqa: E402
from support.server import Server  # noqa: E402

IDLE_TLS, IDLE_PLAIN, STREAMS, STREAM_BYTES = 100, 80, 20, 5_000_000
PSS_KIB_MAX = 16 * 1024
PATIENCE = 120      # seconds for one reply of an emulated machine on a busy host
RCPT = 'you@example.org'
ZONE = """
sender.test TXT v=spf1 ip4:%(client)s -all
fail.test TXT v=spf1 -all
2.0.0.127.bl.test A 127.0.0.4
2.100.51.198.bl.test A 127.0.0.4
""" % {'client': machine.HOST}
# how each of the two reaches the network: the lines before, where to listen, what a relay and the resolver need
KERNEL = {'name': '', 'interface': '', 'listen': '0.0.0.0', 'via': ''}
OWN = {'name': ' (own TCP/IP)', 'listen': 'eth0', 'via': ' via eth0',
       'interface': 'interface eth0 packet address %s/24 gateway %s mac auto\n' % (machine.GUEST, machine.HOST)}
CONF = """hostname mx.example.org
%(interface)slisten %(listen)s:25
relay example.org to %(host)s:%(sink)d connections 40%(via)s
dns %(host)s:%(dns)d%(via)s
dnsbl bl.test score 4 codes 127.0.0.4
spf fail 12
limit sessions 300 per-client 300
timeout early-talk 0
hold 64K
hold-pool 4M
tls state /var/lib/postern
log stderr
"""
# what the owner of a disk changes in its postern.conf and adds to it; the addresses as his own computer may write them
DISK = {'name': ' (disk)', 'via': ''}
DISK_CONF = """relay example.org to %(host)s:%(sink)d
mode enforce
verdict tag 10 reject 15
store file /var/lib/postern/store every 1s
greylist on from 1 delay 1s
dns %(host)s:%(dns)d
dnsbl bl.test score 4 codes 127.0.0.4
timeout early-talk 0
"""
DISK_NETWORK = b'ADDRESS=dhcp\r\n'


def check(good, what):
    if not good:
        raise AssertionError(what)


def greeted(guest):
    client = Client(guest.address, PATIENCE)
    reply = client.greet()
    check(reply.code == 250, 'EHLO: %r' % reply)
    return client


def secured(guest):
    client = greeted(guest)
    check(client.command('STARTTLS').code == 220, 'STARTTLS')
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    client.sock = context.wrap_socket(client.sock, server_hostname='mx.example.org')
    check(client.command('EHLO client.example').code == 250, 'EHLO by TLS')
    return client


def letter(subject, size=0):
    line = b'%s\r\n' % (b'postern ' * 9)
    return b'From: a@sender.test\r\nSubject: %s\r\n\r\n' % subject.encode() + line * (size // len(line)) + b'end\r\n'


def send(client, subject, sender='a@sender.test', size=0):
    """The last reply of a transaction."""
    reply = client.envelope(sender, RCPT) or client.data(letter(subject, size), PATIENCE)
    return reply


def arrived(sink, subject):
    return [m for m in sink.messages if m.taken and b'\r\nSubject: %s\r\n' % subject.encode() in b'\r\n' + bytes(m.body)]


class Bench:
    """One board under test, over one kind of network; the figures it gave."""

    def __init__(self, name, network):
        self.network = network
        self.name = name + network['name']
        self.board = machine.Board(name)
        self.board.build()
        self.image = self.board.image()
        self.sink, self.dns = Server(), Dnsd(ZONE)
        self.figures, self.passed, self.failed = {}, 0, 0
        self.guest = None

    def conf(self, text):
        return text % {'host': machine.HOST, 'sink': int(self.sink.address.rsplit(':', 1)[1]), 'dns': self.dns.port,
                       **self.network}

    def boot(self, name, arguments='', options='', more=None):
        self.guest = machine.Guest(self.board, self.image, self.conf(CONF), arguments, options, own=self.network is OWN,
                                   more=more)
        self.figures[name] = self.guest.ready()
        return self.guest

    def disk(self, name='', files=''):
        """Path of a new disk."""
        path = os.path.join(self.board.out, 'test%s.img' % name)
        image.write(self.board, path, files)
        return path

    def boot_disk(self, path, name='', options=''):
        if self.guest:
            self.guest.cut()
        self.guest = machine.Guest(self.board, disk=path, options=options)
        if name:
            self.figures[name] = self.guest.ready()
        return self.guest

    def run(self, name, function):
        began = time.monotonic()
        try:
            function(self)
            self.passed += 1
            print('ok   %s %s (%.1f s)' % (self.name, name, time.monotonic() - began), flush=True)
        except Exception as reason:  # whatever it is, the next test wants its turn
            self.failed += 1
            print('FAIL %s %s: %s' % (self.name, name, reason), flush=True)
            if not isinstance(reason, AssertionError):
                traceback.print_exc()
            if self.guest:
                said = [line for line in self.guest.lines if not line.startswith(('board: memory', 'board: cpu'))]
                print('  ' + '\n  '.join(said[-12:]), flush=True)


def boots(bench):
    guest = bench.boot('ready', 'pst.memory')
    guest.wait(r'^board: root is read-only', 5)


def passes_mail(bench):
    client = greeted(bench.guest)
    began = time.monotonic()
    reply = send(client, 'plain')
    bench.figures['mail'] = time.monotonic() - began
    client.quit()
    check(reply.code == 250, repr(reply))
    message, = arrived(bench.sink, 'plain')
    check(bytes(message.body).endswith(letter('plain').split(b'\r\n\r\n')[1]), 'the body is another')
    for words in (b'spf=pass smtp.mailfrom=a@sender.test', b'RCVD_IN_BL_TEST'):
        check(words in bytes(message.body), 'no %r in\n%s' % (words, bytes(message.body).decode('latin-1')))


def refuses_what_spf_and_list_condemn(bench):
    client = greeted(bench.guest)
    reply = send(client, 'condemned', 'a@fail.test')
    client.quit()
    check(reply.code == 550, repr(reply))
    check(not arrived(bench.sink, 'condemned'), 'refused, and delivered all the same')
    check(bench.dns.count('2.100.51.198.bl.test') >= 1, 'the list was not asked')


def speaks_tls(bench):
    began = time.monotonic()
    client = secured(bench.guest)
    bench.figures['tls'] = time.monotonic() - began
    reply = send(client, 'by tls')
    check(client.sock.version() in ('TLSv1.2', 'TLSv1.3'), client.sock.version())
    client.quit()
    check(reply.code == 250, repr(reply))
    message, = arrived(bench.sink, 'by tls')
    check(b'ESMTPS' in bytes(message.body), 'Received does not say ESMTPS')


def carries_a_crowd(bench):
    idle, results = [], []

    def stream(number, client):
        try:
            results.append(send(client, 'stream %d' % number, size=STREAM_BYTES).code)
            client.quit()
        except Exception as reason:
            results.append(repr(reason))
    began = time.monotonic()
    for make, number in ((secured, IDLE_TLS), (greeted, IDLE_PLAIN)):
        for _ in range(number):
            idle.append(make(bench.guest))
    bench.figures['crowd'] = time.monotonic() - began
    began = time.monotonic()
    # One after the other, because QEMU's forwarded port has a backlog of one connection and forgets others.
    clients = [greeted(bench.guest) for _ in range(STREAMS)]
    threads = [threading.Thread(target=stream, args=pair, daemon=True) for pair in enumerate(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(600)
    seconds = time.monotonic() - began
    check(results == [250] * STREAMS, 'streams ended %r' % results)
    for number in range(STREAMS):
        message, = arrived(bench.sink, 'stream %d' % number)
        check(len(message.body) > STREAM_BYTES - 100, 'stream %d has %d bytes' % (number, len(message.body)))
    gone = sum(client.command('NOOP').code != 250 for client in idle)
    for client in idle:
        client.close()
    bench.figures['rate'] = STREAMS * STREAM_BYTES / 1e6 / seconds
    memory = bench.guest.memory()
    check(memory, 'the guest said nothing of its memory')
    bench.figures['pss'] = max(pss for pss, _, _ in memory)
    bench.figures['available'] = min(available for _, _, available in memory)
    check(not gone, '%d idle sessions are lost' % gone)
    check(not bench.guest.count(r'Out of memory|oom-kill'), 'out of memory')
    check(bench.figures['pss'] <= PSS_KIB_MAX, 'PSS %d KiB is over %d' % (bench.figures['pss'], PSS_KIB_MAX))


def loses_nothing_when_the_power_goes(bench):
    before = len([m for m in bench.sink.messages if m.taken])
    client = greeted(bench.guest)
    check(client.envelope('a@sender.test', RCPT) is None, 'envelope')
    check(client.command('DATA').code == 354, 'DATA')
    wire = stuff(letter('cut', 400_000))
    client.send(wire[:200_000])
    time.sleep(2)
    bench.guest.cut()
    try:
        client.seconds = 5
        client.send(wire[200_000:])
        check(False, 'a dead board answered %r' % client.reply(5))
    except (Gone, OSError):
        pass
    client.close()
    time.sleep(1)
    check(not arrived(bench.sink, 'cut'), 'half a message was delivered')
    check(len([m for m in bench.sink.messages if m.taken]) == before, 'a message came out of nowhere')


def works_in_1970_without_dns(bench):
    bench.dns.stop()
    guest = bench.boot('ready 1970', options='-rtc base=1970-01-02T00:00:00')
    guest.wait(r'^board: clock 1970-01-02T', 5)
    client = secured(guest)
    began = time.monotonic()
    reply = send(client, 'cut', size=400_000)
    bench.figures['mail, no DNS'] = time.monotonic() - began
    client.quit()
    check(reply.code == 250, repr(reply))
    check(len(arrived(bench.sink, 'cut')) == 1, 'the message is not there once')


TESTS = (boots, passes_mail, refuses_what_spf_and_list_condemn, speaks_tls, carries_a_crowd,
         loses_nothing_when_the_power_goes, works_in_1970_without_dns)


def says_what_a_new_disk_lacks(bench):
    first, second = bench.disk(), bench.disk('2')
    check(machine.read(first) == machine.read(second), 'two disks of the same are not the same')
    os.unlink(second)
    guest = bench.boot_disk(first)
    guest.wait('no `relay` line')
    guest.wait('not started', 5)
    guest.cut()


def changed(conf, changes):
    """The configuration with the lines of another in the place of those that begin alike, or after all."""
    lines = conf.splitlines()
    for change in changes.splitlines():
        places = [number for number, line in enumerate(lines) if re.match(r'#?%s ' % change.split()[0], line)]
        lines[places[0] if places else len(lines):places[0] + 1 if places else len(lines)] = [change]
    return '\n'.join(lines) + '\n'


def boots_from_disk(bench):
    conf = changed(machine.read(machine.HERE, 'disk', 'postern.conf').decode(), bench.conf(DISK_CONF))
    files = os.path.join(bench.board.out, 'files')
    os.makedirs(files, exist_ok=True)
    for name, data in (('postern.conf', conf.encode()), ('network', DISK_NETWORK)):
        with open(os.path.join(files, name), 'wb') as file:
            file.write(data)
    guest = bench.boot_disk(bench.disk(files=files), 'ready')
    guest.wait('^board: root is read-only', 5)
    client = greeted(guest)
    began = time.monotonic()
    check(send(client, 'from disk').code == 250, 'mail by the disk')
    bench.figures['mail'] = time.monotonic() - began
    client.quit()
    check(len(arrived(bench.sink, 'from disk')) == 1, 'the message is not there once')


def remembers_over_a_power_cut(bench):
    def stranger():
        client = greeted(bench.guest)
        reply = send(client, 'grey', 'a@unknown.test')
        client.quit()
        return reply.code

    def certificate():
        client = secured(bench.guest)
        shown = client.sock.getpeercert(binary_form=True)
        client.quit()
        return shown
    before = certificate()
    check(stranger() == 451, 'a stranger was not asked to come again')
    time.sleep(8)   # the store's second and the five in which the disk's file system writes
    bench.guest.cut()
    bench.boot_disk(os.path.join(bench.board.out, 'test.img'), 'ready')
    check(stranger() == 250, 'who was asked to come again was asked twice')
    check(certificate() == before, 'another certificate after the power cut')
    check(not bench.guest.count('(?i)ext4-fs error|corrupt'), 'the state is damaged')
    bench.guest.cut()


def ends_by_the_power_button(bench):
    monitor = os.path.join(bench.board.out, 'monitor')
    guest = bench.boot_disk(os.path.join(bench.board.out, 'test.img'), 'ready',
                            '-chardev socket,id=m,path=%s,server=on,wait=off -mon chardev=m,mode=control' % monitor)
    with socket.socket(socket.AF_UNIX) as control:
        control.connect(monitor)
        for command in 'qmp_capabilities', 'system_powerdown':
            control.sendall(json.dumps({'execute': command}).encode() + b'\n')
        guest.wait('postern has ended', 30)
        guest.process.wait(30)


DISK_TESTS = (says_what_a_new_disk_lacks, boots_from_disk, remembers_over_a_power_cut, ends_by_the_power_button)
COLUMNS = (('ready', '%.1f s'), ('mail', '%.2f s'), ('tls', '%.2f s'), ('crowd', '%.1f s'), ('rate', '%.1f MB/s'),
           ('pss', '%d KiB'), ('available', '%d KiB'), ('ready 1970', '%.1f s'), ('mail, no DNS', '%.1f s'), ('wall', '%.0f s'))


def main():
    benches = []
    kinds = (KERNEL, TESTS), (OWN, TESTS), (DISK, DISK_TESTS)
    for name, (network, tests) in itertools.product(sys.argv[1:], kinds):
        if network is DISK and not machine.Board(name).has_disk:
            continue
        began = time.monotonic()
        bench = Bench(name, network)
        benches.append(bench)
        try:
            for test in tests:
                bench.run(test.__name__, test)
                if test in (boots, boots_from_disk) and bench.failed:
                    break
        finally:
            if bench.guest:
                bench.guest.cut()
            bench.sink.stop()
        bench.figures['wall'] = time.monotonic() - began
    print('| board | RAM | ' + ' | '.join(name for name, _ in COLUMNS) + ' |')
    print('|---' * (len(COLUMNS) + 2) + '|')
    for bench in benches:
        cells = [form % bench.figures[name] if name in bench.figures else '–' for name, form in COLUMNS]
        memory = bench.board.disk_memory if bench.network is DISK else bench.board.memory
        print('| %s | %s MiB | %s |' % (bench.name, memory, ' | '.join(cells)))
    failed = sum(bench.failed for bench in benches)
    print('%d passed, %d failed' % (sum(bench.passed for bench in benches), failed))
    return 1 if failed else 0


if __name__ == '__main__':
    sys.exit(main())
