"""A real Postfix sends, is cut off around the final dot, and tries again from its queue."""
import time

import cutter
import wire
from support import client, mail, mta, postfix
from support.harness import check, equal, table
from support.proc import wait_until

SIZES = {'held': 3000, 'streamed': 700 << 10}
INSIDE = {
    'quick': None,
    'slow': 0.5,        # the internal server's answer comes after the client has gone
}
RETRIES = {'flush': False, 'restamped': True}


def later(seconds):
    def act(connection):
        time.sleep(seconds)
        connection.server.messages[-1].taken = True
        connection.sock.sendall(b'250 2.0.0 taken\r\n')
        connection.reset_transaction()
        return True
    return act


ROWS = [('%s-%s-%s-%s' % (w, z, i, r), w, z, i, r) for w in cutter.WINDOWS for z in SIZES
        for i in INSIDE for r in RETRIES
        if not (w in ('before-dot', 'half-dot') and i == 'slow')]


def is_quick(row):
    """One of the two retries for each place, in turns."""
    return (row[3] == 'quick') == (row[4] == 'restamped')


@table([row for row in ROWS if is_quick(row)], seconds=60)
def cut(t, name, window, size, inside, retry):
    """One copy inside, whatever the queue does."""
    server, text = t.server(), mail.message('cut-' + name, SIZES[size])
    if INSIDE[inside]:
        server.fault('dot', later(INSIDE[inside]), times=1)
    proxy = t.postern(server)
    between = cutter.Cutter(proxy.address, window)
    t.cleanup.callback(between.stop)
    queue = postfix.Postfix(t, inside='none.invalid', outside=between.port, settings=[
        'smtp_connect_timeout = 10s', 'smtp_data_done_timeout = 20s'])
    stage, reply = client.deliver((queue.port.host, queue.port.number), 'a@client.example',
                                  'user@example.org', text)
    equal((stage, reply.code), ('eod', 250), 'the queue takes it')
    check(wait_until(lambda: 'status=' in queue.log, 20, 0.05), 'no attempt: %s', queue.log[-900:])
    equal(between.cut_count, 1, 'cuts')
    if window == 'after-answer':
        check('status=sent' in queue.log, 'the answer was heard: %s', queue.log[-900:])
        equal(len(server.taken), 1, 'copies')
        return
    check(queue.is_deferred(), 'not deferred: %s', queue.log[-900:])
    proxy.wait_log()      # what became of the first attempt is known
    if not window.startswith('after-dot'):     # there it may be seen before anything is sent inside
        equal(len(server.taken), 0 if window in ('before-dot', 'half-dot') else 1,
              'inside before the retry')
    queue.retry(RETRIES[retry])
    check(wait_until(lambda: 'status=sent' in queue.log, 20, 0.05), 'retry: %s', queue.log[-1500:])
    check(wait_until(lambda: queue.queue_count() == 0, 5), 'still queued')
    equal(len(server.taken), 1, 'copies inside')
    body = server.taken[0].body
    check(body.endswith(text), 'the copy differs')


table([row for row in ROWS if not is_quick(row)], seconds=60, full=True)(cut)


@table([('dovecot', mta.Dovecot), ('postfix', postfix.Postfix), ('exim', mta.Exim),
        ('opensmtpd', mta.OpenSmtpd)], seconds=60)
def cut_before_a_real_server(t, name, maker):
    """The answer is lost on its way out: one copy in a real mailbox."""
    inside = maker(t)
    proxy = t.postern(inside.address)
    between = cutter.Cutter(proxy.address, 'answer-lost')
    t.cleanup.callback(between.stop)
    queue = postfix.Postfix(t, inside='none.invalid', outside=between.port)
    client.deliver((queue.port.host, queue.port.number), 'a@client.example', 'user@example.org',
                   mail.message('real-' + name))
    check(queue.is_deferred(), 'not deferred: %s', queue.log[-900:])
    queue.retry()
    check(wait_until(lambda: 'status=sent' in queue.log, 20, 0.05), 'retry: %s', queue.log[-1500:])
    check(wait_until(inside.messages, 10), 'nothing inside')
    time.sleep(0.5)
    equal(len(inside.messages()), 1, 'copies inside')
    equal([r['outcome'] for r in proxy.log()][0], 'delivered', 'first outcome')


@table([('quit', True), ('no-quit', False)], seconds=30)
def two_probes(t, name, say_quit):
    """The same mail twice, and both answers were heard: two deliveries."""
    server, text = t.server(), mail.message('probe-' + name)
    proxy = t.postern(server)
    for _ in range(2):
        with wire.connect(proxy) as session:
            check(session.envelope('a@client.example', 'user@example.org') is None, 'envelope')
            equal(session.data(text).code, 250, 'answer')
            session.command('QUIT' if say_quit else 'RSET')
    equal(len(server.taken), 2, 'copies')
