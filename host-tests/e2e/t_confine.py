"""After start the process keeps only what it needs: what /proc says, what can still be done, by trying, and that mail,
reload, rotation and drain go on.

confine_probe confines itself by the same code and tables as `postern run`, then makes one attempt a run. `off` is the
control: what is refused elsewhere is possible there.
"""
import os
import pwd
import re
import shutil
import signal
import subprocess

from support import client, mail
from support.harness import check, equal, table, test
from support.proc import wait_until
from t_life import open_transaction, reload

KERNEL_ONLY = 't_confine_own has those over our own TCP/IP'
PROBE = 'host-tests/tools/confine_probe'
TEXT = mail.message('confine', 2000)
RULES = 'header T_LUNCH Subject =~ /\\blunch\\b/i\nscore T_LUNCH 6\n'
SIGSYS = -signal.SIGSYS

KERNEL = 'hostname mx.example.org\nlisten 127.0.0.1:2525\nrelay example.org to 127.0.0.1:2526\ndns off\n'
OWN = ('hostname mx.example.org\ninterface tap0 address 192.0.2.25/24\nlisten tap0:25\n'
       'relay example.org to 192.0.2.1:25 via tap0\ndns 192.0.2.53 via tap0\n')

# attempt: without confinement, kernel's sockets, our own TCP/IP
SOCKETS = [
    ('inet', 'done', 'done', 'EPERM'),
    ('inet-datagram', 'done', 'done', 'EPERM'),
    ('inet6', 'done', 'done', 'EPERM'),
    ('raw', 'done', 'EPERM', 'EPERM'),
    ('packet', 'done', 'EPERM', 'EPERM'),
    ('netlink', 'done', 'EPERM', 'EPERM'),
    ('unix', 'done', 'done', 'done'),
    ('io_uring', 'done', SIGSYS, SIGSYS),
    ('bind-low', 'done', 'EACCES', 'EPERM'),
]

# Here the kind of socket makes no difference.
OTHERS = [
    ('exec', 'done', SIGSYS),
    ('clone', 'done', SIGSYS),
    ('fork', 'done', SIGSYS),
    ('ptrace', 'done', SIGSYS),
    ('mount', 'done', SIGSYS),
    ('chroot', 'done', SIGSYS),
    ('kill', 'done', 'ENOSYS'),
    ('abort', -signal.SIGABRT, -signal.SIGABRT),
    ('setuid', 'done', 'ENOSYS'),
    ('new-call', 'done', 'ENOSYS'),
    ('machine-code', 'done', 'EPERM'),
    ('protect', 'done', 'EPERM'),
]

# attempt, its file (in the log's folder or beside it, there or not): without and with confinement
FILES = [
    ('read', 'beside/there', 'done', 'done'),
    ('append', 'log/there', 'done', 'done'),
    ('append', 'log/new', 'done', 'done'),
    ('append', 'beside/there', 'done', 'EACCES'),
    ('append', 'beside/new', 'done', 'EACCES'),
    ('create-new', 'log/new', 'done', 'done'),
    ('create-new', 'beside/new', 'done', 'EACCES'),
    ('write', 'log/there', 'done', 'EPERM'),
    ('read-write', 'log/there', 'done', 'EPERM'),
    ('truncate', 'log/there', 'done', 'EPERM'),
    ('create', 'log/new', 'done', 'EPERM'),
    ('overwrite', 'log/there', 'done', 'EPERM'),
    ('chmod', 'log/there', 'done', 'ENOSYS'),
]


def probe(t, config, attempt, *words):
    """What the attempt came to: a word, or the signal that ended it as a status."""
    program = os.path.join(os.path.dirname(t.binary), PROBE)
    path = os.path.join(t.directory('probe'), 'test.conf')
    with open(path, 'w', encoding='ascii') as out:
        out.write(config)
    done = subprocess.run([program, path, attempt, *words], capture_output=True, text=True, timeout=20, check=False)
    if done.returncode < 0:
        return done.returncode
    check(done.returncode == 0 and done.stdout, 'probe: status %s: %s', done.returncode, done.stderr)
    return done.stdout.split()[-1]


