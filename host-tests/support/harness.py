"""A small runner: tests are functions, rows of tables become tests, many run side by side.

    @test(seconds=20)
    def something(t): ...

    @table([('a', 1), ('b', 2)])
    def checked(t, name, number): ...

`t` is a Context: it makes postern instances, internal servers and scratch directories, and takes
them down when the test is over. A test fails by an exception, is skipped by Skip.
"""
import concurrent.futures
import contextlib
import os
import re
import shutil
import sys
import tempfile
import threading
import time
import traceback

from .link import Link
from .proc import Port, Proc, wait_listening
from .server import Server

REGISTRY = []
FIGURES = []     # lines to print at the end, or functions that return some


class Skip(Exception):
    pass


class Failed(AssertionError):
    pass


class Case:
    def __init__(self, name, function, args, seconds, full, alone, root, own=False, once=False):
        # Not over our own TCP/IP; a module's text says why for all of its tests.
        self.kernel_only = getattr(sys.modules[function.__module__], 'KERNEL_ONLY', '')
        self.name = name
        self.function = function
        self.args = args
        self.seconds = seconds
        self.full = full
        self.alone = alone
        self.root = root
        self.own_only = own
        self.once = once


def test(name=None, seconds=30, full=False, alone=False, root=False, kernel=False, own=False):
    """full: only with --full. alone: nothing else runs meanwhile. root: skipped without root.
    kernel: not over our own TCP/IP. own: only over that."""
    def register(function):
        module = function.__module__.rsplit('.', 1)[-1].removeprefix('t_')
        case = Case('%s.%s' % (module, name or function.__name__), function, (), seconds, full,
                    alone, root, own)
        case.kernel_only = case.kernel_only or kernel
        REGISTRY.append(case)
        return function
    return register


def table(rows, seconds=30, full=False, alone=False, root=False, own=False, once=False):
    """One test per row; the row's first column is the test's name. once: of our own TCP/IP, whatever brings the frames, so
    a packet socket is left to --full."""
    def register(function):
        module = function.__module__.rsplit('.', 1)[-1].removeprefix('t_')
        for row in rows:
            REGISTRY.append(Case('%s.%s.%s' % (module, function.__name__, row[0]), function,
                                 tuple(row), seconds, full, alone, root, own, once))
        return function
    return register


def check(truth, text, *values):
    if not truth:
        raise Failed(text % values if values else text)


def equal(got, want, what):
    if got != want:
        raise Failed('%s: got %r, want %r' % (what, got, want))


# Directives whose addresses are clients'.
ABOUT_CLIENTS = ('allow', 'deny', 'trust', 'bare-newline')


class Postern:
    """One running proxy. `route` texts and `lines` are configuration lines."""

    def __init__(self, context, config, wait=True, argv_prefix=(), pre=None, ports=(),
                 arguments=()):
        self.context = context
        self.ports = ports
        self.directory = context.directory('postern')
        os.chmod(self.directory, 0o755)    # `user` names somebody else
        self.config_path = os.path.join(self.directory, 'postern.conf')
        self.write_config(config)
        argv = list(argv_prefix) + [context.binary, 'run', '-c', self.config_path]
        self.proc = Proc(argv + list(arguments), name='postern', pre=pre)
        context.cleanup.callback(self.proc.stop)
        if wait:
            check(self.proc.wait_line(r'\bready\b', 15), 'postern not ready: %s', self.proc.text)

    @property
    def address(self):
        return (self.ports[0].host, self.ports[0].number)

    def write_config(self, config):
        with open(self.config_path, 'w') as out:
            out.write(config)
        self.config = config

    def log(self, event='transaction', **wanted):
        """The records of this event that have these fields."""
        records = [parse_record(line) for line in list(self.proc.lines)]
        return [r for r in records if r and r.get('ev') == event
                and all(r.get(k) == str(v) for k, v in wanted.items())]

    def wait_log(self, event='transaction', count=1, seconds=5, **wanted):
        end = time.monotonic() + seconds
        while True:
            found = self.log(event, **wanted)
            if len(found) >= count:
                return found
            if time.monotonic() >= end:
                raise Failed('no record ev=%s %s within %s s; log: %s' % (
                    event, wanted, seconds, self.proc.text[-1500:]))
            time.sleep(0.02)

    def memory_bound_kib(self):
        match = re.search(r'memory bound: process (\d+) KiB, kernel sockets (\d+) KiB',
                          self.proc.text)
        check(match, 'no memory bound printed: %s', self.proc.text)
        return int(match.group(1)), int(match.group(2))


FIELD = re.compile(r'([a-z][a-z0-9_-]*)=("(?:[^"\\]|\\.)*"|[^ ]*)(?: |$)')


