"""Every client to every internal server, plain and under TLS: one copy, equal to what was sent."""
import os
import re
import time

import clients
import compare
import world as worlds
from support import harness
from support.harness import Skip, check, equal, table
from support.proc import wait_until

TEXT = (
    'From: Sender <sender@client.example>\r\nTo: User <user@inside.example>\r\n'
    'Subject: =?utf-8?q?gr=C3=BC=C3=9Fe?= to all\r\nDate: Thu, 01 Jan 2026 00:00:00 +0000\r\n'
    'Message-ID: <%s@client.example>\r\nMIME-Version: 1.0\r\n'
    'Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n'
    'X-Folded: one\r\n\ttwo\r\n  three\r\n\r\n'
    'Gr\u00fc\u00dfe \u2014 8-bit\r\n.\r\n..\r\n.dot at the start\r\ntrailing blanks  \t \r\n'
    'From the start of a line\r\n' + 'long ' * 190 + '\r\n\r\nend\r\n')
MODES = ('plain', 'starttls', 'tls')
ROWS = [('%s-to-%s-%s' % (c, s, m), c, s, m) for m in MODES for c in clients.CLIENTS
        for s in worlds.DOMAINS
        if not (m == 'tls' and (c in clients.QUEUES or s not in ('sink', 'postfix')))
        and not (m == 'plain' and c == 'openssl')]
USERS = {row[0]: 'u%d' % (number % 50) for number, row in enumerate(ROWS)}
DONE = {}


@table(ROWS, seconds=60)
def between(t, name, sender, receiver, mode):
    begin = time.monotonic()
    try:
        DONE[name] = 'FAILED', 0, ''
        note = one(t, name, sender, receiver, mode)
        DONE[name] = 'ok', time.monotonic() - begin, note
    except Skip as reason:
        DONE[name] = 'skipped', 0, str(reason)
        raise


def one(t, name, sender, receiver, mode):
    world = worlds.shared(t)
    server, proxy = world.server(receiver), world.proxy(mode)
    user = '%s@%s' % (USERS[name], worlds.DOMAINS[receiver])
    text, path = (TEXT % name).encode(), os.path.join(t.scratch, 'message')
    with open(path, 'wb') as out:
        out.write(text)
    queue = clients.CLIENTS[sender](t, world, mode, path, user)
    mark = b'<%s@client.example>' % name.encode()

    def arrived():
        return [m for m in server.messages() if mark in m]
    check(wait_until(arrived, 20, 0.1), 'nothing inside: %s %s', server.log[-1500:],
          queue.log[-2500:] if queue else '')
    equal(len(arrived()), 1, 'copies')
    front = compare.same(text, arrived()[0])
    if receiver == 'dovecot':
        for way in (server.by_imap, server.by_pop3):
            got = [m for m in way(user) if mark in m]
            equal(len(got), 1, way.__name__)
            compare.same(text, got[0], way.__name__)
    record = proxy.wait_log(to='<%s>' % user)
    equal({r.get('outcome') for r in record}, {'delivered'}, 'outcome in the log')
    ours = front[front.index(b'by mx.example.org'):].split(b'\n')[0]
    if mode != 'plain':
        check(b'ESMTPS' in ours, 'no TLS in our Received: %r', front)
    own = re.search(rb'\bwith (e?smtps?|lmtps?)\b', front[:front.index(b'by mx.example.org')], re.I)
    inner = own.group(1).decode().upper() if own else ''
    if mode != 'plain' and receiver in ('postfix', 'exim'):
        equal(inner, 'ESMTPS', 'the way from the proxy on')
    return ' '.join(filter(None, [record[0].get('tls'), inner and 'then ' + inner]))


def figures():
    lines = ['', '%-12s %-10s %-9s %-8s %6s  %s' % ('client', 'server', 'way', 'result', 's',
                                                     'note')]
    for name, sender, receiver, mode in ROWS:
        if name in DONE:
            result, seconds, note = DONE[name]
            lines.append('%-12s %-10s %-9s %-8s %6.2f  %s' % (sender, receiver, mode, result,
                                                              seconds, note))
    return lines if len(lines) > 2 else []


harness.FIGURES.append(figures)
