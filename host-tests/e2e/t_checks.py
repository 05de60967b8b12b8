"""Lists, names and SPF through the real program: a resolver with a zone tree of its own, and one that fails."""
import os
import time

from support import client, mail
from support.dnsd import Dnsd
from support.harness import check, equal, table, test
from t_dns import daemon, ready

KERNEL_ONLY = 'the zones hold addresses of 127.0.0.X'

ZONE = '''
2.0.0.127.bl.test A 127.0.0.2
11.0.0.127.bl.test A 127.0.0.2
12.0.0.127.bl.test A 127.0.0.4
13.0.0.127.bl.test A 127.0.0.4
13.0.0.127.more.test A 127.0.0.2
2.0.0.127.more.test A 127.0.0.2
1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.bl.test A 127.0.0.2
2.0.0.127.err.test A 127.0.0.2
14.0.0.127.err.test A 127.255.255.254
2.0.0.127.good.test A 127.0.0.2
15.0.0.127.good.test A 127.0.5.1
test.dom.test A 127.0.0.2
spammer.test.dom.test A 127.0.1.2
11.0.0.127.in-addr.arpa PTR mail.sender.test
16.0.0.127.in-addr.arpa PTR mail.sender.test
17.0.0.127.in-addr.arpa PTR 127-0-0-17.dsl.provider.test
127-0-0-17.dsl.provider.test A 127.0.0.17
mail.sender.test A 127.0.0.16
sender.test TXT v=spf1 ip4:127.0.0.16 -all
soft.test TXT v=spf1 ~all
broken.test TXT v=spf1 ip4:nonsense -all
'''
LISTS = ['dnsbl bl.test score 4 codes 127.0.0.4 reject codes 127.0.0.2',
         'dnsbl more.test score 4', 'dnsbl err.test score 4', 'dnsbl good.test score -3',
         'dnsbl dom.test score 2.5 domain']
SENDER, RCPT = 'a@sender.test', 'user@example.org'


def unbound_config(zone):
    """Everything of the tree as local data of a real resolver."""
    lines = []
    for line in zone.split('\n'):
        if not line.strip():
            continue
        name, kind, data = line.split(None, 2)
        value = '"%s"' % data if kind == 'TXT' else data + ('.' if kind == 'PTR' else '')
        lines.append("  local-data: '%s. 300 IN %s %s'" % (name, kind, value))
    return '''server:
  interface: 127.0.0.1@PORT
  do-daemonize: no
  username: ""
  chroot: ""
  directory: "DIR"
  pidfile: ""
  use-syslog: no
  module-config: "iterator"
  local-zone: "test." static
  local-zone: "127.in-addr.arpa." static
''' + '\n'.join(lines) + '\nremote-control:\n  control-enable: no\n'


def resolver(t, real=True, faults=None, zone=ZONE):
    if real:
        port = t.port()
        daemon(t, 'unbound', unbound_config(zone), ['-d', '-c', 'DIR/conf'], port)
        ready(t, str(port), 'mail.sender.test', 'A')
        return str(port)
    server = Dnsd(zone, faults)
    t.cleanup.callback(server.stop)
    return server.address


def proxy_of(t, address, lines=(), trust='trust none', lists=tuple(LISTS), target=None, **options):
    if target is None:
        _, target, t.maildir = t.sink()
    return t.postern(target, lines=['dns ' + address, trust, *lists, *lines], **options)


def send(t, proxy, source, sender=SENDER, helo='mail.sender.test', message=None, rcpt=RCPT):
    session = client.Client(proxy.address, source=source)
    try:
        equal(session.reply().code, 220, 'greeting')
        equal(session.command('EHLO ' + helo).code, 250, 'EHLO')
        equal(session.command('MAIL FROM:<%s>' % sender).code, 250, 'MAIL')
        reply = session.command('RCPT TO:<%s>' % rcpt)
        if reply.code == 250:
            reply = session.data(message or b'From: a@sender.test\r\nSubject: x\r\n\r\ntext\r\n')
        session.quit()
        return reply
    finally:
        session.close()


def stored(t):
    got = list(mail.maildir(t.maildir).values())
    equal(len(got), 1, 'messages')
    return got[0].split(b'\r\n\r\n')[0].decode()


@test(seconds=60)
def listed_to_reject(t):
    proxy = proxy_of(t, resolver(t))
    reply = send(t, proxy, '127.0.0.11')
    equal(reply.code, 550, 'reply')
    check('block list' in reply.text and 'bl.test' not in reply.text, 'words: %s', reply.text)
    record, = proxy.wait_log()
    equal((record['verdict'], record['reasons'], record['outcome']), ('reject', 'listed', 'refused'),
          'record')
    check('RCVD_IN_BL_TEST' in record['hits'] and 'bl.test=127.0.0.2' in record['evidence'],
          'record: %s', record)


