"""Users of a real internal server log in there through us, with the programs that users have."""
import os
import smtplib

import clients
import compare
import world
from support import harness, mta, postfix
from support.harness import check, equal, table
from support.proc import Proc, wait_until

USER, SECRET = 'u7@users.example', 'secret'
SENDER, FAR = USER, 'somebody@far.example'
TEXT = ('From: <%s>\r\nTo: <%s>\r\nSubject: submitted\r\nDate: Thu, 01 Jan 2026 00:00:00 +0000\r\n'
        'Message-ID: <%%s@users.example>\r\n\r\ntext\r\n.dot\r\n\r\nend\r\n' % (USER, FAR))

EXIM_USERS = """\
plain:
  driver = plaintext
  public_name = PLAIN
  server_prompts = :
  server_condition = ${if and {{eq{$auth2}{%(user)s}}{eq{$auth3}{%(secret)s}}}}
  server_set_id = $auth2
  server_advertise_condition = ${if def:tls_in_cipher}
login:
  driver = plaintext
  public_name = LOGIN
  server_prompts = Username:: : Password::
  server_condition = ${if and {{eq{$auth1}{%(user)s}}{eq{$auth2}{%(secret)s}}}}
  server_set_id = $auth1
  server_advertise_condition = ${if def:tls_in_cipher}
""" % {'user': USER, 'secret': SECRET}


class Place:
    """An internal server with users, a port that stands for the Internet behind it, and us in front."""

    def __init__(self, t, kind, mode):
        self.outside = t.server()
        pair = world.certificate(t.directory('inside'), 'internal.example')
        self.inside = getattr(self, '_' + kind)(t, pair)
        self.port = t.port()
        self.proxy = t.postern(t.server(), lines=[
            'listen %s %s submission' % (self.port, 'tls' if mode == 'tls' else ''),
            'submission to %s' % self.inside.address,
            'tls cert %s key %s' % world.certificate(t.directory('certificate'), 'mx.example.org')])

    def _postfix(self, t, pair):
        port = t.port()
        mta.Dovecot(t, inside=('users.example',), settings='service auth {\n  inet_listener {\n    address = 127.0.0.1\n'
                    '    port = %d\n  }\n}\nauth_mechanisms = plain login' % port.number)
        return postfix.Postfix(t, inside='users.example', outside=self.outside.port, settings=[
            'mynetworks = 192.0.2.1/32', 'smtpd_sasl_auth_enable = yes', 'smtpd_sasl_type = dovecot',
            'smtpd_sasl_path = inet:127.0.0.1:%d' % port.number, 'smtpd_tls_auth_only = yes',
            'smtpd_relay_restrictions = permit_sasl_authenticated, reject_unauth_destination',
            'smtpd_tls_security_level = may', 'smtpd_tls_cert_file = ' + pair[0], 'smtpd_tls_key_file = ' + pair[1]])

    def _exim(self, t, pair):
        return mta.Exim(t, inside='users.example', outside=self.outside.port, tls=pair, users=EXIM_USERS)


def by_swaks(t, place, mode, path, how):
    argv, _ = t.tool('ssleay')
    other = path + '.open'
    with open(path, 'rb') as text, open(other, 'wb') as out:
        out.write(text.read().removesuffix(b'\r\n'))
    status, text = t.run_tool(
        'swaks', '--server', '127.0.0.1', '--port', str(place.port.number), '--helo', 'laptop', '--from', SENDER, '--to', FAR,
        '--data', '@' + other, '--tls' if mode == 'starttls' else '--tls-on-connect', '--auth', how.upper(), '--auth-user', USER,
        '--auth-password', SECRET, env={'PERL5LIB': os.path.dirname(os.path.dirname(argv[0]))})
    check(status == 0, 'swaks: %s', text[-1500:])


def by_curl(t, place, mode, path, how):
    status, text = t.run_tool(
        'curl', '-sS', '-k', '--ssl-reqd', '--url', '%s://127.0.0.1:%d/laptop' % ('smtps' if mode == 'tls' else 'smtp', place.port.number),
        '--mail-from', SENDER, '--mail-rcpt', FAR, '--upload-file', path, '--user', '%s:%s' % (USER, SECRET),
        '--login-options', 'AUTH=' + how.upper())
    check(status == 0, 'curl: %s', text)


