"""A raw client that can begin TLS and send by BDAT."""
import world
from support import client
from support.harness import check, equal


def tls_lines(t):
    return ['tls cert %s key %s' % world.certificate(t.directory('certificate'), 'mx.example.org')]


class Session(client.Client):
    capabilities = ()

    def hello(self, name='client.example'):
        reply = self.command('EHLO ' + name)
        equal(reply.code, 250, 'EHLO')
        self.capabilities = [line.split()[0].upper() for line in reply.lines[1:]]

    def offers(self, keyword):
        return keyword in self.capabilities

    def begin_tls(self):
        reply = self.command('STARTTLS')
        equal(reply.code, 220, 'STARTTLS: %s' % reply)
        check(self.pending == b'', 'plaintext behind STARTTLS: %r', self.pending)
        self.sock.settimeout(self.seconds)
        self.sock = world.UNVERIFIED.wrap_socket(self.sock, server_hostname='mx.example.org')

    def chunks(self, message, size=100000):
        """The message by BDAT; the reply to the last chunk, or the first refusal."""
        for at in range(0, len(message), size):
            piece = message[at:at + size]
            last = at + size >= len(message)
            self.send(b'BDAT %d%s\r\n' % (len(piece), b' LAST' if last else b'') + piece)
            reply = self.reply()
            if last or reply.code != 250:
                return reply
        return None


def connect(proxy, secured=False, **options):
    session = Session(proxy.address, **options)
    equal(session.reply().code, 220, 'greeting')
    session.hello()
    if secured:
        session.begin_tls()
        session.hello()
    return session