@test(seconds=60)
def listed_twice_is_tagged(t):
    proxy = proxy_of(t, resolver(t))
    equal(send(t, proxy, '127.0.0.13', sender='a@soft.test').code, 250, 'reply')
    header = stored(t)
    check('X-Spam-Flag: YES' in header and 'RCVD_IN_BL_TEST,RCVD_IN_MORE_TEST' in header, header)
    record, = proxy.wait_log()
    equal(record['verdict'], 'tag', 'verdict')
    check('SPF_SOFTFAIL:1' in record['hits'], 'hits: %s', record['hits'])


@test(seconds=60)
def a_list_that_errs_costs_nobody_anything(t):
    proxy = proxy_of(t, resolver(t))
    equal(send(t, proxy, '127.0.0.14').code, 250, 'reply')
    check('X-Spam-Flag' not in stored(t), 'flagged')
    states = proxy.log('dnsbl', zone='err.test', state='resting')
    equal(len(states), 1, 'resting')
    record, = proxy.wait_log()
    check('ERR_TEST' not in record['hits'], 'hits: %s', record['hits'])
    # and is not asked for the next client
    equal(send(t, proxy, '127.0.0.14').code, 250, 'reply')


@test(seconds=60)
def over_ipv6(t):
    proxy = proxy_of(t, resolver(t), host='::1')
    reply = send(t, proxy, '::1')
    equal((reply.code, proxy.wait_log()[0]['reasons']), (550, 'listed'),
          'reply %s' % reply)


@test(seconds=60)
def spf_pass_is_written_down(t):
    proxy = proxy_of(t, resolver(t))
    equal(send(t, proxy, '127.0.0.16').code, 250, 'reply')
    header = stored(t)
    for words in ('spf=pass smtp.mailfrom=a@sender.test', 'iprev=pass policy.iprev=127.0.0.16',
                  'Received-SPF: pass client-ip=127.0.0.16', '(mail.sender.test [127.0.0.16])'):
        check(words in header, '%s is missing in %s', words, header)


@test(seconds=60)
def a_backup_server_does_not_cost_the_spf_pass(t):
    proxy = proxy_of(t, resolver(t), trust='trust 127.0.0.20/32')
    trace = b'Received: from mail.sender.test (mail.sender.test [127.0.0.%d])\r\n' \
            b'\tby backup.example.org (Postfix) with ESMTP id 4X; Thu, 01 Jan 2026 00:00:00 +0000\r\n' \
            b'From: a@sender.test\r\nSubject: x\r\n\r\ntext\r\n'
    equal(send(t, proxy, '127.0.0.20', message=trace % 16).code, 250, 'reply')
    header = stored(t)
    check('spf=pass smtp.mailfrom=a@sender.test' in header and
          'Received-SPF: pass client-ip=127.0.0.16' in header, header)
    check('iprev' not in header, 'our relay is not the client: %s', header)
    # nor does it hide who is on a list
    equal(send(t, proxy, '127.0.0.20', message=trace % 11).code, 550, 'reply')
    equal(proxy.wait_log(count=2)[1]['reasons'], 'listed', 'record')
    # and a forged field above it is not believed: it names no address of ours
    forged = b'Received: from x (x [192.0.2.1]) by y with SMTP id 1234; now\r\n' + trace % 16
    equal(send(t, proxy, '127.0.0.20', message=forged).code, 250, 'reply')
    check('SPF_FAIL' in proxy.wait_log(count=3)[2]['hits'], 'record')


ROWS = [
    # name, client, sender, helo, hits that must be there
    ('no-name', '127.0.0.18', SENDER, 'mail.sender.test', ('RDNS_NONE:1.3', 'SPF_FAIL:2')),
    ('made-name', '127.0.0.17', SENDER, 'mail.sender.test', ('RDNS_DYNAMIC:1', 'SPF_FAIL:2')),
    ('not-its-name', '127.0.0.11', 'a@soft.test', 'x.test', ('RDNS_UNCONFIRMED:0.5',)),
    ('literal', '127.0.0.18', SENDER, '[127.0.0.99]', ('HELO_LITERAL:1.5',)),
    ('bare-ip', '127.0.0.18', SENDER, '127.0.0.18', ('HELO_BARE_IP:1.5',)),
    ('no-domain', '127.0.0.18', SENDER, 'pc', ('HELO_NO_DOMAIN:1',)),
    ('says-it-is-us', '127.0.0.18', SENDER, 'mx.example.org', ('HELO_OURS:3',)),
    ('domain-list', '127.0.0.16', 'a@x.spammer.test', 'mail.sender.test', ('DOMAIN_IN_DOM_TEST:2.5',)),
    ('broken-record', '127.0.0.16', 'a@broken.test', 'mail.sender.test', ('SPF_PERMERROR:0',)),
    ('bounce', '127.0.0.16', '', 'sender.test', ('SPF_PASS:0',)),
    ('allow-list', '127.0.0.15', 'a@soft.test', 'x.test', ('RCVD_IN_GOOD_TEST:-3',)),
]


