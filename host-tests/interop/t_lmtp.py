"""LMTP inside, and a client that gets one answer for all its recipients."""
import re

from support import client, mail, mta, postfix
from support.harness import check, equal, table, test
from support.proc import wait_until


def submit(queue, rcpts, text):
    stage, reply = client.deliver((queue.port.host, queue.port.number), 'a@client.example', rcpts,
                                  text)
    equal((stage, reply.code), ('eod', 250), 'the queue takes it')


def owners(dovecot):
    """Whose mailboxes hold a message, one entry for each copy."""
    return sorted(user for user, _ in dovecot.boxes())


@test(seconds=60)
def twenty_recipients_one_route(t):
    """Two domains, one route: one transaction and no retry from a real Postfix."""
    inside = mta.Dovecot(t, inside=('example.org', 'example.net'))
    proxy = t.postern(inside.address, route='example.org example.net')
    queue = postfix.Postfix(t, inside='none.invalid', outside=proxy.ports[0])
    rcpts = ['u%d@example.%s' % (n, 'org' if n % 2 else 'net') for n in range(20)]
    submit(queue, rcpts, mail.message('twenty'))
    check(wait_until(lambda: len(inside.messages()) >= 20, 20, 0.1), 'not all arrived: %s',
          queue.log[-1500:])
    records = proxy.wait_log()
    equal([(r['rcpts'], r['outcome']) for r in records], [('20', 'delivered')], 'transactions')
    equal(owners(inside), sorted(rcpts), 'mailboxes')
    check(wait_until(lambda: queue.queue_count() == 0, 10), 'still queued')
    equal(queue.log.count('status=sent'), 20, 'sent')
    check('status=deferred' not in queue.log, 'deferred: %s', queue.log[-1500:])


@test(seconds=60)
def twenty_recipients_two_routes(t):
    """The second route's recipients are told to come again, and are served at the first retry."""
    inside = [mta.Dovecot(t, inside=(domain,)) for domain in ('example.org', 'example.net')]
    proxy = t.postern(inside[0].address, lines=['relay example.net to ' + inside[1].address])
    queue = postfix.Postfix(t, inside='none.invalid', outside=proxy.ports[0])
    rcpts = ['u%d@example.%s' % (n, 'org' if n % 2 else 'net') for n in range(20)]
    submit(queue, rcpts, mail.message('two-routes'))
    check(wait_until(lambda: queue.log.count('dsn=') >= 20, 20, 0.1), 'first attempt: %s',
          queue.log[-1500:])
    equal(sum(len(server.messages()) for server in inside), 10, 'copies after the first attempt')
    equal(len(re.findall(r'status=deferred .*452 4\.5\.3', queue.log)), 10, '452 4.5.3')
    check(queue.is_deferred(), 'not deferred')
    queue.retry()
    check(wait_until(lambda: queue.queue_count() == 0, 20, 0.1), 'still queued: %s',
          queue.log[-1500:])
    equal(sorted(owners(inside[0]) + owners(inside[1])), sorted(rcpts), 'mailboxes')
    equal([(r['rcpts'], r['outcome']) for r in proxy.wait_log(count=2)], [('10', 'delivered')] * 2,
          'transactions')


def fates(table_of):
    """The answers after the dot, by recipient."""
    def act(connection):
        for rcpt in connection.recipients:
            name = re.search(rb'<([^@>]*)', rcpt).group(1).decode()
            connection.sock.sendall(table_of.get(name, '250 2.0.0 stored').encode() + b'\r\n')
        connection.reset_transaction()
        return True
    return act


MIXED = {'refused': '550 5.2.1 mailbox closed', 'later': '450 4.2.1 busy'}
NAMES = ('good', 'refused', 'later')


@table([('held', 3000), ('streamed', 900 << 10)], seconds=60)
def mixed_fates_raw(t, name, size):
    """250, 550 and 450: 451 to the client; then the refused is refused and only `later` is served.
    One that streams is inside before it is known for a retry: `good` gets it twice."""
    server, text = t.server(), mail.message('fates-' + name, size)
    server.fault('dot', fates(MIXED), times=1)
    server.fault('dot', fates({}))
    proxy = t.postern('lmtp:' + server.address)
    rcpts = ['%s@example.org' % n for n in NAMES]
    stage, reply = client.deliver(proxy.address, 'a@client.example', rcpts, text)
    equal((stage, reply.code), ('eod', 451), 'first answer %s' % reply)
    with client.Client(proxy.address) as session:
        session.greet()
        equal(session.command('MAIL FROM:<a@client.example>').code, 250, 'MAIL')
        codes = [session.command('RCPT TO:<%s>' % rcpt).code for rcpt in rcpts]
        equal(codes, [250, 550, 250], 'RCPT on the retry')
        equal(session.data(text).code, 250, 'the retry')
        session.quit()
    check(mail.difference(text, server.messages[-1].body) is None, 'the retry differs')
    served = [re.search(rb'<([^@>]*)', r).group(1).decode() for r in server.messages[1].recipients]
    equal(served, ['later'] if name == 'held' else ['good', 'later'], 'served by the retry')


@table([('flush', False), ('restamped', True)], seconds=60)
def mixed_fates_from_postfix(t, name, restamp):
    """The same from a real queue: one copy for each that can have one, one bounce."""
    server = t.server()
    server.fault('dot', fates(MIXED), times=1)
    server.fault('dot', fates({}))
    proxy = t.postern('lmtp:' + server.address)
    queue = postfix.Postfix(t, inside='none.invalid', outside=proxy.ports[0])
    submit(queue, ['%s@example.org' % n for n in NAMES], mail.message('fates-' + name))
    check(wait_until(lambda: queue.log.count('status=deferred') >= 3, 20, 0.1), 'not deferred: %s',
          queue.log[-1500:])
    check(queue.is_deferred(), 'not deferred')
    queue.retry(restamp)
    check(wait_until(lambda: queue.log.count('status=sent') >= 2, 20, 0.1), 'not sent: %s',
          queue.log[-2500:])
    served = [re.search(rb'<([^@>]*)', r).group(1).decode() for m in server.messages
              for r in m.recipients]
    equal(sorted(served), sorted([*NAMES, 'later']), 'recipients offered inside')
    check(re.search(r'to=<refused@example.org>.*status=bounced', queue.log), 'no bounce: %s',
          queue.log[-1500:])


@test(seconds=60)
def over_quota(t):
    """Dovecot refuses one of two; at the retry the other is not delivered again."""
    inside, text = mta.Dovecot(t), mail.message('quota')
    proxy = t.postern(inside.address)
    rcpts = ['u1@example.org', 'full@example.org']
    stage, reply = client.deliver(proxy.address, 'a@client.example', rcpts, text)
    equal((stage, reply.code), ('eod', 451), 'first answer %s' % reply)
    with client.Client(proxy.address) as session:
        session.greet()
        equal(session.command('MAIL FROM:<a@client.example>').code, 250, 'MAIL')
        codes = [session.command('RCPT TO:<%s>' % rcpt).code for rcpt in rcpts]
        equal(codes, [250, 550], 'RCPT on the retry: at RCPT 552 would mean another thing')
        equal(session.data(text).code, 250, 'the retry')
        session.quit()
    equal(owners(inside), ['u1@example.org'], 'mailboxes')
