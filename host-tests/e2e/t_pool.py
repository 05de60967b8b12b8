"""Connections to internal servers: reused, replaced once unseen, bounded, failed over."""
import concurrent.futures
import threading
import time

from support import client, mail
from support.harness import check, equal, table, test
from support.proc import wait_until
from support.server import CLOSE, HANG, RESET

TEXT = mail.message('pool', 2000)
TIMEOUTS = 'timeout relay-connect 2 relay-command 2 relay-data 3'


def deliver(proxy, domain='example.org', text=TEXT):
    return client.deliver(proxy.address, 'a@example.com', 'u@' + domain, text)


@test()
def reused(t):
    """One after the other, clients share one internal connection."""
    server = t.server()
    proxy = t.postern(server)
    for _ in range(10):
        equal(deliver(proxy)[1].code, 250, 'delivery')
    equal(len(server.transactions()), 1, 'internal connections')
    equal(len(server.taken), 10, 'messages inside')


def after_first_mail(connection):
    return sum(1 for verb, _ in connection.commands if verb == 'MAIL') > 1


BREAKS = [
    ('closed-between', lambda s: s.drop(CLOSE)),
    ('reset-between', lambda s: s.drop(RESET)),
    ('421-at-mail', lambda s: s.fault('mail', (b'421 4.3.2 bye\r\n', CLOSE), times=1,
                                      when=after_first_mail)),
    ('421-at-xforward', lambda s: s.fault('xforward', (b'421 4.3.2 bye\r\n', CLOSE), times=1)),
    ('close-at-mail', lambda s: s.fault('mail', CLOSE, times=1, when=after_first_mail)),
    ('reset-at-xforward', lambda s: s.fault('xforward', RESET, times=1)),
]


@table(BREAKS)
def replaced_unseen(t, name, action):
    """A reused connection that is of no use any more: the client sees nothing of it."""
    server = t.server()
    if name.endswith('mail'):
        server.capabilities = [c for c in server.capabilities if not c.startswith('XFORWARD')]
    proxy = t.postern(server)
    equal(deliver(proxy)[1].code, 250, 'first')
    time.sleep(0.1)
    action(server)
    stage, reply = deliver(proxy)
    equal((stage, reply.code), ('eod', 250), 'after %s: %s' % (name, reply))
    equal(len(server.taken), 2, 'messages inside')
    equal(len(server.transactions()), 2, 'internal connections')


@test()
def replaced_only_once(t):
    """If the fresh connection fails too, it is 451, not a loop."""
    server = t.server(capabilities=('PIPELINING',))
    proxy = t.postern(server)
    equal(deliver(proxy)[1].code, 250, 'first')
    server.fault('mail', CLOSE)
    stage, reply = deliver(proxy)
    equal((stage, reply.code), ('rcpt', 451), 'reply %s' % reply)
    check(server.count('MAIL') <= 3, '%d MAIL commands', server.count('MAIL'))


@test()
def spoken_421_is_noticed(t):
    """A server that says 421 while idle and closes is not used again."""
    server = t.server()
    proxy = t.postern(server)
    equal(deliver(proxy)[1].code, 250, 'first')
    for connection in server.connections:
        if connection.open:
            connection.sock.sendall(b'421 4.4.2 idle too long\r\n')
            connection.cut(CLOSE)
    equal(deliver(proxy)[1].code, 250, 'second')


def down(server):
    server.refuse()


FIRST_SERVER = [
    ('refuses', down, True),
    ('421-greeting', lambda s: s.fault('banner', (b'421 4.3.2 busy\r\n', CLOSE)), True),
    ('554-greeting', lambda s: s.fault('banner', b'554 5.3.2 no\r\n'), False),
    ('closes', lambda s: s.fault('banner', CLOSE), True),
    ('silent', lambda s: s.fault('banner', HANG), True),
    ('rubbish', lambda s: s.fault('banner', b'\xff\xfe\r\n'), True),
    ('silent-ehlo', lambda s: s.fault('ehlo', HANG), True),
    ('421-mail', lambda s: s.fault('mail', (b'421 4.3.2 busy\r\n', CLOSE)), True),
    ('closes-at-mail', lambda s: s.fault('mail', CLOSE), True),
    ('closes-at-rcpt', lambda s: s.fault('rcpt', CLOSE), True),
    ('closes-at-data', lambda s: s.fault('data', CLOSE), False),
    ('421-data', lambda s: s.fault('data', (b'421 4.3.2 busy\r\n', CLOSE)), False),
]