def parse_record(line):
    """A log line as a dict (`stamp` is the time), None if it is not one. Of a field that comes more
    than once the values are joined with commas."""
    match = re.search(r'(\d{4}-\d\d-\d\dT[0-9:.]+Z) +((?:level=\w+ +)?ev=.*)$', line)
    if not match:
        return None
    record = {'stamp': match.group(1)}
    rest = match.group(2)
    for field in FIELD.finditer(rest):
        name, value = field.groups()
        value = value[1:-1] if value.startswith('"') else value
        record[name] = record[name] + ',' + value if name in record else value
    return record


class Context:
    def __init__(self, name, binary, peers, scratch, full, transport='kernel'):
        self.transport = transport
        self.link = None    # the last one, if Postern is reached by its own TCP/IP
        self.name = name
        self.binary = binary
        self.peers = peers
        self.full = full
        self.cleanup = contextlib.ExitStack()
        self.posterns = []
        self.scratch = tempfile.mkdtemp(prefix='pst-', dir=scratch)
        os.chmod(self.scratch, 0o755)
        self.cleanup.callback(shutil.rmtree, self.scratch, ignore_errors=True)

    def close(self):
        self.cleanup.close()

    def directory(self, name):
        return tempfile.mkdtemp(prefix=name + '-', dir=self.scratch)

    def port(self, host='127.0.0.1'):
        port = Port(host)
        self.cleanup.callback(port.close)
        return port

    def server(self, **options):
        server = Server(**options)
        self.cleanup.callback(server.stop)
        return server

    def postern(self, *targets, route='example.org', lines=(), relay_options='', wait=True,
                host='127.0.0.1', listen=None, **options):
        """A proxy for `route` in front of the targets (servers, ports or HOST:PORT texts). TLS is
        off unless a line speaks of it, and so is DNS."""
        port = self.port(host)
        config = ['hostname mx.example.org']
        if self.transport == 'kernel' or listen or host != '127.0.0.1':
            config.append('listen %s' % (listen or port))
        else:
            self.link = Link(self.transport, port)
            self.cleanup.callback(self.link.close)
            config += self.link.lines
        if targets:
            config.append('relay %s to %s %s' % (route, ' '.join(
                getattr(target, 'address', None) or str(target) for target in targets),
                relay_options))
        config += [self.seen(line) if line.split()[:1][0] in ABOUT_CLIENTS else line
                   for line in lines]
        if not any(line.split()[:1] == ['tls'] for line in config):
            config.append('tls off')
        if not any(line.split()[:1] == ['dns'] for line in config):
            config.append('dns off')
        if not any('early-talk' in line for line in config):
            config.append('timeout early-talk 0')
        instance = Postern(self, '\n'.join(config) + '\n', wait, ports=[port], **options)
        instance.endpoint = self.link.endpoint if self.link else listen or str(port)
        self.posterns.append(instance)
        return instance

    def seen(self, text='127.0.0.1'):
        """Who connects from this address, as the last Postern sees him."""
        if not self.link:
            return text
        return text.replace('127.0.0.0/8', self.link.prefix + '0/24').replace(
            '127.0.0.', self.link.prefix)

    def process(self, argv, **options):
        process = Proc(argv, **options)
        self.cleanup.callback(process.stop)
        return process

    def sink(self, *arguments, maildir=True):
        """`postern sink` on a free port: (process, address text, maildir)."""
        port, argv, directory = self.port(), [self.binary, 'sink'], None
        argv += ['--listen', str(port)]
        if maildir:
            directory = self.directory('maildir')
            argv += ['--maildir', directory]
        process = self.process(argv + list(arguments), name='sink')
        check(process.wait_line(r'ready', 10), 'sink not ready: %s', process.text)
        return process, str(port), directory

    def smtp_sink(self, *arguments):
        return SmtpSink(self, arguments)

    def tool(self, name):
        """(argv, environment) of a test peer's program, or Skip with the reason."""
        try:
            return self.peers.tool(name)
        except self.peers.Unavailable as reason:
            raise Skip(str(reason)) from None

    def run_tool(self, name, *arguments, seconds=60, env=None):
        argv, environment = self.tool(name)
        environment = dict(environment, **(env or {}))
        process = self.process(argv + list(arguments), env=environment, name=name)
        status = process.wait(seconds)
        check(status is not None, '%s still runs after %s s: %s', name, seconds,
              process.text[-500:])
        return status, process.text

    def start_tool(self, name, *arguments, **options):
        argv, environment = self.tool(name)
        return self.process(argv + list(arguments), env=environment, name=name, **options)


