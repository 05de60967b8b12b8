#!/usr/bin/python3
"""The whole program against real clients and servers; see README.md beside this file.

    run.py --postern BINARY --out BUILD_DIR [--only NAME[,NAME]] [--full] [--jobs N] [--list]

NAME is a part of a test's name (`faults`, `faults.data`). The last line is
`N passed, N failed[, N skipped]`; the status is 1 if any failed.
"""
import argparse
import glob
import importlib
import os
import shutil
import signal
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.dirname(HERE), HERE]
from support import harness                # noqa: E402
from support.peers import Peers            # noqa: E402
from support.proc import end_all           # noqa: E402


def end_cleanly(scratch):
    """When told to end, take the children along."""
    def leave(number, _):
        for _ in range(10):    # tests that just begin make new ones
            end_all()
            shutil.rmtree(scratch, ignore_errors=True)
            if not os.path.exists(scratch):
                break
            time.sleep(0.05)
        os._exit(128 + number)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, leave)


def main():
    parser = argparse.ArgumentParser(description='postern end to end')
    parser.add_argument('--postern', required=True, help='the binary')
    parser.add_argument('--out', required=True, help='its build directory')
    parser.add_argument('--only', default='', help='parts of test names, separated by commas')
    parser.add_argument('--full', action='store_true', help='the long tests and the full counts')
    parser.add_argument('--jobs', type=int, default=8, help='tests side by side (mostly waiting)')
    parser.add_argument('--list', action='store_true', help='only print the names')
    parser.add_argument('--times', action='store_true', help='print how long each test took')
    options = parser.parse_args()
    for path in sorted(glob.glob(os.path.join(HERE, 't_*.py'))):
        importlib.import_module(os.path.basename(path)[:-3])
    parts = [part for part in options.only.split(',') if part]
    cases = [case for case in harness.REGISTRY
             if (options.full or not case.full)
             and (not parts or any(part in case.name for part in parts))]
    if options.list:
        print('\n'.join(case.name for case in cases))
        return 0
    if parts and not cases:
        print('e2e: no test is called %s' % options.only)
        return 1
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix='pst-e2e-') as scratch:
        os.chmod(scratch, 0o755)
        end_cleanly(scratch)
        settings = harness.Settings(options.postern, Peers(), scratch, options.full, options.jobs)
        results = harness.run_all(cases, settings)
    if options.times:
        for result in sorted(results, key=lambda r: -r.seconds):
            harness.say('%6.1f s %s' % (result.seconds, result.case.name))
    for line in harness.FIGURES:
        harness.say(line)
    harness.say('e2e: %.1f s' % (time.monotonic() - started))
    return harness.summary(results)


if __name__ == '__main__':
    sys.exit(main())
