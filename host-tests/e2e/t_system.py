"""The client's operating system by its first segment: this machine's kernel, and what it can be made to look like."""
import os
import socket

from support import client, mail
from support.harness import Postern, check, equal, table, test
from support.link import Link
from t_life import reload
from t_opening import STRANGERS, behind, v2

SIGNATURES = os.path.abspath(os.path.join(os.path.dirname(__file__), '..', '..', 'rules', 'os.sig'))
OS = 'os signatures ' + SIGNATURES
TEXT = mail.message('system')
IP_PMTUDISC_DONT, IP_MTU_DISCOVER = 0, 10


def send(address, header=b'', count=1, **options):
    """Some messages over one connection."""
    with client.Client(address, **options) as session:
        session.send(header)
        check(session.greet().code == 250, 'greeting')
        for _ in range(count):
            check(session.envelope('a@example.com', ['u@example.org']) is None, 'envelope')
            equal(session.data(TEXT).code, 250, 'reply')
        session.command('QUIT')


def found(record):
    """The findings about systems: [(name, score)]."""
    return [tuple(hit.split(':')) for hit in record.get('hits', '').split(',') if hit.startswith('OS_')]


@test()
def this_kernel_is_linux(t):
    server = t.server()
    proxy = t.postern(server, lines=[OS] + STRANGERS)
    send(proxy.address, count=2)
    for record in proxy.wait_log(count=2):
        equal(found(record), [('OS_LINUX', '0')], 'findings')
        check('Linux' in record['evidence'] and ' 0 hops: 64 ' in record['evidence'] and
              'mss,sok,ts,nop,ws' in record['evidence'], 'evidence: %s', record['evidence'])
    check(b'OS_LINUX' in server.taken[0].body.split(b'\r\n\r\n')[0], 'no word in the message')


@test()
def by_ipv6(t):
    port = t.port('::1')
    proxy = t.postern(t.server(), listen=str(port), lines=[OS] + STRANGERS)
    send(('::1', port.number))
    record, = proxy.wait_log()
    equal(found(record), [('OS_LINUX', '0')], 'findings')
    check(' ipv6,df' in record['evidence'], 'evidence: %s', record['evidence'])


@table([('hops', [(socket.IPPROTO_IP, socket.IP_TTL, 50)], 'OS_LINUX', '14 hops: 64 '),
        ('windows-ttl', [(socket.IPPROTO_IP, socket.IP_TTL, 128)], 'OS_UNKNOWN', '0 hops: 128 '),
        ('fragments', [(socket.IPPROTO_IP, IP_MTU_DISCOVER, IP_PMTUDISC_DONT)], 'OS_UNKNOWN', '0 hops: 64 '),
        ('mss', [(socket.IPPROTO_TCP, socket.TCP_MAXSEG, 1200)], 'OS_LINUX', ' 1200 mss,')])
def what_it_can_be_made_to_look_like(t, name, options, finding, evidence):
    proxy = t.postern(t.server(), lines=[OS] + STRANGERS)
    send(proxy.address, options=options)
    record, = proxy.wait_log()
    equal([name for name, _ in found(record)], [finding], 'findings: %s' % record)
    check(evidence in record['evidence'], 'evidence: %s', record['evidence'])


@test()
def it_scores_where_the_owner_says_so(t):
    server = t.server()
    proxy = t.postern(server, lines=[OS, 'score OS_LINUX 5.5'] + STRANGERS)
    send(proxy.address)
    record, = proxy.wait_log()
    equal((found(record), record['score'], record['verdict']), ([('OS_LINUX', '5.5')], '5.5', 'tag'), 'record')
    check(b'X-Spam-Flag: YES' in server.taken[0].body, 'no flag')


@test()
def a_dry_run_only_tells(t):
    proxy = t.postern(t.server(), lines=[OS, 'score OS_LINUX 99', 'dry-run OS_*'] + STRANGERS)
    send(proxy.address)
    record, = proxy.wait_log()
    equal((found(record), record['score']), ([('OS_LINUX', 'dry')], '0'), 'record')


@table([('off', ['os off'] + STRANGERS), ('default', STRANGERS), ('trusted', [OS])])
def who_is_not_looked_at(t, name, lines):
    proxy = t.postern(t.server(), lines=lines)
    send(proxy.address)
    record, = proxy.wait_log()
    equal(found(record), [], 'findings')


