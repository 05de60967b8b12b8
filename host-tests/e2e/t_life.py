"""Start, reload, drain, end; the configuration's subcommands; the log."""
import os
import re
import signal
import subprocess
import time

from support import client, mail
from support.harness import check, equal, parse_record, table, test
from support.proc import wait_until

TEXT = mail.message('life', 2000)


def open_transaction(proxy, rcpt='u@example.org'):
    session = client.Client(proxy.address)
    check(session.greet().code == 250, 'greeting')
    check(session.envelope('a@example.com', rcpt) is None, 'envelope')
    return session


def reload(proxy, config, pattern):
    """Write, SIGHUP, wait for the line that tells what came of it."""
    seen = len(proxy.proc.lines)
    proxy.write_config(config)
    proxy.proc.signal(signal.SIGHUP)
    match = proxy.proc.wait_line(pattern, 5, start=seen)
    check(match, 'nothing said after SIGHUP: %s', '\n'.join(proxy.proc.lines[seen:]))
    return proxy.proc.lines[seen:]


@test()
def reload_with_a_good_file(t):
    """New sessions use it, running ones keep what they began with."""
    first, second = t.server(), t.server()
    proxy = t.postern(first)
    running = open_transaction(proxy)
    idle = client.Client(proxy.address)
    check(idle.greet().code == 250, 'greeting')
    config = proxy.config.replace('relay example.org to %s' % first.address,
                                  'relay example.net to %s' % second.address)
    reload(proxy, config, r'(?i)reload|generation|configuration')
    stage, reply = client.deliver(proxy.address, 'a@example.com', 'u@example.net', TEXT)
    equal((stage, reply.code), ('eod', 250), 'new route: %s' % reply)
    stage, reply = client.deliver(proxy.address, 'a@example.com', 'u@example.org', TEXT)
    equal((stage, reply.code), ('rcpt', 554), 'old route, new session')
    equal(running.data(TEXT).code, 250, 'running transaction')
    check(idle.envelope('a@example.com', 'u@example.org') is None, 'running session, old route')
    equal(idle.data(TEXT).code, 250, 'running session')
    equal((len(first.taken), len(second.taken)), (2, 1), 'messages')


@table([('syntax', 'nonsense directive\n'), ('value', 'message lots\n'),
        ('address', 'relay example.com to nowhere\n'), ('empty', None)])
def reload_with_a_bad_file(t, name, line):
    """Nothing changes, and the log says where and why."""
    server = t.server()
    proxy = t.postern(server)
    config = '' if line is None else proxy.config + line
    said = reload(proxy, config, r'postern\.conf')
    if line:
        number = config.count('\n')
        check(any(re.search(r'postern\.conf:%d:\d+: ' % number, text) for text in said),
              'no FILE:LINE:COLUMN: %s', said)
    stage, reply = client.deliver(proxy.address, 'a@example.com', 'u@example.org', TEXT)
    equal((stage, reply.code), ('eod', 250), 'after a bad reload: %s' % reply)
    check(proxy.proc.running(), 'postern has ended')


@test()
def reload_moves_listeners(t):
    server = t.server()
    proxy = t.postern(server)
    other = t.port()
    old = proxy.address
    reload(proxy, proxy.config.replace(proxy.endpoint, str(other)),
           r'(?i)reload|generation|configuration')
    stage, reply = client.deliver((other.host, other.number), 'a@example.com', 'u@example.org',
                                  TEXT)
    equal((stage, reply.code), ('eod', 250), 'new listener')

    def refused():
        try:
            client.Client(old).close()
            return False
        except ConnectionRefusedError:
            return True
    check(wait_until(refused, 5), 'the old listener is still open')


@test()
def reload_again_and_again(t):
    """Fifty reloads under traffic: nothing lost, nothing grows without end."""
    server = t.server()
    proxy = t.postern(server)
    for number in range(50):
        proxy.write_config(proxy.config + '# %d\n' % number)
        proxy.proc.signal(signal.SIGHUP)
        if number % 5 == 0:
            stage, reply = client.deliver(proxy.address, 'a@example.com', 'u@example.org', TEXT)
            equal((stage, reply.code), ('eod', 250), 'during reloads: %s' % reply)
    equal(len(server.taken), 10, 'messages')
    time.sleep(0.2)
    check(proxy.proc.running(), 'postern has ended')


