"""A message arrives as it was sent, whatever client and internal server stand at the ends."""
import os
import re
import smtplib
import time

from support import client, mail, postfix
from support.harness import Skip, check, equal, table, test
from support.proc import wait_until

TEXT = mail.message('delivery', 900) + (
    b'.\r\n..\r\n.leading dot\r\n \ttrailing blanks  \t\r\nlatin \xe9 utf-8 \xc3\xa9\r\n\r\nend\r\n')


def by_curl(t, port, path):
    status, text = t.run_tool(
        'curl', '-sS', '--url', 'smtp://127.0.0.1:%d' % port, '--mail-from', 'sender@example.com',
        '--mail-rcpt', 'user@example.org', '-T', path)
    equal(status, 0, 'curl: ' + text)


def by_swaks(t, port, path):
    # it ends the last line itself
    other = path + '.open'
    with open(other, 'wb') as out:
        out.write(TEXT.removesuffix(b'\r\n'))
    status, text = t.run_tool(
        'swaks', '--server', '127.0.0.1', '--port', str(port), '--from', 'sender@example.com',
        '--to', 'user@example.org', '--data', '@' + other, '--helo', 'client.example')
    equal(status, 0, 'swaks: ' + text)


def by_smtplib(t, port, path):
    with smtplib.SMTP('127.0.0.1', port, timeout=20) as session:
        session.sendmail('sender@example.com', ['user@example.org'], TEXT)


def by_smtp_source(t, port, path):
    # it turns each LF into CRLF and adds an empty line
    other = path + '.lf'
    with open(other, 'wb') as out:
        out.write(TEXT.replace(b'\r\n', b'\n'))
    status, text = t.run_tool('smtp-source', '-F', other, '-f', 'sender@example.com', '-t',
                              'user@example.org', '127.0.0.1:%d' % port)
    equal(status, 0, 'smtp-source: ' + text)
    return TEXT + b'\r\n'


class ToSink:
    """`postern sink`: the file is the message, byte for byte."""

    def __init__(self, t):
        self.process, self.address, self.directory = t.sink()

    def check(self, sent):
        got = wait_until(lambda: list(mail.maildir(self.directory).values()), 5)
        equal(len(got), 1, 'messages in the sink')
        problem = mail.difference(sent, got[0])
        check(problem is None, problem)


class AsLines:
    """Servers that store lines with LF and put headers of their own on top."""
    allowed = re.compile(rb'(?:(?:X-[\w-]+|Return-Path|Delivered-To|Received): [^\n]*\n'
                         rb'(?:[ \t][^\n]*\n)*)*')

    def compare(self, sent, got):
        sent = sent.replace(b'\r\n', b'\n').rstrip(b'\n')
        got = got.replace(b'\r\n', b'\n').rstrip(b'\n')
        check(got.endswith(sent), 'differs: sent %r, got %r', sent[-300:], got[-400:])
        front = got[:-len(sent)]
        check(self.allowed.fullmatch(front), 'strange lines in front: %r', front)
        check(b'by mx.example.org' in front, 'no Received of ours: %r', front)


class ToSmtpSink(AsLines):
    def __init__(self, t):
        self.dump = t.smtp_sink()
        self.address = self.dump.address

    def check(self, sent):
        got = wait_until(lambda: self.dump.messages(complete=b'\nend\n'), 5)
        equal(len(got), 1, 'messages in smtp-sink')
        self.compare(sent, got[0])


class ToPostfix(AsLines):
    def __init__(self, t):
        self.postfix = postfix.Postfix(t)
        self.address = self.postfix.address

    def check(self, sent):
        got = wait_until(self.postfix.messages, 10)
        equal(len(got), 1, 'messages in Postfix: ' + self.postfix.log[-500:])
        self.compare(sent, got[0])


CLIENTS = {'curl': by_curl, 'swaks': by_swaks, 'smtplib': by_smtplib,
           'smtp-source': by_smtp_source}
SERVERS = {'sink': ToSink, 'smtp-sink': ToSmtpSink, 'postfix': ToPostfix}


@table([('%s-to-%s' % (c, s), c, s) for c in CLIENTS for s in SERVERS])
def through(t, name, sender, receiver):
    server = SERVERS[receiver](t)
    proxy = t.postern(server.address)
    path = os.path.join(t.scratch, 'message')
    with open(path, 'wb') as out:
        out.write(TEXT)
    sent = CLIENTS[sender](t, proxy.address[1], path)
    server.check(sent or TEXT)
    record = proxy.wait_log()[0]
    equal(record.get('outcome'), 'delivered', 'outcome in the log')


def _shape(identity, text):
    return ('From: a@example.com\r\nMessage-ID: <%s@x>\r\n\r\n' % identity).encode() + text