def by_msmtp(t, place, mode, path, how):
    argv, environment = t.tool('msmtp')
    with open(path, 'rb') as stream:
        process = Proc(argv + ['--host=127.0.0.1', '--port=%d' % place.port.number, '--from=' + SENDER, '--domain=laptop', '--auth=' + how,
                               '--user=' + USER, '--passwordeval=echo ' + SECRET, '--tls=on', '--tls-certcheck=off',
                               '--tls-starttls=' + ('on' if mode == 'starttls' else 'off'), '--file=/dev/null', FAR],
                       env=dict(environment, HOME=t.scratch), stdin=stream)
    t.cleanup.callback(process.stop)
    check(process.wait(30) == 0, 'msmtp: %s', process.text)


def by_smtplib(_, place, mode, path, how):
    maker, options = (smtplib.SMTP_SSL, {'context': world.UNVERIFIED}) if mode == 'tls' else (smtplib.SMTP, {})
    with maker('127.0.0.1', place.port.number, local_hostname='laptop', timeout=30, **options) as session:
        if mode == 'starttls':
            session.starttls(context=world.UNVERIFIED)
        session.ehlo()
        session.user, session.password = USER, SECRET
        session.auth(how.upper(), getattr(session, 'auth_' + how))
        with open(path, 'rb') as text:
            session.sendmail(SENDER, [FAR], text.read())


NODEMAILER = """\
const mailer = require('nodemailer');
const [port, secure, path, user, pass, to, method] = process.argv.slice(2);
mailer.createTransport({
    host: '127.0.0.1', port: Number(port), name: 'laptop', secure: secure === 'tls', requireTLS: secure === 'starttls',
    tls: {rejectUnauthorized: false}, auth: {user, pass}, authMethod: method,
}).sendMail({envelope: {from: user, to: [to]}, raw: {path}}).then(
    done => console.log(done.response),
    error => { console.error(error.message); process.exit(1); });
"""


def by_nodemailer(t, place, mode, path, how):
    script = os.path.join(t.scratch, 'send.js')
    with open(script, 'w') as out:
        out.write(NODEMAILER)
    process = t.process(['node', script, str(place.port.number), mode, path, USER, SECRET, FAR, how.upper()], env=clients.nodemailer(t))
    check(process.wait(30) == 0, 'nodemailer: %s', process.text)


CLIENTS = {'swaks': by_swaks, 'curl': by_curl, 'msmtp': by_msmtp, 'smtplib': by_smtplib, 'nodemailer': by_nodemailer}


@table([('%s-to-%s-%s-%s' % (c, s, m, h), c, s, m, h) for c in CLIENTS for s, m, h in (
    ('postfix', 'starttls', 'plain'), ('postfix', 'tls', 'login'), ('exim', 'starttls', 'login'), ('exim', 'tls', 'plain'))], seconds=90)
def delivers(t, name, sender, receiver, mode, how):
    """One copy, equal to what was sent, at the internal server's next hop; it knows who it was."""
    place, path = Place(t, receiver, mode), os.path.join(t.scratch, 'message')
    text = (TEXT % name).encode()
    with open(path, 'wb') as out:
        out.write(text)
    CLIENTS[sender](t, place, mode, path, how)
    check(wait_until(lambda: place.outside.taken, 20, 0.1), 'nothing came out: %s', place.inside.log[-1500:])
    equal([m.recipients for m in place.outside.taken], [[b'TO:<%s>' % FAR.encode()]], 'recipients')
    compare.same(text, place.outside.taken[0].body.replace(b'\r\n', b'\n'))
    check(USER in place.inside.log, 'the internal server does not know who it was: %s', place.inside.log[-1500:])
    equal([r.get('auth') for r in place.proxy.wait_log()], ['yes'], 'auth= in the log')
    check(SECRET not in place.proxy.proc.text.replace('postern', ''), 'the password is in the log')


@table([('postfix',), ('exim',)], seconds=60)
def wrong_password(t, receiver):
    place = Place(t, receiver, 'starttls')
    with smtplib.SMTP('127.0.0.1', place.port.number, timeout=30) as session:
        session.starttls(context=world.UNVERIFIED)
        try:
            session.login(USER, 'wrong')
        except smtplib.SMTPAuthenticationError as refusal:
            equal(refusal.smtp_code, 535, 'code')
        else:
            raise harness.Failed('it was taken')
        equal(session.mail(SENDER)[0], 530, 'MAIL')
        session.login(USER, SECRET)
        equal(session.mail(SENDER)[0], 250, 'MAIL, logged in')
        equal(session.rcpt(FAR)[0], 250, 'RCPT')
    equal(len(place.outside.taken), 0, 'messages')
