#!/usr/bin/python3
"""Foreign conformance data against the proxy, read as it is: see README.md beside this file.

    suites.py --suites DIR... [--only KIND] --postern BINARY --out BUILD_DIR

Every file of a known kind under any DIR is run. Each failure is printed with the test's name and
what was seen; the last line is `N passed, N failed[, N skipped]`.
"""
import argparse
import concurrent.futures
import os
import queue
import re
import shutil
import ssl
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..'))
import spf_cases                              # noqa: E402
import spf_peers                              # noqa: E402
from support import client as smtp            # noqa: E402
from support.proc import Port, Proc           # noqa: E402
import corpus                                 # noqa: E402
import views                                  # noqa: E402
from support.server import CLOSE, HANG, RESET, Server   # noqa: E402

LANES_PER_MODE = 12
REPLY_SECONDS = 8
SETTLE_SECONDS = 0.25


# ---------------------------------------------------------------------------------- reading

def unescape(text):
    """The tables' escapes: \\\\ \\t \\n \\r \\xHH and, in scripts, \\{N*c}."""
    out, i = bytearray(), 0
    while i < len(text):
        char = text[i]
        if char != '\\':
            out += char.encode()
            i += 1
            continue
        follow = text[i + 1:i + 2]
        repeat = re.compile(r'\{(\d+)\*(.)\}', re.S).match(text, i + 1)
        if follow == 'x':
            out.append(int(text[i + 2:i + 4], 16))
            i += 4
        elif repeat:
            out += repeat.group(2).encode() * int(repeat.group(1))
            i = repeat.end()
        else:
            out += {'r': b'\r', 'n': b'\n', 't': b'\t'}.get(follow, follow.encode())
            i += 2
    return bytes(out)


def unquote(text):
    text = text.strip()
    if len(text) < 2 or text[0] != '"' or text[-1] != '"':
        raise ValueError('not a quoted string: %s' % text[:60])
    return text[1:-1]


class Script:
    """One test of an .smtps file."""

    def __init__(self, name, attributes, path):
        self.name = name
        self.group = dict(re.findall(r'(\w+)=(\S+)', attributes)).get('group', '')
        self.path = path
        self.steps = []
        self.properties = []
        self.tls = False

    def mentions(self, text):
        return any(text in value for _, value in self.steps)


def read_scripts(path):
    scripts, script = [], None
    with open(path, encoding='utf-8') as stream:
        for line in stream:
            line = line.rstrip('\n')
            if not line or line.startswith('#'):
                continue
            word, _, rest = line.partition(' ')
            if word == 'test':
                name, _, attributes = rest.partition(' ')
                script = Script(name, attributes, path)
            elif word == 'end':
                scripts.append(script)
                script = None
            elif word == 'prop':
                script.properties.append(rest)
            elif word == 'tls':
                script.tls = True
            elif word != 'note':
                script.steps.append((word, rest))
    return scripts


def read_table(path):
    """A .tsv file as dicts by its first line; cells still escaped."""
    with open(path, encoding='utf-8', newline='') as stream:
        lines = [line.rstrip('\r\n') for line in stream]
    names = lines[0].split('\t')
    return [dict(zip(names, line.split('\t') + [''] * len(names)))
            for line in lines[1:] if line and not line.startswith('#')]


def table_columns(path):
    try:
        with open(path, encoding='utf-8') as stream:
            return stream.readline().rstrip('\r\n').split('\t')
    except (OSError, UnicodeDecodeError):
        return []


# ---------------------------------------------------------------------------------- the proxy

class Proxy:
    """A postern in front of some servers, each with a domain of its own."""

    def __init__(self, binary, servers, lines=()):
        self.port = Port()
        self.directory = tempfile.mkdtemp(prefix='pst-suites-')
        config = ['hostname mx.example.org', 'listen %s' % self.port, *lines,
                  'tls state %s' % self.directory]
        config += ['relay %s to %s' % (domain, address) for domain, address in servers]
        path = os.path.join(self.directory, 'postern.conf')
        with open(path, 'w') as out:
            out.write('\n'.join(config) + '\n')
        self.proc = Proc([binary, 'run', '-c', path], name='postern')
        if not self.proc.wait_line(r'\bready\b', 15):
            text = self.proc.text
            self.stop()
            raise RuntimeError('postern did not start: %s' % text[-1000:])

    @property
    def address(self):
        return (self.port.host, self.port.number)

    def stop(self):
        status = self.proc.stop()
        self.port.close()
        shutil.rmtree(self.directory, ignore_errors=True)
        return status


# ---------------------------------------------------------------------------------- scripts