SHAPES = [
    ('empty-body', _shape('e', b'')),
    ('nothing-at-all', b''),
    ('no-header', b'\r\njust a body\r\n'),
    ('not-a-field-first', b'this is no header field\r\nSubject: x\r\n\r\nbody\r\n'),
    ('header-only', b'Subject: no empty line\r\n'),
    ('long-lines', _shape('l', b'y' * 20000 + b'\r\n' + b'. ' * 3000 + b'\r\n')),
    ('eight-bit', _shape('8', bytes(range(128, 256)) + b'\r\n')),
    ('all-dots', _shape('d', b'.\r\n' * 300 + b'...\r\n')),
    ('empty-lines', _shape('c', b'\r\n' * 500)),
    ('control-bytes', _shape('k', bytes(b for b in range(1, 32) if b not in (10, 13)) + b'\r\n')),
    ('folded-header', b'Subject: a\r\n\tb\r\n  c\r\nX-Y:z\r\n\r\nbody\r\n'),
    ('at-the-hold-limit', mail.message('hold', 256 * 1024)),
    ('just-over-the-hold-limit', mail.message('stream', 257 * 1024)),
    ('three-megabytes', mail.message('large', 3 << 20)),
    ('huge-header', b'Subject: x\r\n' + b'X-Filler: %s\r\n' % (b'f' * 900) * 400 + b'\r\nbody\r\n'),
]


@table(SHAPES)
def shape(t, name, text):
    """By a raw client into `postern sink`: equal to the last byte."""
    server = ToSink(t)
    proxy = t.postern(server.address)
    stage, reply = client.deliver(proxy.address, 'sender@example.com', 'user@example.org', text)
    equal(reply.code, 250, 'reply at ' + stage)
    got = wait_until(lambda: list(mail.maildir(server.directory).values()), 5)
    equal(len(got), 1, 'messages in the sink')
    first_line = text.split(b'\r\n', 1)[0]
    if not re.match(rb'[!-9;-~]+[ \t]*:', first_line) and first_line != b'':
        # what follows our headers is no field, so an empty line keeps it out of them
        text = b'\r\n' + text
    problem = mail.difference(text, got[0])
    check(problem is None or (text == b'' and got[0].endswith(b'\r\n')), problem)


@table([('whole', None), ('one-by-one', 1), ('by-seven', 7), ('by-1460', 1460)])
def cut(t, name, size):
    """How the bytes are cut on the way in changes nothing."""
    server = t.server()
    proxy = t.postern(server)
    text = mail.message('cut', 6000) + b'.\r\n.x\r\n'
    talk = b'EHLO c.example\r\nMAIL FROM:<a@example.com>\r\nRCPT TO:<u@example.org>\r\nDATA\r\n'
    wire = client.stuff(text) + b'QUIT\r\n'
    with client.Client(proxy.address) as session:
        equal(session.reply().code, 220, 'greeting')

        def send(data):
            for at in range(0, len(data), size or len(data)):
                session.send(data[at:at + (size or len(data))])
        send(talk)
        codes = [session.reply().code for _ in range(4)]
        equal(codes, [250, 250, 250, 354], 'replies')
        send(wire)
        equal([session.reply().code for _ in range(2)], [250, 221], 'last replies')
        check(session.is_ended(), 'not closed after QUIT')
    equal(len(server.taken), 1, 'messages inside')
    problem = mail.difference(text, server.taken[0].body)
    check(problem is None, problem)


@test()
def many_recipients(t):
    server = t.server()
    proxy = t.postern(server)
    names = ['u%d@example.org' % i for i in range(250)]
    stage, reply = client.deliver(proxy.address, 'a@example.com', names, TEXT)
    equal(reply.code, 250, stage)
    equal(server.taken[0].recipients, [b'TO:<%s>' % n.encode() for n in names], 'recipients')


@test()
def received_field(t):
    """Ours stands next to the message, names the client, and `for` only a single recipient."""
    server = t.server()
    proxy = t.postern(server)
    for rcpt in (['one@example.org'], ['one@example.org', 'two@example.org']):
        stage, reply = client.deliver(proxy.address, 'a@example.com', rcpt, TEXT)
        equal(reply.code, 250, stage)
        body = server.taken[-1].body
        check(body.endswith(TEXT), 'message not at the end: %r', body[:300])
        front = body[:-len(TEXT)]
        names = [name for name, _ in mail.fields(front)]
        check(names and names[-1] == b'received:', 'fields in front: %r', names)
        received = re.sub(rb'\s+', b' ', front)
        for part in (b'from client.example', b'[%s]' % t.seen().encode(), b'by mx.example.org', b'with ESMTP',
                     b' id '):
            check(part in received, '%r not in %r', part, received)
        equal(b'for <one@example.org>' in received, len(rcpt) == 1, 'for with %d' % len(rcpt))
        check(b'two@example.org' not in received, 'recipient named: %r', received)
        check(re.search(rb'; (?:\w{3}, )?\d{1,2} \w{3} \d{4} \d\d:\d\d:\d\d [+-]\d{4}', received),
              'no date in %r', received)


