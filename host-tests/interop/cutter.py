"""A TCP relay between a client and the proxy that cuts one connection at a chosen moment.

WINDOWS names the moments around the final dot. The first connection that gets there is cut, every
other one passes untouched.
"""
import re
import select
import socket
import struct
import threading

from support.proc import Port

WINDOWS = {
    'before-dot': 'all but the final dot was passed on',
    'half-dot': 'the dot and its CR were passed on',
    'after-dot': 'the dot was passed on, then both sides get FIN',
    'after-dot-reset': 'the dot was passed on, then both sides get RST',
    'answer-late': 'the client is gone at the dot, the proxy finds out when it has answered',
    'answer-lost': 'the proxy has answered, the client hears nothing',
    'answer-half': 'the client hears half a line',
    'after-answer': 'the client hears the answer, then both sides get FIN',
}
DOT = b'\r\n.\r\n'


class Cutter:
    def __init__(self, target, window):
        assert window in WINDOWS
        self.target, self.window = target, window
        self.port = Port()
        self.cut_count = 0
        self.lock = threading.Lock()
        self.listener = socket.socket()
        self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.listener.bind((self.port.host, self.port.number))
        self.listener.listen(50)
        threading.Thread(target=self._accept, daemon=True).start()

    def stop(self):
        self.listener.close()
        self.port.close()

    def _accept(self):
        while True:
            try:
                sock, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(sock,), daemon=True).start()

    def take_turn(self):
        """True for the one connection that is to be cut."""
        with self.lock:
            self.cut_count += 1
            return self.cut_count == 1

    def _serve(self, sock):
        try:
            Pair(self, sock, socket.create_connection(self.target, 10)).run()
        except OSError:
            sock.close()


class Pair:
    def __init__(self, cutter, client, server):
        self.cutter, self.client, self.server = cutter, client, server
        self.in_data = threading.Event()
        self.armed = threading.Event()      # the dot has passed, the answer is ours
        self.over = threading.Event()
        self.reset = False
        for sock in (client, server):
            sock.settimeout(60)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def run(self):
        back = threading.Thread(target=self._guarded, args=(self._answers,), daemon=True)
        back.start()
        self._guarded(self._commands)
        back.join()
        for sock in (self.client, self.server):
            if self.reset:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack('ii', 1, 0))
            sock.close()

    def _guarded(self, function):
        try:
            function()
        except OSError:
            self.over.set()

    def end(self):
        self.over.set()
        for sock in () if self.reset else (self.client, self.server):
            try:
                sock.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def read(self, sock):
        """Bytes, b'' at the end; at once b'' when it is over."""
        while not self.over.is_set():
            if select.select([sock], [], [], 0.02)[0]:
                data = sock.recv(65536)
                return b'' if self.over.is_set() else data
        return b''

    def _commands(self):
        tail = b''
        while True:
            data = self.read(self.client)
            if not data:
                self.server.shutdown(socket.SHUT_WR)
                return
            seen = tail + data
            at = seen.find(DOT) if self.in_data.is_set() else -1
            tail = seen[-4:]
            if at < 0 or not self.cutter.take_turn():
                self.in_data.clear() if at >= 0 else None
                self.server.sendall(data)
                continue
            self._cut(data, at + len(DOT) - (len(seen) - len(data)))
            return

    def _cut(self, data, end):
        """`end`: of the dot's line within data."""
        window = self.cutter.window
        short = {'before-dot': 3, 'half-dot': 1}.get(window)
        if short:
            self.server.sendall(data[:max(0, end - short)])
            self.end()
            return
        if window in ('after-dot', 'after-dot-reset'):
            self.reset = window == 'after-dot-reset'
            self.over.set()         # no answer is passed on any more
        else:
            self.armed.set()
        self.server.sendall(data[:end])
        if window == 'answer-late':
            self.client.shutdown(socket.SHUT_RDWR)
        elif not self.armed.is_set():
            self.end()

    def _answers(self):
        while True:
            data = self.read(self.server)
            if not data:
                if self.reset:
                    return
                self.client.shutdown(socket.SHUT_WR)
                return
            if self.armed.is_set():
                window = self.cutter.window
                if window in ('answer-half', 'after-answer'):
                    self.client.sendall(data[:10] if window == 'answer-half' else data)
                self.end()
                return
            if re.search(rb'(?m)^354', data):
                self.in_data.set()
            self.client.sendall(data)