class SmtpSink:
    """Postfix's smtp-sink; everything it receives goes to one file."""

    def __init__(self, context, arguments=()):
        self.port = context.port()
        self.address = str(self.port)
        directory = context.directory('smtp-sink')
        os.chmod(directory, 0o777)
        self.path = os.path.join(directory, 'dump')
        who = ('-u', 'nobody') if os.geteuid() == 0 else ()
        self.process = context.start_tool('smtp-sink', *who, '-D', self.path, *arguments,
                                          self.address, '500')
        check(wait_listening(self.port.host, self.port.number), 'smtp-sink: %s',
              self.process.text)

    def data(self):
        try:
            with open(self.path, 'rb') as stream:
                return stream.read()
        except OSError:
            return b''

    def messages(self, complete=b''):
        """The dumped messages that hold this text."""
        parts = re.split(rb'(?m)^(?=X-Client-Addr: )', self.data())
        return [part for part in parts if part and complete in part]

    def recipients(self):
        return re.findall(rb'(?m)^X-Rcpt-Args: <([^>]*)>', self.data())


class Result:
    def __init__(self, case, outcome, text, seconds):
        self.case = case
        self.outcome = outcome
        self.text = text
        self.seconds = seconds


def run_case(case, settings):
    start = time.monotonic()
    if case.root and os.geteuid() != 0:
        return Result(case, 'skipped', 'needs root', 0)
    context, outcome, text = None, 'passed', ''
    try:
        context = Context(case.name, settings.binary, settings.peers, settings.scratch,
                          settings.full, settings.transport)
        case.function(context, *case.args)
    except Skip as reason:
        outcome, text = 'skipped', str(reason)
    except Failed as reason:
        outcome, text = 'failed', str(reason)
        last = traceback.extract_tb(reason.__traceback__)
        places = [f for f in last if '/support/' not in f.filename]
        if places:
            text += '  [%s:%d]' % (os.path.basename(places[-1].filename), places[-1].lineno)
    except Exception:
        outcome, text = 'failed', traceback.format_exc(limit=-6)
    finally:
        if context:
            if outcome == 'failed':
                text += ''.join('\n    postern| ' + line for p in context.posterns
                                for line in p.proc.lines[-12:])
            crashed = [p for p in context.posterns
                       if p.proc.child.poll() is not None and p.proc.child.returncode not in
                       (0, -9, -15)]
            try:
                context.close()
            except Exception:
                outcome, text = 'failed', text + traceback.format_exc(limit=-4)
            crashed += [p for p in context.posterns if p not in crashed and
                        p.proc.child.returncode not in (0, -9, -15)]
            if crashed and outcome == 'passed':
                outcome = 'failed'
                text += 'postern ended with status %s: %s' % (
                    crashed[0].proc.child.returncode, crashed[0].proc.text[-1500:])
    seconds = time.monotonic() - start
    if outcome == 'passed' and seconds > case.seconds:
        outcome, text = 'failed', 'took %.1f s, allowed %d' % (seconds, case.seconds)
    return Result(case, outcome, text, seconds)


class Settings:
    def __init__(self, binary, peers, scratch, full, jobs, transport='kernel'):
        self.transport = transport
        self.binary = os.path.abspath(binary)
        self.peers = peers
        self.scratch = scratch
        self.full = full
        self.jobs = jobs


def say(text):
    print(text, flush=True)


def run_all(cases, settings, report=say):
    """Run them; the results in the order of the cases. Failures are reported as they come."""
    results, lock = {}, threading.Lock()

    def one(case):
        result = run_case(case, settings)
        with lock:
            results[case.name] = result
            if result.outcome == 'failed':
                report('FAIL %s (%.1f s)\n  %s' % (case.name, result.seconds,
                                                  result.text.replace('\n', '\n  ')))
    together = sorted((c for c in cases if not c.alone), key=lambda c: -c.seconds)
    with concurrent.futures.ThreadPoolExecutor(settings.jobs) as pool:
        list(pool.map(one, together))
    for case in cases:
        if case.alone:
            one(case)
    return [results[case.name] for case in cases]


def summary(results, report=say):
    """The last lines every suite prints; returns the exit status."""
    count = {kind: sum(1 for r in results if r.outcome == kind)
             for kind in ('passed', 'failed', 'skipped')}
    reasons = {}
    for result in results:
        if result.outcome == 'skipped':
            reasons.setdefault(result.text, []).append(result.case.name)
    for reason, names in reasons.items():
        report('skipped (%s): %s' % (reason, ' '.join(names)))
    line = '%d passed, %d failed' % (count['passed'], count['failed'])
    if count['skipped']:
        line += ', %d skipped' % count['skipped']
    report(line)
    return 1 if count['failed'] else 0
