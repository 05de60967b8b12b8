"""A client that goes away at any point leaves nothing half-delivered in the internal server."""
import time

from support import client, mail
from support.harness import check, equal, table, test
from support.proc import wait_until

MESSAGES = {'held': mail.message('gone', 5000), 'streamed': mail.message('gone-large', 900 << 10)}


def script(text):
    """The places where a client can go: (name, bytes to send, how many replies to await)."""
    wire = client.stuff(text)
    header = text.index(b'\r\n\r\n')
    talk = [(b'EHLO c.example\r\n', 1), (b'MAIL FROM:<a@example.com>\r\n', 1),
            (b'RCPT TO:<u@example.org>\r\n', 1), (b'DATA\r\n', 1)]
    return [
        ('greeting', talk[:0], b''),
        ('mid-ehlo', talk[:0], b'EHLO c.exa'),
        ('ehlo', talk[:1], b''),
        ('mid-mail', talk[:1], b'MAIL FROM:<a@ex'),
        ('mail', talk[:2], b''),
        ('mid-rcpt', talk[:2], b'RCPT TO:<u'),
        ('rcpt', talk[:3], b''),
        ('data', talk, b''),
        ('mid-header', talk, wire[:header // 2]),
        ('header', talk, wire[:header + 4]),
        ('mid-body', talk, wire[:len(wire) // 2]),
        ('before-dot', talk, wire[:-3]),
        ('dot', talk, wire[:-2]),
        ('dot-cr', talk, wire[:-1]),
        ('after-dot', talk, wire),
    ]


PLACES = [place[0] for place in script(MESSAGES['held'])]


@table([('%s-%s-%s' % (place, how, size), place, how, size) for place in PLACES
        for how in ('fin', 'rst') for size in MESSAGES])
def at(t, name, place, how, size):
    text = MESSAGES[size]
    server = t.server()
    proxy = t.postern(server)
    talk, last = next((talk, last) for n, talk, last in script(text) if n == place)
    session = client.Client(proxy.address)
    equal(session.reply().code, 220, 'greeting')
    for data, _ in talk:
        session.send(data)
        check(session.reply().code < 400, 'refused at %r', data)
    session.send(last)
    if how == 'rst' or len(last) > 1000:
        # the bytes shall have been read: a RST discards what waits
        time.sleep(0.2)
    if how == 'fin':
        session.close()
    else:
        session.reset()
    if any(data.startswith(b'RCPT') for data, _ in talk):
        record = proxy.wait_log()[0]
        wanted = ('aborted', 'delivered', 'unknown') if place == 'after-dot' else ('aborted',)
        check(record.get('outcome') in wanted, 'outcome %s', record.get('outcome'))
    else:
        time.sleep(0.2)
    # whatever was begun inside is over: reset, or its connection closed
    check(wait_until(lambda: not [c for c in server.connections if c.open and c.in_data], 5),
          'the internal server still waits for data')
    with server.lock:
        complete = list(server.messages)
    if place != 'after-dot':
        equal(len(complete), 0, 'messages inside')
    for message in complete:
        problem = mail.difference(text, message.body)
        check(problem is None, 'half a message inside: %s', problem)
    # and the proxy goes on
    stage, reply = client.deliver(proxy.address, 'a@example.com', 'u@example.org', b'S: x\r\n\r\n')
    equal((stage, reply.code), ('eod', 250), 'the next client: %s' % reply)


@table([(size, size) for size in MESSAGES])
def quit_before_leaving(t, size, _):
    """A client whose QUIT has arrived has not gone: its message is delivered, once."""
    text = MESSAGES[size]
    server = t.server()
    server.fault('dot', lambda c: time.sleep(0.5) or take(c))
    proxy = t.postern(server)
    session = client.Client(proxy.address)
    check(session.greet().code == 250 and
          session.envelope('a@example.com', 'u@example.org') is None, 'envelope')
    equal(session.command('DATA').code, 354, 'DATA')
    session.send(client.stuff(text) + b'QUIT\r\n')
    session.half_close()
    equal(session.reply().code, 250, 'reply to the dot')
    equal(session.reply().code, 221, 'reply to QUIT')
    equal(len(server.messages), 1, 'messages inside')
    equal(mail.difference(text, server.messages[0].body), None, 'message')


def take(connection):
    connection.sock.sendall(b'250 2.0.0 queued\r\n')
    return True


@table([('fin', False), ('rst', True)])
def gone_before_the_commit(t, name, reset):
    """The dot is withheld until the client is seen to be there still."""
    server = t.server()

    def slow(connection):
        time.sleep(0.7)
        connection.sock.sendall(b'354 go ahead\r\n')
    server.fault('data', slow)
    proxy = t.postern(server)
    session = client.Client(proxy.address)
    check(session.greet().code == 250 and
          session.envelope('a@example.com', 'u@example.org') is None, 'envelope')
    equal(session.command('DATA').code, 354, 'DATA')
    session.send(client.stuff(MESSAGES['held']))
    check(wait_until(lambda: server.count('DATA'), 5), 'no DATA inside')
    if reset:
        session.reset()
    else:
        session.close()
    record = proxy.wait_log()[0]
    equal(record.get('outcome'), 'aborted', 'outcome')
    time.sleep(0.3)
    # behind its 354 this server took no data: what it got reads as commands
    equal([verb for c in server.transactions() for verb, _ in c.commands][-1], 'DATA',
          'last command inside')


@table([(size, size) for size in MESSAGES])
def gone_while_the_answer_is_due(t, size, _):
    """After the dot is out the outcome is read and logged, whatever happens outside."""
    text = MESSAGES[size]
    server = t.server()
    server.fault('dot', lambda c: time.sleep(1) or take(c))
    proxy = t.postern(server)
    session = client.Client(proxy.address)
    check(session.greet().code == 250 and
          session.envelope('a@example.com', 'u@example.org') is None, 'envelope')
    equal(session.command('DATA').code, 354, 'DATA')
    session.send(client.stuff(text))
    check(wait_until(lambda: server.messages, 5), 'the dot does not come')
    session.reset()
    record = proxy.wait_log()[0]
    check(record.get('outcome') in ('delivered', 'unknown'), 'outcome %s', record)
    check('queued' in str(record) or record['outcome'] == 'unknown',
          'the internal reply is not in the log: %s', record)
    equal(len(server.messages), 1, 'messages inside')


@test(seconds=30)
def many_at_once(t):
    """300 clients leave at random places: no message inside is incomplete, no session stays."""
    import random
    dice = random.Random(7)
    server = t.server()
    proxy = t.postern(server, lines=['limit sessions 100'])
    text = MESSAGES['held']
    places = script(text)
    for _ in range(300):
        _, talk, last = places[dice.randrange(len(places))]
        session = client.Client(proxy.address)
        try:
            session.reply()
            session.send(b''.join(data for data, _ in talk) + last[:dice.randrange(
                len(last) + 1)])
            if dice.random() < 0.5:
                session.fill(0.01)
        except (OSError, client.Gone):
            pass
        if dice.random() < 0.5:
            session.reset()
        else:
            session.close()
    for message in list(server.messages):
        equal(mail.difference(text, message.body), None, 'message inside')
    # all hundred places are free again
    clients = []

    def all_free():
        while clients:
            clients.pop().close()
        for _ in range(100):
            session = client.Client(proxy.address)
            clients.append(session)
            if session.reply().code != 220:
                return False
        return True
    free = wait_until(all_free, 10, 0.5)
    for session in clients:
        session.close()
    check(free, 'sessions are still taken')