@test()
def helo_says_smtp(t):
    server = t.server()
    proxy = t.postern(server)
    with client.Client(proxy.address) as session:
        session.reply()
        equal(session.command('HELO old.example').code, 250, 'HELO')
        check(session.envelope('a@example.com', 'u@example.org') is None, 'envelope')
        equal(session.data(TEXT).code, 250, 'data')
    front = re.sub(rb'\s+', b' ', server.taken[0].body[:-len(TEXT)])
    check(b'with SMTP ' in front, 'no "with SMTP" in %r', front)


@test()
def foreign_spam_fields_removed(t):
    """Nobody outside writes what only we may say."""
    server = t.server()
    proxy = t.postern(server)
    text = (b'X-Spam-Flag: NO\r\nX-Spam-Status: No,\r\n score=-100\r\nSubject: kept\r\n'
            b'Authentication-Results: mx.example.org;\r\n spf=pass\r\n'
            b'Authentication-Results: other.example; spf=pass\r\nx-spam-level: *\r\n\r\nbody\r\n'
            b'X-Spam-Flag: in the body\r\n')
    stage, reply = client.deliver(proxy.address, 'a@example.com', 'u@example.org', text)
    equal(reply.code, 250, stage)
    body = mail.without_ours(server.taken[0].body)
    equal(body, b'Subject: kept\r\nAuthentication-Results: other.example; spf=pass\r\n\r\nbody\r\n'
                b'X-Spam-Flag: in the body\r\n', 'what is left')


@table([('auto', 'pass auto', True), ('xforward', 'pass xforward', True),
        ('none', 'pass none', False)])
def xforward(t, name, option, wanted):
    """The internal server learns the client, each time anew on a pooled connection."""
    server = t.server()
    proxy = t.postern(server, relay_options=option)
    for helo in ('first.example', 'second.example'):
        with client.Client(proxy.address) as session:
            equal(session.greet(helo).code, 250, 'EHLO')
            check(session.envelope('a@example.com', 'u@example.org') is None, 'envelope')
            equal(session.data(TEXT).code, 250, 'data')
            session.quit()
    told = [m.xforward for m in server.taken]
    equal(len(told), 2, 'messages')
    if not wanted:
        equal(told, [{}, {}], 'XFORWARD')
        return
    equal([x.get('HELO') for x in told], ['first.example', 'second.example'], 'XFORWARD HELO')
    equal({x.get('ADDR') for x in told}, {t.seen()}, 'XFORWARD ADDR')


@test()
def without_xforward(t):
    """A server that does not offer it is not told, and the mail goes through."""
    server = t.server(capabilities=('PIPELINING',))
    proxy = t.postern(server)
    stage, reply = client.deliver(proxy.address, 'a@example.com', 'u@example.org', TEXT)
    equal(reply.code, 250, stage)
    equal(server.count('XFORWARD'), 0, 'XFORWARD commands')


@test()
def bare_server(t):
    """No extension at all, not even EHLO."""
    server = t.server(capabilities=())
    server.fault('ehlo', b'502 5.5.1 what\r\n', when=lambda c: c.commands[-1][0] == 'EHLO')
    proxy = t.postern(server)
    stage, reply = client.deliver(proxy.address, 'a@example.com', 'u@example.org', TEXT)
    equal((stage, reply.code), ('eod', 250), 'delivery')


@test()
def over_ipv6(t):
    try:
        server = t.server(host='::1')
    except OSError:
        raise Skip('no IPv6 on the loopback') from None
    proxy = t.postern(server, host='::1')
    stage, reply = client.deliver(proxy.address, 'a@example.com', 'u@example.org', TEXT)
    equal(reply.code, 250, stage)
    front = server.taken[0].body[:-len(TEXT)]
    check(b'[IPv6:::1]' in front, 'no IPv6 literal in %r', front)


@test()
def the_first_client_is_offered_what_goes_inside(t):
    """However soon it comes: the internal servers are asked before the listeners open."""
    server = t.server()
    server.fault('banner', lambda connection: time.sleep(0.3) or
                 connection.sock.sendall(b'220 late.example ESMTP\r\n'), times=1)
    proxy = t.postern(server)
    with client.Client(proxy.address) as session:
        check('8BITMIME' in session.greet().lines, 'not offered')


@test()
def a_silent_server_does_not_keep_us_closed(t):
    server = t.server()
    server.fault('banner', 'hang')
    begun = time.monotonic()
    t.postern(server)
    check(time.monotonic() - begun < 5, 'too late')
