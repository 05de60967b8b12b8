"""What every suite of tests in Python does: options, running, counting."""
import argparse
import glob
import importlib
import os
import shutil
import signal
import sys
import tempfile
import time

from . import harness
from .link import enter_namespace
from .peers import Peers
from .proc import end_all


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


def main(name, here, description, before_end=None):
    """`here` holds the t_*.py files; `before_end` is called when all tests are over."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument('--postern', required=True, help='the binary')
    parser.add_argument('--out', required=True, help='its build directory')
    parser.add_argument('--only', default='', help='parts of test names, separated by commas')
    parser.add_argument('--full', action='store_true', help='the long tests and the full counts')
    parser.add_argument('--jobs', type=int, default=8, help='tests side by side (mostly waiting)')
    parser.add_argument('--list', action='store_true', help='only print the names')
    parser.add_argument('--times', action='store_true', help='print how long each test took')
    parser.add_argument('--transport', choices=('kernel', 'tap', 'packet'), default='kernel',
                        help="clients reach Postern by the kernel's sockets, or by its own TCP/IP")
    options = parser.parse_args()
    if options.transport != 'kernel':
        enter_namespace()
    for path in sorted(glob.glob(os.path.join(here, 't_*.py'))):
        importlib.import_module(os.path.basename(path)[:-3])
    parts = [part for part in options.only.split(',') if part]
    cases = [case for case in harness.REGISTRY
             if (options.full or not case.full)
             and (options.transport == 'kernel' or not case.kernel_only)
             and (options.transport != 'kernel' or not case.own_only)
             and (options.full or options.transport != 'packet' or not case.once)
             and (not parts or any(part in case.name for part in parts))]
    if options.list:
        print('\n'.join(case.name for case in cases))
        return 0
    if parts and not cases:
        print('%s: no test is called %s' % (name, options.only))
        return 1
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix='pst-%s-' % name) as scratch:
        os.chmod(scratch, 0o755)
        end_cleanly(scratch)
        settings = harness.Settings(options.postern, Peers(), scratch, options.full, options.jobs,
                                    options.transport)
        try:
            results = harness.run_all(cases, settings)
        finally:
            if before_end:
                before_end()
    if options.times:
        for result in sorted(results, key=lambda r: -r.seconds):
            harness.say('%6.1f s %s' % (result.seconds, result.case.name))
    for figure in harness.FIGURES:
        for line in figure() if callable(figure) else [figure]:
            harness.say(line)
    harness.say('%s: %.1f s' % (name, time.monotonic() - started))
    return harness.summary(results)