@table(SOCKETS, root=True)
def socket(t, attempt, off, kernel, own):
    equal(probe(t, KERNEL + 'confine off\n', attempt), off, 'without confinement')
    equal(probe(t, KERNEL, attempt), kernel, "with the kernel's sockets")
    equal(probe(t, OWN, attempt), own, 'with our own TCP/IP')


@table(OTHERS, root=True)
def attempt(t, name, off, limited):
    equal(probe(t, KERNEL + 'confine off\n', name), off, 'without confinement')
    equal(probe(t, KERNEL, name), limited, 'confined')
    equal(probe(t, OWN, name), limited, 'confined, with our own TCP/IP')


@table([('%s-%s' % (row[0], row[1].replace('/', '-')), *row) for row in FILES], root=True)
def file(t, _name, attempt_name, place, off, limited):
    for words, want in (('confine off\n', off), ('', limited)):
        folder = t.directory('files')
        for part in ('log', 'beside'):
            os.mkdir(os.path.join(folder, part))
            with open(os.path.join(folder, part, 'there'), 'w', encoding='ascii') as out:
                out.write('x')
        config = KERNEL + 'log file %s/log/postern.log\n' % folder + words
        equal(probe(t, config, attempt_name, os.path.join(folder, place)), want, words or 'confined')


@test(root=True)
def machine_code_where_there_are_rules(t):
    """A reload compiles patterns; without rules nothing does."""
    path = os.path.join(t.directory('rules'), 'site.cf')
    with open(path, 'w', encoding='ascii') as out:
        out.write(RULES)
    equal(probe(t, KERNEL + 'rules %s\n' % path, 'machine-code'), 'done', 'with rules')
    equal(probe(t, KERNEL + 'rules %s\n' % path, 'exec'), SIGSYS, 'a program, all the same')


@test(root=True)
def low_ports_where_there_was_one(t):
    equal(probe(t, KERNEL.replace(':2525', ':25'), 'bind-low'), 'done', 'a listener below 1024 at start')
    equal(probe(t, KERNEL.replace(':2525', ':25') + 'user nobody\n', 'bind-low'), 'done', 'as another user')
    equal(probe(t, KERNEL + 'user nobody\n', 'bind-low'), 'EACCES', 'none')


# ---------------------------------------------------------------------------------- what /proc says

def status_of(proxy):
    with open('/proc/%d/status' % proxy.proc.pid, encoding='ascii') as stream:
        return dict(line.rstrip('\n').split(':\t', 1) for line in stream if ':\t' in line)


def check_status(proxy, uid, capabilities=0):
    status = status_of(proxy)
    equal(status['Uid'].split(), [str(uid)] * 4, 'uid')
    for name in ('CapPrm', 'CapEff', 'CapBnd'):
        equal(int(status[name], 16), capabilities, name)
    for name in ('CapInh', 'CapAmb'):
        equal(int(status[name], 16), 0, name)
    equal((status['NoNewPrivs'], status['Seccomp']), ('1', '2'), 'no_new_privs, seccomp')
    with open('/proc/%d/limits' % proxy.proc.pid, encoding='ascii') as stream:
        check(re.search(r'(?m)^Max core file size +0 +0 ', stream.read()), 'core files')
    return status


def deliver(proxy, want=250):
    stage, reply = client.deliver(proxy.address, 'a@example.com', 'u@example.org', TEXT)
    equal((stage, reply.code), ('eod', want), str(reply))


@test(root=True)
def as_root(t):
    """Root without a `user` line stays uid 0, without its capabilities, and is told so."""
    proxy = t.postern(t.server())
    status = check_status(proxy, 0)
    equal(status['Groups'].split(), [], 'groups')
    deliver(proxy)
    record, = proxy.wait_log('confine')
    equal((record['uid'], record['capabilities'], record['system_calls']), ('0', 'none', 'limited'), 'record')
    check('`user NAME`' in proxy.wait_log('user')[0]['msg'], 'not told of `user`')


