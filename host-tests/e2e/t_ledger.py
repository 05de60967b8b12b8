"""A client that did not hear our final answer sends again: one copy inside, always."""
import time

from support import client, mail
from support.harness import check, equal, table, test
from support.proc import wait_until

SIZES = {'held': 5000, 'streamed': 900 << 10}


def later(seconds):
    """The answer to the dot comes, but late."""
    def act(connection):
        time.sleep(seconds)
        connection.sock.sendall(b'250 2.0.0 taken\r\n')
        return True
    return act


def send(proxy, text, rcpts=('u@example.org',), sender='a@example.com'):
    """Up to the dot, and no further."""
    session = client.Client(proxy.address)
    session.greet()
    check(session.envelope(sender, list(rcpts)) is None, 'envelope')
    equal(session.command('DATA').code, 354, 'DATA')
    session.send(client.stuff(text))
    return session


def leave_before_the_answer(session, server):
    check(wait_until(lambda: server.messages, 5), 'nothing inside')
    session.close()


def leave_after_the_answer(session, server):
    equal(session.reply().code, 250, 'first answer')
    session.close()


def reset_after_the_answer(session, server):
    check(wait_until(lambda: server.messages, 5), 'nothing inside')
    session.reset()


WAYS = [leave_before_the_answer, leave_after_the_answer, reset_after_the_answer]


@table([('%s-%s' % (way.__name__, size), way, size) for way in WAYS for size in SIZES])
def retry(t, name, way, size):
    text = mail.message('ledger-' + name, SIZES[size])
    server = t.server()
    if way is leave_before_the_answer:
        server.fault('dot', later(0.3), times=1)
    proxy = t.postern(server)
    way(send(proxy, text), server)
    proxy.wait_log()
    # another hop re-stamps its trace on the retry
    again = send(proxy, b'Received: from retry by relay.example; Thu, 01 Jan 2026\r\n' + text)
    equal(again.reply().code, 250, 'the retry')
    equal(again.command('QUIT').code, 221, 'QUIT')
    equal(len(server.messages), 1, 'copies inside')
    equal(proxy.wait_log(count=2)[1].get('outcome'), 'replayed', 'outcome')
    # one retry consumes the entry: the third is a new delivery
    third = send(proxy, text)
    equal(third.reply().code, 250, 'the third')
    equal(len(server.messages), 2, 'copies inside')


@test()
def two_probes_are_two_deliveries(t):
    text = mail.message('probe')
    server = t.server()
    proxy = t.postern(server)
    for _ in range(2):
        session = send(proxy, text)
        equal(session.reply().code, 250, 'answer')
        equal(session.command('QUIT').code, 221, 'QUIT')
    equal(len(server.messages), 2, 'copies inside')


@table([('content', mail.message('other'), 'a@example.com'),
        ('sender', mail.message('same'), 'b@example.com')])
def another_message_is_delivered(t, name, text, sender):
    server = t.server()
    proxy = t.postern(server)
    first = send(proxy, mail.message('same'))
    equal(first.reply().code, 250, 'answer')
    first.close()
    time.sleep(0.1)
    second = send(proxy, text, sender=sender)
    equal(second.reply().code, 250, 'answer')
    equal(len(server.messages), 2, 'messages inside')


@test()
def only_the_unserved_are_delivered_to(t):
    text = mail.message('some')
    server = t.server()
    proxy = t.postern(server)
    first = send(proxy, text, ['u@example.org'])
    equal(first.reply().code, 250, 'answer')
    first.close()
    time.sleep(0.1)
    second = send(proxy, text, ['u@example.org', 'v@example.org'])
    equal(second.reply().code, 250, 'answer')
    equal([m.recipients for m in server.messages], [[b'TO:<u@example.org>'], [b'TO:<v@example.org>']], 'recipients')


@test()
def without_identity_no_entry(t):
    text = b'Subject: no id\r\n\r\nbody\r\n'
    server = t.server()
    proxy = t.postern(server)
    for _ in range(2):
        session = send(proxy, text)
        equal(session.reply().code, 250, 'answer')
        session.close()
        time.sleep(0.1)
    equal(len(server.messages), 2, 'messages inside')


@test()
def our_cap_and_a_late_answer(t):
    """451 at our cap, delivered after all: the retry finds it."""
    text = mail.message('late')
    server = t.server()
    server.fault('dot', later(2.5), times=1)
    proxy = t.postern(server, lines=['timeout reply 1'])
    first = send(proxy, text)
    equal(first.reply(3).code, 451, 'at the cap')
    equal(first.command('QUIT').code, 221, 'QUIT')
    check(wait_until(lambda: server.messages, 5), 'nothing inside')
    proxy.wait_log()
    second = send(proxy, text)
    equal(second.reply().code, 250, 'the retry')
    equal(len(server.messages), 1, 'copies inside')