@test()
def term_when_idle(t):
    server = t.server()
    proxy = t.postern(server)
    equal(client.deliver(proxy.address, 'a@example.com', 'u@example.org', TEXT)[1].code, 250, 'x')
    proxy.proc.signal(signal.SIGTERM)
    equal(proxy.proc.wait(5), 0, 'exit status')
    quits = [c.commands[-1][0] for c in server.transactions()]
    equal(quits, ['QUIT'], 'how the internal connection ended')


@test()
def drain_finishes_what_runs(t):
    """A transaction in DATA gets its 250; an idle session 421; nobody new comes in."""
    server = t.server()
    proxy = t.postern(server, lines=['timeout drain 10'])
    running, idle = open_transaction(proxy), client.Client(proxy.address)
    idle.greet()
    equal(running.command('DATA').code, 354, 'DATA')
    wire = client.stuff(TEXT)
    running.send(wire[:500])
    time.sleep(0.1)
    proxy.proc.signal(signal.SIGTERM)
    reply = idle.reply(3)
    equal(reply.code, 421, 'idle session')
    check(idle.is_ended(), 'idle session not closed')

    def refused():
        try:
            client.Client(proxy.address, 1).close()
            return False
        except OSError:
            return True
    check(wait_until(refused, 3), 'new connections are still taken')
    running.send(wire[500:])
    equal(running.reply().code, 250, 'running transaction')
    equal(proxy.proc.wait(5), 0, 'exit status')
    equal(len(server.taken), 1, 'messages inside')
    equal(mail.difference(TEXT, server.taken[0].body), None, 'message')


@test()
def drain_ends_at_its_bound(t):
    server = t.server()
    proxy = t.postern(server, lines=['timeout drain 1'])
    running = open_transaction(proxy)
    equal(running.command('DATA').code, 354, 'DATA')
    running.send(b'Subject: never finished\r\n')
    started = time.monotonic()
    proxy.proc.signal(signal.SIGTERM)
    equal(running.reply(5).code, 421, 'after the bound')
    equal(proxy.proc.wait(5), 0, 'exit status')
    check(0.8 <= time.monotonic() - started < 4, 'took %.1f s', time.monotonic() - started)
    equal(len(server.messages), 0, 'messages inside')


@test()
def drain_waits_for_the_final_reply(t):
    """The dot is out when SIGTERM comes: its answer reaches the client."""
    server = t.server()

    def late(connection):
        time.sleep(1.5)
        connection.sock.sendall(b'250 2.0.0 queued\r\n')
        return True
    server.fault('dot', late)
    proxy = t.postern(server, lines=['timeout drain 10'])
    session = open_transaction(proxy)
    equal(session.command('DATA').code, 354, 'DATA')
    session.send(client.stuff(TEXT))
    check(wait_until(lambda: server.messages, 5), 'no dot inside')
    proxy.proc.signal(signal.SIGTERM)
    equal(session.reply(5).code, 250, 'final reply')
    equal(proxy.proc.wait(5), 0, 'exit status')


@test()
def second_signal_ends_at_once(t):
    server = t.server()
    proxy = t.postern(server, lines=['timeout drain 60'])
    running = open_transaction(proxy)
    equal(running.command('DATA').code, 354, 'DATA')
    proxy.proc.signal(signal.SIGTERM)
    time.sleep(0.5)
    check(proxy.proc.running(), 'ended with a transaction open')
    proxy.proc.signal(signal.SIGTERM)
    check(proxy.proc.wait(3) is not None, 'still running')
    running.close()


@test()
def interrupt_is_like_term(t):
    proxy = t.postern(t.server())
    proxy.proc.signal(signal.SIGINT)
    equal(proxy.proc.wait(5), 0, 'exit status')


@test(kernel=True)
def listener_taken(t):
    """Two proxies on one address: the second says which and what to do, and ends."""
    server = t.server()
    proxy = t.postern(server)
    second = t.postern(server, listen='%s:%d' % proxy.address, wait=False)
    status = second.proc.wait(5)
    check(status not in (None, 0), 'status %s', status)
    check('%s:%d' % proxy.address in second.proc.text, 'address not named: %s', second.proc.text)
    t.posterns.remove(second)


