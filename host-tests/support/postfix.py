"""A real Postfix from the unpacked package, as an internal server in its own instance directory.

It runs as root in a private mount namespace where only /etc/passwd and /etc/group differ from the
machine's (they have the users that Postfix wants). Nothing outside the instance is written, and
nothing but its own process group is ended. Mail for `inside` lands in a Maildir; any other
recipient that Postfix is willing to relay goes to `outside`, a port that stands for the Internet.
"""
import os
import pwd

from . import private
from .harness import Skip, check
from .proc import wait_listening, wait_until

SERVICES = """\
pickup unix n - n 60 1 pickup
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
verify unix - - n - 1 verify
flush unix n - n 1000? 0 flush
proxymap unix - - n - - proxymap
smtp unix - - n - - smtp
relay unix - - n - - smtp
showq unix n - n - - showq
error unix - - n - - error
retry unix - - n - - error
discard unix - - n - - discard
virtual unix - n n - - virtual
anvil unix - - n - 1 anvil
tlsmgr unix - - n 1000? 1 tlsmgr
scache unix - - n - 1 scache
postlog unix-dgram n - n - 1 postlogd
"""
QUEUES = ('active', 'bounce', 'corrupt', 'defer', 'deferred', 'flush', 'hold', 'incoming',
          'private', 'saved', 'trace', 'pid', 'public', 'maildrop')
USER, GROUP, MAILBOX_USER = 'postfix', 'postdrop', 'nobody'


class Postfix:
    def __init__(self, context, inside='example.org', outside=None, settings=()):
        if os.geteuid() != 0:
            raise Skip('a real Postfix needs root')
        argv, environment = context.tool('postfix-master')
        self.port = context.port()
        self.address = str(self.port)
        self.directory = context.directory('postfix')
        self.maildir = os.path.join(self.directory, 'mail', 'box')
        self.log_path = os.path.join(self.directory, 'log')
        self._write(inside, outside, settings, argv[0], environment)
        accounts = private.Accounts(self.directory, users=[USER], groups=[GROUP])
        self._make_directories(accounts.ids[USER], accounts.ids[GROUP])
        self._run = lambda command: private.argv(
            [*command, '-c', os.path.join(self.directory, 'etc')], accounts)
        self.context = context
        self.proc = context.process(self._run([*argv, '-d']), env=environment, name='postfix')
        check(wait_listening(self.port.host, self.port.number, 15),
              'Postfix does not listen: %s %s', self.proc.text, self.log)

    @property
    def log(self):
        try:
            with open(self.log_path, errors='replace') as stream:
                return stream.read()
        except OSError:
            return ''

    def messages(self):
        """The delivered messages' bytes."""
        result = []
        new = os.path.join(self.maildir, 'new')
        for name in sorted(os.listdir(new)) if os.path.isdir(new) else ():
            with open(os.path.join(new, name), 'rb') as stream:
                result.append(stream.read())
        return result

    def _tool(self, name, *arguments):
        argv, environment = self.context.tool(name)
        done = self.context.process(self._run([*argv, *arguments]), env=environment)
        check(done.wait(20) == 0, '%s: %s', name, done.text)

    def retry(self, restamp=False):
        """What waits in the queue is tried again now; `restamp`: with another Received on top, as
        an operator's requeue does it."""
        if restamp:
            self._tool('postsuper', '-r', 'ALL')
        self._tool('postqueue', '-f')

    def is_deferred(self, seconds=15):
        """Waits until all that is queued has been tried in vain."""
        def ask():
            held = {name: sum(len(files) for _, _, files in os.walk(
                os.path.join(self.directory, 'queue', name)))
                    for name in ('incoming', 'active', 'deferred')}
            return held['deferred'] and not held['incoming'] and not held['active']
        return wait_until(ask, seconds)

    def queue_count(self):
        return sum(len(files) for name in ('incoming', 'active', 'deferred', 'maildrop')
                   for _, _, files in os.walk(os.path.join(self.directory, 'queue', name)))

    def _make_directories(self, uid, gid):
        queue = os.path.join(self.directory, 'queue')
        os.makedirs(queue)
        for name in QUEUES:
            path = os.path.join(queue, name)
            os.mkdir(path, 0o700)
            if name != 'pid':
                os.chown(path, uid, gid if name in ('public', 'maildrop') else 0)
        os.chmod(os.path.join(queue, 'public'), 0o710)
        os.chmod(os.path.join(queue, 'maildrop'), 0o730)
        os.chmod(os.path.join(queue, 'pid'), 0o755)
        data = os.path.join(self.directory, 'data')
        os.mkdir(data, 0o700)
        os.chown(data, uid, uid)
        box = pwd.getpwnam(MAILBOX_USER)
        os.makedirs(self.maildir)
        for path in (os.path.dirname(self.maildir), self.maildir):
            os.chown(path, box.pw_uid, box.pw_gid)
        os.chmod(self.directory, 0o755)

    def _write(self, inside, outside, settings, master, environment):
        etc, box = os.path.join(self.directory, 'etc'), pwd.getpwnam(MAILBOX_USER)
        os.makedirs(etc)
        daemons = os.path.dirname(master)
        commands = os.path.normpath(os.path.join(daemons, '..', '..', '..', 'sbin'))
        lines = {
            'compatibility_level': '3.6',
            'queue_directory': os.path.join(self.directory, 'queue'),
            'data_directory': os.path.join(self.directory, 'data'),
            'daemon_directory': daemons,
            'command_directory': commands,
            'shlib_directory': os.path.normpath(os.path.join(daemons, '..')),
            'mail_owner': USER,
            'setgid_group': GROUP,
            'maillog_file': self.log_path,
            'maillog_file_prefixes': '/',
            'myhostname': 'internal.example',
            'mydestination': '',
            'mynetworks': '127.0.0.0/8',
            'alias_maps': '',
            'local_recipient_maps': '',
            'virtual_mailbox_domains': inside,
            'virtual_mailbox_maps': 'static:box/',
            'virtual_mailbox_base': os.path.dirname(self.maildir),
            'virtual_uid_maps': 'static:%d' % box.pw_uid,
            'virtual_gid_maps': 'static:%d' % box.pw_gid,
            'inet_interfaces': '127.0.0.1',
            'inet_protocols': 'ipv4',
            'smtpd_peername_lookup': 'no',
            'smtpd_client_connection_count_limit': '0',
            'relayhost': '[%s]:%d' % (outside.host, outside.number) if outside else '[127.0.0.1]:9',
            'smtp_dns_support_level': 'disabled',
            'default_transport': 'smtp',
            'import_environment': 'MAIL_CONFIG MAIL_LOGTAG TZ LANG=C LD_LIBRARY_PATH=%s' % (
                environment['LD_LIBRARY_PATH']),
        }
        lines['export_environment'] = lines['import_environment']
        with open(os.path.join(etc, 'main.cf'), 'w') as out:
            out.writelines('%s = %s\n' % pair for pair in lines.items())
            out.writelines(line + '\n' for line in settings)
        with open(os.path.join(etc, 'master.cf'), 'w') as out:
            out.write('%s inet n - n - - smtpd\n' % self.port)
            out.write(SERVICES)
