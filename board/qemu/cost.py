#!/usr/bin/python3
"""Instructions of a board's CPU for one message and for one TLS handshake: what an owner may expect of a device.

    cost.py BOARD...      (make qemu-cost BOARD=qemu-armv7; without names every board)

QEMU counts: with `-icount shift=0` the guest's clocks go one nanosecond an instruction, so the CPU time its kernel notes
for Postern is a number of instructions, whatever the host is busy with, and the same from run to run within a few percent.
What such a nanosecond is, a counted loop in the guest says (loop.c); `-rtc clock=vm` because the MIPS board's kernel takes
the speed of its timer from that clock. Caches are not emulated: a device of N MHz runs 0.5 to 1 N million of these
instructions a second. Last column: against the first board named, the kind of machine that most hosts are.
"""
import itertools
import re
import sys
import time

import machine
import test

MESSAGES, HANDSHAKES, ROWS, WARM = 400, 50, 5, 20
MESSAGE_BYTES = 4096
COUNTED = '-icount shift=0 -rtc clock=vm'


class Counter(test.Bench):
    def start(self):
        loop = machine.make_program(self.board.target, 'loop')
        self.boot('ready', 'pst.memory', COUNTED, {'sbin/loop': (0o755, machine.read(loop))})
        said = self.guest.wait(r'^board: loop (\d+) instructions (\d+) ns')
        self.instructions_per_ns = int(said[1]) / int(said[2])
        print('%s: a nanosecond is %.3f instructions' % (self.name, self.instructions_per_ns), flush=True)

    def cpu_ns(self):
        """Postern's CPU time, as the guest says it after now; the second line, since the first may be on its way already."""
        seen = len(self.guest.lines)
        deadline = time.monotonic() + 300
        while time.monotonic() < deadline:
            said = [re.match(r'board: cpu (\d+)', line) for line in list(self.guest.lines)[seen:]]
            said = [int(match[1]) for match in said if match]
            if len(said) > 1:
                return said[1]
            time.sleep(0.2)
        raise AssertionError('the guest says nothing of its CPU time')

    def cost(self, function, count):
        """Instructions of one call, the average of the cheapest of several rows: how often Postern is woken for what
        comes is the host's doing, and less is nearer to a device's."""
        numbers = itertools.count()  # no message is another one's retry
        for _ in range(WARM):
            function(next(numbers))
        before, rows = self.cpu_ns(), []
        for _ in range(ROWS):
            for _ in range(count // ROWS):
                function(next(numbers))
            after = self.cpu_ns()
            rows.append((after - before) / (count // ROWS) * self.instructions_per_ns)
            before = after
        return min(rows)

    def message(self, number):
        client = test.greeted(self.guest)
        reply = test.send(client, 'message %d' % number, size=MESSAGE_BYTES)
        client.quit()
        test.check(reply.code == 250, repr(reply))

    def greeting(self, _number):
        client = test.greeted(self.guest)
        client.quit()

    def handshake(self, _number):
        client = test.secured(self.guest)
        client.quit()


def main():
    rows = []
    for name in sys.argv[1:] or sorted(machine.boards(), key=lambda name: 'x86' not in name):
        counter = Counter(name, test.KERNEL)
        try:
            counter.start()
            message, greeting, handshake = (counter.cost(function, count) for function, count in (
                (counter.message, MESSAGES), (counter.greeting, HANDSHAKES), (counter.handshake, HANDSHAKES)))
            rows.append((name, message / 1e3, (handshake - greeting) / 1e3))
            print('%s: message %.0f, handshake %.0f thousand instructions' % rows[-1], flush=True)
        finally:
            if counter.guest:
                counter.guest.cut()
            counter.sink.stop()
    print('| board | message of 4 KiB | TLS handshake | against %s |\n|---|---|---|---|' % rows[0][0])
    for name, message, handshake in rows:
        print('| %s | %.0f thousand instructions | %.0f thousand | %.2f, %.2f |'
              % (name, message, handshake, message / rows[0][1], handshake / rows[0][2]))


if __name__ == '__main__':
    main()
