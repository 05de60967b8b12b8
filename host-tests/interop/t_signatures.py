"""Signed mail is still good behind the proxy: DKIM, S/MIME, PGP."""
import base64
import importlib
import os
import random
import re
import shutil
import subprocess
import sys

import wire
from support import mail, mta
from support.harness import Skip, check, equal, table, test
from support.proc import wait_until
from support.server import CAPABILITIES

HEAD = ('From: Sender <sender@signed.example>\r\nTo: User <user@example.org>\r\n'
        'Subject: signed\r\nDate: Thu, 01 Jan 2026 00:00:00 +0000\r\n'
        'Message-ID: <signed-%s@signed.example>\r\nMIME-Version: 1.0\r\n')
PLAIN = 'Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n'
SIZES = {'held': 0, 'streamed': 700 << 10}
WAYS = ('data', 'starttls', 'bdat')


def body(size):
    """All that mail programs like to mend."""
    dice, out = random.Random(size), bytearray(
        'Gr\u00fc\u00dfe \u2014 8-bit\r\n.\r\n..\r\n...three dots\r\n.\r\nblanks  \t \r\n \r\n'
        '\tindented\r\nFrom here on\r\n'.encode() + b'\xff\xfe\x80 no utf-8\r\n' +
        b'x' * 5000 + b'\r\n' + b'. ' * 2500 + b'\r\n.' + b'y' * 4999 + b' \r\n')
    while len(out) < size:
        out += dice.choice((b'.', b'', b'  ', b'..', b'\xe4')) + b'%x' % dice.getrandbits(
            dice.choice((8, 400, 4000))) + dice.choice((b'', b' ', b'\t')) + b'\r\n'
    return bytes(out) + b'end\r\n\r\n\r\n'


def run(argv, **options):
    return subprocess.run(argv, capture_output=True, timeout=60, **options)


def must(argv, **options):
    done = run(argv, **options)
    check(done.returncode == 0, '%s: %s', argv[:4], done.stderr.decode('utf-8', 'replace')[-500:])
    return done.stdout


class Dkim:
    """dkimpy, simple canonicalization: not one octet may change."""

    def __init__(self, t):
        argv, _ = t.tool('dkimpy')
        place = os.path.dirname(os.path.dirname(argv[0]))
        if place not in sys.path:
            sys.path.append(place)
        self.dkim = importlib.import_module('dkim')
        self.key = must(['openssl', 'genrsa', '-traditional', '2048'])
        public = must(['openssl', 'rsa', '-pubout', '-outform', 'DER'], input=self.key)
        self.record = b'v=DKIM1; k=rsa; p=' + base64.b64encode(public)

    def sign(self, text):
        return self.dkim.sign(text, b'sel', b'signed.example', self.key,
                              canonicalize=(b'simple', b'simple')) + text

    def message(self, name, content):
        return self.sign((HEAD % name + PLAIN + '\r\n').encode() + content)

    def is_good(self, text):
        return self.dkim.verify(text, dnsfunc=lambda *_, **__: self.record)


EDGE = b'--=edge-of-part'


def multipart(name, part, protocol, hashed, fields, signature):
    """multipart/signed (RFC 1847)."""
    head = (HEAD % name + 'Content-Type: multipart/signed; micalg=%s;\r\n\tprotocol="%s"; '
            'boundary="=edge-of-part"\r\n\r\n' % (hashed, protocol)).encode()
    return b'\r\n'.join([head + EDGE, part, EDGE, b'Content-Type: ' + protocol.encode(),
                         fields, re.sub(rb'\r*\n', b'\r\n', signature), EDGE + b'--', b''])


def parts_of(text):
    """The signed part and the signature's text."""
    parts = re.split(rb'(?:^|\r\n)--=edge-of-part(?:--)?\r\n', text)
    return parts[1], parts[2].split(b'\r\n\r\n', 1)[1]


class Smime:
    """openssl cms, multipart/signed."""

    def __init__(self, t):
        self.directory = t.directory('smime')
        self.pair = [os.path.join(self.directory, name) for name in ('cert', 'key')]
        must(['openssl', 'req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-days', '30', '-subj',
              '/CN=Sender/emailAddress=sender@signed.example', '-addext',
              'extendedKeyUsage=emailProtection', '-out', self.pair[0], '-keyout', self.pair[1]])

    def message(self, name, content):
        part = (PLAIN + '\r\n').encode() + content
        signature = must(['openssl', 'cms', '-sign', '-binary', '-signer', self.pair[0], '-inkey',
                          self.pair[1], '-outform', 'DER'], input=part)
        return multipart(name, part, 'application/pkcs7-signature', 'sha-256',
                         b'Content-Transfer-Encoding: base64\r\n',
                         base64.encodebytes(signature))

    def is_good(self, text):
        part, signature = parts_of(text)
        path = os.path.join(self.directory, 'part')
        with open(path, 'wb') as out:
            out.write(part)
        return run(['openssl', 'cms', '-verify', '-binary', '-CAfile', self.pair[0], '-inform',
                    'DER', '-content', path, '-out', os.devnull],
                   input=base64.b64decode(signature)).returncode == 0


