"""A raw SMTP client: what is written is what is sent, nothing is repaired or hidden."""
import re
import socket
import struct
import time

REPLY_LINE = re.compile(rb'([0-9]{3})([ -]?)(.*)$', re.S)


class Gone(Exception):
    """The peer closed or reset the connection where a reply was due."""


class Late(Exception):
    """No reply in time."""


class BadReply(Exception):
    """Bytes that are not an SMTP reply."""


class Reply:
    def __init__(self, code, lines):
        self.code = code
        self.lines = lines

    @property
    def text(self):
        return ' | '.join(self.lines)

    @property
    def enhanced(self):
        match = re.match(r'([245]\.\d{1,3}\.\d{1,3})(?: |$)', self.lines[-1])
        return match.group(1) if match else None

    def __repr__(self):
        return '%d %s' % (self.code, self.text)


def stuff(message):
    """CRLF text to what goes over the wire after DATA, the final dot included."""
    body = re.sub(rb'(^|\r\n)\.', rb'\1..', message)
    if body and not body.endswith(b'\r\n'):
        body += b'\r\n'
    return body + b'.\r\n'


class Client:
    def __init__(self, address, seconds=20, source=None, receive_buffer=None, options=()):
        self.seconds = seconds
        host, port = address
        family = socket.AF_INET6 if ':' in host else socket.AF_INET
        self.sock = socket.socket(family, socket.SOCK_STREAM)
        if receive_buffer:
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.sock.settimeout(seconds)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for option in options:
            self.sock.setsockopt(*option)
        if source:
            self.sock.bind((source, 0))
        self.sock.connect((host, port))
        self.pending = b''
        self.ended = False

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    # bytes

    def send(self, data):
        self.sock.settimeout(self.seconds)
        self.sock.sendall(data)

    def fill(self, seconds):
        """True: bytes came; False: the peer has ended; None: nothing in time."""
        if self.ended:
            return False
        self.sock.settimeout(max(seconds, 0.001))
        try:
            data = self.sock.recv(65536)
        except (socket.timeout, BlockingIOError):
            return None
        except OSError:
            data = b''
        if not data:
            self.ended = True
            return False
        self.pending += data
        return True

    def line(self, seconds=None):
        end = time.monotonic() + (self.seconds if seconds is None else seconds)
        while b'\n' not in self.pending:
            left = end - time.monotonic()
            if left <= 0:
                raise Late('nothing within %.1f s, have %r' % (seconds or self.seconds,
                                                               self.pending[:80]))
            if self.fill(left) is False:
                raise Gone('closed, have %r' % self.pending[:80])
        line, self.pending = self.pending.split(b'\n', 1)
        return line + b'\n'

    def reply(self, seconds=None):
        lines = []
        while True:
            line = self.line(seconds)
            if not line.endswith(b'\r\n'):
                raise BadReply('bare LF in %r' % line[:80])
            match = REPLY_LINE.match(line[:-2])
            if not match:
                raise BadReply(repr(line[:80]))
            lines.append(match.group(3).decode('utf-8', 'backslashreplace'))
            if match.group(2) != b'-':
                return Reply(int(match.group(1)), lines)

    def command(self, line, seconds=None):
        if isinstance(line, str):
            line = line.encode()
        self.send(line + b'\r\n')
        return self.reply(seconds)

    # dialogue

    def greet(self, name='client.example'):
        banner = self.reply()
        if banner.code != 220:
            return banner
        return self.command('EHLO ' + name)

    def envelope(self, sender, recipients, parameters=''):
        """MAIL and RCPTs, one at a time; the first reply that is not 250, else None."""
        if isinstance(recipients, str):
            recipients = [recipients]
        reply = self.command('MAIL FROM:<%s>%s' % (sender, parameters))
        if reply.code != 250:
            return reply
        for rcpt in recipients:
            reply = self.command('RCPT TO:<%s>' % rcpt)
            if reply.code != 250:
                return reply
        return None

    def data(self, message, seconds=None):
        """DATA and the message (stuffed here); the reply after the dot or a refusal of DATA."""
        reply = self.command('DATA')
        if reply.code != 354:
            return reply
        self.send(stuff(message))
        return self.reply(seconds)

    def quit(self):
        try:
            reply = self.command('QUIT')
        except (Gone, Late, OSError):
            reply = None
        self.close()
        return reply

    # endings

    def half_close(self):
        self.sock.shutdown(socket.SHUT_WR)

    def close(self):
        # A process that another thread is just starting may hold the socket a moment longer; the peer is told now.
        try:
            self.sock.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self.sock.close()
        self.ended = True

    def reset(self):
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack('ii', 1, 0))
        self.sock.close()
        self.ended = True

    def is_ended(self, seconds=5):
        """True once the peer has closed; late bytes are dropped."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if self.fill(end - time.monotonic()) is False:
                return True
            self.pending = b''
        return False


def deliver(address, sender, recipients, message, seconds=20, say_quit=True, **options):
    """One whole transaction. Returns (stage, reply): stage is where the last reply came.
    A client that leaves without QUIT may not have heard the answer, so this one says it."""
    client, ended_well = Client(address, seconds, **options), False
    try:
        reply = client.reply()
        if reply.code != 220:
            return 'connect', reply
        reply = client.command('EHLO client.example')
        if reply.code != 250:
            return 'ehlo', reply
        reply = client.command('MAIL FROM:<%s>' % sender)
        if reply.code != 250:
            return 'mail', reply
        for rcpt in [recipients] if isinstance(recipients, str) else recipients:
            reply = client.command('RCPT TO:<%s>' % rcpt)
            if reply.code != 250:
                return 'rcpt', reply
        reply = client.command('DATA')
        if reply.code != 354:
            return 'data', reply
        client.send(stuff(message))
        reply = client.reply()
        ended_well = say_quit
        return 'eod', reply
    finally:
        if ended_well:
            client.quit()
        client.close()
