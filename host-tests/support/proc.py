"""Processes of a test: started in their own process group, waited for, ended by that group only.

A Port is held by a bound socket that never listens, so two test runs on one machine cannot be
given the same number; the server under test binds it too because both set SO_REUSEADDR.
"""
import ctypes
import os
import re
import signal
import socket
import subprocess
import threading
import time

PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None, use_errno=True)


def _die_with_parent():
    _libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


class Port:
    """A TCP port of one address that stays ours until close()."""

    def __init__(self, host='127.0.0.1'):
        family = socket.AF_INET6 if ':' in host else socket.AF_INET
        self.host = host
        self._sock = socket.socket(family, socket.SOCK_STREAM)
        self._sock.bind((host, 0))
        self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.number = self._sock.getsockname()[1]

    def __str__(self):
        return ('[%s]:%d' if ':' in self.host else '%s:%d') % (self.host, self.number)

    def close(self):
        self._sock.close()


def wait_until(question, seconds, step=0.02):
    """Ask until the answer is true or the time is over; the last answer is returned."""
    end = time.monotonic() + seconds
    while True:
        answer = question()
        if answer or time.monotonic() >= end:
            return answer
        time.sleep(step)


def wait_listening(host, port, seconds=10):
    def ask():
        try:
            socket.create_connection((host, port), 1).close()
            return True
        except OSError:
            return False
    return wait_until(ask, seconds)


ALIVE = set()


def end_all():
    """Kill every group that is still running: a child that changed its user does not notice that
    its parent has ended."""
    for process in list(ALIVE):
        process.signal_group(signal.SIGKILL)


class Proc:
    """A child in its own process group. Its stdout and stderr are collected as lines."""

    def __init__(self, argv, name=None, env=None, cwd=None, pre=None, stdin=subprocess.DEVNULL):
        self.name = name or os.path.basename(argv[0])
        self.lines = []
        self._news = threading.Condition()
        self._open_streams = 2

        def prepare():
            _die_with_parent()
            if pre:
                pre()
        self.child = subprocess.Popen(argv, stdin=stdin, stdout=subprocess.PIPE, env=env, cwd=cwd,
                                      stderr=subprocess.PIPE, start_new_session=True,
                                      preexec_fn=prepare)
        ALIVE.add(self)
        for stream in (self.child.stdout, self.child.stderr):
            threading.Thread(target=self._collect, args=(stream,), daemon=True).start()

    def _collect(self, stream):
        for raw in iter(stream.readline, b''):
            with self._news:
                self.lines.append(raw.decode('utf-8', 'backslashreplace').rstrip('\n'))
                self._news.notify_all()
        with self._news:
            self._open_streams -= 1
            self._news.notify_all()

    @property
    def pid(self):
        return self.child.pid

    @property
    def text(self):
        with self._news:
            return '\n'.join(self.lines)

    def running(self):
        return self.child.poll() is None

    def wait_line(self, pattern, seconds=10, start=0):
        """The first match of `pattern` in a line from index `start` on, None if none came."""
        seen, end, rx = start, time.monotonic() + seconds, re.compile(pattern)
        with self._news:
            while True:
                while seen < len(self.lines):
                    match = rx.search(self.lines[seen])
                    seen += 1
                    if match:
                        return match
                left = end - time.monotonic()
                if left <= 0 or self._open_streams == 0:
                    return None
                self._news.wait(left)

    def wait(self, seconds):
        """Exit status, None if it still runs then."""
        try:
            status = self.child.wait(seconds)
        except subprocess.TimeoutExpired:
            return None
        with self._news:
            self._news.wait_for(lambda: self._open_streams == 0, 1)
        return status

    def signal(self, number):
        if self.running():
            self.child.send_signal(number)

    def signal_group(self, number):
        try:
            os.killpg(self.child.pid, number)
        except ProcessLookupError:
            pass

    def stop(self, seconds=5):
        """Politely first, then for good. Returns the exit status."""
        if self.running():
            self.signal_group(signal.SIGCONT)
            self.signal_group(signal.SIGTERM)
            if self.wait(seconds) is None:
                self.signal_group(signal.SIGKILL)
        status = self.child.wait()
        self.signal_group(signal.SIGKILL)
        ALIVE.discard(self)
        return status

    def kill(self):
        self.signal_group(signal.SIGKILL)
        return self.child.wait()
