"""A scriptable internal server: strict where it reads, obedient where it misbehaves.

    server = Server()
    server.fault('mail', b'451 4.3.0 no\\r\\n', times=1)
    server.fault('dot', CLOSE)

Stages: banner ehlo starttls auth (its first answer) login (its last) xforward mail rcpt data body dot rset noop quit vrfy. An action is bytes (sent
instead of the reply), CLOSE, RESET, HANG, a Slow/Drip/Endless object, a callable that takes the
Connection, or a tuple of these. Everything that arrives is recorded; a message counts as taken
only if this server has sent a 2xx for it.
"""
import base64
import re
import socket
import struct
import threading
import time

from .proc import Port

CLOSE, RESET, HANG, KEEP = 'close', 'reset', 'hang', 'keep'
STAGES = ('banner', 'ehlo', 'starttls', 'auth', 'login', 'xforward', 'mail', 'rcpt', 'data', 'body', 'dot', 'rset', 'noop',
          'quit', 'vrfy', 'other')
STRICT_END = re.compile(rb'\r\n\.\r\n')
LAX_END = re.compile(rb'(?:\r\n|\n|\r)\x00?\.(?:\r\r\n|\r\n|\n|\r)')
CAPABILITIES = ('PIPELINING', '8BITMIME', 'ENHANCEDSTATUSCODES', 'SIZE 60000000',
                'XFORWARD NAME ADDR PROTO HELO SOURCE PORT')


class Slow:
    """Read the rest of the data at this rate for so long, then as fast as it comes."""

    def __init__(self, bytes_per_second, seconds):
        self.rate = bytes_per_second
        self.seconds = seconds


class Drip:
    """Send these bytes one by one with a pause after each."""

    def __init__(self, data, pause):
        self.data = data
        self.pause = pause


class Endless:
    """Send this again and again until the peer goes away; bounded."""

    def __init__(self, data, bytes_max=8 << 20):
        self.data = data
        self.bytes_max = bytes_max


class Ended(Exception):
    pass


class Message:
    def __init__(self, sender, recipients, body, connection, xforward):
        self.sender = sender
        self.recipients = recipients
        self.body = body
        self.connection = connection
        self.xforward = xforward
        self.taken = False
        self.by_bdat = False


class Fault:
    def __init__(self, action, times, skip, when):
        self.action = action
        self.times = times
        self.skip = skip
        self.when = when


class Server:
    def __init__(self, capabilities=CAPABILITIES, lax=False, host='127.0.0.1', body_after=512,
                 receive_buffer=None, refused_rcpt=None, name='internal.example'):
        self.capabilities = list(capabilities)
        self.end_of_data = LAX_END if lax else STRICT_END
        self.lax = lax
        self.body_after = body_after
        self.receive_buffer = receive_buffer
        self.refused_rcpt = refused_rcpt
        self.name = name
        self.tls = None
        self.users = {}  # name to password, for AUTH
        self.port = Port(host)
        self.lock = threading.RLock()
        self.faults = {}
        self.connections = []
        self.messages = []
        self.stopping = threading.Event()
        self.listener = None
        self.listen()

    # switches for the test

    @property
    def address(self):
        return str(self.port)

    def fault(self, stage, action, times=None, skip=0, when=None):
        """Do `action` at `stage`, the first `times` times after `skip` normal ones."""
        assert stage in STAGES, stage
        with self.lock:
            self.faults.setdefault(stage, []).append(Fault(action, times, skip, when))

    def heal(self):
        with self.lock:
            self.faults.clear()

    def listen(self):
        self.listener = socket.socket(socket.AF_INET6 if ':' in self.port.host
                                      else socket.AF_INET)
        self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if self.receive_buffer:
            self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, self.receive_buffer)
        self.listener.bind((self.port.host, self.port.number))
        self.listener.listen(512)
        threading.Thread(target=self._accept, args=(self.listener,), daemon=True).start()

    def refuse(self):
        """Connections are refused from now on; the open ones are reset."""
        listener, self.listener = self.listener, None
        if listener:
            listener.shutdown(socket.SHUT_RDWR)
            listener.close()
        self.drop()

    def drop(self, how=RESET):
        with self.lock:
            open_now = [c for c in self.connections if c.open]
        for connection in open_now:
            connection.cut(how)

    def stop(self):
        self.stopping.set()
        self.refuse()
        self.port.close()

    # what was seen

    @property
    def taken(self):
        with self.lock:
            return [m for m in self.messages if m.taken]

    def transactions(self):
        """Connections on which a MAIL arrived."""
        with self.lock:
            return [c for c in self.connections if any(v == 'MAIL' for v, _ in c.commands)]

    def count(self, verb):
        with self.lock:
            return sum(1 for c in self.connections for v, _ in c.commands if v == verb)

    def open_count(self):
        with self.lock:
            return sum(1 for c in self.connections if c.open)

    def forget(self):
        with self.lock:
            self.messages.clear()
            self.connections[:] = [c for c in self.connections if c.open]
            for connection in self.connections:
                connection.raw.clear()
                connection.commands.clear()

    def raw(self):
        with self.lock:
            return b''.join(bytes(c.raw) for c in self.connections)

    # the inside

    def action_at(self, stage, connection):
        with self.lock:
            for fault in self.faults.get(stage, ()):
                if fault.when and not fault.when(connection):
                    continue
                if fault.skip > 0:
                    fault.skip -= 1
                    return None
                if fault.times is None:
                    return fault.action
                if fault.times > 0:
                    fault.times -= 1
                    return fault.action
        return None

    def _accept(self, listener):
        while True:
            try:
                sock, peer = listener.accept()
            except OSError:
                return
            with self.lock:
                connection = Connection(self, sock, peer, len(self.connections))
                self.connections.append(connection)
            threading.Thread(target=connection.run, daemon=True).start()


