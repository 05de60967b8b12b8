"""What stands before the greeting: a balancer's PROXY header, and the wait for early talkers."""
import socket
import struct
import time

from support import client, mail
from support.harness import check, equal, table, test

STRANGERS = ['trust 192.0.2.99/32']  # nobody here: every client is a stranger
TEXT = mail.message('opening')
V2 = b'\r\n\r\n\0\r\nQUIT\n'


def v2(source, port=40000):
    return (V2 + b'\x21\x11' + struct.pack('>H', 12) + socket.inet_aton(source) +
            socket.inet_aton('203.0.113.1') + struct.pack('>HH', port, 25))


def v1(source):
    return b'PROXY TCP4 %s 203.0.113.1 40000 25\r\n' % source.encode()


HEADERS = [('v1', v1('203.0.113.7')), ('v2', v2('203.0.113.7'))]


def behind(t, server, *lines):
    """A proxy whose listener expects the header, and its address."""
    port = t.port()
    proxy = t.postern(server, listen='%s proxy' % port, wait=False, lines=list(lines))
    check(proxy.proc.wait_line('ready', 10), 'not ready: %s', proxy.proc.text)
    return proxy, (port.host, port.number)


@table(HEADERS)
def the_client_is_whom_the_header_names(t, name, header):
    server = t.server()
    proxy, address = behind(t, server)
    session = client.Client(address)
    session.send(header)
    session.greet()
    check(session.envelope('a@example.com', ['u@example.org']) is None, 'envelope')
    equal(session.data(TEXT).code, 250, 'reply')
    equal(proxy.wait_log()[0]['client'], '203.0.113.7', 'client in the log')
    message = server.taken[0]
    check(b'[203.0.113.7]' in message.body, 'Received: %r', message.body[:200])
    equal(message.xforward.get('ADDR'), '203.0.113.7', 'XFORWARD')


@table([('v1-unknown', b'PROXY UNKNOWN\r\n'), ('v2-local', V2 + b'\x20\0\0\0')])
def a_health_check_is_answered(t, name, header):
    _, address = behind(t, t.server(), 'timeout early-talk 5', *STRANGERS)
    session = client.Client(address, 3)
    session.send(header)
    equal(session.reply().code, 220, 'greeting')
    equal(session.command('QUIT').code, 221, 'QUIT')


@table([('none', b'EHLO c.example\r\n'), ('malformed', b'PROXY TCP4 nonsense\r\n'),
        ('silent', b''), ('half', V2 + b'\x21\x11')])
def without_a_header_it_is_closed(t, name, data):
    proxy, address = behind(t, t.server())
    session = client.Client(address)
    session.send(data)
    begun = time.monotonic()
    while session.fill(6) is True:
        pass
    check(session.ended, 'still open')
    equal(session.pending, b'', 'said')
    check(time.monotonic() - begun < 5, 'too late')
    check(proxy.wait_log('no_proxy_header'), 'no record')


@test()
def limits_are_the_clients_not_the_balancers(t):
    _, address = behind(t, t.server(), 'limit per-client 1', *STRANGERS)
    first, second, other = (client.Client(address) for _ in range(3))
    first.send(v2('203.0.113.7'))
    equal(first.reply().code, 220, 'first')
    second.send(v2('203.0.113.7'))
    equal(second.reply().code, 421, 'second of the same client')
    other.send(v2('203.0.113.8'))
    equal(other.reply().code, 220, 'another client')


@test()
def an_early_talker_is_noted_and_served(t):
    server = t.server()
    proxy = t.postern(server, lines=['timeout early-talk 700ms'] + STRANGERS)
    session = client.Client(proxy.address)
    begun = time.monotonic()
    session.send(b'EHLO early.example\r\n')
    equal(session.reply().code, 220, 'greeting')
    waited = time.monotonic() - begun
    check(0.6 < waited < 3, 'greeted after %.2f s', waited)
    equal(session.reply().code, 250, 'EHLO')
    check(session.envelope('a@example.com', ['u@example.org']) is None, 'envelope')
    equal(session.data(TEXT).code, 250, 'reply')
    equal(proxy.wait_log()[0].get('facts'), 'early_talk', 'facts')


@test()
def who_waited_once_is_spared(t):
    proxy = t.postern(t.server(), lines=['timeout early-talk 700ms'] + STRANGERS)
    for wait in (True, False):
        begun = time.monotonic()
        with client.Client(proxy.address) as session:
            equal(session.reply().code, 220, 'greeting')
            waited = time.monotonic() - begun
            check((waited > 0.6) == wait, 'greeted after %.2f s', waited)


@test()
def our_own_networks_do_not_wait(t):
    proxy = t.postern(t.server(), lines=['timeout early-talk 5'])
    equal(client.Client(proxy.address, 2).reply().code, 220, 'greeting')


@test()
def a_proxy_header_goes_inside(t):
    """Two proxies in a row: the second learns from the first's header who the client is."""
    server = t.server()
    inner, address = behind(t, server)
    outer = t.postern('%s:%d' % address, relay_options='pass proxy')
    for source in ('127.0.0.7', '127.0.0.8'):
        with client.Client(outer.address, source=source) as session:
            session.greet()
            for _ in range(2):
                check(session.envelope('a@example.com', ['u@example.org']) is None, 'envelope')
                equal(session.data(TEXT).code, 250, 'reply')
            session.command('QUIT')
    equal([record['client'] for record in inner.wait_log(count=4)],
          [t.seen('127.0.0.7')] * 2 + [t.seen('127.0.0.8')] * 2, 'clients')
