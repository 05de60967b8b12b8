"""An offender is held at a rate, by the window; measured from what he gets answered and from what he can send."""
import socket
import time

from support import client, harness
from support.harness import check, equal, test
from support.proc import wait_until

RATE = 3000
LINE = b'NOOP ' + b'x' * 93 + b'\r\n'     # 100 octets
SECONDS = 6


def proxy_of(t, *lines):
    return t.postern(t.server(), lines=['limit errors-soft 1 errors-hard 9', 'tarpit %d' % RATE, *lines])


def offender(proxy):
    session = client.Client(proxy.address)
    equal(session.greet().code, 250, 'EHLO')
    equal(session.command('FROB').code, 500, 'an offence')
    # The reply to the next command is slow, too.
    time.sleep(1.2)
    return session


def take_replies(session, seconds):
    """Sends as much as goes meanwhile. (replies, octets that were taken off us)"""
    session.sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
    session.sock.setblocking(False)
    sent, replies, end = 0, 0, time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            sent += session.sock.send((LINE * 41)[sent % 100:])
        except BlockingIOError:
            time.sleep(0.01)
        try:
            replies += session.sock.recv(65536).count(b'\n')
        except BlockingIOError:
            pass
    return replies, sent


@test(seconds=30)
def rate_is_kept(t):
    proxy = proxy_of(t, 'trust none')
    session = offender(proxy)
    take_replies(session, 1.5)      # what a second has saved up
    replies, _ = take_replies(session, SECONDS)
    got = replies * len(LINE) / SECONDS
    _, sent = take_replies(session, 0.5)
    reply = client.deliver(proxy.address, 'a@example.com', 'u@example.org', b'S: x\r\n\r\n')[1]
    equal(reply.code, 250, 'somebody else')
    harness.FIGURES.append('tarpit %d: an offender gets %.0f octets a second through' % (RATE, got))
    check(0.8 * RATE <= got <= 1.2 * RATE, '%.0f octets a second', got)
    check(sent < 1 << 16, 'the window is open: %d octets', sent)


@test(seconds=30)
def trusted_is_not_held(t):
    proxy = proxy_of(t)             # the loopback, and the networks of a Link, are trusted
    replies, _ = take_replies(offender(proxy), 1)
    check(replies > 3 * RATE / 100, '%d replies', replies)


@test(seconds=30)
def ends_like_any_other(t):
    """Held sessions neither outlive a drain nor keep the program from ending."""
    proxy = proxy_of(t, 'trust none', 'timeout drain 1')
    sessions = [offender(proxy) for _ in range(3)]
    for session in sessions:
        take_replies(session, 0.2)
        session.sock.setblocking(True)
    proxy.proc.signal(15)
    check(wait_until(lambda: not proxy.proc.running(), 10), 'still runs')
    equal(proxy.proc.wait(1), 0, 'status')
