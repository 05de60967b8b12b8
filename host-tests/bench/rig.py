"""The programs of a measurement: load, the proxies, the internal server behind them."""
import base64
import concurrent.futures
import os
import random
import re
import resource
import signal
import socket
import ssl
import subprocess
import sys
import tarfile
import tempfile
import threading
import time

import gauge

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..'))
from support import postfix  # noqa: E402
from support.client import Client  # noqa: E402
from support.dnsd import Dnsd  # noqa: E402
from support.harness import Skip  # noqa: E402
from support.link import Link  # noqa: E402
from support.peers import Peers  # noqa: E402
from support.proc import Port, Proc, wait_listening, wait_until  # noqa: E402

SENDER = 'alice@sender.example'
DOMAIN = 'rcpt.example'
RCPT = 'bob@' + DOMAIN
CHECKS_ZONE = '''
2.0.0.127.a.test A 127.0.0.2
2.0.0.127.b.test A 127.0.0.2
2.0.0.127.c.test A 127.0.0.2
1.0.0.127.in-addr.arpa PTR mail.sender.example
mail.sender.example A 127.0.0.1
mail.sender.example TXT v=spf1 a -all
sender.example TXT v=spf1 ip4:127.0.0.1 -all
'''
FIVE_RULES = r'''
header B_SUBJECT  Subject =~ /\b(?:viagra|lottery|casino)\b/i
header B_MAILER   User-Agent =~ /^Mass ?Mailer/
header B_FROM     From:addr =~ /\d{6}@/
header B_ID       MESSAGEID !~ /^<[^\s<>@]+@[^\s<>@]+>\s*$/
header B_HOP      Received =~ /\[(?:\d+\.){3}(?:25[6-9]|[3-9]\d\d)\]/
'''
SECONDS_MAX = 120     # for any one run of smtp-source
STOP_SECONDS_MAX = 20


class Broken(Exception):
    """A run that did not do what it was to measure."""


def header():
    """What a message has gathered on its way by the time it reaches a border."""
    fields = [
        'Received: from app7.sender.example (app7.sender.example [192.0.2.7])',
        '\tby mail.sender.example (Example Mail 9) with ESMTPS id 91B2F0C2D7',
        '\tfor <%s>; Sat, 21 Nov 2026 08:00:03 +0000' % RCPT,
        'Received: by app7.sender.example (Example Mail 9, from userid 1000)',
        '\tid 0A77E1C4; Sat, 21 Nov 2026 08:00:02 +0000',
        'DKIM-Signature: v=1; a=rsa-sha256; c=relaxed/relaxed; d=sender.example; s=k1;',
        '\th=from:to:subject:date:message-id:mime-version;',
        '\tbh=' + 43 * 'b' + '=;',
        '\tb=' + 70 * 'x', '\t ' + 70 * 'y', '\t ' + 30 * 'z',
        'Date: Sat, 21 Nov 2026 08:00:02 +0000',
        'From: Alice Example <%s>' % SENDER,
        'To: Bob Example <%s>' % RCPT,
        'Subject: Offer 4711 and the drawings you asked for',
        'Message-ID: <0A77E1C4.4711@app7.sender.example>',
        'References: <one@rcpt.example> <two@sender.example>',
        'In-Reply-To: <two@sender.example>',
        'User-Agent: Example Reader 12.1',
        'MIME-Version: 1.0',
    ]
    return '\n'.join(fields) + '\n'