class Dialogue:
    """Runs the steps of one script; `wrong` collects what did not fit."""

    def __init__(self, script, address, sender, recipient):
        self.script = script
        self.words = {b'%F%': sender, b'%R%': recipient, b'%H%': b'client.example'}
        self.client = smtp.Client(address, REPLY_SECONDS)
        self.wrong = []

    def run(self):
        steps = list(self.script.steps)
        if self.script.tls:
            steps = [('expect', '"^220 "'), ('send', '"EHLO %H%\\r\\n"'), ('expect', '"^250 "'),
                     ('send', '"STARTTLS\\r\\n"'), ('expect', '"^220 "'),
                     ('handshake', '')] + steps[1:]
        try:
            for word, rest in steps:
                method = getattr(self, 'step_' + word, None)
                if method is None:
                    self.wrong.append('unknown directive %s' % word)
                else:
                    method(rest)
                if self.wrong or word == 'hangup':
                    break
        finally:
            self.client.close()
        return self.wrong

    def bytes_of(self, rest):
        data = unescape(unquote(rest))
        for word, value in self.words.items():
            data = data.replace(word, value)
        return data

    def step_send(self, rest):
        try:
            self.client.send(self.bytes_of(rest))
        except OSError:
            self.client.fill(0.05)

    def step_split(self, rest):
        for byte in self.bytes_of(rest):
            try:
                self.client.send(bytes([byte]))
            except OSError:
                return
            time.sleep(0.001)

    def step_expect(self, rest, closed_is_right=False):
        pattern = unquote(rest).replace('\\\\', '\\')
        try:
            reply = self.client.reply()
        except smtp.Gone:
            if not closed_is_right:
                self.wrong.append('closed, want %s' % pattern)
            return
        except smtp.Late as what:
            self.wrong.append('no reply for %s: %s' % (pattern, what))
            return
        except smtp.BadReply as what:
            self.wrong.append('not a reply: %s' % what)
            return
        seen = '%03d %s' % (reply.code, reply.lines[-1])
        if not re.search(pattern, seen + ' '):
            self.wrong.append('got "%s", want %s' % (seen[:90], pattern))

    def step_maybe(self, rest):
        self.step_expect(rest, closed_is_right=True)

    def listen(self, milliseconds):
        end = time.monotonic() + float(milliseconds) / 1000
        while time.monotonic() < end and not self.client.ended:
            self.client.fill(end - time.monotonic())

    def step_quiet(self, rest):
        self.listen(rest)
        unasked = self.client.pending
        if unasked and not (self.client.ended and unasked.startswith(b'421')):
            self.wrong.append('unasked: %r' % unasked[:80])

    def step_drain(self, rest):
        self.listen(rest)
        self.client.pending = b''

    def step_wait(self, rest):
        time.sleep(float(rest) / 1000)

    def step_handshake(self, rest):
        may_fail = rest.strip() == 'may-fail'
        if self.client.pending and not may_fail:
            self.wrong.append('plaintext before the handshake: %r' % self.client.pending[:60])
        self.client.pending = b''
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        self.client.sock.settimeout(REPLY_SECONDS)
        try:
            self.client.sock = context.wrap_socket(self.client.sock)
        except OSError as what:
            if not may_fail:
                self.wrong.append('handshake: %s' % what)
            self.client.close()

    def step_close(self, _):
        if not self.client.is_ended(3):
            self.wrong.append('not closed')

    def step_hangup(self, _):
        self.client.close()


def is_alive(address):
    try:
        with smtp.Client(address, REPLY_SECONDS) as client:
            return client.reply().code == 220
    except (OSError, smtp.Gone, smtp.Late, smtp.BadReply):
        return False


def judge(properties, messages, raw, address):
    """What the internal server has seen, against the script's properties."""
    wrong = []
    texts = [m.body for m in messages]
    tests = {
        'max-messages': lambda v: len(texts) <= int(v) or '%d messages inside' % len(texts),
        'min-messages': lambda v: len(texts) >= int(v) or '%d messages inside' % len(texts),
        'relay-no-bare-lf': lambda v: not any(re.search(rb'(?<!\r)\n', t) for t in texts)
        or 'bare LF relayed',
        'relay-no-bare-cr': lambda v: not any(re.search(rb'\r(?!\n)', t) for t in texts)
        or 'bare CR relayed',
        'relay-no-nul': lambda v: not any(b'\0' in t for t in texts) or 'NUL relayed',
        'backend-no-nul': lambda v: b'\0' not in raw or 'NUL sent inward',
        'backend-no-control-bytes': lambda v: not re.search(
            rb'[\x00-\x08\x0b\x0c\x0e-\x1f]', raw) or 'control byte sent inward',
        'relay-has': lambda v: any(unescape(unquote(v)) in t for t in texts)
        or 'relayed text lacks %s' % v[:50],
        'one-reply': lambda v: True,
        'alive': lambda v: is_alive(address) or 'not alive',
    }
    for line in properties:
        name, _, value = line.partition('=')
        test = tests.get(name)
        verdict = test(value) if test else 'unknown property %s' % name
        if verdict is not True:
            wrong.append(verdict)
    return wrong


