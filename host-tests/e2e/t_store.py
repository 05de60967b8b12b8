"""What is remembered beyond a session, through the real program: restarts, and the fault matrix of store and clock."""
import os
import signal
import struct
import subprocess
import time

from support import client, state
from support.harness import Skip, check, equal, table, test
from support.proc import Proc, wait_until
from t_checks import RCPT

KERNEL_ONLY = 'one Postern after the other must see the same client, and each link has a network of its own'

HERE = os.path.dirname(os.path.abspath(__file__))
# HELO with an address that is not its own: 2.5 points, in the band.
SUSPECT = ['score HELO_LITERAL 2.5', 'greylist on delay 1s', 'trust none', 'dns off']


def folder(t):
    t.state = os.path.join(t.directory('state'), 'postern')
    return t.state


def proxy_of(t, path, lines=(), **options):
    """A proxy that has greylisting on, at the same internal server each time."""
    if not hasattr(t, 'target'):
        _, t.target, t.maildir = t.sink()
    return t.postern(t.target, lines=[*SUSPECT, 'store file %s every 50ms' % path, *lines], **options)


def send(proxy, source='127.0.0.18', rcpt=RCPT):
    """The reply to RCPT, or to the message where that was taken."""
    session = client.Client(proxy.address, source=source)
    try:
        session.reply()
        session.command('EHLO [127.0.0.99]')
        session.command('MAIL FROM:<a@sender.test>')
        reply = session.command('RCPT TO:<%s>' % rcpt)
        if reply.code == 250:
            reply = session.data(b'From: a@sender.test\r\nSubject: x\r\n\r\ntext\r\n')
        return reply.code
    finally:
        session.close()


def saved(path, count):
    """The file has so many entries of senders, and one of what the internal server offers."""
    def ask():
        try:
            with open(path, 'rb') as stream:
                return len(state.decode(stream.read())[2]) >= count + 1
        except (OSError, ValueError):
            return False
    check(wait_until(ask, 5), 'state was not saved in %s', path)


@test(seconds=60, alone=True)
def known_after_a_restart(t):
    """First contact, restart, the retry is taken; restart, and it is known."""
    path = folder(t)
    proxy = proxy_of(t, path)
    equal(send(proxy), 451, 'first contact')
    record, = proxy.wait_log()
    equal((record['reasons'], record['outcome'], record['code']), ('greylisted', 'deferred', '451'), 'record')
    check('GREYLISTED:0' in record['hits'] and '127.0.0.0/24 seen first' in record['evidence'], record)
    equal(send(proxy), 451, 'too early')
    equal(proxy.proc.stop(), 0, 'status')
    time.sleep(1.1)
    proxy = proxy_of(t, path)
    equal(send(proxy, source='127.0.0.77'), 250, 'the retry, from its neighbour')
    check('GREYLIST_CAME:0' in proxy.wait_log()[0]['hits'], 'record')
    equal(proxy.proc.stop(), 0, 'status')
    proxy = proxy_of(t, path)
    equal(send(proxy), 250, 'known')
    check('GREYLIST_KNOWN:0' in proxy.wait_log()[0]['hits'], 'record')
    equal(send(proxy, source='127.0.1.18'), 451, 'another network')
    equal(send(proxy, source='127.0.1.18', rcpt='postmaster@example.org'), 250, 'postmaster')


@test(seconds=60)
def moved_by_a_reload(t):
    """Another file, at a reload: what is remembered goes along."""
    path = folder(t)
    proxy = proxy_of(t, path)
    equal(send(proxy), 451, 'first contact')
    saved(path, 1)
    other = path + '-other'
    proxy.write_config(proxy.config.replace('store file ' + path, 'store file ' + other))
    proxy.proc.signal(signal.SIGHUP)
    proxy.wait_log('reload')
    saved(other, 1)
    time.sleep(1.1)
    equal(send(proxy), 250, 'the retry')


# ---- the fault matrix: what is broken, what the owner chose ------------------------------------------

def garbage(path):
    for name in (path, path + '.old'):
        with open(name, 'wb') as out:
            out.write(os.urandom(4096))


def cut_short(path):
    text = state.encode([(n, 1, 1, 5000) for n in range(100)])
    with open(path, 'wb') as out:
        out.write(text[:-1])