@table(FIRST_SERVER)
def fail_over(t, name, prepare, must_deliver):
    first, second = t.server(), t.server()
    prepare(first)
    proxy = t.postern(first, second, lines=[TIMEOUTS])
    stage, reply = deliver(proxy)
    if must_deliver:
        equal((stage, reply.code), ('eod', 250), 'reply: %s' % reply)
    check(reply.code == 250 or 400 <= reply.code <= 499, 'reply: %s', reply)
    equal((len(first.taken), len(second.taken)), (0, int(reply.code == 250)), 'messages inside')
    if reply.code == 250:
        equal(mail.difference(TEXT, second.taken[0].body), None, 'message')


@test()
def log_names_the_server(t):
    """With its port: two servers can stand on one address."""
    first, second = t.server(), t.server()
    first.refuse()
    proxy = t.postern(first, second, lines=[TIMEOUTS])
    equal(deliver(proxy)[1].code, 250, 'delivery')
    equal(proxy.wait_log()[0].get('relay'), second.address, 'relay')


@table([('close', CLOSE), ('rubbish', b'\0\0\r\n'), ('421', (b'421 4.3.2 x\r\n', CLOSE)),
        ('hang', HANG)])
def no_fail_over_after_the_dot(t, name, action):
    first, second = t.server(), t.server()
    first.fault('dot', action)
    proxy = t.postern(first, second, lines=[TIMEOUTS])
    stage, reply = deliver(proxy)
    equal((stage, reply.code // 100), ('eod', 4), 'reply %s' % reply)
    equal(len(second.transactions()), 0, 'transactions at the second server')
    equal(len(first.transactions()), 1, 'transactions at the first server')


@test()
def refusals_do_not_fail_over(t):
    """A 550 for a recipient is an answer, not a broken server."""
    first, second = t.server(refused_rcpt=lambda rest: True), t.server()
    proxy = t.postern(first, second)
    stage, reply = deliver(proxy)
    equal((stage, reply.code), ('rcpt', 550), 'reply %s' % reply)
    equal(len(second.transactions()), 0, 'transactions at the second server')


@test(seconds=40)
def back_to_the_first(t):
    """Once the first server is there again it is preferred again."""
    first, second = t.server(), t.server()
    first.refuse()
    proxy = t.postern(first, second, lines=[TIMEOUTS])
    equal(deliver(proxy)[1].code, 250, 'first delivery')
    first.listen()

    def at_first():
        equal(deliver(proxy)[1].code, 250, 'delivery')
        return first.taken
    check(wait_until(at_first, 35, 1), 'never back to the first server')


@test()
def bounded(t):
    """`connections 3`: never more, whatever comes; every 250 is a message inside."""
    server = t.server()
    most, lock = [0], threading.Lock()

    def slow(connection):
        with lock:
            most[0] = max(most[0], server.open_count())
        time.sleep(0.2)
        connection.sock.sendall(b'250 2.0.0 queued\r\n')
        return True
    server.fault('dot', slow)
    proxy = t.postern(server, relay_options='connections 3')
    with concurrent.futures.ThreadPoolExecutor(12) as pool:
        replies = [reply.code for _, reply in pool.map(lambda _: deliver(proxy), range(24))]
    check(all(code == 250 or 400 <= code < 500 for code in replies), 'replies %s', replies)
    check(most[0] <= 3, '%d connections at once', most[0])
    equal(len(server.messages), replies.count(250), 'messages inside')
    check(replies.count(250) >= 3, 'only %d delivered', replies.count(250))


@test(seconds=40, alone=True)
def served_in_turn(t):
    """One connection for ten busy clients: nobody is passed over again and again."""
    server = t.server()

    def slow(connection):
        time.sleep(0.04)
        connection.sock.sendall(b'250 2.0.0 queued\r\n')
        return True
    server.fault('dot', slow)
    proxy = t.postern(server, relay_options='connections 1')
    end = time.monotonic() + 3

    def busy(number):
        longest = 0
        while time.monotonic() < end:
            started = time.monotonic()
            stage, reply = deliver(proxy, text=mail.message('turn-%d-%f' % (number, started)))
            equal((stage, reply.code), ('eod', 250), 'reply %s' % reply)
            longest = max(longest, time.monotonic() - started)
        return longest
    with concurrent.futures.ThreadPoolExecutor(10) as pool:
        longest = list(pool.map(busy, range(10)))
    check(max(longest) < 2.5, 'the longest waits: %s', ['%.1f' % x for x in sorted(longest)])


@test(seconds=40)
def retired_by_count(t):
    """A connection is not kept for more than a hundred messages."""
    server = t.server()
    proxy = t.postern(server)
    with client.Client(proxy.address) as session:
        session.greet()
        for number in range(130):
            check(session.envelope('a@example.com', 'u@example.org') is None, 'envelope')
            equal(session.data(b'S: %d\r\n\r\n' % number).code, 250, 'data')
    equal(len(server.taken), 130, 'messages inside')
    used = [sum(1 for v, _ in c.commands if v == 'DATA') for c in server.transactions()]
    check(len(used) == 2 and max(used) <= 100, 'messages per connection: %s', used)


@test(seconds=30)
def idle_is_closed(t):
    server = t.server()
    proxy = t.postern(server)
    equal(deliver(proxy)[1].code, 250, 'delivery')
    check(wait_until(lambda: server.open_count() == 0, 9), 'still open after 9 s')
    connection = server.transactions()[0]
    equal(connection.commands[-1][0], 'QUIT', 'last command')


@test()
def retired_by_refusals(t):
    """Five refusals in a row and the connection is replaced."""
    server = t.server(refused_rcpt=lambda rest: b'NOBODY' in rest.upper())
    proxy = t.postern(server)
    for number in range(12):
        with client.Client(proxy.address) as session:
            session.greet()
            reply = session.envelope('a@example.com', 'nobody%d@example.org' % number)
            equal(reply.code, 550, 'refusal')
            session.quit()
    check(2 <= len(server.transactions()) <= 4, '%d internal connections',
          len(server.transactions()))


@test(seconds=40)
def waiting_says_noop(t):
    """A transaction that waits for its client keeps the server awake."""
    server = t.server()
    proxy = t.postern(server, lines=['timeout relay-noop 1'])
    with client.Client(proxy.address) as session:
        session.greet()
        check(session.envelope('a@example.com', 'u@example.org') is None, 'envelope')
        time.sleep(3.5)
        check(2 <= server.count('NOOP') <= 4, '%d NOOPs', server.count('NOOP'))
        equal(session.data(TEXT).code, 250, 'data')
    equal(mail.difference(TEXT, server.taken[0].body), None, 'message')


@test(seconds=40)
def dies_while_waiting(t):
    """The server closes while the client thinks: 4xx at the end, or a silent replacement."""
    server = t.server()
    proxy = t.postern(server, lines=[TIMEOUTS])
    with client.Client(proxy.address) as session:
        session.greet()
        check(session.envelope('a@example.com', 'u@example.org') is None, 'envelope')
        server.drop(CLOSE)
        time.sleep(0.3)
        reply = session.data(TEXT)
        check(reply.code == 250 or 400 <= reply.code < 500, 'reply %s', reply)
        equal(len(server.taken), int(reply.code == 250), 'messages inside')


@test()
def routes_do_not_mix(t):
    """Two routes, two servers: each recipient where it belongs, never both in one transaction."""
    one, two = t.server(), t.server()
    proxy = t.postern(lines=['relay one.example to %s' % one.address,
                             'relay two.example .two.example to %s' % two.address])
    for domain, server in (('one.example', one), ('two.example', two), ('a.b.two.example', two),
                           ('ONE.Example', one)):
        server.forget()
        equal(deliver(proxy, domain)[1].code, 250, domain)
        equal(len(server.taken), 1, domain)
    with client.Client(proxy.address) as session:
        session.greet()
        equal(session.command('MAIL FROM:<a@example.com>').code, 250, 'MAIL')
        equal(session.command('RCPT TO:<u@one.example>').code, 250, 'first RCPT')
        reply = session.command('RCPT TO:<u@two.example>')
        equal((reply.code, reply.enhanced), (452, '4.5.3'), 'other route: %s' % reply)
        equal(session.data(TEXT).code, 250, 'data')
