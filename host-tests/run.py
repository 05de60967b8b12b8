#!/usr/bin/python3
"""Builds what the tests need, runs the suites, counts.

    run.py [--only SUITE[,SUITE]] [--suites DIR]... [--kinds KIND] [--full]

Prints each suite's time, the tests that were skipped and why, the wall time of all, and last
`N passed, N failed`. The status is 1 if anything failed, and under CI=true if anything was skipped.
Run it by `make test` (or `make unit`, `make e2e`, ...), which sees to the machine's packages first.
"""
import argparse
import concurrent.futures
import glob
import os
import re
import signal
import subprocess
import sys
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
TOP = os.path.dirname(HERE)
PYTHON = sys.executable
JOBS = os.cpu_count() or 1
PROGRAM_SECONDS = 300
SCRIPT_SECONDS = 900
LAST_LINE = re.compile(r'^(\d+) passed, (\d+) failed(?:, (\d+) skipped)?$')


class Count:
    """What a suite has to say: numbers, and one line for each skipped test or group of tests."""

    def __init__(self, passed=0, failed=0, skipped=0):
        self.passed = passed
        self.failed = failed
        self.skipped = skipped
        self.skips = []

    def add(self, other):
        self.passed += other.passed
        self.failed += other.failed
        self.skipped += other.skipped
        self.skips += other.skips

    def __str__(self):
        text = '%d passed, %d failed' % (self.passed, self.failed)
        return text + (', %d skipped' % self.skipped if self.skipped else '')


def say(text):
    print(text, flush=True)


# ---------------------------------------------------------------------------------- building

# The build asked for; the Makefile hands over its O, CC and SAN.
OUT = os.environ.get('POSTERN_OUT') or 'build/host'
COMPILER = os.environ.get('POSTERN_CC') or 'gcc'
SAN = os.environ.get('POSTERN_SAN') or ''
# what runs the programs of another machine, and how much slower
EMULATOR = (os.environ.get('POSTERN_EMULATOR') or '').split()
SLOWER = 6 if EMULATOR else 1


BUILT = {}      # build directory -> whether it could be built: once is enough


def make(out=OUT, compiler=COMPILER, san=SAN, more=()):
    """Builds the program and all test programs that way; True if that went well."""
    if out not in BUILT:
        BUILT[out] = make_now(out, compiler, san, more)
    return BUILT[out]