@test(root=True)
def as_somebody_else(t):
    proxy = t.postern(t.server(), lines=['user nobody'])
    status = check_status(proxy, pwd.getpwnam('nobody').pw_uid)
    equal(set(status['Gid'].split()) | set(status['Groups'].split()), {str(pwd.getpwnam('nobody').pw_gid)}, 'groups')
    deliver(proxy)
    equal(proxy.log('user'), [], 'warnings')
    proxy.proc.signal(signal.SIGTERM)
    equal(proxy.proc.wait(5), 0, 'exit status')


@test(root=True)
def as_a_number(t):
    proxy = t.postern(t.server(), lines=['user 54321'])
    status = check_status(proxy, 54321)
    equal((status['Gid'].split()[0], status['Groups'].split()), ('54321', ['54321']), 'groups')
    deliver(proxy)


@test(root=True)
def by_somebody_else(t):
    """Started without privileges: there is nothing to drop but what a program could still get."""
    proxy = t.postern(t.server(), argv_prefix=['setpriv', '--reuid=54321', '--regid=54321', '--clear-groups'],
                      lines=['user nobody'])
    status = status_of(proxy)
    equal((status['Uid'].split()[0], status['CapPrm'], status['NoNewPrivs'], status['Seccomp']),
          ('54321', '0' * 16, '1', '2'), 'status')
    deliver(proxy)
    check('takes root' in proxy.wait_log('user')[0]['msg'], 'not told of `user`')


@test(root=True)
def off(t):
    proxy = t.postern(t.server(), lines=['confine off'])
    status = status_of(proxy)
    equal((status['NoNewPrivs'], status['Seccomp']), ('0', '0'), 'status')
    check(int(status['CapEff'], 16) > 0, 'capabilities')
    deliver(proxy)


@test(root=True)
def unknown_user(t):
    proxy = t.postern(t.server(), lines=['user nosuchuser'], wait=False)
    equal(proxy.proc.wait(5), 1, 'exit status')
    check('nosuchuser' in proxy.proc.text and 'useradd' in proxy.proc.text, proxy.proc.text)
    t.posterns.remove(proxy)
    done = subprocess.run([t.binary, 'check', '-c', proxy.config_path], capture_output=True, text=True, timeout=20,
                          check=False)
    equal(done.returncode, 1, '`postern check`')
    check('nosuchuser' in done.stderr, done.stderr)


@test(root=True)
def unreadable_configuration(t):
    """What a reload could not read, a start does not take."""
    folder = t.directory('include')
    path = os.path.join(folder, 'more.conf')
    with open(path, 'w', encoding='ascii') as out:
        out.write('message 3M\n')
    proxy = t.postern(t.server(), lines=['user nobody', 'include ' + path], wait=False)
    equal(proxy.proc.wait(5), 1, 'exit status')
    check(path in proxy.proc.text and 'nobody must be able to read' in proxy.proc.text, proxy.proc.text)
    t.posterns.remove(proxy)


@test(root=True)
def low_port(t):
    """The right to ports below 1024 stays with who has one, so that a reload can move it."""
    first, second = ('127.77.0.1', 25), ('127.77.0.2', 25)
    server = t.server()
    proxy = t.postern(server, listen='%s:%d' % first, lines=['user nobody'])
    check_status(proxy, pwd.getpwnam('nobody').pw_uid, 1 << 10)    # CAP_NET_BIND_SERVICE
    equal(client.deliver(first, 'a@example.com', 'u@example.org', TEXT)[1].code, 250, 'delivery')
    reload(proxy, proxy.config.replace('%s:%d' % first, '%s:%d' % second), r'ev=reload ')
    equal(client.deliver(second, 'a@example.com', 'u@example.org', TEXT)[1].code, 250, 'at the other address')


# ---------------------------------------------------------------------------------- life goes on