def text_message(size):
    """A letter of plain text, `size` octets or up to a line less."""
    head = header() + 'Content-Type: text/plain; charset=utf-8\n\n'
    line = 'The drawings show the gate from the inside, with the bolt and both its hinges.\n'
    return head + line * ((size - len(head)) // len(line))


def attachment_message(size):
    """A short letter with one base64 part that fills it up to `size` octets."""
    head = (header() + 'Content-Type: multipart/mixed; boundary="next-part"\n\n'
            '--next-part\nContent-Type: text/plain\n\nThe drawings are enclosed.\n\n'
            '--next-part\nContent-Type: application/octet-stream; name="gate.bin"\n'
            'Content-Transfer-Encoding: base64\n\n')
    noise, line = random.Random(4711), 77
    count = (size - len(head) - 20) // line
    return head + ''.join(base64.b64encode(noise.randbytes(57)).decode() + '\n'
                          for _ in range(count)) + '--next-part--\n'


class Rig:
    """Where the programs and their scratch files are; ends everything that it has started."""

    def __init__(self, postern, directory):
        self.postern = os.path.abspath(postern)
        self.directory = directory
        self.peers = Peers()
        self.started = []
        self.held = []
        os.makedirs(directory, exist_ok=True)
        self.messages = {}
        for name, text in (('4k', text_message(4096)), ('100k', attachment_message(102400))):
            self.messages[name] = self.file('message.' + name)
            with open(self.messages[name], 'w') as out:
                out.write(text)

    def file(self, name):
        return os.path.join(self.directory, name)

    def port(self):
        port = Port()
        self.held.append(port)
        return port.number

    def start(self, argv, **more):
        process = Proc(argv, **more)
        self.started.append(process)
        return process

    def close(self):
        for process in reversed(self.started):
            process.stop()
        for port in reversed(self.held):
            port.close()
        self.started, self.held = [], []


class Sink:
    """smtp-sink, counting. With `mailbox` it also keeps what it gets, all in one file."""

    def __init__(self, rig, mailbox=None):
        self.port = rig.port()
        self.path = rig.file('sink.%d.out' % self.port)
        program, environment = rig.peers.tool('smtp-sink')
        who = ['-u', 'nobody'] if os.geteuid() == 0 else []
        keep = ['-D', mailbox] if mailbox else []
        if mailbox:
            os.chmod(os.path.dirname(mailbox), 0o777)   # it writes as nobody
        # its count ends in CR, never in a line: into a file, and read from the end of that
        command = ['sh', '-c', 'exec "$@" >"$0"', self.path, *program, *who, *keep, '-c', '-m',
                   '4096', '-h', 'sink.example', '127.0.0.1:%d' % self.port, '1024']
        self.process = rig.start(command, name='smtp-sink', env=environment)
        if not wait_listening('127.0.0.1', self.port):
            raise Broken('smtp-sink does not listen: ' + self.process.text)

    @property
    def pid(self):
        return self.process.pid

    def count(self):
        with open(self.path, 'rb') as stream:
            stream.seek(max(0, os.path.getsize(self.path) - 300))
            found = re.findall(rb'mesg=(\d+)\r', stream.read())
        return int(found[-1]) if found else 0

    def wait_for(self, count, seconds):
        wait_until(lambda: self.count() >= count, seconds, 0.01)
        return self.count()


class Target:
    """One way from smtp-source to smtp-sink. `pid` is None where nothing stands in it."""

    def __init__(self, name, port, process=None, traced=False):
        self.name = name
        self.port = port
        self.process = process
        self.pid = None
        if process:
            self.pid = gauge.child_of(process.pid) if traced else process.pid

    def stop(self):
        """Politely, so that a tracer writes down what it has counted."""
        if self.process.running():
            os.kill(self.pid, signal.SIGTERM)
        status = self.process.wait(STOP_SECONDS_MAX)
        if status is None:
            self.process.kill()
            raise Broken('%s does not end: %s' % (self.name, self.process.text[-300:]))
        return status


def direct(sink):
    return Target('direct', sink.port)


def haproxy(rig, sink, threads, prefix=(), traced=False):
    """TCP mode: it copies bytes and knows no SMTP. It logs nothing."""
    port = rig.port()
    path = rig.file('haproxy.%d.cfg' % port)
    with open(path, 'w') as out:
        out.write('global\n nbthread %d\n maxconn 4000\n'
                  'defaults\n mode tcp\n timeout connect 10s\n timeout client 300s\n'
                  ' timeout server 300s\n'
                  'listen mail\n bind 127.0.0.1:%d backlog 1024\n server inside 127.0.0.1:%d\n'
                  % (threads, port, sink.port))
    program, environment = rig.peers.tool('haproxy')
    process = rig.start([*prefix, *program, '-db', '-f', path], name='haproxy', env=environment)
    if not wait_listening('127.0.0.1', port, 30):
        raise Broken('haproxy does not listen: ' + process.text[-500:])
    return Target('haproxy-%d' % threads, port, process, traced)


def postern(rig, sink, prefix=(), traced=False, lines=(), driver=None):
    """`driver`: by its own TCP/IP, on a link of that kind."""
    held = Port()
    rig.held.append(held)
    port = held.number
    listen = ['listen 127.0.0.1:%d' % port]
    if driver:
        link = Link(driver, held)
        rig.held.append(link)
        listen = link.lines
    path = rig.file('postern.%d' % port)
    with open(path + '.conf', 'w') as out:
        out.write('\n'.join(['hostname mx.rcpt.example', *listen,
                             'relay %s to 127.0.0.1:%d' % (DOMAIN, sink.port),
                             'tls state "%s"' % rig.directory, 'log file "%s.log"' % path,
                             # valgrind makes system calls that the proxy does not
                             *(['confine off'] if any('valgrind' in word for word in prefix) else []),
                             *lines]) + '\n')
    process = rig.start([*prefix, rig.postern, 'run', '-c', path + '.conf'], name='postern')
    if not process.wait_line(r'\bready\b', 60):
        raise Broken('postern is not ready: ' + process.text[-500:])
    target = Target('postern-' + driver if driver else 'postern', port, process, traced)
    target.log_path = path + '.log'
    return target


def source(rig, port, count, concurrent, message=None, numbered=False, bytes_each=4096):
    """Send `count` messages, a new connection for each. Returns (seconds, ns of smtp-source's CPU).
    `numbered`: the n-th goes to a recipient n; these messages are made of `bytes_each` octets."""
    program, environment = rig.peers.tool('smtp-source')
    what = ['-N', '-l', str(bytes_each)] if numbered else ['-F', rig.messages[message]]
    argv = [*program, '-s', str(concurrent), '-m', str(count), *what, '-f', SENDER, '-t', RCPT,
            '-M', 'mail.sender.example', '127.0.0.1:%d' % port]
    before, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    try:
        done = subprocess.run(argv, env=environment, capture_output=True, timeout=SECONDS_MAX,
                              stdin=subprocess.DEVNULL)
    except subprocess.TimeoutExpired:
        raise Broken('smtp-source: no end within %d s' % SECONDS_MAX) from None
    seconds, after = time.monotonic() - started, resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode:
        raise Broken('smtp-source: ' + done.stderr.decode('utf-8', 'replace').strip()[-300:])
    spent = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return seconds, int(spent * 1e9)


def send(rig, target, sink, count, concurrent, message):
    """As source(), and every message must be inside, once."""
    before = sink.count()
    result = source(rig, target.port, count, concurrent, message)
    got = sink.wait_for(before + count, 5) - before
    if got != count:
        raise Broken('%s: %d messages sent, %d inside' % (target.name, count, got))
    return result


def strangers(port, count):
    """So many clients one after the other, each with an address, a name and a sender of its own."""
    message = (header() + '\nHello.\n').replace('\n', '\r\n').encode()
    for number in range(1, count + 1):
        session = Client(('127.0.0.1', port), source='127.9.%d.%d' % (number // 250, number % 250 + 1))
        try:
            session.reply()
            session.command('EHLO h%d.sender.example' % number)
            session.command('MAIL FROM:<a@d%d.sender.example>' % number)
            session.command('RCPT TO:<%s>' % RCPT)
            if session.data(message).code != 250:
                raise Broken('a stranger was not taken')
            session.quit()
        finally:
            session.close()


def unpack(archive, folder):
    """The files of an archive, without its folders."""
    os.makedirs(folder, exist_ok=True)
    with tarfile.open(archive) as tar:
        for member in tar.getmembers():
            if member.isfile():
                with open(os.path.join(folder, os.path.basename(member.name)), 'wb') as out:
                    out.write(tar.extractfile(member).read())


def hits_cpu_us(rig, rules, message, count):
    """CPU time of one life of `postern rules hits` over so many copies of a message."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run([rig.postern, 'rules', 'hits', '--rules', rules, '-'], input=(message + '\n').encode() * count,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False, timeout=300)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode or done.stdout.count(b'\n') < count:
        raise Broken('postern rules hits: ' + done.stderr.decode(errors='replace')[-500:])
    return (after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime) * 1e6


def lint_memory(rig, rules):
    """What `postern rules lint` says of the memory of a set, in KiB."""
    done = subprocess.run([rig.postern, 'rules', 'lint', rules], stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          text=True, errors='replace', check=False, timeout=60)
    said = re.search(r'^memory: (\d+) KiB and (\d+) KiB of machine code; (\d+) KiB', done.stdout, re.M)
    if not said:
        raise Broken('postern rules lint: ' + done.stdout[-500:])
    return dict(zip(('set_kib', 'jit_kib', 'run_kib'), map(int, said.groups())))


def numbered_recipient(number):
    """What smtp-source -N makes of its recipient."""
    return '%d%s' % (number, RCPT)


def recipients(mailbox):
    """Of every complete message that smtp-sink has written down."""
    with open(mailbox, errors='replace') as stream:
        return [match.group(1) for match in map(RCPT_LINE.match, stream) if match]


RCPT_LINE = re.compile(r'X-Rcpt-Args: <([^>]*)>')


def count_lines(path, part):
    if not os.path.exists(path):
        return 0
    with open(path, 'rb') as stream:
        return sum(part in line for line in stream)


class Place:
    """What support/postfix.py wants of a test."""

    def __init__(self, rig):
        self.rig = rig

    def tool(self, name):
        return self.rig.peers.tool(name)

    def port(self):
        port = Port()
        self.rig.held.append(port)
        return port

    def directory(self, name):
        return tempfile.mkdtemp(prefix=name + '.', dir=self.rig.directory)

    def process(self, argv, **more):
        return self.rig.start(argv, **more)


def certificate(rig, kind):
    """(certificate, key), of this kind of key, signed by itself."""
    pair = [rig.file('%s.%s' % (kind, part)) for part in ('cert', 'key')]
    key = ['rsa:2048'] if kind == 'rsa' else ['ec', '-pkeyopt', 'ec_paramgen_curve:P-256']
    done = subprocess.run(['openssl', 'req', '-x509', '-newkey', *key, '-nodes', '-days', '30', '-subj', '/CN=mx.rcpt.example',
                           '-out', pair[0], '-keyout', pair[1]], capture_output=True, check=False)
    if done.returncode:
        raise Broken('openssl: ' + done.stderr.decode('utf-8', 'replace')[-300:])
    return pair


def postfix_tls(rig, pair):
    """A real smtpd with TLS. Its `pid` is master's: the CPU of the whole family is its own."""
    for path in (rig.directory, os.path.dirname(rig.directory)):
        os.chmod(path, 0o755)
    try:
        server = postfix.Postfix(Place(rig), settings=['smtpd_tls_security_level = may', 'smtpd_tls_cert_file = ' + pair[0],
                                                       'smtpd_tls_key_file = ' + pair[1]])
    except Skip as reason:
        raise gauge.Unavailable(str(reason)) from None
    return Target('postfix', server.port.number, server.proc)


def nginx(rig, pair):
    """HTTP, with TLS from the first byte: what a session costs there is TLS and little else."""
    port, plain, directory = rig.port(), rig.port(), tempfile.mkdtemp(prefix='nginx.', dir=rig.directory)
    with open(directory + '/conf', 'w') as out:
        out.write('daemon off; worker_processes 1; error_log %(d)s/error; pid %(d)s/pid; %(user)s events {}\n'
                  'http { access_log off; client_body_temp_path %(d)s; proxy_temp_path %(d)s; fastcgi_temp_path %(d)s;'
                  ' uwsgi_temp_path %(d)s; scgi_temp_path %(d)s;\n'
                  'server { listen 127.0.0.1:%(port)d ssl; listen 127.0.0.1:%(plain)d; ssl_certificate %(cert)s; ssl_certificate_key %(key)s;'
                  ' ssl_protocols TLSv1.2 TLSv1.3; ssl_session_tickets off; return 200; } }\n' % {
                      'd': directory, 'port': port, 'plain': plain, 'cert': pair[0], 'key': pair[1],
                      'user': 'user root;' if os.geteuid() == 0 else ''})
    program, environment = rig.peers.tool('nginx')
    process = rig.start([*program, '-p', directory, '-c', directory + '/conf', '-e', directory + '/error'], name='nginx', env=environment)
    if not wait_listening('127.0.0.1', port, 20):
        raise Broken('nginx does not listen: ' + process.text[-500:])
    target = Target('nginx', port, process)
    target.plain_port = plain
    return target


def tls_context():
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context


def secured(port, context=None):
    """A client that has said EHLO, by STARTTLS and then again if there is a context."""
    session = Client(('127.0.0.1', port))
    for step in ('', 'STARTTLS') if context else ('',):
        if step:
            if session.command(step).code != 220:
                raise Broken('no TLS')
            session.sock.settimeout(20)
            session.sock = context.wrap_socket(session.sock)
        else:
            session.reply()
        session.command('EHLO client.example')
    return session


def sessions(target, count, context):
    """So many new sessions, one after the other: EHLO, STARTTLS and EHLO (with a context), QUIT; with nginx a request."""
    for _ in range(count):
        if target.name != 'nginx':
            secured(target.port, context).quit()
            continue
        sock = socket.create_connection(('127.0.0.1', target.port if context else target.plain_port), 20)
        with context.wrap_socket(sock) if context else sock as stream:
            stream.sendall(b'GET / HTTP/1.0\r\n\r\n')
            while stream.recv(4096):
                pass


def crowd(port, count, context):
    """So many sessions at once, each begun at the same moment."""
    barrier = threading.Barrier(count)

    def one(_):
        session = Client(('127.0.0.1', port), 60)
        session.reply()
        session.command('EHLO client.example')
        barrier.wait(60)
        if context and session.command('STARTTLS').code == 220:
            session.sock.settimeout(60)
            session.sock = context.wrap_socket(session.sock)
        code = session.command('EHLO client.example').code
        session.quit()
        return code
    with concurrent.futures.ThreadPoolExecutor(count) as pool:
        if set(pool.map(one, range(count))) != {250}:
            raise Broken('not all of a crowd were served')


def longest_turn_ms(target):
    with open(target.log_path) as log:
        return int(re.findall(r'turn_ms_longest=(\d+)', log.read())[-1])


class IdleClients:
    """So many clients that have said EHLO and nothing since."""

    def __init__(self, port, count, context=None):
        self.port = port
        self.count = count
        self.context = context
        self.sockets = []

    def __enter__(self):
        try:
            for _ in range(self.count):
                self.sockets.append(secured(self.port, self.context) if self.context else self.greet())
        except OSError as reason:
            self.__exit__()
            raise Broken('idle client %d: %s' % (len(self.sockets) + 1, reason)) from None
        return self

    def greet(self):
        client = socket.create_connection(('127.0.0.1', self.port), 10)
        for command, code in ((b'', b'220'), (b'EHLO idle.example\r\n', b'250')):
            client.sendall(command)
            reply = b''
            while not re.search(rb'(?m)^%s .*\r\n$' % code, reply):
                more = client.recv(4096)
                if not more:
                    raise OSError('was told %r' % reply[:60])
                reply += more
        return client

    def __exit__(self, *_):
        for client in self.sockets:
            client.close()
