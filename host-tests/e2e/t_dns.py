"""The dns seam over the network: real servers, and one that does everything wrong."""
import os
import time

from support.dnsd import Dnsd
from support.harness import check, equal, table, test

KERNEL_ONLY = 'nobody connects to Postern'

ZONE = '''a.test A 192.0.2.1
a.test A 192.0.2.2 ttl=20
a.test AAAA 2001:db8::1
b.test TXT v=spf1 -all
m.test MX 10 Mail.Test
c.test CNAME a.test
p.test PTR Host.Example.
n.test NS ns1.test
'''
GOOD = [('a.test', 'A', 'OK ttl=20 192.0.2.1|192.0.2.2'), ('A.Test', 'AAAA', 'OK ttl=300 2001:db8::1'),
        ('b.test', 'TXT', 'OK ttl=300 v=spf1 -all'), ('m.test', 'MX', 'OK ttl=300 10 mail.test'),
        ('c.test', 'A', 'OK ttl=20 192.0.2.1|192.0.2.2'), ('p.test', 'PTR', 'OK ttl=300 host.example'),
        ('n.test', 'NS', 'OK ttl=300 ns1.test'), ('no.test', 'A', 'NXDOMAIN ttl=120'),
        ('a.test', 'MX', 'NODATA ttl=120'), ('test', 'A', 'NODATA ttl=120'),
        ('odd name.test', 'A', 'OURS ttl=0'), ('two..dots', 'A', 'OURS ttl=0')]


def probe(t, *arguments, seconds=30):
    path = os.path.join(os.path.dirname(t.binary), 'host-tests', 'tools', 'dns_probe')
    process = t.process([path, *arguments], name='dns_probe')
    equal(process.wait(seconds), 0, 'dns_probe: %s' % process.text)
    return [line for line in process.text.splitlines() if not line.startswith('#')]


def dnsd(t, *arguments, **options):
    server = Dnsd(*arguments, **options)
    t.cleanup.callback(server.stop)
    return server


@test()
def every_type_and_every_kind_of_nothing(t):
    server = dnsd(t, ZONE)
    questions = [word for name, kind, _ in GOOD for word in (name, kind)]
    lines = probe(t, '-s', server.address, *questions)
    equal(sorted(lines), sorted('%s %s %s' % row for row in GOOD), 'answers')


FAULTS = [
    ('silent', 'TIMEOUT', 3.9, 4.5), ('servfail', 'SERVFAIL', 0, 1), ('refused', 'SERVFAIL', 0, 1),
    ('truncate', 'OK', 0, 1), ('slow:1', 'OK', 0.9, 2), ('wrong-id', 'TIMEOUT', 3.9, 4.5),
    ('wrong-question', 'TIMEOUT', 3.9, 4.5), ('other-port', 'TIMEOUT', 3.9, 4.5),
    ('garbage', 'SERVFAIL', 0, 1), ('short', 'SERVFAIL', 0, 1), ('loop', 'SERVFAIL', 0, 1),
    ('pointer-loop', 'SERVFAIL', 0, 1), ('wrong-first', 'OK', 0, 1),
]


@table([(fault.split(':')[0], fault, *row) for fault, *row in FAULTS], seconds=20)
def hostile(t, name, fault, status, least, most):
    server = dnsd(t, 'x.test A 127.0.0.2\n', {'x.test': fault})
    start = time.monotonic()
    line, = probe(t, '-s', server.address, '-t', '4000', 'x.test', 'A')
    took = time.monotonic() - start
    equal(line.split()[2], status, 'answer %s' % line)
    if status == 'OK':
        check(line.endswith(' 127.0.0.2'), 'answer %s', line)
    check(least <= took <= most, 'took %.1f s', took)


@test()
def answers_are_capped(t):
    server = dnsd(t, '', {'many.test': 'many:500', 'huge.test': 'huge'})
    many, huge = sorted(probe(t, '-s', server.address, 'many.test', 'A', 'huge.test', 'TXT'),
                        reverse=True)
    check(' cut ' in many and many.count('|') == 63, 'many: %s', many[:200])
    check(' cut ' in huge and len(huge) < 4200, 'huge: %d bytes', len(huge))


@test()
def asked_once(t):
    """Equal questions under way are one; what is known is not asked again."""
    server = dnsd(t, 'x.test A 127.0.0.2\n', {'x.test': 'slow:0.3'})
    lines = probe(t, '-s', server.address, '-r', '3', *['x.test', 'A'] * 5)
    equal(len(lines), 15, 'answers')
    equal(server.count('x.test'), 1, 'questions')
    equal(sum(' cached ' in line for line in lines), 10, 'from the cache')


@test()
def the_second_resolver_answers_when_the_first_is_dead(t):
    dead, alive = dnsd(t, ZONE, {'*': 'silent'}), dnsd(t, ZONE)
    line, = probe(t, '-s', dead.address, '-s', alive.address, 'a.test', 'A')
    equal(line.split()[2], 'OK', line)


@test()
def ipv6_and_a_zones_own_server(t):
    server = dnsd(t, ZONE, host='::1')
    line, = probe(t, '-s', server.address, 'a.test', 'A')
    equal(line.split()[2], 'OK', line)
    line, = probe(t, '-d', server.address, 'a.test', 'A')
    equal(line.split()[2], 'OK', line)


# ---- real servers ---------------------------------------------------------------------------------