class Lane:
    """An internal server with its own domain: what arrives there came from this lane's script."""

    def __init__(self, number, lax):
        self.number = number
        self.lax = lax
        self.domain = 'lane%02d.example' % number
        self.server = Server(lax=lax, capabilities=('PIPELINING', '8BITMIME', 'SIZE 50000000'),
                             refused_rcpt=lambda rest: b'NOBODY-' in rest.upper())
        self.count = 0

    def run(self, script, address):
        self.count += 1
        user = 's%d' % self.count
        recipient = ('%s@%s' % (user, self.domain)).encode()
        sender = ('sender@%s.example.com' % user).encode()
        self.server.forget()
        try:
            wrong = Dialogue(script, address, sender, recipient).run()
        except (OSError, ValueError) as what:
            wrong = ['runner: %s' % what]
        time.sleep(SETTLE_SECONDS)
        with self.server.lock:
            messages = list(self.server.messages)
        return wrong + judge(script.properties, messages, self.server.raw(), address)


def run_script_file(path, binary, report):
    scripts = read_scripts(path)
    lanes = [Lane(i, lax=i >= LANES_PER_MODE) for i in range(2 * LANES_PER_MODE)]
    proxy = Proxy(binary, [(lane.domain, lane.server.address) for lane in lanes],
                  ['limit sessions 500'])
    try:
        jobs = {False: queue.Queue(), True: queue.Queue()}
        first = {False: [], True: []}
        for script in scripts:
            for lax in (False, True):
                # bare postmaster goes to the first route, so to the first lane
                if script.mentions('<postmaster>') and not lax:
                    first[lax].append(script)
                else:
                    jobs[lax].put(script)

        def work(lane):
            mine = list(first[lane.lax]) if lane.number == 0 else []
            while True:
                if mine:
                    script = mine.pop()
                else:
                    try:
                        script = jobs[lane.lax].get_nowait()
                    except queue.Empty:
                        return
                report.result('%s/%s%s' % (os.path.basename(path), script.name,
                                           ' (lax)' if lane.lax else ''),
                              lane.run(script, proxy.address))
        with concurrent.futures.ThreadPoolExecutor(len(lanes)) as pool:
            list(pool.map(work, lanes))
    finally:
        status = proxy.stop()
        for lane in lanes:
            lane.server.stop()
    if status not in (0, -15):
        report.result('%s/the proxy itself' % os.path.basename(path),
                      ['postern ended with status %s: %s' % (status, proxy.proc.text[-2000:])])


# ---------------------------------------------------------------------------------- backend.tsv

BACKEND_STAGES = {'BANNER': 'banner', 'GREETING': 'banner', 'EHLO': 'ehlo', 'MAIL': 'mail',
                  'RCPT': 'rcpt', 'DATA': 'data', 'EOD': 'dot', 'XFORWARD': 'xforward',
                  'RSET': 'rset', 'QUIT': 'quit', 'BODY': 'body'}
BACKEND_ACTIONS = {'!close': CLOSE, '!reset': RESET, '!hang': HANG}
BACKEND_MESSAGE = b'Subject: backend\r\n\r\nbody\r\n'


def prepare_backend(row):
    """A server that says what the row wants; a reason instead if the row is not understood."""
    stage, says = row['stage'], row['backend says']
    server = Server()
    if says == '!refuse':
        server.refuse()
        return server, None
    if stage == 'CONNECT':
        stage = 'BANNER'
    action = BACKEND_ACTIONS.get(says) or unescape(says)
    if stage not in BACKEND_STAGES or (says.startswith('!') and says not in BACKEND_ACTIONS):
        server.stop()
        return None, 'unknown stage or action: %s %s' % (row['stage'], says)
    server.fault(BACKEND_STAGES[stage], action)
    return server, None


