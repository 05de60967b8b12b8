"""Clients: real programs that hand one message (a file) to the proxy.

Each is a function (t, world, mode, path, recipient); the modes are those of World.proxy.
"""
import os
import smtplib
import subprocess

from support import client
from support.harness import Skip, check
from support.proc import Proc
import world as worlds

SENDER = 'sender@client.example'
HELO = 'client.example'


def _read(path):
    with open(path, 'rb') as stream:
        return stream.read()


def by_curl(t, world, mode, path, rcpt):
    scheme = 'smtps' if mode == 'tls' else 'smtp'
    status, text = t.run_tool(
        'curl', '-sS', '--url',
        '%s://127.0.0.1:%d/%s' % (scheme, world.proxy(mode).address[1], HELO),
        '--mail-from', SENDER, '--mail-rcpt', rcpt, '--upload-file', path,
        *(['--ssl-reqd', '-k'] if mode != 'plain' else []))
    check(status == 0, 'curl: %s', text)


def by_swaks(t, world, mode, path, rcpt):
    options, environment = [], {}
    if mode != 'plain':
        argv, _ = t.tool('ssleay')
        environment['PERL5LIB'] = os.path.dirname(os.path.dirname(argv[0]))
        options = ['--tls' if mode == 'starttls' else '--tls-on-connect']
    # it ends the last line itself
    other = path + '.open'
    with open(other, 'wb') as out:
        out.write(_read(path).removesuffix(b'\r\n'))
    status, text = t.run_tool(
        'swaks', '--server', '127.0.0.1', '--port', str(world.proxy(mode).address[1]), '--helo',
        HELO, '--from', SENDER, '--to', rcpt, '--data', '@' + other, *options,
        env=environment)
    check(status == 0, 'swaks: %s', text[-1500:])


def by_smtplib(t, world, mode, path, rcpt):
    host, port = world.proxy(mode).address
    maker = smtplib.SMTP
    options = {}
    if mode == 'tls':
        maker, options = smtplib.SMTP_SSL, {'context': worlds.UNVERIFIED}
    with maker(host, port, local_hostname=HELO, timeout=30, **options) as session:
        if mode == 'starttls':
            session.starttls(context=worlds.UNVERIFIED)
        session.sendmail(SENDER, [rcpt], _read(path), ['BODY=8BITMIME'])


def by_msmtp(t, world, mode, path, rcpt):
    options = ['--tls=off']
    if mode != 'plain':
        options = ['--tls=on', '--tls-certcheck=off',
                   '--tls-starttls=' + ('on' if mode == 'starttls' else 'off')]
    argv, environment = t.tool('msmtp')
    with open(path, 'rb') as stream:
        process = Proc(argv + ['--host=127.0.0.1', '--port=%d' % world.proxy(mode).address[1],
                               '--from=' + SENDER, '--domain=' + HELO, '--auth=off', *options,
                               '--file=/dev/null', rcpt], env=dict(environment, HOME=t.scratch),
                       stdin=stream)
    t.cleanup.callback(process.stop)
    check(process.wait(30) == 0, 'msmtp: %s', process.text)


NODEMAILER = """\
const mailer = require('nodemailer');
const [port, secure, path, from, to, name] = process.argv.slice(2);
mailer.createTransport({
    host: '127.0.0.1', port: Number(port), name, secure: secure === 'tls',
    requireTLS: secure === 'starttls', ignoreTLS: secure === 'plain',
    tls: {rejectUnauthorized: false},
}).sendMail({envelope: {from, to: [to], use8BitMime: true}, raw: {path}}).then(
    done => console.log(done.response),
    error => { console.error(error.message); process.exit(1); });
"""


def nodemailer(t):
    try:
        return t.peers.npm('nodemailer')
    except t.peers.Unavailable as reason:
        raise Skip(str(reason)) from None


def by_nodemailer(t, world, mode, path, rcpt):
    environment = world.once('nodemailer', lambda: nodemailer(t))
    script = os.path.join(t.scratch, 'send.js')
    with open(script, 'w') as out:
        out.write(NODEMAILER)
    process = t.process(['node', script, str(world.proxy(mode).address[1]), mode, path, SENDER,
                         rcpt, HELO], env=environment)
    check(process.wait(30) == 0, 'nodemailer: %s', process.text)


def by_openssl(t, world, mode, path, rcpt):
    """The user at the keyboard of s_client."""
    if mode == 'plain':
        raise Skip('s_client speaks TLS only')
    argv = ['openssl', 's_client', '-quiet', '-verify_quiet', '-connect',
            '127.0.0.1:%d' % world.proxy(mode).address[1]]
    if mode == 'starttls':
        argv += ['-starttls', 'smtp', '-name', HELO]
    process = t.process(argv, stdin=subprocess.PIPE)
    steps = [(b'EHLO %s' % HELO.encode(), 250), (b'MAIL FROM:<%s> BODY=8BITMIME' % SENDER.encode(),
                                                 250),
             (b'RCPT TO:<%s>' % rcpt.encode(), 250), (b'DATA', 354),
             (client.stuff(_read(path))[:-2], 250), (b'QUIT', 221)]
    # s_client shows the last line of the EHLO that it has said itself
    check(process.wait_line(r'^\d\d\d ', 15), 's_client: no greeting: %s', process.text)
    for line, code in steps:
        seen = len(process.lines)
        process.child.stdin.write(line + b'\r\n')
        process.child.stdin.flush()
        check(process.wait_line(r'^%d ' % code, 15, start=seen), 's_client: no %d to %r: %s',
              code, line[:40], process.text)


def _by_mta(kind):
    def send(t, world, mode, path, rcpt):
        queue = world.mta_client(kind, mode)
        stage, reply = client.deliver((queue.port.host, queue.port.number), SENDER, rcpt,
                                      _read(path))
        check((stage, reply.code) == ('eod', 250), '%s does not take the message: %s %s', kind,
              stage, reply)
        return queue
    return send


CLIENTS = {
    'swaks': by_swaks, 'curl': by_curl, 'msmtp': by_msmtp, 'smtplib': by_smtplib,
    'nodemailer': by_nodemailer, 'openssl': by_openssl, 'postfix': _by_mta('postfix'),
    'exim': _by_mta('exim'), 'opensmtpd': _by_mta('opensmtpd'),
}
QUEUES = ('postfix', 'exim', 'opensmtpd')