def subcommand(t, *arguments, config=None):
    path = os.path.join(t.scratch, 'test.conf')
    if config is not None:
        with open(path, 'w') as out:
            out.write(config)
    argv = [t.binary] + [a.replace('%C', path) for a in arguments]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=20)
    return done.returncode, done.stdout, done.stderr


GOOD = 'hostname mx.example.org\nlisten 127.0.0.1:2525\nrelay example.org to 127.0.0.1:2526\n'
BAD_LINES = ['relya example.org to 127.0.0.1:1', 'message', 'message -1', 'message 5X',
             'listen 127.0.0.1:99999', 'limit sessions 0x10', 'trust 10.0.0.0/33', 'mode maybe',
             'timeout idle', 'relay example.net', 'include /nowhere/at/all', 'log file',
             'limit nonsense 5', 'hostname two words', 'deny', 'allow sender', 'hold 1T']


@test()
def check_good(t):
    status, out, err = subcommand(t, 'check', '-c', '%C', config=GOOD)
    equal(status, 0, 'status: ' + out + err)


@table([('line-%02d' % i, line) for i, line in enumerate(BAD_LINES)])
def check_bad(t, name, line):
    status, out, err = subcommand(t, 'check', '-c', '%C', config=GOOD + '# a comment\n' + line)
    equal(status, 1, '%r: status; %s' % (line, out + err))
    check(re.search(r'test\.conf:5:\d+: \S', out + err), 'no FILE:LINE:COLUMN for %r: %s', line,
          out + err)


@test()
def check_suggests(t):
    status, out, err = subcommand(t, 'check', '-c', '%C', config=GOOD + 'hostnam x.example\n')
    equal(status, 1, 'status')
    check('hostname' in out + err, 'no suggestion: %s', out + err)


@test()
def check_option_line(t):
    status, out, err = subcommand(t, 'check', '-c', '%C', '-o', 'message 1M', config=GOOD)
    equal(status, 0, 'status: ' + out + err)
    status, out, err = subcommand(t, 'check', '-c', '%C', '-o', 'massage 1M', config=GOOD)
    equal(status, 1, 'status: ' + out + err)


@test()
def check_missing_file(t):
    status, out, err = subcommand(t, 'check', '-c', '/nowhere/postern.conf')
    check(status != 0 and '/nowhere/postern.conf' in out + err, '%d: %s', status, out + err)


@test()
def show_is_a_configuration(t):
    """What `show` prints is accepted and shows itself again; -o and defaults are in it."""
    status, first, err = subcommand(t, 'show', '-c', '%C', '-o', 'message 7M', config=GOOD)
    equal(status, 0, 'status: ' + err)
    check('relay' in first and 'example.org' in first and '127.0.0.1:2526' in first, first)
    check(re.search(r'(?m)^message\s+(7M|7340032)', first), 'no message 7M: %s', first)
    check(re.search(r'(?m)^hops\s+100', first), 'no default: %s', first)
    status, second, err = subcommand(t, 'show', '-c', '%C', config=first)
    equal((status, second), (0, first), 'show of show')


@test()
def include_works(t):
    part = os.path.join(t.scratch, 'part.conf')
    with open(part, 'w') as out:
        out.write('relay example.org to 127.0.0.1:2526\nmessage 3M\n')
    status, out, err = subcommand(t, 'show', '-c', '%C',
                                  config='hostname mx.example.org\ninclude %s\n' % part)
    equal(status, 0, 'status: ' + err)
    check('127.0.0.1:2526' in out, out)
    with open(part, 'a') as stream:
        stream.write('messag 3M\n')
    status, out, err = subcommand(t, 'check', '-c', '%C',
                                  config='hostname mx.example.org\ninclude %s\n' % part)
    check(status == 1 and re.search(r'part\.conf:3:\d+: ', out + err), out + err)


@test()
def include_itself(t):
    path = os.path.join(t.scratch, 'test.conf')
    status, out, err = subcommand(t, 'check', '-c', '%C', config=GOOD + 'include %s\n' % path)
    equal(status, 1, 'status: ' + out + err)


