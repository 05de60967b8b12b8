"""Who abuses our own TCP/IP must not slow the others down: established sessions keep four fifths of their throughput,
and everything is as before within 5 s of the end.

Four sessions send mail without a pause, over the kernel's TCP. Beside them, in turn with quiet spells of the same length,
clients with a TCP of their own (`host-tests/tools/hog.c`) do what no good one does. What counts is the median over pairs of
neighbouring spells: the machine's own moods last longer than a pair.
"""
import os
import signal
import statistics
import subprocess
import threading
import time

from support import client, harness
from support.harness import check, equal, table
from support.proc import wait_until

GOOD = 4
SPELL = 0.5             # seconds
SETTLE = 0.15           # from the hogs' beginning, or their end, to a spell
PAIRS = 3, 7            # --full
KEPT = 0.8              # of the throughput
BACK = 5                # seconds
PIECE = 16384
RATE = 5e6              # octets a second of a session: what this machine has time for beside the hogs themselves
MESSAGE = b'Subject: good\r\n\r\n' + b'%s\r\n' % (b'x' * 70) * 2700

# name, what they do, how many, how often a second in all, `limit sessions`
HOGS = (
    ('idle', 'idle', 950, 0, 1100),
    ('all-pcbs', 'idle', 3000, 0, 1100),
    ('reads-nothing', 'deaf', 150, 1000, 200),
    ('zero-window', 'shut', 150, 1000, 200),
    ('segments-of-1', 'bytes', 1, 2000, 200),
    ('many-segments-of-1', 'bytes', 150, 2000, 200),
    ('holes', 'holes', 1, 2000, 200),
    ('many-holes', 'holes', 500, 2000, 600),
    ('mss-of-4', 'sizes', 500, 1000, 600),
)


class Good(threading.Thread):
    """A session that sends one message after the other."""

    def __init__(self, proxy, number):
        super().__init__(daemon=True)
        self.session = client.Client(proxy.address, 60)
        equal(self.session.greet().code, 250, 'EHLO')
        self.number = number
        self.sent = self.taken = 0
        self.due = time.monotonic()
        self.wrong = None
        self.over = threading.Event()
        self.start()

    def run(self):
        wire = client.stuff(MESSAGE)
        try:
            while not self.over.is_set():
                reply = self.session.envelope('a@example.com', 'good%d@example.org' % self.number) or \
                    self.session.command('DATA')
                if reply.code == 354:
                    for start in range(0, len(wire), PIECE):
                        self.session.send(wire[start:start + PIECE])
                        self.sent += PIECE
                        self.pace()
                    reply = self.session.reply()
                if reply.code != 250:
                    raise client.BadReply(str(reply))
                self.taken += 1
        except (OSError, client.Gone, client.Late, client.BadReply) as reason:
            self.wrong = repr(reason)


    def pace(self):
        """Not faster than RATE; what could not be done in time is not made up for."""
        now = time.monotonic()
        self.due = max(self.due + PIECE / RATE, now - 0.02)
        if self.due > now:
            time.sleep(self.due - now)


def throughput(sessions, seconds):
    begin, sent = time.monotonic(), sum(good.sent for good in sessions)
    time.sleep(seconds)
    return (sum(good.sent for good in sessions) - sent) / (time.monotonic() - begin)


def newcomer(proxy):
    """Milliseconds that somebody new took to deliver; None: he could not."""
    begin = time.monotonic()
    try:
        reply = client.deliver(proxy.address, 'a@example.com', 'new@example.org', b'S: x\r\n\r\n', 2)[1]
        return (time.monotonic() - begin) * 1000 if reply.code == 250 else None
    except (OSError, client.Gone, client.Late):
        return None


def start_hogs(t, mac, manner, count, rate):
    tool = os.path.join(os.path.dirname(t.binary), 'host-tests', 'tools', 'hog')
    hogs = t.process([tool, t.link.outside, mac, t.link.prefix + '254:25', '198.18.0.1', str(count), manner,
                      str(rate)], name='hog')
    ready = hogs.wait_line(r'ready (\d+)', 15)
    check(ready, 'hogs: %s', hogs.text)
    return hogs, int(ready.group(1))


def mac_of(t):
    told = subprocess.run(['ip', 'neigh', 'show', t.link.prefix + '254', 'dev', t.link.outside], check=True,
                          capture_output=True, text=True).stdout.split()
    return told[told.index('lladdr') + 1]


@table(HOGS, seconds=60, alone=True, root=True, own=True, once=True)
def slow_nobody_down(t, name, manner, count, rate, sessions_max):
    _, address, _ = t.sink(maildir=False)
    proxy = t.postern(address, relay_options='connections 16', lines=[
        'trust none', 'limit sessions %d per-client 100' % sessions_max, 'log file ' + os.path.join(t.scratch, 'log')])
    sessions = [Good(proxy, number) for number in range(GOOD)]
    mac = mac_of(t)
    time.sleep(0.5)
    kept, quiet, loud, held, new = [], [], [], [], []
    for _ in range(PAIRS[t.full]):
        quiet.append(throughput(sessions, SPELL))
        hogs, ready = start_hogs(t, mac, manner, count, rate)
        time.sleep(SETTLE)
        loud.append(throughput(sessions, SPELL))
        new.append(newcomer(proxy))
        held.append(ready)
        hogs.signal(signal.SIGTERM)
        hogs.wait(5)
        time.sleep(SETTLE)
        kept.append(loud[-1] / max(quiet[-1], 1))
    # The last ones just fall silent.
    hogs, _ = start_hogs(t, mac, manner, count, rate)
    time.sleep(SETTLE)
    hogs.signal(signal.SIGKILL)
    ended = time.monotonic()
    back = wait_until(lambda: throughput(sessions, 0.25) >= KEPT * statistics.median(quiet) and newcomer(proxy), BACK)
    back_s = time.monotonic() - ended
    for good in sessions:
        good.over.set()
    for good in sessions:
        good.join(20)
    harness.FIGURES.append('hogs, %s (%d of %d at work, %d a second): kept %.2f (%s) of %.0f MB/s, newcomers %s ms, '
                           'back after %.2f s' % (
                               name, statistics.median(held), count, rate, statistics.median(kept),
                               ' '.join('%.2f' % k for k in kept), statistics.median(quiet) / 1e6,
                               ' '.join('-' if ms is None else '%.0f' % ms for ms in new), back_s))
    equal([good.wrong for good in sessions], [None] * GOOD, 'good sessions')
    check(back, 'not back within %d s', BACK)
    check(new.count(None) <= 1, 'newcomers: %s', new)
    check(statistics.median(kept) >= KEPT, 'kept %.2f of the throughput', statistics.median(kept))
