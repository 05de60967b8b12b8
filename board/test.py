#!/usr/bin/python3
"""Everything about the boards: each target's size and its own test programs, each machine's mail.

    test.py [BOARD...]      (`make board-test`; without names every board there is)

Prints what each step took, and last `N passed, N failed`.
"""
import glob
import os
import re
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
TOP = os.path.dirname(HERE)
STEP_SECONDS = 1500
LAST_LINE = re.compile(r'^(\d+) passed, (\d+) failed(?:, \d+ skipped)?$')


def boards(file):
    return sorted(os.path.basename(os.path.dirname(path)) for path in glob.glob(os.path.join(HERE, '*', file)))


def step(goal, board):
    """(passed, failed) of `make GOAL BOARD=board`; a goal that does not count its tests is one test."""
    command = ['make', '-j%d' % (os.cpu_count() or 1), 'SET_UP=done', 'BOARD=' + board, goal]
    print('== %s' % ' '.join(command[3:]), flush=True)
    begin = time.monotonic()
    try:
        done = subprocess.run(command, cwd=TOP, check=False, timeout=STEP_SECONDS, stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors='replace',
                              env={name: value for name, value in os.environ.items()
                                   if name != 'O' and not name.startswith(('MAKE', 'MFLAGS'))})
        output, status = done.stdout, done.returncode
    except subprocess.TimeoutExpired as late:
        output, status = (late.stdout or b'').decode(errors='replace'), 'none after %d s' % STEP_SECONDS
    passed, failed = 0, 0
    for line in output.splitlines():
        count = LAST_LINE.match(line)
        if count:
            passed, failed = passed + int(count[1]), failed + int(count[2])
        elif not re.match(r'  (CC|LD|AR) ', line):
            print(line)
    if not passed + failed:
        passed = int(status == 0)
    if status != 0 and not failed:
        failed = 1
    print('== %s %s: %d passed, %d failed (%.0f s)' % (goal, board, passed, failed, time.monotonic() - begin), flush=True)
    return passed, failed


def main():
    wanted = sys.argv[1:]
    total = [0, 0]
    begin = time.monotonic()
    for file, goals in (('target.mk', ('size', 'board-unit')), ('machine.ini', ('qemu-test',))):
        for board in boards(file):
            for goal in goals if not wanted or board in wanted else ():
                total = [a + b for a, b in zip(total, step(goal, board))]
    seconds = time.monotonic() - begin
    print('all boards: %d min %d s' % (seconds // 60, seconds % 60))
    print('%d passed, %d failed' % tuple(total))
    return 1 if total[1] or not total[0] else 0


if __name__ == '__main__':
    sys.exit(main())