def make_now(out, compiler, san, more):
    begin = time.monotonic()
    environment = {name: value for name, value in os.environ.items()
                   if name not in ('MAKEFLAGS', 'MAKELEVEL', 'MFLAGS', 'MAKEOVERRIDES')}
    command = ['make', '-j%d' % JOBS, 'SET_UP=done', 'CC=' + compiler, 'SAN=' + san, 'O=' + out,
               *more, 'tests']
    built = subprocess.run(command, cwd=TOP, env=environment, check=False,
                           stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    seconds = time.monotonic() - begin
    if built.returncode:
        say(built.stdout.rstrip())
        say('build: `%s` failed' % ' '.join(command))
    elif seconds >= 1:
        say('build: %s in %.1f s' % (out, seconds))
    return built.returncode == 0


# ---------------------------------------------------------------------------------- running

def run_script(arguments):
    """A suite that is a program of its own and counts for itself."""
    count = Count()
    process = subprocess.Popen(arguments, cwd=TOP, stdout=subprocess.PIPE,
                               stderr=subprocess.STDOUT, text=True, errors='replace')
    last = ''
    watchdog = threading.Timer(SCRIPT_SECONDS, process.terminate)
    watchdog.start()
    try:
        for line in process.stdout:
            line = line.rstrip('\n')
            last = line or last
            if line.startswith('skipped'):
                count.skips.append(line)
            if not LAST_LINE.match(line):
                say(line)
        process.wait()
    except BaseException:
        process.terminate()
        process.wait()
        raise
    finally:
        watchdog.cancel()
    match = LAST_LINE.match(last)
    if match:
        count.passed, count.failed = int(match[1]), int(match[2])
        count.skipped = int(match[3] or 0)
    if not match or (process.returncode and not count.failed):
        say('%s ended with status %d and without a count'
            % (' '.join(arguments[:2]), process.returncode))
        count.failed += 1
    return count


def run_program(program):
    """One cmocka program: (Count, what there is to say)."""
    environment = dict(os.environ, CMOCKA_MESSAGE_OUTPUT='TAP', ASAN_OPTIONS='detect_leaks=1',
                       UBSAN_OPTIONS='print_stacktrace=1')
    if EMULATOR:    # enough to see a machine's own faults; the rest is the host's to find
        environment.update(POSTERN_SEEDS='1000', POSTERN_ALLOC_STEP='97')
    name = os.path.relpath(program, TOP)
    try:
        done = subprocess.run([*EMULATOR, program], cwd=TOP, env=environment, check=False,
                              timeout=PROGRAM_SECONDS * SLOWER, stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        output, status = done.stdout, done.returncode
    except subprocess.TimeoutExpired as late:
        output, status = late.stdout or b'', 'none: still running after %d s' % (PROGRAM_SECONDS * SLOWER)
    except OSError as error:
        return Count(failed=1), '%s: %s' % (name, error)
    text = output.decode(errors='replace')
    count = Count()
    planned = 0
    for line in text.split('\n'):
        plan = re.match(r'\s*1\.\.(\d+)', line)
        result = re.match(r'\s*(not )?ok \d+ -?\s*(.*)', line)
        if plan:
            planned += int(plan[1])
        elif result and re.search(r'# SKIP', result[2]):
            count.skipped += 1
            count.skips.append('skipped: %s %s' % (name, result[2]))
        elif result and result[1]:
            count.failed += 1
        elif result:
            count.passed += 1
    told = count.passed + count.failed + count.skipped
    broken = status != 0 and not count.failed
    if isinstance(status, int) and status < 0:
        status = 'signal %s' % signal.Signals(-status).name
    if broken or told < planned or told == 0:
        count.failed += max(planned - told, 1)
    if count.failed:
        return count, '%s\n%s: status %s\n' % (text.rstrip(), name, status)
    return count, ''


def run_programs(kinds, out):
    """All cmocka programs of the kinds, and fuzz targets over their seeds, some at a time."""
    sources = []
    for kind in kinds:
        pattern = {'unit': 'unit/*/test_*.c', 'fuzz': 'fuzz/fuzz_*.c'}.get(kind, kind + '/test_*.c')
        sources += sorted(glob.glob(os.path.join(HERE, pattern)))
    programs = [os.path.join(TOP, out, os.path.relpath(source, TOP)[:-2]) for source in sources]
    total = Count()
    with concurrent.futures.ThreadPoolExecutor(JOBS) as pool:
        for count, text in pool.map(run_program, programs):
            total.add(count)
            if text:
                say(text)
    return total


# ---------------------------------------------------------------------------------- suites

def suite_tidy(_options):
    return run_script([PYTHON, 'host-tests/tidy/tidy.py', '--out', OUT])


def suite_unit(_options):
    if not make():
        return Count(failed=1)
    count = run_programs(['unit', 'fuzz'], OUT)
    for script in sorted(glob.glob(os.path.join(HERE, 'unit/*/test_*.py'))):
        count.add(run_script([PYTHON, script]))
    return count


def suite_emulated(_options):
    """A board's programs, built already, by POSTERN_EMULATOR."""
    return run_programs(['unit', 'contract', 'conformance', 'fuzz'], OUT)


def suite_contract(_options):
    return run_programs(['contract'], OUT) if make() else Count(failed=1)


def suite_conformance(options):
    if not make():
        return Count(failed=1)
    count = run_programs(['conformance'], OUT)
    folders = options.suites
    if not folders:
        beside = os.path.join(os.path.dirname(TOP), 'shared', 'suites')
        folders = [beside] if os.path.isdir(beside) else []
    if not options.kinds or 'rules' in options.kinds.split(','):
        count.add(run_script([PYTHON, 'host-tests/conformance/default_rules.py', '--postern', OUT + '/postern',
                              '--out', OUT, *(word for folder in folders[:1] for word in ('--suites', folder))]))
    if not folders:
        say('no foreign suites: ../shared/suites is not there; SUITES=DIR names another place')
        return count
    arguments = [word for folder in folders for word in ('--suites', folder)]
    if options.kinds:
        arguments += ['--only', options.kinds]
    count.add(run_script([PYTHON, 'host-tests/conformance/suites.py', *arguments,
                          '--postern', OUT + '/postern', '--out', OUT]))
    return count


def suite_sanitize(_options):
    """The same programs with AddressSanitizer and UndefinedBehaviorSanitizer."""
    out = OUT + '-asan-ubsan'
    if not make(out, san='asan,ubsan'):
        return Count(failed=1)
    return run_programs(['unit', 'contract', 'conformance', 'fuzz'], out)


SIM_SEEDS = 'host-tests/sim/seeds.txt'
# build, transport, sessions, first seed
SIM_PARTS = [('asan,ubsan', 'memory', 700, 1000001), ('asan,ubsan', 'lwip', 300, 1000001),
             ('', 'lwip', 2000, 1), ('', 'lwip', 2000, 2000001), ('', 'memory', 7500, 1),
             ('', 'memory', 7500, 2000001)]


def run_simulation(part):
    """One share of the simulated sessions: (passed, what there is to say)."""
    san, net, sessions, seed = part
    out = OUT + ('-' + san.replace(',', '-') if san else '')
    command = [out + '/host-tests/sim/sim', '-n', net, '-s', str(sessions), '-S', str(seed)]
    if net == 'memory' and seed == 1:
        command += ['-l', SIM_SEEDS]
    try:
        done = subprocess.run(command, cwd=TOP, check=False, timeout=SCRIPT_SECONDS, text=True,
                              errors='replace', stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT)
    except subprocess.TimeoutExpired:
        return False, '%s: still running after %d s' % (' '.join(command), SCRIPT_SECONDS)
    except OSError as error:
        return False, '%s: %s' % (command[0], error)
    return done.returncode == 0, (san + ' ' if san else '') + done.stdout.rstrip()


def suite_sim(_options):
    """Whole sessions in simulated time, and every seed that ever failed."""
    count = Count()
    if not make() or not make(OUT + '-asan-ubsan', san='asan,ubsan'):
        return Count(failed=1)
    with concurrent.futures.ThreadPoolExecutor(JOBS) as pool:
        for passed, text in pool.map(run_simulation, SIM_PARTS):
            count.add(Count(passed=int(passed), failed=int(not passed)))
            say(text)
    count.add(run_script([PYTHON, 'host-tests/sim/mutants.py', '--out', OUT]))
    return count


def suite_clang(_options):
    """Everything compiles and links with clang too, and with every switch of Kconfig off."""
    out = OUT + '-clang'
    os.makedirs(os.path.join(TOP, out), exist_ok=True)
    off = subprocess.run([PYTHON, '-m', 'allnoconfig', 'Kconfig'], cwd=TOP, check=False,
                         env=dict(os.environ, KCONFIG_CONFIG=out + '/.config'),
                         stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if off.returncode:
        say(off.stdout)
    built = off.returncode == 0 and make(out, compiler='clang', more=['DEPS_CC=' + COMPILER])
    return Count(passed=int(built), failed=int(not built))


def suite_e2e(options):
    if not make():
        return Count(failed=1)
    return run_script([PYTHON, 'host-tests/e2e/run.py', '--postern', OUT + '/postern',
                       '--out', OUT, *(['--full'] if options.full else [])])


def suite_lwip(options):
    """The same clients and servers, with Postern reached by its own TCP/IP."""
    if not make():
        return Count(failed=1)
    count = Count()
    for driver in ('tap', 'packet'):
        count.add(run_script([PYTHON, 'host-tests/e2e/run.py', '--postern', OUT + '/postern', '--out', OUT,
                              '--transport', driver, *(['--full'] if options.full else [])]))
    return count


def suite_openwrt(_options):
    """OpenWrt's package: its configuration, its scripts, its bytes."""
    if not make():
        return Count(failed=1)
    return run_script([PYTHON, 'host-tests/openwrt/run.py', '--postern', OUT + '/postern'])


def suite_luci(_options):
    """LuCI's pages in a browser."""
    if not make():
        return Count(failed=1)
    return run_script([PYTHON, 'host-tests/luci/run.py', '--postern', OUT + '/postern', '--out', OUT])


FUZZ_SECONDS = 4        # of each target: what breaks at once is found at once
FUZZER_RUNTIME = '/usr/lib/llvm-*/lib/clang/*/lib/linux/libclang_rt.fuzzer-*.a'


def run_fuzzer(name):
    """A short search by one target: (name, passed, what there is to say)."""
    command = ['make', 'SET_UP=done', 'O=' + OUT, 'SECONDS=%d' % FUZZ_SECONDS, 'T=' + name, 'fuzz']
    environment = {key: value for key, value in os.environ.items()
                   if key not in ('MAKEFLAGS', 'MAKELEVEL', 'MFLAGS', 'MAKEOVERRIDES')}
    try:
        done = subprocess.run(command, cwd=TOP, env=environment, check=False, timeout=PROGRAM_SECONDS,
                              text=True, errors='replace', stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    except subprocess.TimeoutExpired:
        return name, False, 'still running after %d s' % PROGRAM_SECONDS
    runs = re.search(r'number_of_executed_units: *(\d+)', done.stdout)
    return name, done.returncode == 0, \
        '%s runs' % runs.group(1) if done.returncode == 0 and runs else done.stdout[-3000:]


def suite_search(_options):
    """Every fuzzer for some seconds, from its seeds and what earlier runs on this machine have learnt."""
    if not glob.glob(FUZZER_RUNTIME):
        count = Count(skipped=1)
        count.skips.append('search: clang has no libFuzzer here (libclang-rt-dev)')
        return count
    if not make():
        return Count(failed=1)
    count = Count()
    names = sorted(os.path.basename(path)[5:-2] for path in glob.glob(os.path.join(HERE, 'fuzz/fuzz_*.c')))
    with concurrent.futures.ThreadPoolExecutor(JOBS) as pool:
        for name, passed, text in pool.map(run_fuzzer, names):
            count.add(Count(passed=int(passed), failed=int(not passed)))
            say('%s: %s' % (name, text))
    return count


def suite_interop(options):
    if not make():
        return Count(failed=1)
    return run_script([PYTHON, 'host-tests/interop/run.py', '--postern', OUT + '/postern',
                       '--out', OUT, *(['--full'] if options.full else [])])


SUITES = {
    'unit': suite_unit,
    'tidy': suite_tidy,     # after a build: it looks at objects too
    'contract': suite_contract,
    'conformance': suite_conformance,
    'sanitize': suite_sanitize,
    'sim': suite_sim,
    'clang': suite_clang,
    'search': suite_search,
    'e2e': suite_e2e,
    'lwip': suite_lwip,
    'interop': suite_interop,
    'openwrt': suite_openwrt,
    'luci': suite_luci,
}
BY_NAME_ONLY = {'emulated': suite_emulated}     # make board-unit


def main():
    parser = argparse.ArgumentParser(description='run the tests')
    parser.add_argument('--only', default='', help='suites, separated by commas: '
                        + ' '.join(SUITES))
    parser.add_argument('--suites', action='append', help='directory of foreign suites, repeatable')
    parser.add_argument('--kinds', default='', help='of the foreign suites: smtp, address, ...')
    parser.add_argument('--full', action='store_true', help='the long tests too')
    options = parser.parse_args()
    names = [name for name in options.only.split(',') if name] or list(SUITES)
    unknown = [name for name in names if name not in {**SUITES, **BY_NAME_ONLY}]
    if unknown:
        sys.exit('no suite is called %s; there are: %s' % (', '.join(unknown), ', '.join(SUITES)))

    begin = time.monotonic()
    total = Count()
    for name in names:
        say('== %s' % name)
        start = time.monotonic()
        count = {**SUITES, **BY_NAME_ONLY}[name](options)
        say('== %s: %s (%.1f s)' % (name, count, time.monotonic() - start))
        total.add(count)
    if total.skipped:
        say('skipped: %d tests in all' % total.skipped)
        for line in total.skips:
            say('  ' + line)
    seconds = time.monotonic() - begin
    say('all suites: %d min %d s on %d cores' % (seconds // 60, seconds % 60, JOBS))
    failed = total.failed > 0
    if total.skipped and os.environ.get('CI') == 'true':
        say('CI accepts no skipped test')
        failed = True
    say('%d passed, %d failed' % (total.passed, total.failed))
    return 1 if failed else 0


if __name__ == '__main__':
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
