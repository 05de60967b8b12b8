"""TLS on both sides of the proxy: STARTTLS, TLS from the first byte, towards internal servers."""
import concurrent.futures
import hashlib
import os
import re
import shutil
import signal
import socket
import ssl
import stat
import subprocess
import threading
import time

from support import cgroup, client, harness, mail
from support.harness import Skip, check, equal, table, test
from support.proc import wait_until
from support.server import CAPABILITIES, CLOSE, HANG

HERE = os.path.dirname(os.path.abspath(__file__))
PEM_H = os.path.join(HERE, '..', 'unit', 'tls', 'pem.h')
TEXT = mail.message('starttls', 3000)
NAME = 'mx.example.org'


def pem(name, kind='certificate'):
    """A text of the unit tests' certificates: names and dates stand in unit/tls/pem.py."""
    with open(PEM_H, encoding='ascii') as stream:
        found = re.search(r'pem_%s_%s\[\] =\n(.*?);\n' % (name, kind), stream.read(), re.S)
    return ''.join(line + '\n' for line in re.findall(r'"(.*)\\n"', found.group(1)))


def write(directory, name, text):
    path = os.path.join(directory, name)
    with open(path, 'w', encoding='ascii') as out:
        out.write(text)
    return path


def pair(directory, name):
    """(certificate's file, key's file)"""
    return (write(directory, name + '.pem', pem(name)),
            write(directory, name + '.key', pem(name, 'key')))


STRANGERS = 'trust 192.0.2.99/32'


def cert_line(t, *names):
    directory = t.directory('tls')
    return 'tls ' + ' '.join('cert %s key %s' % pair(directory, name) for name in names)


