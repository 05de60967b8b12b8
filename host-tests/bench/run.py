#!/usr/bin/python3
"""Postern beside HAProxy, and what it costs in system calls, instructions and memory.

    run.py --postern BIN [--out DIR] [--only load,calls,instructions,checks,rules,memory,tls,count]
           [--rounds N] [--quick]

Prints one table, leaves the figures in DIR/bench.json (default: build/bench), and exits with 1 if a
limit is missed. README.md says what each figure means.
"""
import argparse
import collections
import datetime
import json
import os
import platform
import re
import resource
import shutil
import signal
import statistics
import sys
import tempfile
import time

import gauge
import rig as rigs
import table
from support import link  # noqa: E402 - rig has set the path

ROOT = os.path.abspath(os.path.join(os.path.dirname(__file__), '..', '..'))
SIZES = ('4k', '100k')
CONCURRENT = 20

LIMIT_CPU_RATIO = 1.5
LIMIT_CALLS = 30
LIMIT_IDLE_KIB = 4096
LIMIT_SESSION_KIB = 4.0
LIMIT_LWIP_RATE = 3            # the kernel's messages per second, to those by our own TCP/IP
LIMIT_LWIP_SESSION_KIB = 2.0   # what its connection adds to a session, besides its pcb
# A hundredth of what SpamAssassin's daemon needs for the same rules and a message like ours, local tests alone:
# 80 to 180 ms on machines like this, so of the lower.
LIMIT_TLS_RATIO = 2.0          # TLS of a session, to Postfix's
LIMIT_TLS_SESSION_KIB = 28.0
LIMIT_CHECKS_RATIO = 2.5       # a message with lists, SPF and header rules, to one through HAProxy
LIMIT_STOCK_US = 800
LIMIT_OWN_RATIO = 0.7          # our rules, to the CPU of one message through HAProxy
LIMIT_STOCK_KIB = 6 * 1024     # what the stock rules add to the private memory
LIMIT_STOCK_INTERPRETED_KIB = 3 * 1024


class Plan:
    """How much of everything: enough for steady figures, or just enough to see that it works."""

    def __init__(self, quick, rounds):
        self.quick = quick
        self.rounds = rounds or (1 if quick else 7)
        self.load = {'4k': 300, '100k': 100} if quick else {'4k': 3000, '100k': 800}
        self.calls = (100, 400) if quick else (200, 1700)
        self.instructions = (20, 80) if quick else (100, 600)
        self.strangers = 100 if quick else 500
        self.rules = (100, 400) if quick else (200, 2200)
        self.sessions = 1000
        self.messages = 1000 if quick else 20000
        self.messages_concurrent = 100
        self.tls = 50 if quick else 250