class Pgp:
    """gpg, multipart/signed (RFC 3156)."""

    def __init__(self, t):
        if not shutil.which('gpg'):
            raise Skip('gpg is not on this machine')
        self.home = t.directory('gpg')
        self.argv = ['gpg', '--homedir', self.home, '--batch', '--quiet', '--pinentry-mode',
                     'loopback', '--passphrase', '']
        t.cleanup.callback(run, ['gpgconf', '--homedir', self.home, '--kill', 'all'])
        must(self.argv + ['--quick-gen-key', 'sender@signed.example', 'ed25519', 'sign'])

    def message(self, name, content):
        part = (PLAIN + '\r\n').encode() + content
        signature = must(self.argv + ['--armor', '--detach-sign'], input=part)
        return multipart(name, part, 'application/pgp-signature', 'pgp-sha512', b'', signature)

    def is_good(self, text):
        part, signature = parts_of(text)
        path = os.path.join(self.home, 'signature')
        with open(path, 'wb') as out:
            out.write(signature)
        return run(self.argv + ['--verify', path, '-'], input=part).returncode == 0


KINDS = {'dkim': Dkim, 'smime': Smime, 'pgp': Pgp}


@table([('%s-%s-%s' % (k, s, w), k, s, w) for k in KINDS for s in SIZES for w in WAYS], seconds=60)
def survives(t, name, kind, size, way):
    signer = KINDS[kind](t)
    text = signer.message(name, body(SIZES[size]))
    check(signer.is_good(text), 'not good before it is sent')
    check(not signer.is_good(text.replace(b' 8-bit\r\n', b' 8-bit \r\n', 1)),
          'a blank more in the body is not noticed: the test is worth nothing')
    _, address, maildir = t.sink()
    proxy = t.postern(address, lines=[] if way == 'data' else wire.tls_lines(t))
    with wire.connect(proxy, way == 'starttls') as session:
        if way == 'bdat' and not session.offers('CHUNKING'):
            raise Skip('CHUNKING is not offered')
        check(session.envelope('sender@signed.example', 'user@example.org',
                               ' BODY=8BITMIME' if session.offers('8BITMIME') else '') is None,
              'envelope')
        reply = session.chunks(text) if way == 'bdat' else session.data(text)
        equal(reply.code, 250, 'answer %s' % reply)
        session.quit()
    got, = mail.maildir(maildir).values()
    check(mail.difference(text, got) is None, '%s', mail.difference(text, got))
    check(signer.is_good(got), 'the signature is broken')


def bare_body():
    """What Exchange Online sends by BDAT and nothing else: lone LF and CR, and dots that are no stuffing."""
    return body(0).replace(b'end\r\n', b'lone LF\n.dot\nlone CR\r.\rtwo\r\r\n\n\n.\n..\r\nno end')


@table([('%s-%s' % (kind, inside), kind, inside) for kind in KINDS for inside in ('scripted', 'exim')], seconds=60)
def survives_with_bare_newlines(t, name, kind, inside):
    """By BDAT to a server with CHUNKING: not one octet of the body changes."""
    signer = KINDS[kind](t)
    text = signer.message(name, bare_body())
    server = t.server(capabilities=CAPABILITIES + ('CHUNKING',)) if inside == 'scripted' else mta.Exim(t)
    proxy = t.postern(server)
    with wire.connect(proxy) as session:
        check(session.envelope('sender@signed.example', 'user@example.org') is None, 'envelope')
        equal(session.chunks(text, 3000).code, 250, 'answer')
        session.quit()
    if inside == 'exim':
        # it stores lone LFs and CRLFs alike: how it was taken is all that can be seen
        check(wait_until(server.messages, 10), 'nothing inside: %s', server.log[-500:])
        check(re.search(r' P=esmtps? (L\. )?K S=', server.log), 'not by BDAT: %s', server.log[-800:])
        return
    got, = [m.body for m in server.taken]
    check(server.taken[0].by_bdat, 'not by BDAT')
    check(got.endswith(text.split(b'\r\n\r\n', 1)[1]), 'the body differs: %r', got[-200:])
    check(signer.is_good(got), 'the signature is broken')


@test(seconds=60)
def through_a_real_queue(t):
    """DKIM behind Dovecot, read by POP3: signed, sent, stored, fetched, verified."""
    signer, inside = Dkim(t), mta.Dovecot(t)
    text = signer.message('queue', body(0))
    proxy = t.postern(inside.address)
    with wire.connect(proxy) as session:
        check(session.envelope('sender@signed.example', 'user@example.org') is None, 'envelope')
        equal(session.data(text).code, 250, 'answer')
        session.quit()
    for got in inside.by_imap('user@example.org') + inside.by_pop3('user@example.org'):
        check(got.endswith(text), 'differs')
        check(signer.is_good(got), 'the signature is broken')