class Connection:
    def __init__(self, server, sock, peer, number):
        self.server = server
        self.sock = sock
        self.peer = peer
        self.number = number
        self.raw = bytearray()
        self.commands = []
        self.buffer = b''
        self.open = True
        self.in_data = False
        self.unfinished = b''
        self.hung = threading.Event()
        self.sender = None
        self.recipients = []
        self.xforward = {}
        self.secure = False
        self.user = None

    def run(self):
        try:
            self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self.step('banner', b'220 %s ESMTP\r\n' % self.server.name.encode())
            while True:
                self.handle(self.read_line())
        except (Ended, OSError):
            pass
        finally:
            self.open = False
            self.sock.close()

    def read_more(self, size=65536):
        data = self.sock.recv(size)
        if not data:
            raise Ended
        with self.server.lock:
            self.raw.extend(data)
        self.buffer += data

    def read_line(self):
        while b'\n' not in self.buffer:
            self.read_more()
        line, self.buffer = self.buffer.split(b'\n', 1)
        return line

    def cut(self, how=CLOSE):
        try:
            if how == RESET:
                self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER,
                                     struct.pack('ii', 1, 0))
            else:
                self.sock.shutdown(socket.SHUT_WR)
            self.sock.shutdown(socket.SHUT_RD)
        except OSError:
            pass
        self.hung.set()
        if how == RESET:
            self.open = False
            self.sock.close()

    def act(self, action):
        """Carry out a fault; True if it has sent something that begins like a 2xx."""
        if isinstance(action, tuple):
            results = [self.act(part) for part in action]
            return any(results)
        if isinstance(action, (bytes, bytearray)):
            self.sock.sendall(action)
            return re.match(rb'2\d\d[ -]', action) is not None
        if isinstance(action, Drip):
            for byte in action.data:
                self.sock.sendall(bytes([byte]))
                time.sleep(action.pause)
            return action.data.startswith(b'2')
        if isinstance(action, Endless):
            block, sent = action.data * max(1, 65536 // len(action.data)), 0
            while sent < action.bytes_max:
                self.sock.sendall(block)
                sent += len(block)
            return False
        if isinstance(action, Slow):
            self.slow(action)
            return False
        if action in (CLOSE, RESET):
            self.cut(action)
            raise Ended
        if action == HANG:
            self.hung.wait(120)
            raise Ended
        if action == KEEP:
            return False
        return bool(action(self))

    def slow(self, action):
        end = time.monotonic() + action.seconds
        while time.monotonic() < end and not self.hung.is_set():
            self.read_more(max(1, action.rate // 4))
            time.sleep(0.25)

    def step(self, stage, normal):
        action = self.server.action_at(stage, self)
        if action is None:
            self.sock.sendall(normal)
            return normal.startswith(b'2')
        return self.act(action)

    def handle(self, line):
        words = line.strip().split(None, 1)
        verb = words[0].upper().decode('latin-1') if words else ''
        rest = words[1] if len(words) > 1 else b''
        with self.server.lock:
            self.commands.append((verb, rest))
        method = getattr(self, 'on_' + verb.lower(), None)
        if method:
            method(rest)
        else:
            self.step('other', b'500 5.5.2 what\r\n')

    def on_ehlo(self, _):
        lines = [self.server.name] + self.server.capabilities
        text = ''.join('250%s%s\r\n' % (' ' if i == len(lines) - 1 else '-', line)
                       for i, line in enumerate(lines))
        self.reset_transaction()
        self.step('ehlo', text.encode())

    def on_lhlo(self, rest):
        self.on_ehlo(rest)

    def on_helo(self, _):
        self.reset_transaction()
        self.step('ehlo', b'250 ok\r\n')

    def on_starttls(self, _):
        """With server.tls, an ssl.SSLContext. What was sent in the clear behind it is dropped."""
        if self.server.tls is None:
            self.step('other', b'502 5.5.1 not offered\r\n')
        elif self.step('starttls', b'220 2.0.0 go ahead\r\n'):
            self.buffer = b''
            self.sock = self.server.tls.wrap_socket(self.sock, server_side=True)
            self.secure = True

    def on_auth(self, rest):
        mechanism, _, initial = rest.partition(b' ')
        if not self.server.users or self.user or mechanism.upper() not in (b'PLAIN', b'LOGIN'):
            self.step('auth', b'503 5.5.1 not now\r\n')
            return
        try:
            if mechanism.upper() == b'PLAIN':
                words = self.answer_of(initial, b'').split(b'\0')[1:]
            else:
                words = [self.answer_of(initial, b'VXNlcm5hbWU6'), self.answer_of(b'', b'UGFzc3dvcmQ6')]
            name, password = (word.decode() for word in words)
        except ValueError:
            self.step('login', b'501 5.5.2 what\r\n')
            return
        if self.server.users.get(name) != password:
            self.step('login', b'535 5.7.8 internal words about %s\r\n' % name.encode())
        elif self.step('login', b'235 2.7.0 welcome\r\n'):
            self.user = name

    def answer_of(self, initial, challenge):
        if not initial:
            self.step('auth', b'334 %s\r\n' % challenge)
            initial = self.read_line().strip()
            with self.server.lock:
                self.commands.append(('', initial))
        return base64.b64decode(initial, validate=True)

    def on_xforward(self, rest):
        for pair in rest.split():
            name, _, value = pair.partition(b'=')
            self.xforward[name.upper().decode('latin-1')] = value.decode('latin-1')
        self.step('xforward', b'250 2.0.0 ok\r\n')

    def on_mail(self, rest):
        self.recipients = []
        self.sender = rest
        self.step('mail', b'250 2.1.0 ok\r\n')

    def on_rcpt(self, rest):
        refused = self.server.refused_rcpt
        if refused and refused(rest):
            self.step('rcpt', b'550 5.1.1 no such user\r\n')
        elif self.step('rcpt', b'250 2.1.5 ok\r\n'):
            self.recipients.append(rest)

    def on_rset(self, _):
        self.reset_transaction()
        self.step('rset', b'250 2.0.0 ok\r\n')

    def on_noop(self, _):
        self.step('noop', b'250 2.0.0 ok\r\n')

    def on_vrfy(self, _):
        self.step('vrfy', b'252 2.0.0 maybe\r\n')

    def on_quit(self, _):
        self.step('quit', b'221 2.0.0 bye\r\n')
        raise Ended

    def reset_transaction(self):
        self.sender = None
        self.recipients = []

    def on_data(self, _):
        if not self.recipients:
            self.sock.sendall(b'503 5.5.1 no recipient\r\n')
            return
        action = self.server.action_at('data', self)
        if action is not None:
            self.act(action)
            return
        self.sock.sendall(b'354 go ahead\r\n')
        self.in_data = True
        wire = self.read_data()
        self.in_data = False
        self.whole(re.sub(rb'(^|\r\n)\.', rb'\1', wire))

    def on_bdat(self, rest):
        """One chunk, the last: `CHUNKING` must be among the capabilities."""
        size, _, last = rest.partition(b' ')
        if not self.recipients or last.strip().upper() != b'LAST':
            raise Ended
        while len(self.buffer) < int(size):
            self.read_more()
        content, self.buffer = self.buffer[:int(size)], self.buffer[int(size):]
        self.whole(content, True)

    def whole(self, body, by_bdat=False):
        message = Message(self.sender, self.recipients, body, self, dict(self.xforward))
        message.by_bdat = by_bdat
        with self.server.lock:
            self.server.messages.append(message)
        self.xforward = {}
        action = self.server.action_at('dot', self)
        if action is not None:
            self.act(action)
            return
        with self.server.lock:
            message.taken = True
        self.sock.sendall(b'250 2.0.0 queued as %d\r\n' % len(self.server.messages))
        self.reset_transaction()

    def read_data(self):
        """The data in wire form, without the final dot; in `unfinished` while not whole."""
        wire = self.unfinished = bytearray(b'\r\n' + self.buffer)
        searched, fault_done, self.buffer = 0, False, b''
        while True:
            match = self.server.end_of_data.search(wire, searched)
            if match and not (self.server.lax and wire[match.start():] == b'\r\n.\r'):
                break
            searched = max(0, len(wire) - 8)
            if not fault_done and len(wire) >= self.server.body_after:
                fault_done = True
                action = self.server.action_at('body', self)
                if action is not None:
                    self.act(action)
                    wire += self.buffer
                    self.buffer = b''
                    continue
            self.read_more(262144)
            wire += self.buffer
            self.buffer = b''
        self.unfinished = b''
        self.buffer = bytes(wire[match.end():])
        if self.server.lax:
            return bytes(wire[2:match.start()]) + b'\r\n' if match.start() >= 2 else b''
        return bytes(wire[2:match.start() + 2])
