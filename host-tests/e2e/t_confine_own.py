"""Where everything goes by our own TCP/IP no socket exists but the driver's, and none can be made (t_confine tries)."""
import glob
import os
import re
import signal

from support import client, mail
from support.harness import Postern, check, equal, test
from support.link import Link
from t_life import reload

TEXT = mail.message('own', 2000)


def proxy_of(t, lines=()):
    """Clients, internal server and resolver are reached through one interface."""
    port = t.port()
    link = Link(t.transport, port)
    t.cleanup.callback(link.close)
    server = t.server(host=link.prefix + '1')
    config = ['hostname mx.example.org', *link.lines, 'tls off', 'timeout early-talk 0',
              'relay example.org to %s via %s' % (server.address, link.name),
              'dns %s1 via %s' % (link.prefix, link.name), *lines]
    proxy = Postern(t, '\n'.join(config) + '\n', ports=[port])
    t.posterns.append(proxy)
    return proxy, server


def sockets_of(proxy):
    """{family: number} of its open sockets, by the tables of its network namespace."""
    kinds, found = {}, {}
    for kind in ('tcp', 'tcp6', 'udp', 'udp6', 'raw', 'raw6', 'packet', 'unix', 'netlink', 'icmp', 'icmp6'):
        column = {'packet': 8, 'unix': 6, 'netlink': 9}.get(kind, 9)
        try:
            with open('/proc/%d/net/%s' % (proxy.proc.pid, kind), encoding='ascii') as stream:
                for line in stream.readlines()[1:]:
                    kinds[line.split()[column]] = kind
        except FileNotFoundError:
            continue
    for fd in glob.glob('/proc/%d/fd/*' % proxy.proc.pid):
        match = re.match(r'socket:\[(\d+)\]', os.readlink(fd))
        if match:
            kind = kinds.get(match[1], 'unknown')
            found[kind] = found.get(kind, 0) + 1
    return found


@test(own=True, root=True)
def no_socket_but_the_drivers(t):
    want = {'packet': 1} if t.transport == 'packet' else {}
    proxy, server = proxy_of(t)
    equal(sockets_of(proxy), want, 'at start')
    session = client.Client(proxy.address)
    check(session.greet().code == 250, 'greeting')
    check(session.envelope('a@example.com', 'u@example.org') is None, 'envelope')
    equal(sockets_of(proxy), want, 'with a client and an internal connection')
    equal(session.data(TEXT).code, 250, 'delivery')
    equal(len(server.taken), 1, 'messages')
    equal(proxy.wait_log('confine')[0]['sockets'], 'unix', 'record')
    reload(proxy, proxy.config + '# more\n', r'ev=reload ')
    stage, reply = client.deliver(proxy.address, 'a@example.com', 'u@example.org', TEXT)
    equal((stage, reply.code), ('eod', 250), 'after a reload')
    equal(sockets_of(proxy), want, 'after a reload')
    session.close()
    proxy.proc.signal(signal.SIGTERM)
    equal(proxy.proc.wait(10), 0, 'exit status')


@test(own=True, root=True)
def no_way_back_to_the_systems_sockets(t):
    proxy, _ = proxy_of(t)
    for line in ('relay example.net to 127.0.0.1:1', 'listen 127.0.0.1:2525'):
        reload(proxy, proxy.config.split('# more')[0] + '# more\n' + line + '\n', r"reload_failed.*system's TCP/IP")
    stage, reply = client.deliver(proxy.address, 'a@example.com', 'u@example.org', TEXT)
    equal((stage, reply.code), ('eod', 250), 'after that')


@test(own=True, root=True)
def as_somebody_else(t):
    """The device is opened by root, and nothing else is."""
    proxy, _ = proxy_of(t, lines=['user nobody'])
    with open('/proc/%d/status' % proxy.proc.pid, encoding='ascii') as stream:
        status = stream.read()
    check(re.search(r'(?m)^CapEff:\s+0+$', status) and not re.search(r'(?m)^Uid:\s+0\b', status), status)
    stage, reply = client.deliver(proxy.address, 'a@example.com', 'u@example.org', TEXT)
    equal((stage, reply.code), ('eod', 250), 'delivery')
