"""Who may send to whom, and how much: one dialogue per row, each against its own proxy.

A row: name, configuration lines, then what is said and what must be answered. An answer is a code,
or (code, enhanced code); a tuple of codes allows any of them. `None` to say means: read a reply.
The relay line is `relay example.org to SERVER` unless a line of the row begins with `relay`, where
%S stands for the server's address.
"""
from support import client, mail
from support.harness import check, equal, table, test
from support.proc import wait_until

START = [(None, 220), ('EHLO c.example', 250), ('MAIL FROM:<a@example.com>', 250)]
NOBODY_TRUSTED = 'trust none'
DATA = 'Subject: x\r\n\r\nbody\r\n.'
DENIED = ((550, 554), '5.7.1')


def rcpt(address, answer):
    return ('RCPT TO:<%s>' % address, answer)


def hops(count):
    return 'Received: from a by b; Thu, 1 Jan 2026 00:00:00 +0000\r\n' * count + DATA


ROWS = [
    ('no-route', [], START + [rcpt('u@elsewhere.example', (554, '5.7.1'))]),
    ('no-subdomain', [], START + [rcpt('u@sub.example.org', (554, '5.7.1'))]),
    ('no-suffix', [], START + [rcpt('u@evilexample.org', (554, '5.7.1'))]),
    ('no-literal', [], START + [rcpt('u@[127.0.0.1]', (554, '5.7.1')),
                                rcpt('u@[IPv6:::1]', (554, '5.7.1'))]),
    ('any-case', [], START + [rcpt('U@EXAMPLE.oRg', 250)]),
    ('trailing-dot', [], START + [rcpt('u@example.org.', ((501, 550, 553, 554), None))]),
    ('subdomains', ['relay .example.org to %S'], START + [
        rcpt('u@a.example.org', 250), rcpt('u@b.a.example.org', 250),
        rcpt('u@other.example', (554, '5.7.1'))]),
    ('wildcard', ['relay * to %S'], START + [rcpt('u@any.thing', 250)]),
    ('bare-postmaster', [], START + [rcpt('postmaster', 250), rcpt('PostMaster', 250)]),
    ('bare-other', [], START + [rcpt('root', ((501, 550, 553, 554), None))]),
    ('postmaster-elsewhere', [], START + [rcpt('postmaster@elsewhere.example', (554, '5.7.1'))]),
    ('percent', [], START + [rcpt('user%outside.example@example.org', (550, '5.7.1'))]),
    ('bang', [], START + [rcpt('outside.example!user@example.org', (550, '5.7.1'))]),
    ('quoted-at', [], START + [rcpt('"user@outside.example"@example.org', (550, '5.7.1'))]),
    ('quoted-percent', [], START + [rcpt('"user%outside.example"@example.org', (550, '5.7.1'))]),
    ('escaped-at', [], START + [rcpt('"user\\@outside.example"@example.org', (550, '5.7.1'))]),
    ('two-ats', [], START + [rcpt('user@outside.example@example.org', ((501, 550, 553), None))]),
    ('routing-allow', ['relay example.org to %S routing allow'], START + [
        rcpt('user%outside.example@example.org', 250), rcpt('a!b@example.org', 250)]),
    ('routing-in-sender', [], START[:2] + [('MAIL FROM:<a%b@example.com>', 250),
                                           rcpt('u@example.org', 250)]),
    ('source-route', [], START + [rcpt('@relay.example:u@example.org', (250, 501, 550))]),
    ('source-route-outward', [], START + [
        rcpt('@example.org:u@elsewhere.example', ((501, 550, 554), None))]),
    ('null-recipient', [], START + [rcpt('', ((501, 550, 553), None))]),
    ('null-sender', [], START[:2] + [('MAIL FROM:<>', 250), rcpt('u@example.org', 250)]),

    ('deny-client', ['deny client 127.0.0.0/8'], 'refused'),
    ('deny-other-client', ['deny client 192.0.2.0/24'], START + [rcpt('u@example.org', 250)]),
    # a sender's address alone proves nothing, so it acts only together with a network
    ('deny-sender', ['deny sender a@example.com from 127.0.0.0/8'],
     START + [rcpt('u@example.org', DENIED)]),
    ('deny-sender-case', ['deny sender A@Example.Com from 127.0.0.0/8'],
     START + [rcpt('u@example.org', DENIED)]),
    ('deny-sender-domain', ['deny sender @example.com from 127.0.0.0/8'],
     START + [rcpt('u@example.org', DENIED)]),
    ('deny-sender-alone', ['deny sender @example.com'], START + [rcpt('u@example.org', 250)]),
    ('deny-other-sender', ['deny sender b@example.com from 127.0.0.0/8'],
     START + [rcpt('u@example.org', 250)]),
    ('deny-sender-from', ['deny sender @example.com from 192.0.2.0/24'],
     START + [rcpt('u@example.org', 250)]),
    ('deny-recipient', ['deny recipient bad@example.org'], START + [
        rcpt('bad@example.org', DENIED), rcpt('good@example.org', 250)]),
    ('deny-recipient-domain', ['deny recipient @example.org'],
     START + [rcpt('bad@example.org', DENIED)]),
    ('allow-beats-deny', ['deny sender @example.com from 127.0.0.0/8', 'allow client 127.0.0.1/32'],
     START + [rcpt('u@example.org', 250)]),
    ('allow-never-relays', ['allow client 127.0.0.0/8', 'allow recipient @elsewhere.example'],
     START + [rcpt('u@elsewhere.example', (554, '5.7.1')),
              rcpt('u%elsewhere.example@example.org', (550, '5.7.1'))]),
    ('allow-sender-alone', ['deny recipient @example.org', 'allow sender @example.com'],
     START + [rcpt('u@example.org', DENIED)]),
    ('allow-sender-from', ['deny client 127.0.0.0/8',
                           'allow sender @example.com from 127.0.0.0/8'],
     START + [rcpt('u@example.org', 250)]),

    ('size-declared', ['message 10K'], START[:2] + [
        ('MAIL FROM:<a@example.com> SIZE=10241', (552, '5.3.4')),
        ('MAIL FROM:<a@example.com> SIZE=10000', 250)]),
    ('size-beyond-64-bit', ['message 10K'], START[:2] + [
        ('MAIL FROM:<a@example.com> SIZE=99999999999999999999999', ((501, 552), None))]),
    ('size-true', ['message 10K'], START + [
        rcpt('u@example.org', 250), ('DATA', 354), ('x' * 20000 + '\r\n.', (552, '5.3.4')),
        ('NOOP', 250)]),
    ('size-true-streamed', ['message 400K'], START + [
        rcpt('u@example.org', 250), ('DATA', 354),
        (('x' * 998 + '\r\n') * 600 + '.', (552, '5.3.4')), ('NOOP', 250)]),
    ('recipients', ['recipients 3'], START + [rcpt('u%d@example.org' % i, 250)
                                              for i in range(3)] + [
        rcpt('u3@example.org', (452, '4.5.3')), ('DATA', 354), (DATA, 250)]),
    ('hops-below', ['hops 5'], START + [rcpt('u@example.org', 250), ('DATA', 354),
                                        (hops(4), 250)]),
    ('hops-above', ['hops 5'], START + [rcpt('u@example.org', 250), ('DATA', 354),
                                        (hops(7), (554, '5.4.6')), ('NOOP', 250)]),
    ('hops-default', [], START + [rcpt('u@example.org', 250), ('DATA', 354),
                                  (hops(110), (554, '5.4.6'))]),
    ('nul', [], START + [rcpt('u@example.org', 250), ('DATA', 354),
                         ('Subject: x\r\n\r\na\0b\r\n.', (550, '5.6.0')), ('NOOP', 250)]),
    ('bare-newline-reject', ['bare-newline reject'], START + [
        rcpt('u@example.org', 250), ('DATA', 354),
        ('Subject: x\r\n\r\na\nb\r\n.', (550, '5.6.11')), ('NOOP', 250)]),
    ('bare-newline-except', ['bare-newline reject except 127.0.0.0/8'], START + [
        rcpt('u@example.org', 250), ('DATA', 354), ('Subject: x\r\n\r\na\nb\r\n.', 250)]),
    ('long-local-part', [], START[:2] + [
        ('MAIL FROM:<%s@example.com>' % ('l' * 256), 250), ('RSET', 250),
        ('MAIL FROM:<%s@example.com>' % ('l' * 257), (501, '5.1.7'))]),
    ('long-recipient', [], START + [
        rcpt('l' * 256 + '@example.org', 250),
        rcpt('l' * 257 + '@example.org', (501, '5.1.3'))]),
    ('long-command', [], START[:2] + [('NOOP ' + 'x' * 2041, 250),
                                      ('NOOP ' + 'x' * 3000, (500, '5.5.2')), ('NOOP', 250)]),
    ('errors-hard', ['limit errors-hard 4 errors-soft 4', NOBODY_TRUSTED], START[:2] + [
        ('XYZZY', 500), ('XYZZY', 500), ('XYZZY', 500), ('XYZZY', (421, 500)), 'closed']),
    ('errors-trusted', ['limit errors-hard 4 errors-soft 4'],
     START[:2] + [('XYZZY', 500)] * 8 + [('NOOP', 250)]),
    ('idle', ['timeout idle 1'], START[:2] + [(None, (421, '4.4.2')), 'closed']),
    ('idle-in-data', ['timeout idle 1'], START + [
        rcpt('u@example.org', 250), ('DATA', 354), (None, (421, '4.4.2')), 'closed']),
    ('transaction-time', ['timeout transaction 2 idle 60'], START + [
        rcpt('u@example.org', 250), ('DATA', 354), (None, (421, None)), 'closed']),
    ('observe-still-closed', ['mode observe'], START + [
        rcpt('u@elsewhere.example', (554, '5.7.1')),
        rcpt('u%x@example.org', (550, '5.7.1'))]),
]


