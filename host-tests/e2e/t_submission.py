"""Submission: users of the internal server log in there through us, and nobody else gets anything."""
import base64
import re
import signal
import smtplib
import time

from t_starttls import CAPABILITIES, TEXT, careless, cert_line, internal, secure
from support import client, mail
from support.harness import check, equal, table, test
from support.proc import wait_until
from support.server import CLOSE, HANG

SECRET = 'correct horse battery staple'
PLAIN = base64.b64encode(('\0alice\0' + SECRET).encode())
OPEN = CAPABILITIES + ('AUTH PLAIN LOGIN', 'STARTTLS')


def b64(text):
    return base64.b64encode(text.encode())


def users(t, **options):
    server = internal(t, **options)
    server.capabilities = list(OPEN)
    server.users = {'alice': SECRET, 'long': 'x' * 6000}
    return server


def proxy_for(t, server, *lines):
    port = t.port()
    proxy = t.postern(t.server(), lines=['listen %s submission' % port, 'submission to %s' % server.address,
                                         cert_line(t, 'p256'), *lines])
    proxy.submission = (port.host, port.number)
    return proxy


def place(proxy):
    """Where users log in."""
    return proxy.submission


def begin(proxy, **options):
    session = client.Client(place(proxy), **options)
    session.greet()
    secure(session, careless())
    equal(session.command('EHLO laptop').code, 250, 'EHLO')
    return session


def logged_in(proxy, **options):
    session = begin(proxy, **options)
    equal(session.command('AUTH PLAIN ' + PLAIN.decode()).code, 235, 'AUTH')
    return session


def send(session, rcpt='anybody@far.example', text=TEXT):
    refusal = session.envelope('alice@example.org', rcpt)
    return refusal or session.data(text)


@table([('plain', lambda s: [s.command('AUTH PLAIN ' + PLAIN.decode())]),
        ('plain-in-two', lambda s: [s.command('AUTH PLAIN'), s.command(PLAIN.decode())]),
        ('login', lambda s: [s.command('AUTH LOGIN'), s.command(b64('alice').decode()), s.command(b64(SECRET).decode())]),
        ('login-initial', lambda s: [s.command('AUTH LOGIN ' + b64('alice').decode()), s.command(b64(SECRET).decode())]),
        ('long', lambda s: [s.command('AUTH PLAIN ' + b64('\0long\0' + 'x' * 6000).decode())])])
def delivers(t, name, say):
    """To any domain, by the server that has taken the login; our headers say how."""
    server = users(t)
    proxy = proxy_for(t, server)
    session = begin(proxy)
    codes = [reply.code for reply in say(session)]
    equal(codes, [334] * (len(codes) - 1) + [235], 'AUTH')
    for _ in range(3):
        equal(send(session, ['anybody@far.example', 'strange%20@other.example']).code, 250, 'delivery')
    session.quit()
    equal(len(server.taken), 3, 'messages inside')
    equal({m.connection for m in server.taken if m.connection.user}, {server.taken[0].connection}, 'one connection, logged in')
    equal(mail.difference(TEXT, server.taken[0].body), None, 'message')
    fields = dict(mail.fields(server.taken[0].body))
    check(b'with ESMTPSA' in fields[b'received:'], 'keyword: %s', fields[b'received:'])
    check(not any(name.startswith(b'x-spam') for name in fields), 'spam headers')
    equal(proxy.wait_log(count=3)[0].get('auth'), 'yes', 'auth= in the log')
    check(wait_until(lambda: not server.taken[0].connection.open, 5), 'the connection outlives its session')
    for secret in SECRET, PLAIN.decode(), b64(SECRET).decode(), 'x' * 100, 'eHh4eHh4':
        check(secret not in proxy.proc.text, 'a secret is in the log')


@table([('mail-before-auth', ['MAIL FROM:<a@example.org>'], (530, '5.7.0')),
        ('unknown-mechanism', ['AUTH CRAM-MD5'], (504, '5.5.4')),
        ('wrong', ['AUTH PLAIN ' + b64('\0alice\0wrong').decode()], (535, '5.7.8')),
        ('given-up', ['AUTH LOGIN', '*'], (535, '5.7.8')),
        ('rubbish', ['AUTH PLAIN ====='], (535, '5.7.8')),
        ('too-long', ['AUTH PLAIN ' + 'A' * 13000], (500, '5.5.2')),
        ('twice', ['AUTH PLAIN ' + PLAIN.decode()] * 2, (503, '5.5.1')),
        ('inside-a-transaction', ['AUTH PLAIN ' + PLAIN.decode(), 'MAIL FROM:<a@example.org>', 'AUTH PLAIN x'], (503, '5.5.1'))])
