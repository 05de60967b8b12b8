"""Real servers see the true client, also when connections are shared."""
import re

from support import client, mta, postfix
from support.harness import check, equal, table
from support.proc import wait_until
import world

CLIENTS = [('127.0.0.7', 'first.client.example'), ('127.0.0.8', 'second.client.example'),
           ('127.0.0.7', 'third.client.example')]


def with_tls(t):
    pair = world.certificate(t.directory('certificate'), 'internal.example')
    return ['smtpd_tls_security_level = may', 'smtpd_tls_cert_file = ' + pair[0],
            'smtpd_tls_key_file = ' + pair[1]]


def send_all(proxy):
    for number, (source, helo) in enumerate(CLIENTS):
        with client.Client(proxy.address, source=source) as session:
            session.greet(helo)
            check(session.envelope('a@client.example', 'u%d@example.org' % number) is None,
                  'envelope')
            reply = session.data(b'Subject: %d\r\n\r\n' % number)
            equal(reply.code, 250, 'answer %s' % reply)
            session.quit()


@table([('plain', False), ('tls', True)], seconds=60)
def xclient_to_postfix(t, name, secured):
    """One pooled connection, each message with its own client's address and HELO."""
    settings = ['smtpd_authorized_xclient_hosts = 127.0.0.0/8']
    if secured:
        settings += with_tls(t)
    inside = postfix.Postfix(t, settings=settings)
    proxy = t.postern(inside.address, relay_options='tls ' + ('must' if secured else 'off'))
    send_all(proxy)
    check(wait_until(lambda: len(inside.messages()) == 3, 10), 'not inside: %s', inside.log[-800:])
    stamp = re.compile(rb'from (\S+) \(\S+ \[([0-9.]+)\]\)[^\n]*\n[^\n]*by internal')
    seen = sorted(stamp.search(message).groups() for message in inside.messages())
    equal(seen, sorted((helo.encode(), source.encode()) for source, helo in CLIENTS),
          'what Postfix says in Received')
    logged = re.findall(r'smtpd\[\d+\]: \w+: client=\S+\[([0-9.]+)\]', inside.log)
    equal(logged, [source for source, _ in CLIENTS], 'clients in the log')
    processes = set(re.findall(r'smtpd\[(\d+)\]: \w+: client=', inside.log))
    equal(len(processes), 1, 'connections (smtpd processes) used')


@table([('plain', 'off'), ('tls', 'must')], seconds=60)
def xforward_to_postfix(t, name, tls):
    """Where only XFORWARD is offered, Postfix' log has the client and its HELO."""
    settings = ['smtpd_authorized_xforward_hosts = 127.0.0.0/8']
    if tls == 'must':
        settings += with_tls(t)
    inside = postfix.Postfix(t, settings=settings)
    proxy = t.postern(inside.address, relay_options='tls ' + tls)
    send_all(proxy)
    check(wait_until(lambda: len(inside.messages()) == 3, 10), 'not inside: %s', inside.log[-800:])
    logged = re.findall(r'orig_client=\S*\[([0-9.]+)\]', inside.log)
    equal(logged, [source for source, _ in CLIENTS], 'clients in the log: ' + inside.log[-900:])


@table([('dovecot',)], seconds=60)
def xclient_to_lmtp(t, name):
    """Dovecot's LMTP takes XCLIENT from trusted networks; its Received names the client."""
    inside = mta.Dovecot(t, settings='login_trusted_networks = 127.0.0.0/8')
    proxy = t.postern(inside.address)
    send_all(proxy)
    seen = []
    for text in inside.messages():
        seen += re.findall(rb'Received: from (\S+) \(\[([0-9.]+)\]\)\r?\n\s+by \S+ with LMTP', text)
    equal(sorted(seen), sorted((helo.encode(), source.encode()) for source, helo in CLIENTS),
          'what Dovecot says in Received')