def trusting(**wanted):
    """What a client that checks everything uses."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(cadata=pem('ca'))
    for name, value in wanted.items():
        if name == 'ciphers':
            context.set_ciphers(value)
        else:
            setattr(context, name, value)
    return context


def careless():
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def secure(session, context, name=NAME, starttls=True):
    if starttls:
        equal(session.command('STARTTLS').code, 220, 'STARTTLS')
    session.sock.settimeout(session.seconds)
    session.sock = context.wrap_socket(session.sock, server_hostname=name)
    return session


def secured(proxy, context=None, **options):
    session = client.Client(proxy.address, **options)
    reply = session.greet()
    check('STARTTLS' in reply.lines, 'not offered: %s', reply)
    secure(session, context or trusting())
    return session


def deliver(session, text=TEXT, rcpt='u@example.org'):
    equal(session.command('EHLO client.example').code, 250, 'EHLO')
    refusal = session.envelope('a@example.com', rcpt)
    return refusal or session.data(text)


def internal(t, name='p256', **options):
    """An internal server with STARTTLS."""
    server = t.server(capabilities=CAPABILITIES + ('STARTTLS',), **options)
    directory = t.directory('inside')
    server.tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.tls.load_cert_chain(*pair(directory, name))
    return server


# ---- clients


@table([('tls-1.2', dict(maximum_version=ssl.TLSVersion.TLSv1_2), 'TLSv1.2'),
        ('tls-1.3', dict(minimum_version=ssl.TLSVersion.TLSv1_3), 'TLSv1.3'),
        ('chacha', dict(maximum_version=ssl.TLSVersion.TLSv1_2, ciphers='CHACHA20'), 'TLSv1.2')])
def delivers(t, name, wanted, version):
    """Delivered as sent, in records of any size; Received and log say how it came."""
    text = TEXT + b'in records of 16 KiB, the largest there are\r\n' * 2000
    server = t.server()
    proxy = t.postern(server, lines=[cert_line(t, 'p256', 'rsa')])
    session = secured(proxy, trusting(**wanted))
    equal(session.sock.version(), version, 'version')
    reply = deliver(session, text)
    equal(reply.code, 250, 'delivery: %s' % reply)
    session.quit()
    message = server.taken[0].body
    equal(mail.difference(text, message), None, 'message')
    received = dict(mail.fields(message))[b'received:']
    check(b'with ESMTPS' in received, 'keyword: %s', received)
    record = proxy.wait_log(code=250)[0]
    equal(record['tls'], version, 'tls= in the log')
    check(record['cipher'].encode() in received, '%s is not in %s', record['cipher'], received)
    check(version.encode() in received, '%s is not in %s', version, received)


@test()
def old_versions_are_refused(t):
    proxy = t.postern(t.server(), lines=[cert_line(t, 'p256')])
    context = careless()
    context.set_ciphers('ALL:@SECLEVEL=0')
    context.minimum_version = ssl.TLSVersion.TLSv1
    context.maximum_version = ssl.TLSVersion.TLSv1_1
    session = client.Client(proxy.address)
    session.greet()
    try:
        secure(session, context)
    except (ssl.SSLError, OSError):
        pass
    else:
        raise harness.Failed('TLS 1.1 was accepted: %s' % session.sock.version())
    check(proxy.wait_log('tls_failed')[0]['reason'], 'why')


@table([('ecdsa', {}, None, 'p256'),
        ('rsa-only', dict(maximum_version=ssl.TLSVersion.TLSv1_2, ciphers='aRSA'), None, 'rsa'),
        ('by-name', {}, 'mx.example.net', 'p384')])
def certificate_for_the_client(t, case, wanted, name, expected):
    proxy = t.postern(t.server(), lines=[cert_line(t, 'p256', 'rsa', 'p384')])
    context = trusting(**wanted)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    session = client.Client(proxy.address)
    session.greet()
    secure(session, context, name or NAME)
    equal(ssl.DER_cert_to_PEM_cert(session.sock.getpeercert(True)).split(), pem(expected).split(),
          'certificate')


@test()
def tls_from_the_first_byte(t):
    server = t.server()
    port = t.port()
    proxy = t.postern(server, lines=['listen %s tls' % port, cert_line(t, 'p256')])
    session = client.Client((port.host, port.number))
    secure(session, trusting(), starttls=False)
    equal(session.reply().code, 220, 'greeting')
    reply = session.command('EHLO client.example')
    check('STARTTLS' not in reply.lines, 'STARTTLS inside TLS: %s', reply)
    equal(session.command('STARTTLS').code // 100, 5, 'STARTTLS inside TLS')
    equal(deliver(session).code, 250, 'delivery')
    session.quit()
    equal(client.deliver(proxy.address, 'a@example.com', 'u@example.org', TEXT)[1].code, 250,
          'the other listener')
    equal(len(server.taken), 2, 'messages')


@table([('swaks', ['--tls']), ('swaks-on-connect', ['--tlsc'])])
def swaks(t, name, how):
    server = t.server()
    port = t.port()
    proxy = t.postern(server, lines=['listen %s tls' % port, cert_line(t, 'p256')])
    target = port if '--tlsc' in how else proxy.ports[0]
    library = t.tool('ssleay')[0][-1].removesuffix('/Net/SSLeay.pm')
    status, text = t.run_tool('swaks', '--server', str(target), '--from', 'a@example.com', '--to',
                              'u@example.org', *how, env={'PERL5LIB': library})
    equal(status, 0, text[-600:])
    equal(len(server.taken), 1, 'messages')


@test()
def curl(t):
    server = t.server()
    proxy = t.postern(server, lines=[cert_line(t, 'p256')])
    directory = t.directory('curl')
    ca = write(directory, 'ca.pem', pem('ca'))
    path = os.path.join(directory, 'message')
    with open(path, 'wb') as out:
        out.write(TEXT)
    status, text = t.run_tool(
        'curl', '-sv', '--ssl-reqd', '--cacert', ca, '--connect-to',
        '%s:25:%s' % (NAME, proxy.ports[0]), 'smtp://%s:25/client.example' % NAME, '--mail-from',
        'a@example.com', '--mail-rcpt', 'u@example.org', '-T', path)
    equal(status, 0, text[-600:])
    equal(mail.difference(TEXT, server.taken[0].body), None, 'message')


@table([('tls1_2', 'TLSv1.2'), ('tls1_3', 'TLSv1.3')])
def openssl(t, option, version):
    if not shutil.which('openssl'):
        raise Skip('no openssl')
    proxy = t.postern(t.server(), lines=[cert_line(t, 'p256', 'rsa')])
    ca = write(t.directory('ca'), 'ca.pem', pem('ca'))
    done = subprocess.run(
        ['openssl', 's_client', '-connect', str(proxy.ports[0]), '-starttls', 'smtp', '-' + option,
         '-CAfile', ca, '-verify_return_error', '-verify_hostname', NAME, '-servername', NAME],
        input=b'QUIT\r\n', stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=20,
        check=False)
    text = done.stdout.decode('latin-1')
    check('Verify return code: 0 (ok)' in text, 'not verified: %s', text[-800:])
    check(version in text, 'not %s', version)


@test()
def what_came_in_the_clear_is_forgotten(t):
    """Commands injected behind STARTTLS are not executed; EHLO and envelope are as if never said."""
    server = t.server()
    proxy = t.postern(server, lines=[cert_line(t, 'p256')])
    session = client.Client(proxy.address)
    session.greet()
    equal(session.envelope('evil@example.com', 'u@example.org'), None, 'envelope')
    equal(session.command('STARTTLS').code, 503, 'inside a transaction')
    equal(session.command('RSET').code, 250, 'RSET')
    session.send(b'STARTTLS\r\nEHLO injected\r\nMAIL FROM:<evil@example.com>\r\n')
    equal(session.reply().code, 220, 'STARTTLS')
    check(session.pending == b'', 'more than the 220: %r', session.pending)
    secure(session, trusting(), starttls=False)
    check(session.fill(0.3) is None, 'a reply to what was injected: %r', session.pending)
    reply = session.command('MAIL FROM:<a@example.com>')
    equal(reply.code, 503, 'MAIL without EHLO: %s' % reply)
    equal(deliver(session).code, 250, 'delivery')
    equal([m.sender for m in server.taken], [b'FROM:<a@example.com>'], 'senders')


@table([('behind-it', b'EHLO injected\r\n', b'', 'talked behind STARTTLS in the clear'), ('inside-tls', b'', b'STARTTLS\r\n', 'STARTTLS inside TLS'),
        ('none', b'', b'', None)])
def abuse(t, name, behind, inside_tls, evidence):
    """What a client does wrong with STARTTLS is a fact of the mail that it sends, with its score."""
    server = t.server()
    proxy = t.postern(server, lines=[cert_line(t, 'p256'), STRANGERS])
    session = client.Client(proxy.address)
    session.greet()
    session.send(b'STARTTLS\r\n' + behind)
    equal(session.reply().code, 220, 'STARTTLS')
    secure(session, trusting(), starttls=False)
    session.command('EHLO client.example')
    if inside_tls:
        session.send(inside_tls)
        equal(session.reply().code, 502, 'STARTTLS once more')
    equal(deliver(session).code, 250, 'delivery')
    record = proxy.wait_log()[0]
    equal((record.get('facts'), record.get('hits'), record.get('evidence')),
          ('starttls_abuse', 'STARTTLS_ABUSE:2', evidence) if evidence else (None, None, None), 'record')


@test()
def required_from_a_domain(t):
    server = t.server()
    proxy = t.postern(server, lines=[cert_line(t, 'p256'), 'tls require-from Example.COM'])
    stage, reply = client.deliver(proxy.address, 'a@example.com', 'u@example.org', TEXT)
    equal((stage, reply.code, reply.enhanced), ('mail', 530, '5.7.0'), 'in the clear')
    stage, reply = client.deliver(proxy.address, 'a@example.net', 'u@example.org', TEXT)
    equal((stage, reply.code), ('eod', 250), 'another domain')
    equal(deliver(secured(proxy)).code, 250, 'by TLS')


def fail_handshake(proxy):
    session = client.Client(proxy.address)
    session.greet()
    equal(session.command('STARTTLS').code, 220, 'STARTTLS')
    session.send(b'this is no ClientHello at all\r\n')
    check(session.is_ended(), 'still open')


@table([('hidden', [STRANGERS], False), ('not-from-our-own', [], True),
        ('not-where-required', [STRANGERS, 'tls require-from example.net'], True)])
def three_failures(t, name, lines, still):
    proxy = t.postern(t.server(), lines=[cert_line(t, 'p256')] + lines)
    for number in range(3):
        check(any('STARTTLS' == line for line in greeting(proxy)), 'hidden after %d', number)
        fail_handshake(proxy)
    equal('STARTTLS' in greeting(proxy), still, 'STARTTLS offered')
    proxy.wait_log('tls_failed', 3)
    stage, reply = client.deliver(proxy.address, 'a@example.com', 'u@example.org', TEXT)
    equal((stage, reply.code), ('eod', 250), 'in the clear')
    equal(proxy.wait_log()[0].get('evidence'), None if name == 'not-from-our-own' else 'handshakes that fail', 'fact')


def greeting(proxy):
    with client.Client(proxy.address) as session:
        lines = session.greet().lines
        session.quit()
        return lines


@test()
def too_many_handshakes(t):
    """The queue is bounded: 454, and the session goes on."""
    proxy = t.postern(t.server(), lines=[cert_line(t, 'p256'), 'tls handshakes 2'])
    stuck = []
    for _ in range(2):
        session = client.Client(proxy.address)
        session.greet()
        equal(session.command('STARTTLS').code, 220, 'STARTTLS')
        stuck.append(session)
    session = client.Client(proxy.address)
    session.greet()
    reply = session.command('STARTTLS')
    equal((reply.code, reply.enhanced), (454, '4.7.0'), 'third')
    stuck[0].close()
    check(wait_until(lambda: session.command('STARTTLS').code == 220, 3), 'no place became free')
    secure(session, trusting(), starttls=False)
    equal(deliver(session).code, 250, 'delivery')
    stuck[1].close()


@test()
def one_network_has_a_quarter_of_the_handshakes(t):
    proxy = t.postern(t.server(), lines=[cert_line(t, 'p256'), 'tls handshakes 8',
                                         STRANGERS])

    def starttls(source):
        session = client.Client(proxy.address, source=source)
        session.greet()
        return session, session.command('STARTTLS').code

    silent = [starttls('127.0.0.7') for _ in range(2)]
    equal([code for _, code in silent], [220, 220], 'two handshakes')
    equal(starttls('127.0.0.7')[1], 454, 'a third of the same network')
    equal(starttls('127.0.0.8')[1], 220, 'another network')


@test(seconds=60)
def many_handshakes(t):
    """Two hundred at once, all come through."""
    server = t.server()
    proxy = t.postern(server, lines=[cert_line(t, 'p256'), 'tls handshakes 200',
                                     'limit sessions 250 per-client 250'])
    context, barrier = trusting(), threading.Barrier(200)

    def one(_):
        session = client.Client(proxy.address, 40)
        session.greet()
        barrier.wait(30)
        secure(session, context)
        reply = deliver(session)
        session.quit()
        return reply.code
    started = time.monotonic()
    with concurrent.futures.ThreadPoolExecutor(200) as pool:
        codes = list(pool.map(one, range(200)))
    seconds = time.monotonic() - started
    equal(codes, [250] * 200, 'replies')
    equal(len(server.taken), 200, 'messages')
    proxy.proc.signal(signal.SIGTERM)
    equal(proxy.proc.wait(10), 0, 'exit status')
    longest = int(proxy.wait_log('end')[0]['turn_ms_longest'])
    harness.FIGURES.append('200 handshakes at once: %.1f s, longest turn %d ms' % (seconds, longest))


@test()
def client_leaves_in_the_handshake(t):
    proxy = t.postern(t.server(), lines=[cert_line(t, 'p256'), 'tls handshakes 3',
                                         'tls require-from example.net'])
    count = 0
    for cut in (0, 1, 5, 60, 200):
        for how in ('close', 'reset'):
            session = client.Client(proxy.address)
            session.greet()
            equal(session.command('STARTTLS').code, 220, 'STARTTLS')
            incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
            tls = trusting().wrap_bio(incoming, outgoing, server_hostname=NAME)
            try:
                tls.do_handshake()
            except ssl.SSLWantReadError:
                pass
            session.send(outgoing.read()[:cut])
            getattr(session, how)()
            count += 1
            proxy.wait_log('tls_failed', count)
    equal(deliver(secured(proxy)).code, 250, 'after')


@test()
def term_during_handshakes(t):
    proxy = t.postern(t.server(), lines=[cert_line(t, 'p256')])
    sessions = []
    for _ in range(5):
        session = client.Client(proxy.address)
        session.greet()
        session.command('STARTTLS')
        sessions.append(session)
    idle = secured(proxy)
    equal(idle.command('EHLO client.example').code, 250, 'EHLO')
    proxy.proc.signal(signal.SIGTERM)
    for session in sessions:
        check(session.fill(5) is False, 'bytes in a handshake: %r', session.pending)
    equal(idle.reply().code, 421, 'an idle session inside TLS')
    idle.close()
    equal(proxy.proc.wait(10), 0, 'exit status')


@test(seconds=40)
def large_through_both(t):
    """Streamed, TLS on both legs, many sizes of records: the bytes are equal."""
    server = internal(t)
    proxy = t.postern(server, relay_options='tls must', lines=[cert_line(t, 'p256')])
    text = mail.message('large', 6000000)
    session = secured(proxy)
    reply = deliver(session, text)
    equal(reply.code, 250, 'delivery: %s' % reply)
    equal(mail.difference(text, server.taken[0].body), None, 'message')
    check(server.transactions()[0].secure, 'the internal leg is in the clear')


@test()
def pipelined_to_the_end(t):
    """Everything in one go, more than the buffers hold, and a half-close behind it."""
    proxy = t.postern(t.server(), lines=[cert_line(t, 'p256'), 'limit errors-hard 10000'])
    session = secured(proxy)
    count = 9000
    received = bytearray()

    def read():
        try:
            while True:
                data = session.sock.recv(65536)
                if not data:
                    return
                received.extend(data)
        except OSError:
            return
    reader = threading.Thread(target=read)
    reader.start()
    session.sock.sendall(b'NOOP\r\n' * count + b'QUIT\r\n')
    reader.join(15)
    equal(received.count(b'250 2.0.0'), count, 'replies')
    equal(received.count(b'\r\n221 '), 1, 'good bye')
    session.close()


@test()
def idle_costs_nothing(t):
    """A session whose client does not read, or whose internal server is slow, makes no busy loop."""
    server = t.server()
    proxy = t.postern(server, lines=[cert_line(t, 'p256')])
    server.fault('dot', (lambda c: time.sleep(2) or False, b'250 2.0.0 ok\r\n'))
    session = secured(proxy)
    session.command('EHLO client.example')
    session.envelope('a@example.com', 'u@example.org')
    equal(session.command('DATA').code, 354, 'DATA')
    session.sock.sendall(client.stuff(TEXT) + b'NOOP\r\n' * 9000)
    before = cpu_ticks(proxy.proc.pid)
    time.sleep(1)
    used = cpu_ticks(proxy.proc.pid) - before
    check(used <= 20, '%d ticks of CPU in a second of waiting', used)
    session.reset()


def cpu_ticks(pid):
    with open('/proc/%d/stat' % pid, encoding='ascii') as stream:
        words = stream.read().rsplit(')', 1)[1].split()
    return int(words[11]) + int(words[12])


@test(seconds=90, alone=True, kernel=True)
def idle_sessions_are_small(t):
    """A thousand sessions inside TLS: at most 28 KiB each."""
    proxy = t.postern(t.server(), lines=['limit sessions 1100 per-client 1100',
                                         cert_line(t, 'p256')])
    context, sessions = careless(), []
    time.sleep(0.3)
    empty = cgroup.private_kib(proxy.proc.pid)
    try:
        for _ in range(1000):
            session = client.Client(proxy.address)
            session.greet()
            secure(session, context)
            equal(session.command('EHLO client.example').code, 250, 'EHLO')
            sessions.append(session)
        time.sleep(0.5)
        full = cgroup.private_kib(proxy.proc.pid)
    finally:
        for session in sessions:
            session.close()
    each = (full - empty) / 1000
    harness.FIGURES.append('TLS: private memory %d KiB idle, %.2f KiB per idle session at 1,000'
                           % (empty, each))
    check(each < 28, '%.2f KiB per session', each)
    check(full <= proxy.memory_bound_kib()[0], 'more than the printed bound')


# ---- internal servers


def pins(name):
    """SHA-256 of the certificate, in hexadecimal."""
    return hashlib.sha256(ssl.PEM_cert_to_DER_cert(pem(name))).hexdigest()


GOOD_PIN, WRONG_PIN = 'sha256:' + pins('p256'), 'sha256:' + '0' * 64
# name, the server's certificate, options, delivered, by TLS
INSIDE = [
    ('may', 'p256', '', True, True),
    ('off', 'p256', 'tls off', True, False),
    ('must', 'rsa', 'tls must', True, True),
    ('verified', 'p256', 'verify mx.example.org', True, True),
    ('verified-rsa', 'rsa', 'tls must verify mx.example.org', True, True),
    ('wrong-name', 'p256', 'verify mail.example.org', False, None),
    ('wrong-ca', 'cn', 'verify old.example.net', False, None),
    ('expired', 'expired', 'verify mx.example.org', False, None),
    ('expired-unverified', 'expired', '', True, True),
    ('pinned', 'p256', 'pin ' + GOOD_PIN, True, True),
    ('one-of-two-pins', 'p256', 'pin %s,%s' % (WRONG_PIN, GOOD_PIN[7:]), True, True),
    ('wrong-pin', 'p256', 'pin ' + WRONG_PIN, False, None),
]


@table(INSIDE)
def inside(t, name, certificate, options, delivered, by_tls):
    server = internal(t, certificate)
    ca = write(t.directory('ca'), 'ca.pem', pem('ca'))
    proxy = t.postern(server, relay_options=options, lines=['tls off', 'tls ca ' + ca])
    stage, reply = client.deliver(proxy.address, 'a@example.com', 'u@example.org', TEXT)
    if not delivered:
        equal(reply.code, 451, '%s: %s' % (stage, reply))
        equal(server.taken, [], 'messages')
        proxy.wait_log('relay_failed')
        if 'wrong' in name or 'expired' in name:
            check(proxy.wait_log('relay_certificate')[0]['reason'], 'why not')
        return
    equal((stage, reply.code), ('eod', 250), 'delivery: %s' % reply)
    equal(mail.difference(TEXT, server.taken[0].body), None, 'message')
    equal(server.transactions()[0].secure, by_tls, 'by TLS')


@table([('may', '', 250), ('must', 'tls must', 451), ('pin', 'pin ' + GOOD_PIN, 451)])
def server_without_starttls(t, name, options, code):
    server = t.server()
    proxy = t.postern(server, relay_options=options)
    equal(client.deliver(proxy.address, 'a@example.com', 'u@example.org', TEXT)[1].code, code, name)
    equal(len(server.taken), int(code == 250), 'messages')


@table([('may', '', 250), ('must', 'tls must', 451)])
def server_that_refuses_starttls(t, name, options, code):
    server = internal(t)
    server.fault('starttls', b'454 4.7.0 no\r\n')
    proxy = t.postern(server, relay_options=options)
    equal(client.deliver(proxy.address, 'a@example.com', 'u@example.org', TEXT)[1].code, code, name)
    check(all(not c.secure for c in server.transactions()), 'secure')


FAILING = {'garbage': (b'220 go\r\n', lambda c: time.sleep(0.1) or False,
                       b'garbage instead of a ServerHello\r\n' * 4),
           'close': CLOSE, 'close-behind-220': (b'220 go\r\n', CLOSE),
           'silent': HANG, 'silent-behind-220': (b'220 go\r\n', HANG)}


@table([('%s-%s' % (how, may), how, options, code) for how in FAILING
        for may, options, code in (('may', '', 250), ('must', 'tls must', 451))])
def server_whose_handshake_fails(t, name, how, options, code):
    """In the clear where that is allowed, and said so."""
    server = internal(t)
    server.fault('starttls', FAILING[how])
    proxy = t.postern(server, relay_options=options, lines=['timeout relay-connect 2'])
    reply = client.deliver(proxy.address, 'a@example.com', 'u@example.org', TEXT)[1]
    equal(reply.code, code, str(reply))
    equal(len(server.taken), int(code == 250), 'messages')
    check(proxy.wait_log('relay_failed')[0]['reason'], 'nothing in the log')


@table([('whole', b'220 go\r\n250-internal.example\r\n250 8BITMIME\r\n'),
        ('many', b'220 go\r\n250 a\r\n250 2.1.0 ok\r\n250 2.1.5 ok\r\n354 go\r\n250 2.0.0 mine\r\n')])
def injected_replies_are_not_believed(t, name, answer):
    """What the server (or someone between) says in the clear behind its 220 counts for nothing."""
    server = internal(t)
    server.fault('starttls', answer)
    proxy = t.postern(server, relay_options='tls must')
    session = client.Client(proxy.address)
    session.greet()
    equal(session.envelope('a@example.com', 'u@example.org'), None, 'envelope')
    equal(session.data(TEXT).code, 250, 'delivery')
    equal([mail.difference(TEXT, m.body) for m in server.taken], [None], 'messages')
    verbs = [v for v, _ in server.transactions()[0].commands]
    equal(verbs.count('EHLO'), 2, 'EHLO again inside TLS: %s' % verbs)


@table([('verified', 'verify mx.example.org', True), ('pinned', 'pin ' + GOOD_PIN, True),
        ('unverified', 'tls must', False)])
def require_tls(t, name, options, offered):
    """REQUIRETLS: only from a client inside TLS, and only to a verified server, which hears it."""
    server = internal(t)
    server.capabilities.append('REQUIRETLS')
    ca = write(t.directory('ca'), 'ca.pem', pem('ca'))
    proxy = t.postern(server, relay_options=options,
                      lines=[cert_line(t, 'p256'), 'tls ca ' + ca])

    def words():
        with client.Client(proxy.address) as plain:
            return plain.greet().lines
    wait_until(lambda: '8BITMIME' in words(), 5, 0.2)
    check('REQUIRETLS' not in words(), 'offered in the clear: %s', words())
    with client.Client(proxy.address) as plain:
        plain.greet()
        reply = plain.command('MAIL FROM:<a@example.com> REQUIRETLS')
        check(reply.lines[0].startswith('5.7.10 ') and reply.code == 530, 'in the clear: %s', reply)
    session = secured(proxy)
    reply = session.command('EHLO client.example')
    equal('REQUIRETLS' in reply.lines, offered, 'EHLO inside TLS: %s' % reply)
    reply = session.command('MAIL FROM:<a@example.com> REQUIRETLS')
    equal(reply.code, 250 if offered else 550, 'MAIL: %s' % reply)
    if offered:
        equal(session.command('RCPT TO:<u@example.org>').code, 250, 'RCPT')
        equal(session.data(TEXT).code, 250, 'delivery')
        equal(mail.difference(TEXT, server.taken[0].body), None, 'message')
        check('REQUIRETLS' in str(server.taken[0].sender), 'not passed on: %s',
              server.taken[0].sender)
        check(server.transactions()[0].secure, 'not by TLS')
    session.quit()


# ---- certificates and their files


@test()
def reload_certificates(t):
    """New connections get the new one, open ones go on; a bad pair changes nothing."""
    server = t.server()
    directory = t.directory('tls')
    certificate, key = pair(directory, 'p256')
    proxy = t.postern(server, lines=['tls cert %s key %s' % (certificate, key)])
    running = secured(proxy)
    equal(running.command('EHLO client.example').code, 250, 'EHLO')
    write(directory, 'p256.pem', pem('rsa'))
    proxy.proc.signal(signal.SIGHUP)
    record = proxy.wait_log('reload_failed')[0]
    check('unchanged' in record['msg'], 'what was said: %s', record)
    check(any('p256.pem' in r['msg'] for r in proxy.log('config')), 'which file')
    equal(peer(proxy), pem('p256').split(), 'after a bad reload')
    write(directory, 'p256.key', pem('rsa', 'key'))
    proxy.proc.signal(signal.SIGHUP)
    proxy.wait_log('reload')
    equal(peer(proxy), pem('rsa').split(), 'after a good reload')
    equal(deliver(running).code, 250, 'the session from before')


def peer(proxy):
    session = secured(proxy, careless())
    text = ssl.DER_cert_to_PEM_cert(session.sock.getpeercert(True)).split()
    session.quit()
    return text


@table([('mismatch', 'p256', 'rsa'), ('no-key', 'p256', None), ('garbage', None, 'p256')])
def bad_key_at_start(t, name, certificate, key):
    """Mail flows without STARTTLS, stderr and log say so, `check` says why, HUP mends it."""
    server = t.server()
    directory = t.directory('tls')
    paths = (write(directory, 'c.pem', pem(certificate) if certificate else 'nonsense'),
             os.path.join(directory, 'k.pem'))
    if key:
        write(directory, 'k.pem', pem(key, 'key'))
    proxy = t.postern(server, lines=['tls cert %s key %s' % paths])
    check('STARTTLS' not in greeting(proxy), 'offered')
    check(proxy.wait_log('tls_files'), 'log')
    line = [text[:9] for text in proxy.config.split('\n')].index('tls cert ') + 1
    check('postern.conf:%d:' % line in proxy.proc.text, 'where: %s', proxy.proc.text)
    stage, reply = client.deliver(proxy.address, 'a@example.com', 'u@example.org', TEXT)
    equal((stage, reply.code), ('eod', 250), 'in the clear')
    checked = subprocess.run([t.binary, 'check', '-c', proxy.config_path], stderr=subprocess.PIPE,
                             stdout=subprocess.PIPE, timeout=10, check=False)
    equal(checked.returncode, 1, 'check')
    check(b'postern.conf:%d:' % line in checked.stderr, 'check says: %s', checked.stderr)
    write(directory, 'c.pem', pem('p256'))
    write(directory, 'k.pem', pem('p256', 'key'))
    proxy.proc.signal(signal.SIGHUP)
    proxy.wait_log('reload')
    equal(deliver(secured(proxy)).code, 250, 'after HUP')


@table([('expired', 'expired', 'expired'), ('name', 'p384', 'hostname'), ('good', 'p256', None)])
def check_warns(t, name, certificate, word):
    directory = t.directory('tls')
    path = write(directory, 'postern.conf', 'hostname %s\nrelay example.org to 127.0.0.1:26\n'
                 'tls cert %s key %s\n' % ((NAME,) + pair(directory, certificate)))
    done = subprocess.run([t.binary, 'check', '-c', path], stderr=subprocess.PIPE,
                          stdout=subprocess.PIPE, timeout=10, check=False)
    equal(done.returncode, 0, done.stderr)
    text = done.stderr.decode()
    if word:
        check('warning: ' in text and word in text and 'postern.conf:3' in text, text)
    else:
        equal(text, '', 'stderr')


@test()
def self_signed_is_made_and_kept(t):
    server = t.server()
    state = os.path.join(t.directory('lib'), 'state')
    proxy = t.postern(server, lines=['tls state ' + state])
    path = os.path.join(state, 'self-signed.pem')
    first = peer(proxy)
    equal(stat.S_IMODE(os.stat(path).st_mode), 0o600, 'mode')
    equal(os.listdir(state), ['self-signed.pem'], 'files')
    equal(deliver(secured(proxy, careless())).code, 250, 'delivery')
    proxy.proc.signal(signal.SIGHUP)
    proxy.wait_log('reload')
    equal(peer(proxy), first, 'after a reload')
    proxy.proc.stop()
    again = t.postern(server, lines=['tls state ' + state])
    equal(peer(again), first, 'after a restart')
    again.proc.stop()
    with open(path, 'w', encoding='ascii') as out:
        out.write('nonsense')
    third = t.postern(server, lines=['tls state ' + state])
    check(peer(third) != first, 'a broken one was not replaced')
    check('warning' in third.proc.text, 'said nothing: %s', third.proc.text)


@test()
def self_signed_without_a_folder(t):
    """In memory only, with a warning; the same one until the next start."""
    place = write(t.directory('lib'), 'a-file', '')
    proxy = t.postern(t.server(), lines=['tls state ' + place])
    check('warning' in proxy.proc.text, 'said nothing: %s', proxy.proc.text)
    first = peer(proxy)
    proxy.proc.signal(signal.SIGHUP)
    proxy.wait_log('reload')
    equal(peer(proxy), first, 'after a reload')


@test()
def turned_on_by_a_restart_only(t):
    proxy = t.postern(t.server())
    check('STARTTLS' not in greeting(proxy), 'offered')
    proxy.write_config(proxy.config.replace('tls off', cert_line(t, 'p256')))
    proxy.proc.signal(signal.SIGHUP)
    check('restart' in proxy.wait_log('reload_failed')[0]['msg'], 'why')
    check('STARTTLS' not in greeting(proxy), 'offered')