@test()
def no_relay(t):
    """The one directive without a default."""
    status, out, err = subcommand(t, 'check', '-c', '%C', config='hostname mx.example.org\n')
    equal(status, 1, 'status')
    check('relay' in out + err, out + err)


@table([('help', ['--help'], 0, 'run'), ('version', ['--version'], 0, r'\d+\.\d+'),
        ('nothing', [], None, '--help'), ('unknown', ['frobnicate'], None, 'frobnicate'),
        ('bad-option', ['run', '--frobnicate'], None, 'frobnicate')])
def usage(t, name, arguments, wanted, pattern):
    status, out, err = subcommand(t, *arguments)
    check(status == wanted if wanted is not None else status != 0, 'status %d', status)
    check(re.search(pattern, out + err), 'no %s in %s', pattern, out + err)


@test()
def starts_with_bound_and_address(t):
    proxy = t.postern(t.server())
    process, sockets = proxy.memory_bound_kib()
    check(1000 < process < 10 << 20 and 100 < sockets < 10 << 20, 'bound %d + %d', process,
          sockets)
    check(re.search(r'ready.*%s' % re.escape(proxy.endpoint), proxy.proc.text), 'no address: %s',
          proxy.proc.text)


# ------------------------------------------------------------------------------------- the log

FIELDS = ('id', 'client', 'helo', 'from', 'to', 'size', 'verdict', 'relay', 'reply', 'outcome',
          'code', 'ms')


@test()
def record_of_a_delivery(t):
    server = t.server()
    proxy = t.postern(server)
    with client.Client(proxy.address) as session:
        session.greet('helo.example')
        check(session.envelope('a@example.com', ['u@example.org', 'v@example.org']) is None, 'x')
        reply = session.data(TEXT)
        equal(reply.code, 250, 'reply')
    records = proxy.wait_log()
    equal(len(records), 1, 'records')
    record = records[0]
    for field in FIELDS:
        check(field in record, 'no %s in %s', field, record)
    record = {name: re.sub('[<>]', '', value) for name, value in record.items()}
    wanted = {'client': t.seen(), 'helo': 'helo.example', 'from': 'a@example.com',
              'to': 'u@example.org,v@example.org', 'verdict': 'accept',
              'relay': server.address, 'outcome': 'delivered', 'code': '250'}
    equal({k: record[k] for k in wanted}, wanted, 'record')
    check(abs(int(record['size']) - len(TEXT)) < 10, 'size %s of %d', record['size'], len(TEXT))
    check(record['id'] in reply.text, 'the id is not in the reply: %s', reply)


OUTCOMES = [
    ('refused-relay', [], 'u@elsewhere.example', None, 'refused', '554'),
    ('refused-inside', [('dot', b'554 5.6.0 no\r\n')], 'u@example.org', TEXT, 'refused', '554'),
    ('deferred-inside', [('dot', b'451 4.3.0 no\r\n')], 'u@example.org', TEXT, 'deferred', '451'),
]


@table(OUTCOMES)
def record_of(t, name, faults, rcpt, text, outcome, code):
    server = t.server()
    for stage, action in faults:
        server.fault(stage, action)
    proxy = t.postern(server)
    client.deliver(proxy.address, 'a@example.com', rcpt, text or b'')
    record = proxy.wait_log()[0]
    equal((record.get('outcome'), record.get('code')), (outcome, code), 'record %s' % record)


@test()
def one_record_per_transaction(t):
    server = t.server()
    proxy = t.postern(server)
    with client.Client(proxy.address) as session:
        session.greet()
        for _ in range(3):
            check(session.envelope('a@example.com', 'u@example.org') is None, 'envelope')
            equal(session.data(TEXT).code, 250, 'data')
        session.quit()
    time.sleep(0.3)
    records = proxy.log()
    equal(len(records), 3, 'records')
    equal(len({r['id'] for r in records}), 3, 'different ids')


HOSTILE = [b'"a b=c ev=transaction outcome=delivered"@example.com', b'"\\"x\\""@example.com',
           b'\xc3\xa9\xff\x9b31m@example.com', b"a'`$(id)@example.com", b'"\\\\"@example.com']