def daemon(t, tool, config, arguments, port):
    directory = t.directory(tool)
    os.chmod(directory, 0o777)
    path = os.path.join(directory, 'conf')
    with open(path, 'w') as out:
        out.write(config.replace('DIR', directory).replace('PORT', str(port.number)))
    return t.start_tool(tool, *[a.replace('DIR', directory).replace('PORT', str(port.number))
                                for a in arguments]), directory


def ready(t, address, name, kind):
    end = time.monotonic() + 10
    while time.monotonic() < end:
        line, = probe(t, '-s', address, '-t', '500', name, kind)
        if line.split()[2] == 'OK':
            return
        time.sleep(0.1)
    check(False, '%s does not answer: %s', address, line)


UNBOUND = '''server:
  interface: 127.0.0.1@PORT
  do-daemonize: no
  username: ""
  chroot: ""
  directory: "DIR"
  pidfile: ""
  use-syslog: no
  do-not-query-localhost: no
  module-config: "iterator"
  local-zone: "test." static
  local-data: "a.test. 20 IN A 192.0.2.1"
  local-data: "a.test. 20 IN A 192.0.2.2"
  local-data: "a.test. 300 IN AAAA 2001:db8::1"
  local-data: 'b.test. 300 IN TXT "v=spf1 " "-all"'
  local-data: "m.test. 300 IN MX 10 mail.test."
  local-data: "p.test. 300 IN PTR host.example."
remote-control:
  control-enable: no
'''


@test(seconds=60)
def unbound(t):
    port = t.port()
    daemon(t, 'unbound', UNBOUND, ['-d', '-c', 'DIR/conf'], port)
    ready(t, str(port), 'a.test', 'A')
    lines = probe(t, '-s', str(port), 'a.test', 'A', 'a.test', 'AAAA', 'b.test', 'TXT', 'm.test',
                  'MX', 'p.test', 'PTR', 'no.test', 'A', 'a.test', 'MX')
    got = {tuple(line.split()[:2]): line for line in lines}
    check(got['a.test', 'A'].startswith('a.test A OK ttl=20 192.0.2.'), 'A: %s', got)
    equal(got['b.test', 'TXT'], 'b.test TXT OK ttl=300 v=spf1 -all', 'TXT')
    equal(got['m.test', 'MX'], 'm.test MX OK ttl=300 10 mail.test', 'MX')
    equal(got['p.test', 'PTR'], 'p.test PTR OK ttl=300 host.example', 'PTR')
    check(got['no.test', 'A'].startswith('no.test A NXDOMAIN'), 'no: %s', got['no.test', 'A'])
    check(got['a.test', 'MX'].startswith('a.test MX NODATA'), 'none: %s', got['a.test', 'MX'])


NSD = '''server:
  ip-address: 127.0.0.1@PORT
  username: ""
  chroot: ""
  zonesdir: "DIR"
  database: ""
  pidfile: ""
  xfrdfile: "DIR/xfrd"
  zonelistfile: "DIR/list"
  server-count: 1
  verbosity: 1
remote-control:
  control-enable: no
zone:
  name: test
  zonefile: zone
'''
NSD_ZONE = '''$ORIGIN test.
@ 300 IN SOA ns hostmaster 1 1 1 1 120
@ 300 IN NS ns
ns 300 IN A 127.0.0.1
a 20 IN A 192.0.2.1
c 300 IN CNAME a
big 300 IN TXT %s
''' % ' '.join('"%s"' % ('x' * 250) for _ in range(12))


@test(seconds=60)
def nsd_by_tcp_as_well(t):
    """A zone's own server, and an answer that does not fit a datagram."""
    port = t.port()
    directory = t.directory('zones')
    os.chmod(directory, 0o777)
    with open(os.path.join(directory, 'zone'), 'w') as out:
        out.write(NSD_ZONE)
    daemon(t, 'nsd', NSD.replace('zonesdir: "DIR"', 'zonesdir: "%s"' % directory),
           ['-d', '-c', 'DIR/conf'], port)
    ready(t, str(port), 'a.test', 'A')
    lines = probe(t, '-d', str(port), 'c.test', 'A', 'big.test', 'TXT', 'no.test', 'A')
    got = {line.split()[0]: line for line in lines}
    equal(got['c.test'], 'c.test A OK ttl=20 192.0.2.1', 'CNAME')
    check(got['no.test'].startswith('no.test A NXDOMAIN ttl=120'), 'no: %s', got['no.test'])
    check(got['big.test'].endswith('x' * 3000), 'big: %s', got['big.test'][:80])


@test(seconds=60)
def rbldnsd(t):
    port = t.port()
    directory = t.directory('lists')
    os.chmod(directory, 0o755)
    with open(os.path.join(directory, 'list'), 'w') as out:
        out.write(':127.0.0.2:listed $\n127.0.0.2\n192.0.2.0/24 :127.0.0.4:dial-up\n')
    t.start_tool('rbldnsd', '-n', '-b', '127.0.0.1/%d' % port.number, '-w', directory,
                 'zen.test:ip4set:list', *(['-u', 'nobody'] if os.geteuid() == 0 else []))
    ready(t, str(port), '2.0.0.127.zen.test', 'A')
    lines = probe(t, '-d', str(port), '9.2.0.192.zen.test', 'A', '1.0.0.127.zen.test', 'A')
    check(any(line.endswith('127.0.0.4') for line in lines), '%s', lines)
    check(any(line.split()[2] == 'NXDOMAIN' for line in lines), '%s', lines)