def unreadable(path):
    os.mkdir(path)  # root reads whatever the rights are


STATES = [('unreadable', unreadable), ('corrupt', garbage), ('cut-short', cut_short)]


@table([('%s-empty' % name, spoil) for name, spoil in STATES], seconds=60)
def start_empty(t, name, spoil):
    path = folder(t)
    spoil(path)
    proxy = proxy_of(t, path)
    check('is not used' in proxy.wait_log('store', level='warning')[0]['msg'], 'log')
    equal(send(proxy), 451, 'first contact')
    time.sleep(1.1)
    equal(send(proxy), 250, 'the retry: the table works')
    if not os.path.isdir(path):
        saved(path, 1)


@table([('%s-refuse' % name, spoil) for name, spoil in STATES], seconds=60)
def refuse_to_start(t, name, spoil):
    path = folder(t)
    spoil(path)
    conf = os.path.join(t.directory('conf'), 'postern.conf')
    with open(conf, 'w') as out:
        out.write('\n'.join(['hostname mx.example.org', 'listen %s' % t.port(), 'tls off', 'dns off',
                             'relay example.org to 127.0.0.1:9',
                             'store file %s trouble refuse' % path]) + '\n')
    process = t.process([t.binary, 'run', '-c', conf], name='refuses')
    equal(process.wait(10), 1, 'status; %s' % process.text)
    for words in (path + ' cannot be read', 'store trouble empty'):
        check(words in process.text, '%s is missing in %s', words, process.text)


@test(seconds=60)
def the_older_file_is_used(t):
    path = folder(t)
    proxy = proxy_of(t, path)
    equal(send(proxy), 451, 'first contact')
    saved(path, 1)
    equal(send(proxy, source='127.0.1.18'), 451, 'another one')
    saved(path, 2)
    equal(proxy.proc.stop(), 0, 'status')
    with open(path, 'r+b') as out:
        out.seek(60)
        out.write(b'\xff\xff')
    time.sleep(1.1)
    proxy = proxy_of(t, path)
    equal(send(proxy), 250, 'the older one knows')


@test(seconds=60, root=True)
def disk_full(t):
    """Nothing can be saved: mail goes on and is remembered; there is room again, and it is saved."""
    mount = t.directory('disk')
    script = 'mount -t tmpfs -o size=64k tmpfs "$0" && (dd if=/dev/zero of="$0/filler" bs=4k || :) 2>/dev/null && exec "$@"'
    prefix = ['unshare', '--mount', '--propagation', 'private', 'sh', '-c', script, mount]
    if subprocess.run([*prefix, 'true'], capture_output=True).returncode:
        raise Skip('no mount namespaces here')
    path = os.path.join(mount, 'postern')
    proxy = proxy_of(t, path, argv_prefix=prefix)
    check('the disk is full' in proxy.wait_log('store', level='warning')[0]['msg'], 'log')
    equal(send(proxy), 451, 'first contact')
    time.sleep(1.1)
    equal(send(proxy), 250, 'the retry')
    equal(len(proxy.log('store', level='warning')), 1, 'said once')
    inside = '/proc/%d/root' % proxy.proc.pid + mount
    check(not os.path.exists(inside + '/postern'), 'half a file stands there')
    os.remove(inside + '/filler')
    equal(send(proxy, source='127.0.1.18'), 451, 'another one')
    saved(inside + '/postern', 2)
    check(wait_until(lambda: 'state is saved again' in proxy.proc.text, 5), 'log: %s', proxy.proc.text)


