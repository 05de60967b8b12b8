"""The TLS adapter, by tls_probe, against OpenSSL's s_client and s_server: no postern in between."""
import os
import re
import shutil
import subprocess
import threading

from support.harness import Skip, check, equal, table, test
from support.proc import Proc

KERNEL_ONLY = 'nobody connects to Postern'

NAME = 'mx.example.org'


def openssl(*arguments, text=b'', seconds=20):
    """(status, output) of an openssl command; its stdin ends after `text`."""
    if not shutil.which('openssl'):
        raise Skip('no openssl on this machine')
    done = subprocess.run(['openssl', *arguments], input=text, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, timeout=seconds, check=False)
    return done.returncode, done.stdout.decode('utf-8', 'backslashreplace')


def pair(t, kind='P-256', name=NAME):
    """A self-signed certificate and its key: 'CERT,KEY'."""
    base = os.path.join(t.scratch, '%s-%s' % (kind.replace(':', ''), name))
    how = ['rsa:' + kind[4:]] if kind.startswith('RSA') else ['ec', '-pkeyopt',
                                                             'ec_paramgen_curve:' + kind]
    status, text = openssl('req', '-x509', '-nodes', '-newkey', *how, '-days', '30', '-subj',
                           '/CN=' + name, '-addext', 'subjectAltName=DNS:' + name,
                           '-keyout', base + '.key', '-out', base + '.pem')
    equal(status, 0, 'openssl req: %s' % text)
    return '%s.pem,%s.key' % (base, base)


def probe(t):
    return os.path.join(os.path.dirname(t.binary), 'host-tests', 'tools', 'tls_probe')


def parse_facts(line):
    """The words of a line of tls_probe's as a dict."""
    return {key: quoted or plain for key, quoted, plain in
            re.findall(r'(\w+)=(?:"([^"]*)"|(\S*))', line)}


class Echo:
    """tls_probe serve."""

    def __init__(self, t, *pairs):
        self.process = t.process([probe(t), 'serve', *pairs], name='tls_probe',
                                 stdin=subprocess.PIPE)
        ready = self.process.wait_line(r'ready (\d+)', 10)
        check(ready, 'tls_probe: %s', self.process.text)
        self.port = ready.group(1)
        self.seen = len(self.process.lines)

    def facts(self):
        """What the next connection was."""
        line = self.process.wait_line(r'^tls .*', 10, self.seen)
        check(line, 'no facts: %s', self.process.text)
        self.seen = len(self.process.lines)
        return parse_facts(line.group(0))


def s_client(port, *arguments, text=b'hello\n', servername=NAME):
    """Sends a line, waits for the echo. (status, output)"""
    if not shutil.which('openssl'):
        raise Skip('no openssl on this machine')
    name = ['-servername', servername] if servername else ['-noservername']
    argv = ['openssl', 's_client', '-connect', '127.0.0.1:' + port, *name, *arguments]
    client = Proc(argv, name='s_client', stdin=subprocess.PIPE)
    try:
        if client.wait_line(r'Verify return code|:error:|alert|errno', 10):
            try:
                client.child.stdin.write(text)
                client.child.stdin.flush()
                client.wait_line(re.escape(text.decode().strip()) + '$', 5)
                client.child.stdin.close()
            except OSError:
                pass
        return client.wait(10), client.text
    finally:
        client.stop()


# --- our server, OpenSSL's client ----------------------------------------------------------------