@table([(row[0], *row[1:]) for row in ROWS], seconds=60)
def facts(t, name, source, sender, helo, hits):
    lists = [line for line in LISTS if ' reject ' not in line]
    proxy = proxy_of(t, resolver(t, real=False), lists=lists)
    equal(send(t, proxy, source, sender, helo).code, 250, 'reply')
    record, = proxy.wait_log()
    for hit in hits:
        check(hit in record['hits'].split(','), '%s is missing in %s', hit, record['hits'])


@test(seconds=60)
def dry_run_and_direct(t):
    """A list asked at its own servers, that only writes down."""
    own = Dnsd(ZONE)
    t.cleanup.callback(own.stop)
    proxy = proxy_of(t, own.address, lists=['dnsbl bl.test reject codes 127.0.0.2 dry-run direct'])
    equal(send(t, proxy, '127.0.0.11').code, 250, 'reply')
    check('RCVD_IN_BL_TEST:dry' in proxy.wait_log()[0]['hits'], 'record')


@test(seconds=60)
def an_allow_hit_ends_the_wait(t):
    proxy = proxy_of(t, resolver(t, real=False), lines=['timeout early-talk 3'])
    start = time.monotonic()
    equal(send(t, proxy, '127.0.0.15', 'a@soft.test').code, 250, 'reply')
    check(time.monotonic() - start < 2, 'waited %.1f s', time.monotonic() - start)


@test(seconds=60, alone=True)
def who_looks_bad_waits_longer(t):
    proxy = proxy_of(t, resolver(t, real=False), lines=['timeout early-talk 700ms'])
    start = time.monotonic()
    equal(send(t, proxy, '127.0.0.12', 'a@soft.test').code, 250, 'reply')
    check(2 <= time.monotonic() - start < 4, 'waited %.1f s', time.monotonic() - start)


# ---- the fault matrix: what is broken, what the owner chose, what the sender hears --------------------

MATRIX = [
    ('dns-dead-accepted', {'*': 'silent'}, ['dns trouble accept'], 250, 'dns_down'),
    ('dns-dead-deferred', {'*': 'silent'}, ['dns trouble defer'], 451, 'dns_down'),
    ('dns-refuses-accepted', {'*': 'refused'}, [], 250, 'dns_down'),
    ('dns-garbage-deferred', {'*': 'garbage'}, ['dns trouble defer'], 451, 'dns_down'),
    ('spf-trouble-labelled', {'sender.test': 'servfail'}, [], 250, ''),
    ('spf-trouble-deferred', {'sender.test': 'servfail'}, ['spf trouble defer'], 451, ''),
    ('list-silent', {'16.0.0.127.bl.test': 'silent'}, [], 250, ''),
    ('list-lies', {'1.0.0.127.bl.test': 'many:1'}, [], 250, ''),
]


@table([(row[0], *row[1:]) for row in MATRIX], seconds=60)
def trouble(t, name, faults, lines, code, fact):
    address = resolver(t, real=False, faults=faults)
    proxy = proxy_of(t, address, lines=[line for line in lines if not line.startswith('dns ')] +
                     [line for line in lines if line.startswith('dns ')])
    start = time.monotonic()
    reply = send(t, proxy, '127.0.0.16')
    took = time.monotonic() - start
    equal(reply.code, code, 'reply %s' % reply)
    check(took < 22, 'took %.1f s', took)
    record, = proxy.wait_log()
    check(fact in record.get('facts', ''), 'facts: %s', record)
    if name.startswith('spf-trouble-l'):
        check('SPF_TEMPERROR:0' in record['hits'] and 'spf=temperror' in stored(t), 'label')
    if name == 'list-lies':
        equal(len(proxy.log('dnsbl', zone='bl.test', state='resting')), 1, 'rests')


@test(seconds=60)
def asked_from_the_command_line(t):
    address = resolver(t, real=False)
    path = os.path.join(t.directory('ask'), 'postern.conf')
    with open(path, 'w') as out:
        out.write('\n'.join(['hostname mx.example.org', 'relay example.org to 192.0.2.9:25',
                             'dns ' + address, 'dry-run SPF_FAIL', *LISTS]) + '\n')
    process = t.process([t.binary, 'ask', '-c', path, '127.0.0.13', '--helo', 'pc', '--from', SENDER],
                        name='ask')
    equal(process.wait(20), 0, process.text)
    for words in ('name: there is none', 'list bl.test: listed', 'list good.test: not listed',
                  'SPF of the sender: fail', 'HELO_NO_DOMAIN', 'SPF_FAIL', '(dry run)', '10.3 points, tag'):
        check(words in process.text, '%s is missing in %s', words, process.text)
