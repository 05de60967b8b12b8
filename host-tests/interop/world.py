"""One proxy with a route to every internal server, shared by all rows of the table.

Starting five servers for each row would take longer than the rows. Everything is made when first
asked for, and taken down when the suite ends.
"""
import os
import socket
import ssl
import subprocess
import threading

from support import harness, mail, mta, postfix
from support.harness import Skip, check
from support.proc import wait_until

DOMAINS = {name: name + '.example' for name in ('sink', 'postfix', 'exim', 'opensmtpd', 'dovecot')}
_worlds, _lock = {}, threading.Lock()


def shared(t):
    """The world of this run."""
    with _lock:
        if 'world' not in _worlds:
            _worlds['world'] = World(t)
        return _worlds['world']


def end_all():
    for world in _worlds.values():
        world.context.close()


def _unverified():
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


# nobody has signed the test's certificates
UNVERIFIED = _unverified()


def certificate(directory, name, mode=0o644, kind='ec'):
    """(certificate file, key file) for this host name, signed by itself."""
    os.chmod(directory, 0o755)
    key = (['rsa:2048'] if kind == 'rsa' else ['ec', '-pkeyopt', 'ec_paramgen_curve:P-256'])
    paths = [os.path.join(directory, '%s.%s' % (name, part)) for part in ('cert', 'key')]
    done = subprocess.run(['openssl', 'req', '-x509', '-newkey', *key, '-nodes', '-days', '30',
                           '-subj', '/CN=' + name, '-addext', 'subjectAltName=DNS:' + name,
                           '-out', paths[0], '-keyout', paths[1]], capture_output=True)
    check(done.returncode == 0, 'openssl: %s', done.stderr)
    os.chmod(paths[1], mode)
    return tuple(paths)


def offers(address, secured, keyword):
    with socket.create_connection(address, 10) as sock:
        sock = UNVERIFIED.wrap_socket(sock) if secured else sock
        stream = sock.makefile('rwb')
        stream.readline()
        stream.write(b'EHLO client.example\r\n')
        stream.flush()
        while True:
            line = stream.readline()
            if keyword in line or line[3:4] != b'-':
                return keyword in line


class World:
    def __init__(self, t):
        self.context = harness.Context('world', t.binary, t.peers, os.path.dirname(t.scratch),
                                       t.full)
        self.lock = threading.RLock()
        self.made = {}

    def once(self, name, make):
        """What `make` makes, made once; a Skip or failure is kept too."""
        with self.lock:
            if name not in self.made:
                try:
                    self.made[name] = make()
                except Exception as reason:
                    self.made[name] = reason
            if isinstance(self.made[name], Exception):
                raise self.made[name]
            return self.made[name]

    def server(self, name):
        return self.once('server ' + name, lambda: getattr(self, '_' + name)(DOMAINS[name]))

    def certificate(self, name, mode=0o644, kind='ec'):
        directory = self.once('certificates', lambda: self.context.directory('certificates'))
        return self.once('certificate ' + name, lambda: certificate(directory, name, mode,
                                                                     kind))

    def _sink(self, _):
        return Sink(self.context)

    def _postfix(self, domain):
        pair = self.certificate('postfix.example')
        return postfix.Postfix(self.context, inside=domain, settings=[
            'smtpd_tls_security_level = may', 'smtpd_tls_cert_file = ' + pair[0],
            'smtpd_tls_key_file = ' + pair[1]])

    def _exim(self, domain):
        return mta.Exim(self.context, inside=domain, tls=self.certificate('exim.example'))

    def _opensmtpd(self, domain):
        # Debian 12's OpenSMTPD offers STARTTLS and then fails the handshake ("missing private key":
        # its privileged signing does not fit OpenSSL 3), whatever the client: a server whose TLS
        # is broken, spoken to without after the first try.
        return mta.OpenSmtpd(self.context, inside=domain,
                             tls=self.certificate('opensmtpd.example', 0o600, 'rsa'))

    def _dovecot(self, domain):
        return mta.Dovecot(self.context, inside=(domain,), tls=self.certificate('dovecot.example'))

    def proxy(self, mode):
        """`plain`: no TLS on either leg. `starttls`: on both. `tls`: from the first byte."""
        return self.once('proxy ' + mode, lambda: self._proxy(mode))

    def _proxy(self, mode):
        lines = ['limit sessions 200']
        for name, domain in DOMAINS.items():
            try:
                server = self.server(name)
            except Skip:
                continue
            secured = mode != 'plain' and name in ('postfix', 'exim')
            lines.append('relay %s to %s tls %s' % (
                domain, server.address, 'must' if secured else
                'off' if mode == 'plain' else 'may'))
        lines.append('tls off' if mode == 'plain' else
                     'tls cert %s key %s' % self.certificate('mx.example.org'))
        listen = None
        if mode == 'tls':
            port = self.context.port()
            listen = '%s tls' % port
        proxy = self.context.postern(lines=lines, listen=listen)
        if mode == 'tls':
            proxy.ports = [port]
        # it learns what the internal servers offer while it serves the first clients already
        check(wait_until(lambda: offers(proxy.address, mode == 'tls', b'8BITMIME'), 10, 0.1),
              'no 8BITMIME is offered, though all servers have it')
        return proxy

    def mta_client(self, kind, mode):
        """A sending MTA whose next hop for everything is the proxy."""
        def make():
            out, secured = self.proxy(mode).ports[0], mode != 'plain'
            if kind == 'postfix':
                return postfix.Postfix(self.context, inside='none.invalid', outside=out, settings=[
                    'smtp_tls_security_level = %s' % ('encrypt' if secured else 'none'),
                    'smtp_tls_loglevel = 1'])
            maker = {'exim': mta.Exim, 'opensmtpd': mta.OpenSmtpd}[kind]
            return maker(self.context, inside='none.invalid', outside=out, tls_client=secured)
        return self.once('client %s %s' % (kind, mode), make)


class Sink:
    def __init__(self, context):
        _, self.address, self.directory = context.sink()
        self.maildir = os.path.join(self.directory, 'new')

    log = ''

    def messages(self):
        return list(mail.maildir(self.directory).values())