def answer_fits(answer, reply):
    code, enhanced = answer, None
    if isinstance(answer, tuple) and len(answer) == 2 and not isinstance(answer[1], int):
        code, enhanced = answer
    codes = code if isinstance(code, tuple) else (code,)
    return reply.code in codes and (enhanced is None or reply.enhanced == enhanced)


@table(ROWS)
def dialogue(t, name, lines, steps):
    server = t.server()
    lines = [line.replace('%S', server.address) for line in lines]
    targets = () if any(line.startswith('relay') for line in lines) else (server,)
    proxy = t.postern(*targets, lines=lines)
    if steps == 'refused':
        stage, reply = client.deliver(proxy.address, 'a@example.com', 'u@example.org', b'x\r\n')
        check(stage in ('connect', 'rcpt') and reply.code in (550, 554), '%s: %s', stage, reply)
        equal(len(server.transactions()), 0, 'transactions inside')
        return
    with client.Client(proxy.address) as session:
        for step in steps:
            if step == 'closed':
                check(session.is_ended(), 'not closed')
                break
            say, answer = step
            reply = session.reply() if say is None else session.command(
                say.encode('latin-1'))
            check(answer_fits(answer, reply), '%r answered %s, want %s', (say or '')[:60], reply,
                  answer)
            if reply.code >= 400 and reply.code != 421:
                check(reply.enhanced is not None, 'no enhanced code: %s', reply)