# name, s_client's options, what its output and our facts must say
ACCEPTED = [
    ('default', [], ['TLSv1.3', 'X25519', 'Peer signature type: ECDSA'], {'version': 'TLSv1.3'}),
    ('chacha', ['-ciphersuites', 'TLS_CHACHA20_POLY1305_SHA256'], ['TLS_CHACHA20'],
     {'cipher': 'TLS_CHACHA20_POLY1305_SHA256'}),
    ('aes128', ['-ciphersuites', 'TLS_AES_128_GCM_SHA256'], [],
     {'cipher': 'TLS_AES_128_GCM_SHA256'}),
    ('aes256', ['-ciphersuites', 'TLS_AES_256_GCM_SHA384'], [],
     {'cipher': 'TLS_AES_256_GCM_SHA384'}),
    ('p256', ['-groups', 'P-256'], ['ECDH, prime256v1, 256 bits'], {'version': 'TLSv1.3'}),
    ('p384', ['-groups', 'P-384'], ['ECDH, secp384r1, 384 bits'], {'version': 'TLSv1.3'}),
    ('retry', ['-groups', 'P-521:X25519'], ['X25519'], {'version': 'TLSv1.3'}),
    ('tls12', ['-tls1_2'], ['TLSv1.2', 'X25519', 'Secure Renegotiation IS supported',
                            'Extended master secret: yes'],
     {'cipher': 'TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256', 'key': 'P-256'}),
    ('tls12.groups', ['-tls1_2', '-groups', 'P-384:P-256:X25519'], ['X25519'], {}),
    ('tls12.chacha', ['-tls1_2', '-cipher', 'ECDHE-ECDSA-CHACHA20-POLY1305'], [],
     {'cipher': 'TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256'}),
    ('tls12.rsa', ['-tls1_2', '-cipher', 'ECDHE-RSA-AES256-GCM-SHA384'],
     ['Peer signature type: RSA'], {'key': 'RSA'}),
    ('tls12.rsa.chacha', ['-tls1_2', '-cipher', 'ECDHE-RSA-CHACHA20-POLY1305'], [],
     {'key': 'RSA'}),
    ('rsa.preferred', ['-sigalgs', 'rsa_pss_rsae_sha256:ecdsa_secp256r1_sha256'],
     ['Peer signature type: ECDSA'], {'key': 'P-256'}),
    ('rsa.only', ['-sigalgs', 'rsa_pss_rsae_sha256:RSA+SHA256'],
     ['Peer signature type: RSA-PSS'], {'key': 'RSA'}),
    ('rsa.only.tls12', ['-tls1_2', '-sigalgs', 'RSA+SHA256'], ['Peer signature type: RSA'],
     {'key': 'RSA'}),
    ('alpn', ['-alpn', 'h2,smtp'], ['ALPN protocol: smtp'], {}),
    ('alpn.tls12', ['-tls1_2', '-alpn', 'smtp'], ['ALPN protocol: smtp'], {}),
    ('small.records', ['-maxfraglen', '512'], [], {}),
    ('small.records.tls12', ['-tls1_2', '-maxfraglen', '1024'], [], {}),
    ('fragments', ['-max_send_frag', '512'], [], {}),
    ('without.compatibility', ['-no_middlebox'], [], {'version': 'TLSv1.3'}),
    ('fallback', ['-tls1_2', '-no_ticket', '-legacy_renegotiation'], [], {}),
]


@table(ACCEPTED)
def accepted(t, name, options, says, facts):
    echo = Echo(t, pair(t), pair(t, 'RSA:2048'))
    status, text = s_client(echo.port, *options)
    got = echo.facts()
    equal(got['failure'], '', text)
    equal(got['name'], NAME, 'SNI')
    for word in says:
        check(word in text, 'no %r in: %s', word, text)
    for key, value in facts.items():
        equal(got[key], value, key)
    check(re.search(r'^hello$', text, re.M), 'no echo: %s', text)
    equal(status, 0, text)
    check('Reused' not in text and 'TLS session ticket' not in text, 'a ticket: %s', text)
    check(echo.process.wait_line(r'end closed', 5), 'no close_notify: %s', echo.process.text)


REFUSED = [
    ('tls11', ['-tls1_1', '-cipher', 'ALL:@SECLEVEL=0'], 'alert protocol version'),
    ('tls10', ['-tls1', '-cipher', 'ALL:@SECLEVEL=0'], 'alert protocol version'),
    ('cbc', ['-tls1_2', '-cipher', 'ECDHE-ECDSA-AES128-SHA:AES128-SHA'], 'alert handshake failure'),
    ('dhe', ['-tls1_2', '-cipher', 'DHE-RSA-AES256-GCM-SHA384'], 'alert handshake failure'),
    ('rsa.exchange', ['-tls1_2', '-cipher', 'AES128-GCM-SHA256'], 'alert handshake failure'),
    ('group', ['-groups', 'P-521'], 'alert handshake failure'),
    ('ccm', ['-tls1_3', '-ciphersuites', 'TLS_AES_128_CCM_SHA256'], 'alert handshake failure'),
    ('alpn', ['-alpn', 'h2,http/1.1'], 'no application protocol'),
    ('alpn.tls12', ['-tls1_2', '-alpn', 'imap'], 'no application protocol'),
]


@table(REFUSED)
def refused(t, name, options, alert):
    echo = Echo(t, pair(t), pair(t, 'RSA:2048'))
    status, text = s_client(echo.port, *options)
    check(status != 0, 'it worked: %s', text)
    check(alert in text, 'no %r in: %s', alert, text)
    check(echo.facts()['failure'], 'no failure in the facts')
    # the next one is served
    equal(s_client(echo.port)[0], 0, 'the next client')