def backend_replies(address, domain):
    """The replies of one transaction by stage, as far as it gets."""
    replies = {}
    with smtp.Client(address, 2 * REPLY_SECONDS) as client:
        def say(stage, line):
            replies[stage] = client.command(line) if line else client.reply()
            return replies[stage].code < 400
        try:
            if (say('CONNECT', None) and say('EHLO', 'EHLO client.example')
                    and say('MAIL', 'MAIL FROM:<sender@example.com>')
                    and say('RCPT', 'RCPT TO:<user@%s>' % domain) and say('DATA', 'DATA')):
                client.send(smtp.stuff(BACKEND_MESSAGE))
                say('EOD', None)
        except smtp.Gone:
            pass
    return replies


def run_backend_row(row, address, domain):
    replies = backend_replies(address, domain)
    at, pattern = row['proxy must answer at'], row['regex']
    shown = ', '.join('%s: %s' % (k, v) for k, v in replies.items())
    if at == 'ANY':
        at = next((s for s, r in replies.items() if r.code >= 400), None)
    if at not in replies:
        return ['no answer at %s (%s)' % (row['proxy must answer at'], shown)]
    reply = '%d %s' % (replies[at].code, replies[at].lines[-1])
    if not re.search(pattern, reply + ' '):
        return ['at %s got "%s", want %s (%s)' % (at, reply[:90], pattern, shown)]
    return []


def run_backend_file(path, binary, report):
    rows, servers, routes = read_table(path), [], []
    for number, row in enumerate(rows):
        server, reason = prepare_backend(row)
        if reason:
            report.result('backend/%s' % row['id'], [reason])
            continue
        servers.append((row, 'row%d.example' % number, server))
        routes.append(('row%d.example' % number, server.address))
    proxy = Proxy(binary, routes, ['timeout relay-connect 3 relay-command 3 relay-data 5'])
    try:
        with concurrent.futures.ThreadPoolExecutor(16) as pool:
            wrong = pool.map(lambda s: run_backend_row(s[0], proxy.address, s[1]), servers)
            for (row, _, _), problems in zip(servers, wrong):
                report.result('backend/%s' % row['id'], problems)
    finally:
        proxy.stop()
        for _, _, server in servers:
            server.stop()


# ---------------------------------------------------------------------------------- addresses

def escape(data):
    return ''.join({0x5c: '\\\\', 9: '\\t', 10: '\\n', 13: '\\r'}.get(b) or
                   (chr(b) if 32 <= b < 127 else '\\x%02X' % b) for b in data)


def ascii_domain(domain):
    """U-labels to A-labels, as the tables have them."""
    try:
        text = domain.decode('utf-8')
    except UnicodeDecodeError:
        return domain
    labels = [label if label.isascii() else 'xn--' + label.lower().encode('punycode').decode()
              for label in text.split('.')]
    return '.'.join(labels).lower().encode()


def find_probe(out, name):
    path = os.path.join(out, 'host-tests', 'tools', name)
    return path if os.access(path, os.X_OK) else None


def run_address_file(path, probe, report):
    rows = read_table(path)
    mine = [row for row in rows if row['context'] in ('path', 'mailbox')]
    for context in sorted({row['context'] for row in rows} - {'path', 'mailbox'}):
        report.left_out['%s address rows' % context] += sum(1 for r in rows
                                                            if r['context'] == context)
    if not mine:
        return
    lines = ''.join('%s\t%s\n' % (row['context'], row['input']) for row in mine)
    done = subprocess.run([probe], input=lines.encode(), capture_output=True, timeout=60)
    answers = done.stdout.decode().splitlines()
    if done.returncode != 0 or len(answers) != len(mine):
        report.result('%s/the probe' % os.path.basename(path), [
            'status %d, %d answers for %d rows: %s' % (done.returncode, len(answers), len(mine),
                                                       done.stderr.decode()[-300:])])
        return
    for row, answer in zip(mine, answers):
        verdict, local, domain = (answer.split('\t') + ['', ''])[:3]
        wrong = []
        if verdict != row['verdict']:
            wrong.append('%s is %s, want %s' % (row['input'], verdict, row['verdict']))
        elif verdict == 'valid':
            if unescape(local) != unescape(row['localpart']):
                wrong.append('local part %s, want %s' % (local, row['localpart']))
            if ascii_domain(unescape(domain)) != ascii_domain(unescape(row['domain'])):
                wrong.append('domain %s, want %s' % (domain, row['domain']))
        report.result('%s/%s' % (os.path.basename(path), row['id']), wrong)


# ---------------------------------------------------------------------------------- all of it

class Report:
    def __init__(self):
        self.passed = 0
        self.failed = 0
        self.skipped = []
        self.left_out = Counter()

    def result(self, name, wrong):
        if wrong:
            self.failed += 1
            print('FAIL %s: %s' % (name, '; '.join(wrong)), flush=True)
        else:
            self.passed += 1