@table([('sender-%d' % i, sender) for i, sender in enumerate(HOSTILE)])
def hostile_bytes(t, name, sender):
    """Nothing a client says makes another line, another field or a terminal's escape."""
    server = t.server()
    proxy = t.postern(server)
    with client.Client(proxy.address) as session:
        session.reply()
        session.command(b'EHLO x="y";\x7fevil\xff')
        session.command(b'EHLO ok.example')
        session.command(b'MAIL FROM:<' + sender + b'>')
        session.command(b'RCPT TO:<u@elsewhere.example>')
        session.command(b'RCPT TO:<"x y"@example.org>')
        session.quit()
    time.sleep(0.3)
    for line in proxy.proc.lines:
        check(line.isascii() and line.isprintable(), 'raw bytes in the log: %r', line)
        record = parse_record(line)
        if record:
            # taken apart and put together, nothing is left over
            rest = re.sub(r'[a-z][a-z0-9_-]*=("(?:[^"\\]|\\.)*"|[^ "]*)( |$)', '',
                          line.split(' ', 1)[1].lstrip())
            equal(rest, '', 'what does not parse in %r' % line)
            check(record.get('outcome') != 'delivered', 'forged: %r', line)


@test()
def refused_connection_is_logged(t):
    proxy = t.postern(t.server(), lines=['limit sessions 1'])
    with client.Client(proxy.address) as first:
        first.reply()
        with client.Client(proxy.address) as second:
            equal(second.reply().code, 421, 'second')
        found = wait_until(lambda: [r for r in map(parse_record, list(proxy.proc.lines))
                                    if r and r['ev'] != 'transaction'
                                    and r.get('client') == t.seen()], 5)
        check(found, 'no record of the refused connection: %s', proxy.proc.text)


@test()
def log_to_a_file(t):
    path = os.path.join(t.scratch, 'postern.log')
    proxy = t.postern(t.server(), lines=['log file %s' % path])
    equal(client.deliver(proxy.address, 'a@example.com', 'u@example.org', TEXT)[1].code, 250, 'x')

    def records():
        with open(path) as stream:
            return [r for r in map(parse_record, stream) if r and r['ev'] == 'transaction']
    check(wait_until(lambda: os.path.exists(path) and records(), 5), 'nothing in the file')


@test()
def log_to_syslog(t):
    import socket
    path = os.path.join(t.scratch, 'devlog')
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    listener.bind(path)
    listener.settimeout(10)
    proxy = t.postern(t.server(), lines=['log syslog %s' % path])
    equal(client.deliver(proxy.address, 'a@example.com', 'u@example.org', TEXT)[1].code, 250, 'x')
    while True:
        data = listener.recv(65536)
        if b'ev=transaction' in data:
            break
    check(re.match(rb'<\d{1,3}>', data), 'no priority: %r', data)


@test(alone=True)
def dead_log_reader_costs_no_mail(t):
    """A log pipe that nobody reads is full at some time; mail goes on."""
    server = t.server()
    port = t.port()
    path = os.path.join(t.scratch, 'c.conf')
    with open(path, 'w') as out:
        out.write('hostname mx.example.org\nlisten %s\nrelay example.org to %s\nlog stderr\ntls off\n'
                  % (port, server.address))
    reading, writing = os.pipe()
    child = subprocess.Popen([t.binary, 'run', '-c', path], stderr=writing, start_new_session=True,
                             stdout=subprocess.DEVNULL)
    t.cleanup.callback(lambda: (child.kill(), child.wait(), os.close(reading)))
    os.close(writing)
    text = b''
    while b'ready' not in text:
        text += os.read(reading, 4096)
    sender = 's' * 200 + '@example.com'
    with client.Client((port.host, port.number)) as session:
        session.greet()
        for _ in range(600):
            check(session.envelope(sender, 'u@example.org') is None, 'envelope')
            equal(session.data(b'S: x\r\n\r\n').code, 250, 'data')
    equal(len(server.taken), 600, 'messages')
    child.terminate()
    check(child.wait(10) is not None, 'does not end')


@test()
def log_file_that_cannot_be_opened(t):
    proxy = t.postern(t.server(), lines=['log file /nowhere/at/all/x.log'], wait=False)
    status = proxy.proc.wait(5)
    check(status not in (None, 0), 'status %s', status)
    check('/nowhere/at/all/x.log' in proxy.proc.text, 'not named: %s', proxy.proc.text)
    t.posterns.remove(proxy)