CHOICES = [
    ('mx.example.org', 'mx.example.org'), ('mx.example.net', 'mx.example.net'),
    ('MX.EXAMPLE.NET', 'mx.example.net'), ('elsewhere.example', 'mx.example.org'),
    ('', 'mx.example.org'),
]


@table([('name-%d' % i, *row) for i, row in enumerate(CHOICES)])
def certificate_by_name(t, name, asked, got):
    echo = Echo(t, pair(t), pair(t, name='mx.example.net'))
    _, text = s_client(echo.port, servername=asked)
    check('subject=CN = %s' % got in text, text)


@test()
def renegotiation_is_refused(t):
    echo = Echo(t, pair(t))
    _, text = s_client(echo.port, '-tls1_2', text=b'R\n')
    check('no renegotiation' in text, text)


@test()
def sessions_are_not_resumed(t):
    echo = Echo(t, pair(t))
    for version in '-tls1_2', '-tls1_3':
        session = os.path.join(t.scratch, 'session' + version)
        s_client(echo.port, version, '-sess_out', session)
        if not os.path.exists(session):
            continue
        status, text = s_client(echo.port, version, '-sess_in', session)
        equal(status, 0, text)
        check('Reused' not in text, 'resumed: %s', text)


def stream(port, options, text):
    """What comes back of a connection that sends while it receives."""
    if not shutil.which('openssl'):
        raise Skip('no openssl on this machine')
    child = subprocess.Popen(['openssl', 's_client', '-quiet', '-connect', '127.0.0.1:' + port,
                              *options], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                             stderr=subprocess.DEVNULL)

    def send():
        child.stdin.write(text)
        child.stdin.flush()
    try:
        threading.Thread(target=send, daemon=True).start()
        got = b''
        while len(got) < len(text):
            more = child.stdout.read1(65536)
            if not more:
                break
            got += more
        return got
    finally:
        child.kill()
        child.wait()


@table([('default',), ('tls12', '-tls1_2'), ('fragments', '-max_send_frag', '600'),
        ('small.records', '-maxfraglen', '512')])
def much_data_comes_back(t, name, *options):
    echo = Echo(t, pair(t))
    text = b''.join(b'%07d\n' % i for i in range(60000))
    check(stream(echo.port, options, text) == text, 'the echo differs')


@test()
def our_own_certificate(t):
    """The one made at a first start: OpenSSL reads it, and serves by it."""
    path = os.path.join(t.scratch, 'own.pem')
    equal(t.process([probe(t), 'self-signed', NAME, path]).wait(10), 0, 'tls_probe self-signed')
    status, text = openssl('x509', '-in', path, '-noout', '-text', '-checkhost', NAME)
    equal(status, 0, text)
    for word in ('does match certificate', 'id-ecPublicKey', 'prime256v1', 'CA:FALSE',
                 'Digital Signature', 'TLS Web Server Authentication', 'DNS:' + NAME,
                 'ecdsa-with-SHA256', 'Version: 3'):
        check(word in text, 'no %r in: %s', word, text)
    equal(openssl('verify', '-CAfile', path, '-purpose', 'sslserver', path)[0], 0, 'openssl verify')
    equal(openssl('ec', '-in', path, '-check', '-noout')[0], 0, 'openssl ec -check')
    echo = Echo(t, '%s,%s' % (path, path))
    status, text = s_client(echo.port, '-CAfile', path, '-verify_return_error', '-verify_hostname',
                            NAME)
    equal(status, 0, text)


# --- our client, OpenSSL's server ----------------------------------------------------------------

class SServer:
    """openssl s_server -rev: lines come back reversed."""

    def __init__(self, t, certificates, *options):
        if not shutil.which('openssl'):
            raise Skip('no openssl on this machine')
        certificate, key = certificates.split(',')
        self.process = t.process(['openssl', 's_server', '-accept', '127.0.0.1:0', '-cert',
                                  certificate, '-key', key, '-rev', *options], name='s_server',
                                 stdin=subprocess.PIPE)
        ready = self.process.wait_line(r'ACCEPT 127\.0\.0\.1:(\d+)', 10)
        check(ready, 's_server: %s', self.process.text)
        self.port = ready.group(1)