@test()
def postmaster_goes_to_the_first_route(t):
    first, second = t.server(), t.server()
    proxy = t.postern(lines=['relay one.example to %s' % first.address,
                             'relay two.example to %s' % second.address])
    stage, reply = client.deliver(proxy.address, 'a@example.com', 'postmaster', b'S: x\r\n\r\n')
    equal((stage, reply.code), ('eod', 250), 'reply %s' % reply)
    equal((len(first.taken), len(second.taken)), (1, 0), 'messages')
    equal(first.taken[0].recipients, [b'TO:<postmaster>'], 'recipient inside')


@test()
def size_refused_is_not_inside(t):
    """A streamed message that grows over the limit never ends inside."""
    server = t.server()
    proxy = t.postern(server, lines=['message 500K'])
    text = mail.message('big', 900 << 10)
    stage, reply = client.deliver(proxy.address, 'a@example.com', 'u@example.org', text)
    equal((stage, reply.code, reply.enhanced), ('eod', 552, '5.3.4'), 'reply')
    equal(len(server.messages), 0, 'messages inside')


@test()
def normalised_newlines(t):
    server = t.server()
    proxy = t.postern(server)
    with client.Client(proxy.address) as session:
        session.greet()
        check(session.envelope('a@example.com', 'u@example.org') is None, 'envelope')
        equal(session.command('DATA').code, 354, 'DATA')
        session.send(b'Subject: x\r\n\r\none\ntwo\rthree\r\r\nfour\n.\nfive\n.\r\nsix\r.\r'
                     b'seven\n..two\r..two\r\n..one\r\nend\r\n.\r\n')
        equal(session.reply().code, 250, 'reply')
        equal(session.command('NOOP').code, 250, 'NOOP')
    equal(len(server.taken), 1, 'messages inside')
    # the dots stay: they were text, not the end
    body = server.taken[0].body.split(b'\r\n\r\n', 1)[1]
    equal(body, b'one\r\ntwo\r\nthree\r\nfour\r\n.\r\nfive\r\n.\r\nsix\r\n.\r\n'
                b'seven\r\n..two\r\n..two\r\n.one\r\nend\r\n', 'body')


@test()
def sessions_limit(t):
    server = t.server()
    proxy = t.postern(server, lines=['limit sessions 3'])
    clients = [client.Client(proxy.address) for _ in range(3)]
    equal([c.reply().code for c in clients], [220] * 3, 'greetings')
    with client.Client(proxy.address) as extra:
        reply = extra.reply()
        equal((reply.code, reply.enhanced), (421, '4.3.2'), 'the fourth: %s' % reply)
        check(extra.is_ended(), 'not closed')
    clients[0].quit()

    def welcome():
        with client.Client(proxy.address) as again:
            return again.reply().code == 220
    check(wait_until(welcome, 5), 'a place that was left stays taken')
    for session in clients:
        session.close()


