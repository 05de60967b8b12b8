#!/usr/bin/python3
"""Starts Postern before its built-in mail server, says what to try, ends both on Ctrl-C.

    run.py --postern BINARY

The mail server is `postern sink`; what it accepts lies under build/run/maildir/new, a file a message.
"""
import argparse
import ctypes
import os
import queue
import signal
import subprocess
import sys
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
TOP = os.path.dirname(os.path.dirname(HERE))
CONF = 'board/host/postern.conf'
MAILDIR = 'build/run/maildir'
STATE = 'build/run'
INTERNAL_SIDE = '127.0.0.1:2526'
READY_SECONDS = 10
END_SECONDS = 60
PR_SET_PDEATHSIG = 1

HINT = """
Postern listens on %(client)s and hands mail for example.org to its built-in server on %(internal)s.
Try, in another terminal:

    printf 'From: me@example.net\\r\\nTo: you@example.org\\r\\nSubject: hello\\r\\n\\r\\nIt works.\\r\\n' | \\
      curl -sv smtp://%(client)s/client.example.net --mail-from me@example.net --mail-rcpt you@example.org -T -

The last reply is 250, and the message is in %(maildir)s/new
(other recipients are refused, see %(conf)s). Ctrl-C ends both.
"""


class Child:
    """One process; its output goes to ours, line by line, with its name in front."""

    def __init__(self, name, arguments, events):
        self.name = name
        # A session of its own: Ctrl-C reaches us alone, we end the children in order.
        self.process = subprocess.Popen(arguments, cwd=TOP, stdin=subprocess.DEVNULL,
                                        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                        text=True, errors='replace', start_new_session=True,
                                        preexec_fn=die_with_parent)
        self.events = events
        self.address = ''
        self.reader = threading.Thread(target=self.read, daemon=True)
        self.reader.start()

    def read(self):
        for line in self.process.stdout:
            print('%s: %s' % (self.name, line.rstrip('\n')), flush=True)
            words = line.split()
            if words[:1] == ['ready'] and len(words) > 1:
                self.address = words[1]
                self.events.put((self, 'ready'))
        self.process.wait()
        self.events.put((self, 'ended'))

    def how(self):
        """What its exit status says."""
        status = self.process.returncode
        return 'by ' + signal.Signals(-status).name if status < 0 else 'status %d' % status

    def end(self):
        """SIGTERM, and wait; a second Ctrl-C asks again, which means at once."""
        deadline = time.monotonic() + END_SECONDS
        if self.process.poll() is None:
            self.process.terminate()
        while self.process.poll() is None:
            try:
                self.process.wait(max(deadline - time.monotonic(), 0.1))
            except KeyboardInterrupt:
                self.process.terminate()
            except subprocess.TimeoutExpired:
                self.process.kill()
        self.reader.join(5)
        return self.process.returncode


LIBC = ctypes.CDLL(None)


def die_with_parent():
    LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)


def wait_ready(child, events):
    deadline = time.monotonic() + READY_SECONDS
    while time.monotonic() < deadline:
        try:
            who, what = events.get(timeout=0.1)
        except queue.Empty:
            continue
        if what == 'ended':
            raise RuntimeError('%s ended before it was ready, %s (see above)'
                               % (who.name, who.how()))
        if who is child:
            return
    raise RuntimeError('%s is not ready after %d s' % (child.name, READY_SECONDS))


def interrupted(_signal, _frame):
    raise KeyboardInterrupt


def main():
    parser = argparse.ArgumentParser(description='start Postern and its built-in mail server')
    parser.add_argument('--postern', required=True, help='the binary')
    options = parser.parse_args()
    binary = os.path.join(TOP, options.postern)
    os.makedirs(os.path.join(TOP, MAILDIR), exist_ok=True)
    # SIGINT too: a shell that starts us in the background has it ignored.
    signal.signal(signal.SIGTERM, interrupted)
    signal.signal(signal.SIGINT, interrupted)
    events = queue.Queue()
    children = []
    status = 0
    try:
        for name, arguments in (
                ('sink', ['sink', '--listen', INTERNAL_SIDE, '--maildir', MAILDIR]),
                ('postern', ['run', '-c', CONF, '-o', 'tls state %s' % os.path.join(TOP, STATE)])):
            children.append(Child(name, [binary, *arguments], events))
            wait_ready(children[-1], events)
        print(HINT % {'client': children[1].address, 'internal': INTERNAL_SIDE,
                      'maildir': MAILDIR, 'conf': CONF}, flush=True)
        while True:
            child, what = events.get()
            if what == 'ended':
                raise RuntimeError('%s ended by itself, %s' % (child.name, child.how()))
    except KeyboardInterrupt:
        print('\nending', flush=True)
    except RuntimeError as trouble:
        print('run: %s' % trouble, flush=True)
        status = 1
    for child in reversed(children):
        if child.end() != 0 and status == 0:
            print('run: %s ended, %s' % (child.name, child.how()))
            status = 1
    return status


if __name__ == '__main__':
    sys.exit(main())