@test(root=True, seconds=40)
def life(t):
    """As another user: rules and certificates read anew, the log rotated, a listener moved, the end in good order."""
    folder, nobody = t.directory('open'), pwd.getpwnam('nobody')
    os.chown(folder, nobody.pw_uid, nobody.pw_gid)
    os.chmod(folder, 0o755)
    rules, log = os.path.join(folder, 'site.cf'), os.path.join(folder, 'postern.log')
    with open(rules, 'w', encoding='ascii') as out:
        out.write(RULES)
    pem = [certificate(folder, number) for number in (1, 2)]
    shutil.copy(pem[0], os.path.join(folder, 'live.pem'))
    os.chmod(os.path.join(folder, 'live.pem'), 0o644)
    server = t.server()
    proxy = t.postern(server, lines=['user nobody', 'rules ' + rules, 'log file ' + log,
                                     'tls cert %s/live.pem' % folder], wait=False)
    check(proxy.proc.wait_line(r'\bready\b', 15), 'not ready: %s', proxy.proc.text)
    check_status(proxy, nobody.pw_uid)
    deliver(proxy)
    first = serial(proxy)

    def read_log():
        with open(log, encoding='utf-8') as stream:
            return stream.read()
    os.rename(log, log + '.1')
    with open(rules, 'a', encoding='ascii') as out:
        out.write('header T_MORE Subject =~ /(.|x)+$/\nscore T_MORE 0.1\n')
    shutil.copy(pem[1], os.path.join(folder, 'live.pem'))
    proxy.proc.signal(signal.SIGHUP)
    check(wait_until(lambda: os.path.exists(log) and 'ev=reload' in read_log(), 5), 'no reload in the new log')
    deliver(proxy)
    check(wait_until(lambda: 'T_MORE' in read_log(), 5), 'the new rule does not hit: %s', read_log())
    check(serial(proxy) != first, 'the certificate is the old one')
    running = open_transaction(proxy)
    equal(running.command('DATA').code, 354, 'DATA')
    proxy.proc.signal(signal.SIGTERM)
    running.send(client.stuff(TEXT))
    equal(running.reply().code, 250, 'drain')
    equal(proxy.proc.wait(5), 0, 'exit status')
    equal(len(server.taken), 3, 'messages')


def certificate(folder, number):
    path = os.path.join(folder, '%d.pem' % number)
    subprocess.run(['openssl', 'req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes',
                    '-days', '90', '-subj', '/CN=mx.example.org', '-addext', 'subjectAltName=DNS:mx.example.org',
                    '-set_serial', str(number), '-keyout', path + '.key', '-out', path], check=True, capture_output=True)
    with open(path, 'a', encoding='ascii') as out, open(path + '.key', encoding='ascii') as key:
        out.write(key.read())
    return path


def serial(proxy):
    done = subprocess.run(['openssl', 's_client', '-starttls', 'smtp', '-connect', '%s:%d' % proxy.address],
                          input=b'QUIT\r\n', capture_output=True, timeout=10, check=False).stdout
    shown = subprocess.run(['openssl', 'x509', '-noout', '-serial'], input=done, capture_output=True, check=True)
    return shown.stdout.decode().strip()


@test(root=True)
def own_certificate(t):
    """The folder is made for the user, and a reload that needs another certificate can write it."""
    state = os.path.join(t.directory('var'), 'state')
    os.chmod(os.path.dirname(state), 0o755)
    proxy = t.postern(t.server(), lines=['user nobody', 'tls auto', 'tls state ' + state])
    path = os.path.join(state, 'self-signed.pem')
    equal((os.stat(path).st_uid, os.stat(path).st_mode & 0o777), (pwd.getpwnam('nobody').pw_uid, 0o600), 'owner, mode')
    before = os.stat(path).st_ino
    reload(proxy, proxy.config.replace('mx.example.org', 'mail.example.org'), r'ev=reload ')
    check(os.stat(path).st_ino != before, 'no new certificate is kept')


@table([('user', 'user bin\n', '`user` and `confine`'), ('confine', 'confine off\n', '`user` and `confine`'),
        ('rules', 'rules %S\n', 'executable memory'), ('log', 'log file %S/away.log\n', 'takes a restart'),
        ('low-port', 'listen 127.0.0.1:1\n', 'ports below 1024')], root=True)
def reload_beyond(t, name, line, words):
    """What was given up is not to be had again: the old configuration stays, and the log says why."""
    proxy = t.postern(t.server())
    folder = t.directory('away')
    reload(proxy, proxy.config + line.replace('%S', folder), r'reload_failed.*' + words)
    deliver(proxy)