def connect(t, port, *options, text='abc\n'):
    """(status, facts, what came back) of tls_probe connect."""
    done = subprocess.run([probe(t), 'connect', port, *options], input=text.encode(),
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=20, check=False)
    out = done.stdout.decode('utf-8', 'backslashreplace')
    check(out.startswith('tls '), 'no facts: %s', out)
    line, _, rest = out.partition('\n')
    return done.returncode, parse_facts(line), rest


SERVERS = [
    ('default', 'P-256', [], 'TLSv1.3'),
    ('tls12', 'P-256', ['-tls1_2'], 'TLSv1.2'),
    ('rsa', 'RSA:2048', [], 'TLSv1.3'),
    ('rsa.tls12', 'RSA:2048', ['-tls1_2'], 'TLSv1.2'),
    ('p384', 'P-384', [], 'TLSv1.3'),
    ('p384.tls12', 'P-384', ['-tls1_2'], 'TLSv1.2'),
    ('tickets', 'P-256', ['-num_tickets', '8'], 'TLSv1.3'),
    ('retry', 'P-256', ['-groups', 'P-256'], 'TLSv1.3'),
    ('retry.p384', 'P-256', ['-groups', 'P-384'], 'TLSv1.3'),
    ('chacha', 'P-256', ['-ciphersuites', 'TLS_CHACHA20_POLY1305_SHA256'], 'TLSv1.3'),
    ('wants.a.certificate', 'P-256', ['-verify', '1'], 'TLSv1.3'),
    ('wants.a.certificate.tls12', 'P-256', ['-verify', '1', '-tls1_2'], 'TLSv1.2'),
    ('small.records', 'P-256', ['-max_send_frag', '512'], 'TLSv1.3'),
    ('no.ticket.tls12', 'P-256', ['-tls1_2', '-no_ticket'], 'TLSv1.2'),
]


@table(SERVERS)
def connects(t, name, kind, options, version):
    certificates = pair(t, kind)
    server = SServer(t, certificates, *options)
    certificate = certificates.split(',')[0]
    digest = openssl('x509', '-in', certificate, '-noout', '-fingerprint', '-sha256')[1]
    digest = digest.strip().split('=')[1].replace(':', '').lower()
    for ways in ([], ['--verify', 'ca', '--ca', certificate], ['--verify', 'pin', '--pin', digest],
                 ['--verify', 'look']):
        status, facts, text = connect(t, server.port, '--name', NAME, *ways)
        equal(status, 0, facts)
        equal(facts['version'], version, 'version')
        equal(facts['verified'], '1' if 'ca' in ways or 'pin' in ways else '0', 'verified %s' % ways)
        equal(text, 'cba\n\n', 'what came back')


@test()
def a_key_is_pinned(t):
    certificates = pair(t)
    server = SServer(t, certificates)
    public = os.path.join(t.scratch, 'public.der')
    openssl('pkey', '-in', certificates.split(',')[1], '-pubout', '-outform', 'DER', '-out', public)
    digest = openssl('dgst', '-sha256', '-r', public)[1].split()[0]
    status, facts, _ = connect(t, server.port, '--verify', 'pin', '--pin', digest)
    equal((status, facts['verified']), (0, '1'), facts)
    wrong = digest[:-1] + ('0' if digest[-1] != '0' else '1')
    status, facts, _ = connect(t, server.port, '--verify', 'pin', '--pin', wrong)
    equal((status, facts['failure']), (1, 'the certificate was refused'), facts)


WRONG = [
    ('name', ['--name', 'other.example.org', '--verify', 'ca'], 'it is made out to another name'),
    ('trust', ['--name', NAME, '--verify', 'ca', '--ca', 'other'], 'nobody we trust has signed it'),
]


@table(WRONG)
def wrong_certificates(t, name, options, doubt):
    certificates = pair(t)
    other = pair(t, name='other.example.net').split(',')[0]
    server = SServer(t, certificates)
    options = [other if o == 'other' else o for o in options]
    if '--ca' not in options:
        options += ['--ca', certificates.split(',')[0]]
    status, facts, _ = connect(t, server.port, *options)
    equal((status, facts['doubt']), (1, doubt), facts)


@table([('tls11', ['-tls1_1', '-cipher', 'ALL:@SECLEVEL=0']),
        ('cbc', ['-tls1_2', '-cipher', 'ECDHE-ECDSA-AES128-SHA'])])
def old_servers_are_refused(t, name, options):
    server = SServer(t, pair(t), *options)
    status, facts, _ = connect(t, server.port)
    equal(status, 1, facts)
    check(facts['failure'], 'no failure: %s', facts)