@test()
def overload(t):
    """Nine tenths of the sessions are taken: strangers get 421, a client of whom mail was taken does not."""
    proxy = t.postern(t.server(), lines=['trust 127.0.0.9/32', 'limit sessions 20 per-client 20'])
    known, stranger, ours = '127.0.0.2', '127.0.0.3', '127.0.0.9'
    with client.Client(proxy.address, source=known) as session:
        session.greet()
        equal(session.envelope('a@example.com', 'u@example.org'), None, 'envelope')
        equal(session.data(b'Subject: x\r\n\r\n').code, 250, 'delivery')
    held = [client.Client(proxy.address, source='127.0.0.%d' % i) for i in range(11, 29)]
    for session in held:
        session.greet()
    proxy.wait_log('overload')
    equal(client.Client(proxy.address, source=stranger).reply().code, 421, 'stranger')
    equal(proxy.wait_log('refused')[0]['reason'], 'overload', 'reason')
    for source in known, ours:
        with client.Client(proxy.address, source=source) as session:
            equal(session.reply().code, 220, source)
    held[0].send(b'FROB\r\n')
    equal(held[0].reply().code, 421, 'the first error')
    for session in held:
        session.close()
    proxy.wait_log('overload_over')
    equal(client.Client(proxy.address, source=stranger).reply().code, 220, 'stranger, afterwards')


@test()
def per_client_limit(t):
    server = t.server()
    proxy = t.postern(server, lines=['limit per-client 2', NOBODY_TRUSTED])
    clients = [client.Client(proxy.address, source='127.0.0.1') for _ in range(2)]
    equal([c.reply().code for c in clients], [220] * 2, 'greetings')
    with client.Client(proxy.address, source='127.0.0.1') as extra:
        equal(extra.reply().code, 421, 'the third')
    with client.Client(proxy.address, source='127.0.0.2') as other:
        equal(other.reply().code, 220, 'another client')
    for session in clients:
        session.close()


@test()
def per_client_limit_spares_trusted(t):
    server = t.server()
    proxy = t.postern(server, lines=['limit per-client 2'])
    clients = [client.Client(proxy.address) for _ in range(6)]
    equal([c.reply().code for c in clients], [220] * 6, 'greetings')
    for session in clients:
        session.close()


@test()
def soft_errors_are_slow(t):
    import time
    server = t.server()
    proxy = t.postern(server, lines=['limit errors-soft 2 errors-hard 50', NOBODY_TRUSTED])
    with client.Client(proxy.address) as session:
        session.greet()
        times = []
        for _ in range(5):
            started = time.monotonic()
            equal(session.command('XYZZY').code, 500, 'reply')
            times.append(time.monotonic() - started)
    check(times[0] < 0.3 and times[4] > 0.5, 'times of the replies: %s',
          ['%.2f' % x for x in times])


@test()
def offers(t):
    """What stands in EHLO's answer, and that it is kept."""
    server = t.server(capabilities=('PIPELINING', '8BITMIME', 'SIZE 12345678', 'SMTPUTF8',
                                    'CHUNKING', 'DSN', 'STARTTLS', 'AUTH PLAIN', 'VRFY'))
    proxy = t.postern(server)

    def words():
        with client.Client(proxy.address) as session:
            return {line.split()[0].upper(): line for line in session.greet().lines[1:]}
    wait_until(lambda: words().get('SIZE') == 'SIZE 12345678', 5, 0.2)
    got = words()
    for word in ('PIPELINING', 'ENHANCEDSTATUSCODES', '8BITMIME', 'SIZE', 'SMTPUTF8', 'DSN',
                 'LIMITS', 'CHUNKING'):
        check(word in got, '%s is not offered: %s', word, got)
    equal(got['SIZE'].split()[1], '12345678', 'SIZE')
    for word in ('AUTH', 'VRFY', 'STARTTLS', 'XFORWARD', 'ETRN'):
        check(word not in got, '%s is offered: %s', word, got)


@test()
def offers_only_what_all_routes_carry(t):
    plain, rich = t.server(capabilities=('SIZE 5000',)), t.server()
    proxy = t.postern(lines=['relay one.example to %s' % plain.address,
                             'relay two.example to %s' % rich.address])

    def words():
        with client.Client(proxy.address) as session:
            return {line.split()[0].upper(): line for line in session.greet().lines[1:]}
    wait_until(lambda: words().get('SIZE') == 'SIZE 5000', 5, 0.2)
    got = words()
    check('8BITMIME' not in got, '8BITMIME is offered: %s', got)
    equal(got.get('SIZE'), 'SIZE 5000', 'SIZE')