def refused(t, name, lines, expected):
    server = users(t)
    proxy = proxy_for(t, server)
    session = begin(proxy)
    for line in lines:
        reply = session.command(line)
    equal((reply.code, reply.enhanced), expected, str(reply))
    check('internal words' not in str(reply), 'words of the inside: %s', reply)
    equal(len(server.taken), 0, 'messages inside')


@test()
def before_tls(t):
    """Neither offered nor taken, and nothing of it goes inside."""
    server = users(t)
    proxy = proxy_for(t, server)
    session = client.Client(place(proxy))
    reply = session.greet()
    check('STARTTLS' in reply.lines and not any('AUTH' in line for line in reply.lines), 'offers: %s', reply)
    reply = session.command('AUTH PLAIN ' + PLAIN.decode())
    equal((reply.code, reply.enhanced), (538, '5.7.11'), 'AUTH')
    reply = session.command('MAIL FROM:<a@example.org>')
    equal((reply.code, reply.enhanced), (530, '5.7.0'), 'MAIL')
    secure(session, careless())
    check('AUTH PLAIN LOGIN' in session.command('EHLO x').lines, 'not offered inside TLS')
    check(not any(verb == 'AUTH' for c in server.connections for verb, _ in c.commands), 'it went inside')


@test()
def not_on_other_listeners(t):
    server = users(t)
    proxy = proxy_for(t, server)
    session = client.Client(proxy.address)
    session.greet()
    secure(session, careless())
    check(not any('AUTH' in line for line in session.command('EHLO x').lines), 'offered')
    equal(session.command('AUTH PLAIN ' + PLAIN.decode()).code, 502, 'AUTH')
    equal(session.envelope('a@example.com', 'b@far.example').code, 554, 'relaying')


@table([('down', lambda server: server.stop(), 454), ('hangs-up', lambda server: server.fault('auth', CLOSE), 454),
        ('421', lambda server: server.fault('login', b'421 4.3.2 leaving\r\n'), 454),
        ('4xx', lambda server: server.fault('login', b'454 4.7.0 not now\r\n'), 454),
        ('garbage', lambda server: server.fault('login', b'250 what\r\n'), 454),
        ('offers-no-auth', lambda server: server.capabilities.remove('AUTH PLAIN LOGIN'), 454),
        ('offers-no-tls', lambda server: server.capabilities.remove('STARTTLS'), 454)])
def trouble_inside(t, name, make, code):
    """Never a word against the password; and no password where there is no TLS."""
    server = users(t)
    proxy = proxy_for(t, server)
    time.sleep(0.2)
    make(server)
    session = begin(proxy)
    reply = session.command('AUTH LOGIN')
    if reply.code == 334:
        session.command(b64('alice').decode())
        reply = session.command(b64(SECRET).decode())
    equal((reply.code, reply.enhanced), (code, '4.7.0'), str(reply))
    equal(session.command('NOOP').code, 250, 'the session goes on')
    proxy.wait_log('login_failed')
    if name == 'offers-no-tls':
        check(not any(verb == 'AUTH' for c in server.connections for verb, _ in c.commands), 'a password in the clear')


@test()
def lost_between(t):
    """The login goes with its connection: 421, and nothing is delivered by another."""
    server = users(t)
    proxy = proxy_for(t, server)
    session = logged_in(proxy)
    equal(send(session).code, 250, 'delivery')
    server.taken[0].connection.cut()
    time.sleep(0.2)
    reply = session.command('MAIL FROM:<a@example.org>')
    equal((reply.code, reply.enhanced), (421, '4.3.2'), str(reply))
    equal(len(server.taken), 1, 'messages inside')


@test()
def lost_inside_a_message(t):
    server = users(t)
    proxy = proxy_for(t, server)
    session = logged_in(proxy)
    server.fault('dot', CLOSE, times=1)
    equal(send(session).code, 451, 'its fate is not known')
    equal(session.command('MAIL FROM:<a@example.org>').code, 421, 'and the login is gone')


@test()
def lost_inside_a_login(t):
    """A word is said to the connection that has asked for it, and to no other: that one would take it for a command."""
    server = users(t)
    proxy = proxy_for(t, server)
    session = begin(proxy)
    equal(session.command('AUTH LOGIN ' + b64('alice').decode()).code, 334, 'AUTH')
    asking = [c for c in server.connections if any(verb == 'AUTH' for verb, _ in c.commands)]
    equal(len(asking), 1, 'connections that ask')
    asking[0].cut()
    time.sleep(0.2)
    reply = session.command(b64(SECRET).decode())
    equal((reply.code, reply.enhanced), (454, '4.7.0'), str(reply))
    proxy.wait_log('login_failed')
    heard = [verb for c in server.connections if c is not asking[0] for verb, _ in c.commands]
    check(not any(b64(SECRET).decode().upper() in verb.upper() for verb in heard), 'the password went elsewhere: %s', heard)
    equal(session.command('AUTH PLAIN ' + PLAIN.decode()).code, 235, 'once more')
    equal(send(session).code, 250, 'delivery')


