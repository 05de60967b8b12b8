"""`postern check --live` finds out what mail would find out, and sends none."""
from support.dnsd import Dnsd
from support.harness import check, equal, table, test
from t_starttls import cert_line

KERNEL_ONLY = 'nobody connects to Postern'

OUTSIDE = b'postern-relay-test'


def ask(t, *targets, options='', more=('tls off', 'dns off')):
    """Exit status and output of the check in front of these servers."""
    lines = ['listen 127.0.0.1:2525', *more]
    if not any(line.startswith('hostname ') for line in more):
        lines.append('hostname mx.example.org')
    lines += ['relay example.org to %s %s' % (target, options) for target in targets]
    arguments = [word for line in lines for word in ('-o', line)]
    process = t.process([t.binary, 'check', '--live', '-c', '/dev/null', *arguments])
    status = process.wait(30)
    return status, process.text


def refuse_outside(rest):
    return OUTSIDE in rest


@test()
def a_good_server(t):
    server = t.server()
    server.refused_rcpt = refuse_outside
    status, text = ask(t, server.address)
    equal(status, 0, 'exit status: %s' % text)
    for words in ('postmaster      yes', 'relays outward  no, good', 'relays routed   no, good',
                  'offers          PIPELINING'):
        check(words in text, 'no %r in %s', words, text)
    equal(len(server.messages), 0, 'messages inside')
    check(not any(verb == 'DATA' for c in server.connections for verb, _ in c.commands), 'DATA')


@test()
def a_server_that_trusts_us(t):
    server = t.server()
    status, text = ask(t, server.address)
    equal(status, 1, 'exit status')
    check('relays outward  YES' in text and 'trusted networks' in text, 'text: %s', text)


@test()
def a_server_without_postmaster(t):
    server = t.server()
    server.refused_rcpt = lambda rest: True
    status, text = ask(t, server.address)
    equal(status, 1, 'exit status')
    check('postmaster      NO' in text, 'text: %s', text)


BROKEN = [('refused', None, 'connection refused'),
          ('greeting', ('banner', b'554 5.3.2 no\r\n'), 'greeting        NO'),
          ('rubbish', ('ehlo', b'\x00\x01\x02 what\r\n'), 'does not speak SMTP'),
          ('closed', ('mail', 'close'), 'closed the connection')]


@table(BROKEN)
def a_broken_server(t, name, fault, words):
    if fault:
        server = t.server()
        server.fault(*fault)
        address = server.address
    else:
        address = t.port()
    status, text = ask(t, address)
    equal(status, 1, 'exit status: %s' % text)
    check(words in text, 'no %r in %s', words, text)


NAMES = [
    # name, zone, words that must be there, how many warnings
    ('good', 'example.org MX 10 mx.example.org\nmx.example.org A 192.0.2.25\nmx.example.org AAAA 2001:db8::25',
     ['addresses       192.0.2.25 2001:db8::25', 'good            mx.example.org'], 0),
    ('among-others', 'example.org MX 10 other.example\nexample.org MX 20 MX.Example.org\nmx.example.org A 192.0.2.25',
     ['good            other.example mx.example.org'], 0),
    ('elsewhere', 'example.org MX 10 other.example\nmx.example.org A 192.0.2.25',
     ['NOT US          other.example', 'make `hostname` one of its MX'], 1),
    ('no-mx', 'example.org A 192.0.2.25\nmx.example.org A 192.0.2.25', ['NOT US          none'], 1),
    ('no-domain', 'mx.test A 192.0.2.25', ['there is no such domain', 'addresses       NONE',
                                           'give it an A or AAAA record'], 2),
]


@table(NAMES)
def names(t, name, zone, words, warnings):
    server, dns = t.server(), Dnsd(zone)
    t.cleanup.callback(dns.stop)
    server.refused_rcpt = refuse_outside
    status, text = ask(t, server.address, more=('tls off', 'dns ' + dns.address))
    equal(status, 0, 'exit status: %s' % text)
    for word in words:
        check(word in text, 'no %r in %s', word, text)
    check(('%d warning' % warnings in text) if warnings else 'warning' not in text, 'text: %s', text)


@test()
def names_without_a_resolver(t):
    server, dns = t.server(), Dnsd('', {'*': 'servfail'})
    t.cleanup.callback(dns.stop)
    server.refused_rcpt = refuse_outside
    status, text = ask(t, server.address, more=('tls off', 'dns ' + dns.address))
    equal(status, 0, 'exit status: %s' % text)
    equal(text.count('it cannot be looked up just now'), 2, 'text: %s' % text)


@test()
def a_certificate(t):
    server, dns = t.server(), Dnsd(NAMES[0][1])
    t.cleanup.callback(dns.stop)
    server.refused_rcpt = refuse_outside
    lines = ('dns ' + dns.address, cert_line(t, 'p256'))
    status, text = ask(t, server.address, more=lines)
    equal(status, 0, 'exit status: %s' % text)
    check('certificate     covers it' in text and 'about names' not in text, text)
    status, text = ask(t, server.address, more=(*lines, 'hostname mail.example.org'))
    check('certificate     DOES NOT COVER IT' in text and 'NOT US' in text, text)
