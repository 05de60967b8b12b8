"""`postern check --live` finds out what mail would find out, and sends none."""
from support.harness import check, equal, table, test

KERNEL_ONLY = 'nobody connects to Postern'

OUTSIDE = b'postern-relay-test'


def ask(t, *targets, options=''):
    """Exit status and output of the check in front of these servers."""
    lines = ['hostname mx.example.org', 'listen 127.0.0.1:2525', 'tls off']
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