@test()
def stopped_inside_a_login(t):
    """What was to be said inside is forgotten with the session, whatever its client says behind the 421."""
    server = users(t)
    proxy = proxy_for(t, server)
    session = begin(proxy)
    server.fault('banner', HANG)
    session.send(b'AUTH PLAIN ' + PLAIN + b'\r\n')
    time.sleep(0.3)
    proxy.proc.signal(signal.SIGTERM)
    equal(session.reply(3).code, 421, 'in place of an answer')
    session.send(b'NOOP\r\n')
    session.close()
    equal(proxy.proc.wait(10), 0, 'exit status')


@test()
def at_the_wrong_place(t):
    """Nobody who logs in here finds what he said in the log, and be it no SMTP at all."""
    server = users(t)
    proxy = proxy_for(t, server)
    session = begin(proxy)
    session.send(b'Authorization: Basic ' + PLAIN + b'\r\n')
    equal(session.reply(3).code // 100, 5, 'no command')
    proxy.wait_log('not_smtp')
    check(PLAIN.decode()[:20] not in proxy.proc.text, 'a secret is in the log')


@test()
def rset_between(t):
    """A transaction that was given up is cleared away inside before the next."""
    server = users(t)
    proxy = proxy_for(t, server)
    session = logged_in(proxy)
    for _ in range(3):
        equal(session.command('MAIL FROM:<a@example.org>').code, 250, 'MAIL')
        equal(session.command('RCPT TO:<b@far.example>').code, 250, 'RCPT')
        equal(session.command('RSET').code, 250, 'RSET')
    equal(send(session, 'c@far.example').code, 250, 'delivery')
    equal([m.recipients for m in server.taken], [[b'TO:<c@far.example>']], 'messages')


@test()
def two_users_do_not_share(t):
    server = users(t)
    server.users['bob'] = 'b'
    proxy = proxy_for(t, server)
    alice, bob = logged_in(proxy), begin(proxy)
    equal(bob.command('AUTH PLAIN ' + b64('\0bob\0b').decode()).code, 235, 'AUTH')
    for session, name in (alice, 'alice'), (bob, 'bob'), (alice, 'alice'):
        equal(send(session).code, 250, name)
    equal([m.connection.user for m in server.taken], ['alice', 'bob', 'alice'], 'users')


@test()
def guessing_is_slowed_and_ended(t):
    server = users(t)
    proxy = proxy_for(t, server, 'trust none', 'limit errors-soft 2 errors-hard 4')
    session = begin(proxy)
    codes = []
    for _ in range(4):
        codes.append(session.command('AUTH PLAIN ' + b64('\0alice\0guess').decode()).code)
    equal(codes, [535, 535, 535, 421], 'replies')
    equal(len(proxy.wait_log('login_refused', 4)), 4, 'in the log')


@test()
def python_smtplib(t):
    server = users(t)
    proxy = proxy_for(t, server)
    for _ in range(2):
        with smtplib.SMTP(*place(proxy)) as session:
            session.starttls(context=careless())
            session.login('alice', SECRET)
            session.sendmail('alice@example.org', ['a@far.example', 'b@far.example'], b'Subject: x\r\n\r\ntext\r\n')
    equal(len(server.taken), 2, 'messages inside')


@test()
def memory_holds_no_password(t):
    """What was a password is overwritten: none is left in the process after the session."""
    server = users(t)
    proxy = proxy_for(t, server)
    session = begin(proxy)
    equal(session.command('AUTH LOGIN').code, 334, 'AUTH')
    equal(session.command(b64('alice').decode()).code, 334, 'name')
    equal(session.command(b64(SECRET).decode()).code, 235, 'password')
    check(find_in_memory(proxy.proc.pid, b'mx.example.org') > 0, 'nothing can be found at all')
    equal(find_in_memory(proxy.proc.pid, b64(SECRET)[12:]), 0, 'copies of the password')
    session.quit()


def find_in_memory(pid, what):
    count = 0
    with open('/proc/%d/maps' % pid) as maps, open('/proc/%d/mem' % pid, 'rb') as memory:
        for line in maps:
            match = re.match(r'([0-9a-f]+)-([0-9a-f]+) rw', line)
            if not match:
                continue
            begin_at, end_at = (int(x, 16) for x in match.groups())
            memory.seek(begin_at)
            try:
                count += memory.read(end_at - begin_at).count(what)
            except OSError:
                pass
    return count