@test()
def a_balancers_segment_is_not_the_clients(t):
    proxy, address = behind(t, t.server(), OS, *STRANGERS)
    send(address, header=v2('203.0.113.7'))
    record, = proxy.wait_log()
    equal((record['client'], found(record)), ('203.0.113.7', []), 'record')


@test()
def a_reload_turns_it_on_and_off(t):
    proxy = t.postern(t.server(), lines=STRANGERS)
    before = proxy.config
    send(proxy.address)
    reload(proxy, before + OS + '\n', r'ev=reload ')
    send(proxy.address)
    reload(proxy, before, r'ev=reload ')
    send(proxy.address)
    equal([found(record) for record in proxy.wait_log(count=3)], [[], [('OS_LINUX', '0')], []], 'findings')


@test()
def a_bad_file_changes_nothing(t):
    path = os.path.join(t.directory('signatures'), 'own.sig')
    with open(path, 'w', encoding='ascii') as stream:
        stream.write('linux Mine 64 * * * *\n')
    proxy = t.postern(t.server(), lines=['os signatures ' + path] + STRANGERS)
    with open(path, 'w', encoding='ascii') as stream:
        stream.write('# another\nlinus Mine 64 * * * *\n')
    said = reload(proxy, proxy.config, r'own\.sig')
    check(any('own.sig:2:1: no family' in line for line in said), 'said: %s', said)
    send(proxy.address)
    record, = proxy.wait_log()
    equal(found(record), [('OS_LINUX', '0')], 'findings')
    check('Mine, 0 hops: ' in record['evidence'], 'evidence: %s', record['evidence'])


@test()
def rules_see_it(t):
    path = os.path.join(t.directory('rules'), 'own.cf')
    with open(path, 'w', encoding='ascii') as stream:
        stream.write('header MY_LINUX X-Spam-Client-OS =~ /^OS_LINUX Linux.* 0 hops: 64 /\nscore MY_LINUX 2.5\n'
                     'header MY_WINDOWS X-Spam-Client-OS =~ /^OS_WINDOWS/\n')
    proxy = t.postern(t.server(), lines=[OS, 'rules ' + path] + STRANGERS)
    send(proxy.address)
    record, = proxy.wait_log()
    check('MY_LINUX:2.5' in record['hits'] and 'MY_WINDOWS' not in record['hits'], 'hits: %s', record['hits'])


@test(own=True, root=True)
def our_own_stack_is_a_device(t):
    """A Postern on the system's TCP/IP behind one that reaches it by lwIP."""
    port = t.port()
    link = Link(t.transport, port)
    t.cleanup.callback(link.close)
    inner_port = t.port(link.prefix + '1')
    inner = t.postern(t.server(), listen=str(inner_port), lines=[OS] + STRANGERS)
    config = ['hostname mx.example.org', *link.lines, 'tls off', 'timeout early-talk 0', 'dns off',
              'relay example.org to %s via %s' % (inner_port, link.name)]
    outer = Postern(t, '\n'.join(config) + '\n', ports=[port])
    t.posterns.append(outer)
    send(outer.address)
    record, = inner.wait_log()
    equal(found(record), [('OS_EMBEDDED', '0')], 'findings: %s' % record)
    check('lwIP' in record['evidence'] and ' 0 hops: 255 ' in record['evidence'], 'evidence: %s', record['evidence'])


COOKIES = '/proc/sys/net/ipv4/tcp_syncookies'


def set_cookies(text):
    with open(COOKIES, 'w', encoding='ascii') as stream:
        stream.write(text)


@test(own=True, root=True, alone=True)
def a_cookie_has_forgotten_it(t):
    """The system's sockets again, with a kernel that answers each SYN by a cookie."""
    with open(COOKIES, encoding='ascii') as stream:
        t.cleanup.callback(set_cookies, stream.read())
    set_cookies('2')
    port = t.port('127.0.0.1')
    proxy = t.postern(t.server(), listen=str(port), lines=[OS] + STRANGERS)
    send((port.host, port.number))
    record, = proxy.wait_log()
    equal((found(record), record['outcome']), ([], 'delivered'), 'record: %s' % record)
    set_cookies('1')
    send((port.host, port.number))
    equal(found(proxy.wait_log(count=2)[1]), [('OS_LINUX', '0')], 'findings without cookies')
