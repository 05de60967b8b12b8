"""`postern status`: what the control socket tells, and that nobody can hold anything up by it."""
import json
import os
import socket
import stat
import subprocess
import time

from support import client
from support.harness import check, equal, table, test
from support.proc import wait_until

TEXT = b'Subject: hello\r\n\r\ntext\r\n'


def proxy_of(t, *lines, server=None):
    path = os.path.join(t.directory('run'), 'control')
    proxy = t.postern(server or t.server(), lines=['control "%s"' % path, *lines])
    proxy.control = path
    return proxy


def status(t, proxy, *arguments):
    done = subprocess.run([t.binary, 'status', '--control', proxy.control, *arguments], capture_output=True, timeout=20)
    return done.returncode, done.stdout.decode(), done.stderr.decode()


def told(t, proxy):
    code, out, err = status(t, proxy, '--json')
    equal((code, err), (0, ''), 'status')
    return json.loads(out)


def ask(path, line):
    with socket.socket(socket.AF_UNIX) as link:
        link.settimeout(10)
        link.connect(path)
        link.sendall(line)
        got = b''
        while more := link.recv(65536):
            got += more
        return got


@test()
def all_of_it(t):
    server = t.server()
    proxy = proxy_of(t, 'mode tag', 'limit sessions 30', server=server)
    client.deliver(proxy.address, 'a@example.com', 'u@example.org', TEXT)
    client.deliver(proxy.address, 'a@example.com', 'u@elsewhere.example', TEXT)
    said = told(t, proxy)
    equal((said['mode'], said['sessions_max'], said['generation']), ('tag', 30, 1), 'settings')
    equal((said['counters']['delivered'], said['counters']['refused']), (1, 1), 'counters')
    first, second = said['verdicts']
    equal((first['kind'], first['reason'], first['to']), ('refused', 'relay_denied', ''), 'the last one first')
    equal((second['kind'], second['from'], second['to']), ('accepted', 'a@example.com', 'u@example.org'), 'delivered')
    equal(second['client'], t.seen(), 'client')
    check(abs(second['time_ms'] / 1000 - time.time()) < 60, 'time %s', second['time_ms'])
    equal((len(said['minutes']['accepted']), sum(said['minutes']['accepted'])), (60, 1), 'minutes')
    equal((len(said['hours']['refused']), sum(said['hours']['refused'])), (24, 1), 'hours')
    inside, = said['servers']
    equal((inside['address'], inside['state'], inside['protocol']), (server.address, 'up', 'smtp'), 'server')
    check('8BITMIME' in inside['offers'], 'offers: %s', inside['offers'])
    equal(said['listeners'], [proxy.endpoint], 'listeners')
    check(0 < said['memory_used'] < said['memory_bound'], 'memory')


@table([('text', (), 'accepted    1 in the last hour'), ('metrics', ('--metrics',), 'postern_delivered_total 1\n')])
def other_forms(t, name, arguments, wanted):
    proxy = proxy_of(t)
    client.deliver(proxy.address, 'a@example.com', 'u@example.org', TEXT)
    code, out, err = status(t, proxy, *arguments)
    equal((code, err), (0, ''), 'status')
    check(wanted in out, 'no %s in %s', wanted, out)


@test()
def hostile_bytes_stay_json(t):
    proxy = proxy_of(t)
    with client.Client(proxy.address) as session:
        session.reply()
        session.command('EHLO x')
        equal(session.command('MAIL FROM:<"a\\"\\\\b"@example.com>').code, 250, 'MAIL')
        session.command('RCPT TO:<u@example.org>')
        session.data(TEXT)
        session.quit()
    proxy.wait_log()
    check('\\' in told(t, proxy)['verdicts'][0]['from'], 'the sender')


@test()
def who_may_and_what_for(t):
    proxy = proxy_of(t)
    equal(stat.S_IMODE(os.stat(proxy.control).st_mode), 0o660, 'mode')
    check(ask(proxy.control, b'stop\n').startswith(b'error: '), 'another question')
    equal(ask(proxy.control, b'x' * 64), b'', 'no line at all')
    check(json.loads(ask(proxy.control, b'status\n')), 'and afterwards')


@test(seconds=40)
def nobody_holds_it_up(t):
    """Four who do not read, and many who say nothing: mail goes on, and so does the next question."""
    proxy = proxy_of(t)
    held = []
    for number in range(40):
        link = socket.socket(socket.AF_UNIX)
        link.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1)
        link.connect(proxy.control)
        held.append(link)
        if number % 2:
            try:
                link.sendall(b'status\n')
            except OSError:
                pass    # it was hung up on: there are too many
    stage, reply = client.deliver(proxy.address, 'a@example.com', 'u@example.org', TEXT)
    equal((stage, reply.code), ('eod', 250), 'mail')
    check(wait_until(lambda: status(t, proxy)[0] == 0, 15, 0.2), 'no answer once the slow ones are gone')
    for link in held:
        link.close()


@test()
def restarts_and_second_starts(t):
    """A socket left behind is no obstacle; one that is in use is."""
    proxy = proxy_of(t)
    proxy.proc.signal(9)
    proxy.proc.wait(5)
    t.posterns.remove(proxy)
    check(os.path.exists(proxy.control), 'left behind')
    code, _, err = status(t, proxy)
    check(code == 1 and 'Is Postern running' in err, 'nobody: %s', err)
    again = t.postern(t.server(), lines=['control "%s"' % proxy.control])
    again.control = proxy.control
    equal(told(t, again)['counters']['connections'], 0, 'the new one')
    third = t.postern(t.server(), lines=['control "%s"' % proxy.control], wait=False)
    equal(third.proc.wait(10), 1, 'status')
    check('control' in third.proc.text, 'says: %s', third.proc.text)
    t.posterns.remove(third)


@test()
def by_the_configuration(t):
    proxy = proxy_of(t)
    done = subprocess.run([t.binary, 'status', '-c', proxy.config_path], capture_output=True, timeout=20)
    check(done.returncode == 0 and b'sessions' in done.stdout, 'said: %s', done.stderr)
    other = t.postern(t.server())
    done = subprocess.run([t.binary, 'status', '-c', other.config_path], capture_output=True, timeout=20)
    check(done.returncode == 1 and b'control /run/postern.sock' in done.stderr, 'said: %s', done.stderr)