@test(seconds=120, alone=True)
def killed_while_writing(t):
    """kill -9 in the middle of a write, again and again: no start finds less than what was whole before."""
    path = folder(t)
    entries = [(n * 0x9e3779b97f4a7c15 & (1 << 64) - 1, 1, 1, 4000000) for n in range(1, 30001)]
    with open(path, 'wb') as out:
        out.write(state.encode(entries))
    caught, again = 0, ['store size 4M']
    proxy = proxy_of(t, path, again)
    equal(send(proxy), 451, 'first contact')
    saved(path, 20000)
    for turn in range(20):
        equal(send(proxy, source='127.0.%d.18' % (turn + 2)), 451, 'a stranger')
        end = time.monotonic() + 2
        while not os.path.exists(path + '.new') and time.monotonic() < end:
            pass
        proxy.proc.kill()
        caught += os.path.exists(path + '.new')
        proxy = proxy_of(t, path, again)
        check(not proxy.log('store', level='warning'), 'log: %s', proxy.proc.text)
        read = proxy.wait_log('store')[0]
        check(read['read'] in (path, path + '.old') and int(read['entries']) >= 20000, 'read: %s', read)
        if caught >= 5:
            break
    check(caught >= 5, 'only %d of %d kills fell into a write', caught, turn + 1)
    time.sleep(1.1)  # the whole of the delay: our own time is kept in whole seconds, so every start may lose a part of one
    equal(send(proxy), 250, 'whom the first file knew')


# ---- the clock --------------------------------------------------------------------------------------

def clock_of(t):
    """(argv prefix, function that sets the wall clock to a time)"""
    scratch = t.directory('clock')
    shim, offset = os.path.join(scratch, 'shim.so'), os.path.join(scratch, 'offset')
    subprocess.run(['cc', '-shared', '-fPIC', '-O1', '-o', shim, os.path.join(HERE, 'clock_shim.c'),
                    '-ldl'], check=True)

    def set_clock(seconds):
        with open(offset, 'r+b' if os.path.exists(offset) else 'wb') as out:
            out.write(struct.pack('=q', int(seconds - time.time())))

    return ['env', 'LD_PRELOAD=' + shim, 'POSTERN_CLOCK=' + offset], set_clock


YEAR = 365 * 86400
NOW = 1800000000
CLOCKS = [
    # name, the clock at the start, after the first contact, after the retry, at the restart
    ('unset-then-set', 0, NOW, NOW, NOW),
    ('unset-all-the-time', 0, 100, 200, 5),
    ('set-then-unset', NOW, NOW, NOW, 0),
    ('back-ten-years', NOW, NOW - 10 * YEAR, NOW - 10 * YEAR, NOW - 10 * YEAR),
    ('forward-ten-years', NOW, NOW + 10 * YEAR, NOW + 10 * YEAR, NOW + 10 * YEAR),
    ('forward-while-down', NOW, NOW, NOW, NOW + 10 * YEAR),
]


@table(CLOCKS, seconds=60)
def clock(t, name, start, waiting, passed, restart):
    """Whatever the wall clock does, who waits is taken in time, and who is known stays known."""
    path = folder(t)
    prefix, set_clock = clock_of(t)
    set_clock(start)
    proxy = proxy_of(t, path, argv_prefix=prefix)
    equal(send(proxy), 451, 'first contact')
    check(proxy.wait_log()[0]['stamp'].startswith(time.strftime('%Y-', time.gmtime(start))),
          'the clock is not the one set: %s', proxy.log()[0]['stamp'])
    set_clock(waiting)
    equal(send(proxy), 451, 'too early, by our own time')
    time.sleep(1.1)
    equal(send(proxy), 250, 'the retry')
    set_clock(passed)
    equal(send(proxy), 250, 'known')
    saved(path, 1)
    equal(proxy.proc.stop(), 0, 'status')
    set_clock(restart)
    proxy = proxy_of(t, path, argv_prefix=prefix)
    equal(send(proxy), 250, 'known after the restart')
    check('GREYLIST_KNOWN:0' in proxy.wait_log()[0]['hits'], 'record')


@test()
def offers_outlive_a_restart(t):
    """What an internal server was last seen to offer is offered at once, though it cannot be reached just now."""
    server = t.server()
    path = os.path.join(t.directory('store'), 'store')
    lines = ['store file %s every 50ms' % path]
    first = t.postern(server, lines=lines)

    def offered(proxy):
        with client.Client(proxy.address) as session:
            return set(session.greet().lines[1:])
    check(wait_until(lambda: '8BITMIME' in offered(first), 5), 'not learnt: %s', offered(first))
    seen = offered(first)
    first.proc.signal(signal.SIGTERM)
    equal(first.proc.wait(10), 0, 'exit status')
    server.stop()
    again = t.postern(server, lines=lines)
    equal(offered(again), seen, 'offers')
    nothing = t.postern(server)
    check('8BITMIME' not in offered(nothing), 'offered though never seen')
