#!/usr/bin/python3
"""Instructions of a board's CPU for one message and for one TLS handshake: what an owner may expect of a device.

    cost.py BOARD...      (make qemu-cost BOARD=qemu-armv7; without names every board)

QEMU counts: with `-icount shift=0` the guest's clock goes one nanosecond an instruction, so the CPU time its kernel notes
for Postern is a number of instructions, whatever the host is busy with. It is the same from run to run within a few
percent. The MIPS board's clock is a timer of its own, which says nothing of instructions: it is left out. Caches are not emulated: a device of N MHz runs 0.5 to 1 N million of these instructions a second.
"""
import re
import sys
import time

import machine
import test

MESSAGES, HANDSHAKES, WARM = 200, 40, 20
MESSAGE_BYTES = 4096
NOT_COUNTED = ('qemu-mipsel',)


class Counter(test.Bench):
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
        """Instructions of one call."""
        for number in range(WARM):
            function(number)
        before = self.cpu_ns()
        for number in range(count):
            function(WARM + number)
        return (self.cpu_ns() - before) / count

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
    for name in sys.argv[1:] or [name for name in machine.boards() if name not in NOT_COUNTED]:
        if name in NOT_COUNTED:
            raise SystemExit('%s: its clock does not count instructions' % name)
        counter = Counter(name, test.KERNEL)
        try:
            counter.boot('ready', 'pst.memory', '-icount shift=0')
            message, greeting, handshake = (counter.cost(function, count) for function, count in (
                (counter.message, MESSAGES), (counter.greeting, HANDSHAKES), (counter.handshake, HANDSHAKES)))
            rows.append((name, message / 1e3, (handshake - greeting) / 1e3))
            print('%s: message %.0f, handshake %.0f thousand instructions' % rows[-1], flush=True)
        finally:
            if counter.guest:
                counter.guest.cut()
            counter.sink.stop()
    print('| board | message of 4 KiB | TLS handshake |\n|---|---|---|')
    for row in rows:
        print('| %s | %.0f thousand instructions | %.0f thousand |' % row)


if __name__ == '__main__':
    main()