class Counter(dict):
    def __missing__(self, _):
        return 0


def kind_of(path):
    """What runs this file: smtp, backend, address; another word for what waits; None for none."""
    name = os.path.basename(path)
    if name.endswith('.smtps'):
        return 'smtp'
    columns = table_columns(path) if name.endswith('.tsv') else []
    if columns[:3] == ['id', 'stage', 'backend says']:
        return 'backend'
    if columns[:3] == ['id', 'context', 'input']:
        return 'address'
    if name.endswith('.in') and os.path.exists(path[:-3] + '.ref'):
        return 'address (postfix pairs)'
    if name.endswith('.spft'):
        return 'spf'
    if name == 'cases.tsv' or name.endswith('signed.tar.xz'):
        return 'dkim'
    if name in ('matrix.jsonl', 'opendmarc.tsv', 'test_psl.txt'):
        return 'dmarc'
    if name == 'views.jsonl.xz':
        return 'views'
    if name == 'oracle-stock.tsv.xz':
        return 'corpus'
    return None


def collect(directories):
    files = {}
    for directory in directories:
        for base, folders, names in os.walk(directory):
            folders.sort()
            for name in sorted(names):
                kind = kind_of(os.path.join(base, name))
                if kind:
                    files.setdefault(kind, []).append(os.path.join(base, name))
    return files


def run(options):
    report = Report()
    present = [d for d in options.suites if os.path.isdir(d)]
    for directory in options.suites:
        if directory not in present:
            print('suites: %s is not there' % directory)
            report.skipped.append('%s (no such directory)' % directory)
    files = collect(present)
    wanted = {'smtp': ('smtp', 'backend'), 'address': ('address', 'address (postfix pairs)')}
    if options.only:
        files = {k: v for k, v in files.items() if k in wanted.get(options.only, (options.only,))}
        if present and not files:
            print('suites: nothing of kind %s' % options.only)
    for path in files.pop('smtp', ()):
        run_script_file(path, options.postern, report)
    for path in files.pop('backend', ()):
        run_backend_file(path, options.postern, report)
    addresses = files.pop('address', ())
    probe = find_probe(options.out, 'address_probe') if addresses else None
    if addresses and not probe:
        report.result('address', ['address_probe is not built in %s' % options.out])
    elif addresses:
        for path in addresses:
            run_address_file(path, probe, report)
    for path in files.pop('spf', ()):
        probe = find_probe(options.out, 'spf_probe')
        if probe:
            good = spf_cases.run_file(path, probe, report, unescape)
            spf_peers.table(path, unescape, good, print)
        else:
            report.result('spf', ['spf_probe is not built in %s' % options.out])
    for path in files.pop('address (postfix pairs)', ()):
        report.left_out['postfix address pairs'] += 1
    for path in files.pop('views', ()):
        view_probe = find_probe(options.out, 'view_probe')
        if not view_probe:
            report.result('views', ['view_probe is not built in %s' % options.out])
            continue
        for target, wrong in views.run(view_probe, os.path.dirname(path), print):
            report.result('views %s' % target, wrong)
    for path in files.pop('corpus', ()):
        cache = os.path.join(options.out, 'corpus')
        for name, wrong in corpus.run(options.postern, os.path.dirname(os.path.dirname(path)), cache, print):
            report.result('corpus %s' % name, wrong)
    for what, count in report.left_out.items():
        print('left out: %d %s (not in this step)' % (count, what))
    for kind, paths in sorted(files.items()):
        print('no runner yet: %s (%d files)' % (kind, len(paths)))
    return report


def main():
    parser = argparse.ArgumentParser(description='foreign conformance data against the proxy')
    here = os.path.dirname(os.path.abspath(__file__))
    default = os.path.normpath(os.path.join(here, '..', '..', '..', 'shared', 'suites'))
    parser.add_argument('--suites', action='append', help='directory of suites, repeatable')
    parser.add_argument('--only', help='smtp, address, spf …')
    parser.add_argument('--postern', required=True, help='the binary')
    parser.add_argument('--out', required=True, help='its build directory')
    options = parser.parse_args()
    options.postern = os.path.abspath(options.postern)
    options.suites = [d for words in options.suites or [default] for d in words.split(':')]
    started = time.monotonic()
    report = run(options)
    for what in report.skipped:
        print('skipped: %s' % what)
    print('conformance: %.1f s' % (time.monotonic() - started))
    line = '%d passed, %d failed' % (report.passed, report.failed)
    print(line + (', %d skipped' % len(report.skipped) if report.skipped else ''))
    return 1 if report.failed else 0


if __name__ == '__main__':
    sys.exit(main())