class Bench:
    def __init__(self, options):
        self.plan = Plan(options.quick, options.rounds)
        self.postern = options.postern
        self.suites = options.suites
        self.out = options.out
        self.directory = os.path.join(options.out, 'work')
        self.results = {'machine': machine(), 'rounds': self.plan.rounds, 'quick': options.quick}
        self.limits = []
        self.troubles = []

    def rig(self):
        return rigs.Rig(self.postern, self.directory)

    def limit(self, name, value, most, unit=''):
        """`value` may be at most `most`."""
        self.limits.append({'name': name, 'value': value, 'most': most, 'unit': unit,
                            'kept': value <= most})

    # --- load ---------------------------------------------------------------------------------

    def load(self):
        """CPU per message and messages per second, all targets in turn in each round."""
        rig, cells = self.rig(), collections.defaultdict(list)
        try:
            sink = rigs.Sink(rig)
            targets = [rigs.direct(sink), rigs.haproxy(rig, sink, 1), rigs.haproxy(rig, sink, 2),
                       rigs.postern(rig, sink)]
            for target in targets:
                for size in SIZES:
                    rigs.send(rig, target, sink, 2 * CONCURRENT, CONCURRENT, size)
            for number in range(self.plan.rounds):
                for size in SIZES:
                    for i in range(len(targets)):
                        target = targets[(i + number) % len(targets)]
                        cells[target.name, size].append(self.load_once(rig, sink, target, size))
                progress('load', number + 1, self.plan.rounds)
            memory = {t.name: gauge.memory(t.pid) for t in targets if t.pid}
        finally:
            rig.close()
        self.results['load'] = {
            target.name: dict({size: summary(cells[target.name, size]) for size in SIZES},
                              memory=memory.get(target.name)) for target in targets}
        for size in SIZES:
            ratio = self.ratio(size)
            self.results['load']['ratio.' + size] = ratio
            if not self.plan.quick:
                self.limit('CPU per message of %s, to that of haproxy-1' % table.SIZE[size], ratio,
                           LIMIT_CPU_RATIO)

    def load_once(self, rig, sink, target, size):
        count = self.plan.load[size]
        pids = {'sink': sink.pid}
        if target.pid:
            pids['target'] = target.pid
        before = {name: gauge.cpu_ns(pid) for name, pid in pids.items()}
        split = gauge.cpu_split_ns(target.pid) if target.pid else (0, 0)
        busy, started = gauge.machine_busy_ns(), time.monotonic()
        seconds, source_ns = rigs.send(rig, target, sink, count, CONCURRENT, size)
        spent = {name: gauge.cpu_ns(pid) - before[name] for name, pid in pids.items()}
        wall_ns = (time.monotonic() - started) * 1e9
        other = gauge.machine_busy_ns() - busy - source_ns - sum(spent.values())
        cell = {'rate': count / seconds,
                'chain_us': (source_ns + sum(spent.values())) / count / 1000,
                'other_percent': max(0.0, 100 * other / wall_ns / os.cpu_count())}
        if target.pid:
            user, system = (b - a for a, b in zip(split, gauge.cpu_split_ns(target.pid)))
            cell['cpu_us'] = spent['target'] / count / 1000
            cell['user_us'] = user / count / 1000
            cell['system_us'] = system / count / 1000
        return cell

    def ratio(self, size):
        load = self.results['load']
        return load['postern'][size]['cpu_us'] / load['haproxy-1'][size]['cpu_us']

    # --- what does not depend on the machine's other work -----------------------------------------

    def run_traced(self, make, prefix, traced, count, concurrent, size):
        """One life of a target, from start to end, with so many messages."""
        rig = self.rig()
        try:
            sink = rigs.Sink(rig)
            target = make(rig, sink, prefix, traced)
            rigs.send(rig, target, sink, count, concurrent, size)
            target.stop()
        finally:
            rig.close()

    def calls(self):
        """System calls per message, by name."""
        few, many = self.plan.calls
        result = {}
        for name, make in MAKERS.items():
            for concurrent in (1, CONCURRENT):
                counts = []
                for count in (few, many):
                    path = os.path.join(self.directory, 'strace.%s.%d.%d' % (name, concurrent,
                                                                             count))
                    self.run_traced(make, gauge.strace_prefix(path), True, count, concurrent, '4k')
                    counts.append(gauge.strace_counts(path))
                result['%s.%d' % (name, concurrent)] = gauge.per_message(*counts, many - few)
                progress('system calls', len(result), 2 * len(MAKERS))
        self.results['calls'] = result
        total = sum(times for times, _ in result['postern.%d' % CONCURRENT].values())
        self.limit('system calls per message of 4 KiB, %d at a time' % CONCURRENT, total,
                   LIMIT_CALLS)

    def instructions(self):
        """Instructions in user mode per message."""
        few, many = self.plan.instructions
        result = {}
        makers = {'postern': MAKERS['postern']} if self.plan.quick else MAKERS
        for name, make in makers.items():
            for size in SIZES:
                counts = []
                for count in (few, many):
                    path = os.path.join(self.directory, 'callgrind.%s.%s.%d' % (name, size, count))
                    self.run_traced(make, gauge.callgrind_prefix(path), False, count, 1, size)
                    counts.append(gauge.callgrind_instructions(path))
                result['%s.%s' % (name, size)] = (counts[1] - counts[0]) / (many - few)
                progress('instructions', len(result), len(SIZES) * len(makers))
        self.results['instructions'] = result

    # --- checks -----------------------------------------------------------------------------------

    def checks(self):
        """Three lists, names, SPF and five header rules: with every name known already, and with every name new."""
        rig, cells = self.rig(), collections.defaultdict(list)
        resolver = rigs.Dnsd(rigs.CHECKS_ZONE)
        try:
            sink = rigs.Sink(rig)
            rules = rig.file('five.cf')
            with open(rules, 'w') as out:
                out.write(rigs.FIVE_RULES)
            lines = ['trust none', 'dns %s cache 4M' % resolver.address, 'rules "%s"' % rules, 'timeout early-talk 0',
                     'limit sessions 300 per-client 300', *('dnsbl %s.test score 4' % name for name in 'abc')]
            targets = [rigs.haproxy(rig, sink, 1), rigs.postern(rig, sink, lines=lines)]
            for target in targets:
                rigs.send(rig, target, sink, 2 * CONCURRENT, CONCURRENT, '4k')
            asked = resolver.count()
            for number in range(self.plan.rounds):
                for target in targets:
                    cells[target.name].append(self.load_once(rig, sink, target, '4k'))
                progress('checks', number + 1, self.plan.rounds)
            result = {name: summary(cells[name]) for name in cells}
            proxy = targets[1]
            messages = self.plan.rounds * self.plan.load['4k']
            result['asked'], result['messages'] = resolver.count() - asked, messages
            # the same dialogues, first by strangers, then by the same ones again
            spent = []
            for _ in range(2):
                asked, before = resolver.count(), gauge.cpu_ns(proxy.pid)
                rigs.strangers(proxy.port, self.plan.strangers)
                spent.append((gauge.cpu_ns(proxy.pid) - before, resolver.count() - asked))
            (new_ns, queries), (warm_ns, again) = spent
            result['new'] = {'cpu_us': new_ns / self.plan.strangers / 1000, 'queries': queries / self.plan.strangers,
                             'warm_us': warm_ns / self.plan.strangers / 1000,
                             'warm_queries': again / self.plan.strangers,
                             'query_us': (new_ns - warm_ns) / max(1, queries - again) / 1000}
        finally:
            rig.close()
            resolver.stop()
        ratio = result['postern']['cpu_us'] / result['haproxy-1']['cpu_us']
        result['ratio'] = ratio
        self.results['checks'] = result
        if not self.plan.quick:
            self.limit('CPU per message with checks, every name known, to that of haproxy-1', ratio,
                       LIMIT_CHECKS_RATIO)

    # --- rules ------------------------------------------------------------------------------------

    def rules(self):
        """What rules cost a message, and what they hold in memory."""
        sets = {'own': os.path.join(ROOT, 'rules')}
        archive = os.path.join(self.suites, 'rules', 'sa-stock-rules.tar.xz')
        if os.path.exists(archive):
            sets['stock'] = os.path.join(self.directory, 'stock')
            rigs.unpack(archive, sets['stock'])
        else:
            self.troubles.append('SKIPPED the stock rules: no %s; --suites names another place' % archive)
        rig, result = self.rig(), {}
        few, many = self.plan.rules
        try:
            sink = rigs.Sink(rig)
            message = rig.file('rules.eml')
            with open(message, 'wb') as out:
                out.write(rigs.text_message(4096).encode())
            idle = {}
            for name, path in {'none': None, **sets}.items():
                lines = ['rules "%s"' % path] if path else []
                target = rigs.postern(rig, sink, lines=lines)
                time.sleep(0.5)
                idle[name] = gauge.memory(target.pid)['private_kib']
                target.stop()
            for name, path in sets.items():
                rounds = []
                for _ in range(self.plan.rounds):
                    spent = [rigs.hits_cpu_us(rig, path, message, count) for count in (few, many)]
                    rounds.append((spent[1] - spent[0]) / (many - few))
                result[name] = {'cpu_us': statistics.median(rounds), 'cpu_us_least': min(rounds),
                                'idle_kib': idle[name], 'added_kib': idle[name] - idle['none'],
                                **rigs.lint_memory(rig, path)}
                progress('rules', len(result), len(sets))
        finally:
            rig.close()
        self.results['rules'] = result
        load = self.results.get('load')
        if load and not self.plan.quick:
            self.limit('CPU of our rules, to a message through haproxy-1',
                       result['own']['cpu_us'] / load['haproxy-1']['4k']['cpu_us'], LIMIT_OWN_RATIO)
        self.limit('private memory without a client, with our rules', result['own']['idle_kib'], LIMIT_IDLE_KIB,
                   'KiB')
        if 'stock' in result:
            if not self.plan.quick:
                self.limit('CPU of all stock header rules', result['stock']['cpu_us'], LIMIT_STOCK_US, 'us')
            self.limit('private memory of the stock rules', result['stock']['added_kib'], LIMIT_STOCK_KIB, 'KiB')
            self.limit('of it without machine code', result['stock']['added_kib'] - result['stock']['jit_kib'],
                       LIMIT_STOCK_INTERPRETED_KIB, 'KiB')

    # --- memory -----------------------------------------------------------------------------------

    def memory(self):
        """Private memory without a client, and what a thousand idle ones add."""
        rig, result = self.rig(), {}
        try:
            sink = rigs.Sink(rig)
            makers = {'haproxy-1': lambda: rigs.haproxy(rig, sink, 1),
                      'postern': lambda: rigs.postern(rig, sink, lines=[
                          'limit sessions %d per-client %d' % ((self.plan.sessions + 100,) * 2)])}
            for name, make in makers.items():
                target = make()
                time.sleep(0.5)
                empty = gauge.memory(target.pid)
                with rigs.IdleClients(target.port, self.plan.sessions):
                    time.sleep(0.5)
                    full = gauge.memory(target.pid)
                result[name] = {
                    'idle': empty, 'sessions': self.plan.sessions, 'full': full,
                    'session_kib': (full['private_kib'] - empty['private_kib']) /
                    self.plan.sessions}
        finally:
            rig.close()
        self.results['memory'] = result
        self.limit('private memory without a client', result['postern']['idle']['private_kib'],
                   LIMIT_IDLE_KIB, 'KiB')
        self.limit('private memory per idle client of %d' % self.plan.sessions,
                   result['postern']['session_kib'], LIMIT_SESSION_KIB, 'KiB')

    # --- our own TCP/IP -----------------------------------------------------------------------------

    def lwip(self):
        """The same load and the same idle clients by the kernel's sockets, a TAP device and a packet socket."""
        if not link.is_in_namespace():
            self.lwip_elsewhere()
            return
        link.prepare()
        rig, cells, result = self.rig(), collections.defaultdict(list), {}
        lines = ['limit sessions %d per-client %d' % ((self.plan.sessions + 100,) * 2), 'tls off', 'dns off']
        try:
            sink = rigs.Sink(rig)
            targets = [rigs.postern(rig, sink, lines=lines)] + [
                rigs.postern(rig, sink, lines=lines, driver=driver) for driver in ('tap', 'packet')]
            for target in targets:
                rigs.send(rig, target, sink, 2 * CONCURRENT, CONCURRENT, '4k')
            for number in range(self.plan.rounds):
                for i in range(len(targets)):
                    target = targets[(i + number) % len(targets)]
                    cells[target.name].append(self.load_once(rig, sink, target, '4k'))
                progress('lwip', number + 1, self.plan.rounds)
            for target in targets:
                result[target.name] = summary(cells[target.name])
                idle = [(0, gauge.memory(target.pid)['private_kib'])]
                for count in (self.plan.sessions // 2, self.plan.sessions):
                    with rigs.IdleClients(target.port, count):
                        time.sleep(0.5)
                        idle.append((count, gauge.memory(target.pid)['private_kib']))
                    time.sleep(0.5)
                result[target.name]['private_kib'] = idle
                result[target.name]['session_kib'] = (idle[-1][1] - idle[0][1]) / idle[-1][0]
        finally:
            rig.close()
        self.results['lwip'] = result

    def lwip_elsewhere(self):
        """In a network namespace: this program again, for this part alone."""
        out = os.path.join(self.out, 'lwip')
        done = link.run_in_namespace([sys.executable, os.path.abspath(__file__), '--postern', self.postern, '--out', out,
                                      '--only', 'lwip', '--rounds', str(self.plan.rounds),
                                      *(['--quick'] if self.plan.quick else [])])
        if not os.path.exists(os.path.join(out, 'bench.json')):
            raise rigs.Broken('in the namespace: ' + done[-300:])
        with open(os.path.join(out, 'bench.json')) as stream:
            told = json.load(stream)
        self.troubles += told['troubles']
        result = told.get('lwip')
        if not result:
            return
        self.results['lwip'] = result
        for driver in ('tap', 'packet'):
            row = result['postern-' + driver]
            row['slower'] = result['postern']['rate'] / row['rate']
            row['conn_kib'] = row['session_kib'] - result['postern']['session_kib']
            if not self.plan.quick:
                self.limit("messages per second by the kernel's sockets, to those by %s" % driver, row['slower'],
                           LIMIT_LWIP_RATE)
            self.limit('private memory that a connection by %s adds' % driver, row['conn_kib'], LIMIT_LWIP_SESSION_KIB,
                       'KiB')

    # --- TLS ----------------------------------------------------------------------------------------

    def tls(self):
        """CPU that TLS adds to a new session, beside Postfix and nginx; memory of an idle one; the longest turn."""
        result = {'sessions': self.plan.tls}
        context = rigs.tls_context()
        for kind in ('ecdsa', 'rsa'):
            rig, cells = self.rig(), collections.defaultdict(list)
            try:
                sink, pair = rigs.Sink(rig), rigs.certificate(rig, kind)
                targets = [rigs.postfix_tls(rig, pair), rigs.nginx(rig, pair),
                           rigs.postern(rig, sink, lines=['tls cert %s key %s' % tuple(pair), 'timeout early-talk 0'])]
                for target in targets:
                    rigs.sessions(target, 5, context)
                for number in range(self.plan.rounds):
                    for target in targets:
                        spent = []
                        for how in (None, context):
                            before = gauge.family_cpu_ns(target.pid)
                            rigs.sessions(target, self.plan.tls, how)
                            spent.append((gauge.family_cpu_ns(target.pid) - before) / self.plan.tls / 1000)
                        cells[target.name].append({'plain_us': spent[0], 'with_us': spent[1], 'tls_us': spent[1] - spent[0]})
                    progress('tls ' + kind, number + 1, self.plan.rounds)
            finally:
                rig.close()
            result[kind] = {name: summary(cells[name]) for name in cells}
            ratio = result[kind]['postern']['tls_us'] / result[kind]['postfix']['tls_us']
            result[kind]['ratio'] = ratio
            if not self.plan.quick:
                self.limit("CPU of TLS for a new session (%s), to Postfix's" % kind.upper(), ratio, LIMIT_TLS_RATIO)
        result.update(self.tls_crowds(context))
        self.results['tls'] = result
        self.limit('private memory per idle TLS client of %d' % self.plan.sessions, result['session_kib'], LIMIT_TLS_SESSION_KIB, 'KiB')

    def tls_crowds(self, context):
        rig = self.rig()
        try:
            sink, pair = rigs.Sink(rig), rigs.certificate(rig, 'ecdsa')
            lines = ['tls cert %s key %s' % tuple(pair), 'tls handshakes 250', 'timeout early-talk 0',
                     'limit sessions %d per-client %d' % ((self.plan.sessions + 100,) * 2)]
            target = rigs.postern(rig, sink, lines=lines)
            empty = gauge.memory(target.pid)
            with rigs.IdleClients(target.port, self.plan.sessions, context):
                time.sleep(0.5)
                full = gauge.memory(target.pid)
            turns = {}
            target.stop()
            for name, how in (('plain', None), ('tls', context)):
                target = rigs.postern(rig, sink, lines=lines)
                rigs.crowd(target.port, 200, how)
                target.stop()
                turns[name] = rigs.longest_turn_ms(target)
            return {'session_kib': (full['private_kib'] - empty['private_kib']) / self.plan.sessions, 'turn_ms': turns}
        finally:
            rig.close()

    # --- none lost, none doubled --------------------------------------------------------------------

    def count(self):
        """Each of many messages has a recipient of its own, and is inside exactly once."""
        rig, count = self.rig(), self.plan.messages
        scratch = tempfile.mkdtemp(prefix='postern-bench-')
        try:
            mailbox = os.path.join(scratch, 'mailbox')
            sink = rigs.Sink(rig, mailbox)
            target = rigs.postern(rig, sink)
            seconds, _ = rigs.source(rig, target.port, count, self.plan.messages_concurrent,
                                     numbered=True)
            sink.wait_for(count, 5)
            got = collections.Counter(rigs.recipients(mailbox))
            memory = gauge.memory(target.pid)
            target.stop()
            delivered = rigs.count_lines(target.log_path, b'outcome=delivered')
        finally:
            rig.close()
            shutil.rmtree(scratch, ignore_errors=True)
        wanted = {rigs.numbered_recipient(i) for i in range(1, count + 1)}
        result = {'sent': count, 'seconds': seconds, 'rate': count / seconds,
                  'lost': len(wanted - set(got)), 'foreign': len(set(got) - wanted),
                  'doubled': sum(n - 1 for n in got.values()),
                  'unlogged': count - delivered, 'memory': memory}
        self.results['count'] = result
        for what in ('lost', 'doubled', 'foreign', 'unlogged'):
            self.limit('messages %s of %d, %d at a time' % (
                what, count, self.plan.messages_concurrent), abs(result[what]), 0)

    def run(self, parts):
        for part in parts:
            try:
                getattr(self, part)()
            except (gauge.Unavailable, rigs.Peers.Unavailable) as reason:
                self.troubles.append('SKIPPED %s: %s' % (part, reason))
            except (rigs.Broken, OSError) as reason:
                self.troubles.append('BROKEN %s: %s' % (part, reason))
        shutil.rmtree(self.directory, ignore_errors=True)
        self.results['limits'] = self.limits
        self.results['troubles'] = self.troubles
        os.makedirs(self.out, exist_ok=True)
        with open(os.path.join(self.out, 'bench.json'), 'w') as out:
            json.dump(self.results, out, indent=1)
            out.write('\n')
        missed = [limit for limit in self.limits if not limit['kept']]
        return 1 if missed or self.troubles else 0


PARTS = ('load', 'calls', 'instructions', 'checks', 'rules', 'memory', 'lwip', 'tls', 'count')
MAKERS = {
    'haproxy-1': lambda rig, sink, prefix, traced: rigs.haproxy(rig, sink, 1, prefix, traced),
    'postern': rigs.postern,
}


def summary(cells):
    """Of each figure the median, and of the CPU time the least, too."""
    result = {name: statistics.median(cell[name] for cell in cells) for name in cells[0]}
    for name in ('user_us', 'system_us'):
        if name in result:   # too coarse for a median
            result[name] = statistics.mean(cell[name] for cell in cells)
    if 'cpu_us' in result:
        result['cpu_us_least'] = min(cell['cpu_us'] for cell in cells)
    result['all'] = cells
    return result


def machine():
    model = re.search(r'^(?:model name|Hardware|cpu model)\s*:\s*(.*)$', gauge.read('/proc/cpuinfo'),
                      re.M)
    return {'date': datetime.datetime.now().strftime('%Y-%m-%d %H:%M'),
            'cpu': model.group(1) if model else platform.machine(), 'cpus': os.cpu_count(),
            'system': '%s %s' % (platform.system(), platform.release())}


def progress(what, done, all_of_it):
    if sys.stderr.isatty():
        print('\r%s: %d of %d ' % (what, done, all_of_it), end='\r' if done < all_of_it else '\n',
              file=sys.stderr, flush=True)


def main():
    parser = argparse.ArgumentParser(description='Postern beside HAProxy')
    parser.add_argument('--postern', required=True, help='the binary')
    parser.add_argument('--out', default=os.path.join(ROOT, 'build', 'bench'),
                        help='for bench.json and scratch files (default: build/bench)')
    parser.add_argument('--suites', default=os.path.join(os.path.dirname(ROOT), 'shared', 'suites'),
                        help='foreign data, for the stock rules (default: ../shared/suites)')
    parser.add_argument('--only', default=','.join(PARTS), help='parts: ' + ','.join(PARTS))
    parser.add_argument('--rounds', type=int, default=0, help='of the load (default: 7)')
    parser.add_argument('--quick', action='store_true',
                        help='few messages: does it work? CPU time is shown, not judged')
    options = parser.parse_args()
    parts = options.only.split(',')
    unknown = [part for part in parts if part not in PARTS]
    if unknown:
        parser.error('no such part: %s (there are: %s)' % (' '.join(unknown), ' '.join(PARTS)))
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    # smtp-sink changes its user and so outlives a parent that does not end it
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    bench = Bench(options)
    status = bench.run(parts)
    table.show(bench.results)
    return status


if __name__ == '__main__':
    sys.exit(main())
