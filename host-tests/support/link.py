"""A link of this network namespace that ends in Postern's own TCP/IP.

Each has a network of its own, 10.M.N.0/24: the kernel is .1 (and whatever 127.0.0.X a client binds
is .X), Postern .254. Clients still connect to a port of 127.0.0.1, which the namespace's kernel
translates; so a test need not know how Postern is reached, but for the addresses that it sees.
"""
import itertools
import os
import subprocess
import sys
import threading

NUMBERS = itertools.count(1)
LOCK = threading.Lock()
SMTP_PORT = 25
CLIENTS = range(2, 30)   # 127.0.0.X of tests that are somebody else

RULES = """
table ip pst {
    map doors { type inet_service : ipv4_addr . inet_service; }
    map names { type ipv4_addr . ipv4_addr : ipv4_addr; }
    chain output {
        type nat hook output priority -100;
        ip daddr 127.0.0.1 dnat ip to tcp dport map @doors
    }
    chain postrouting {
        type nat hook postrouting priority 100;
        snat to ip saddr . ip daddr map @names
    }
}
"""


def ip(*words, lines=()):
    subprocess.run(['ip', *words], check=True, capture_output=True, text=True, input='\n'.join(lines))


def nft(command):
    subprocess.run(['nft', '-f', '-'], input=command, check=True, capture_output=True, text=True)


class Link:
    """`kind` is the driver: tap, or packet (on one end of a veth pair). `port`: where clients
    connect."""

    def __init__(self, kind, port):
        with LOCK:
            number = next(NUMBERS)
        self.prefix = '10.%d.%d.' % (77 + number // 250, number % 250)
        self.name = 'pt%d' % number
        self.outside = self.name if kind == 'tap' else self.name + 'k'
        if kind == 'tap':
            ip('tuntap', 'add', 'dev', self.name, 'mode', 'tap')
        else:
            ip('link', 'add', self.outside, 'type', 'veth', 'peer', 'name', self.name)
            no_ipv6(self.name)
            ip('link', 'set', self.name, 'up')
        ip('-batch', '-', lines=['addr add %s%d/24 dev %s' % (self.prefix, last, self.outside)
                                 for last in (1, *CLIENTS)] + ['link set %s up' % self.outside])
        there = self.prefix + '254'
        self.elements = ['doors { %d : %s . %d }' % (port.number, there, SMTP_PORT)]
        self.elements += ['names { 127.0.0.%d . %s : %s%d }' % (last, there, self.prefix, last)
                          for last in (1, *CLIENTS)]
        nft('\n'.join('add element ip pst ' + element for element in self.elements))
        self.endpoint = '%s:%d' % (self.name, SMTP_PORT)    # as the configuration names it
        self.lines = ['interface %s %s address %s/24 gateway %s1' % (
            self.name, kind, there, self.prefix), 'listen ' + self.endpoint]

    def close(self):
        # First: the port may be given to somebody else at once.
        nft('\n'.join('delete element ip pst ' + element for element in self.elements))
        ip('link', 'delete', self.outside)


def no_ipv6(name):
    """The kernel has no address there and wants none."""
    with open('/proc/sys/net/ipv6/conf/%s/disable_ipv6' % name, 'w', encoding='ascii') as out:
        out.write('1')


def is_in_namespace():
    return os.environ.get('POSTERN_NAMESPACE') == 'yes'


def run_outside(argv, **options):
    """subprocess.run where the network is that we came from: a download finds nobody in a namespace of ours."""
    outside = os.environ.get('POSTERN_OUTSIDE')
    if outside:
        argv = ['nsenter', '--net=/proc/self/fd/' + outside, *argv]
        options['pass_fds'] = (int(outside),)
    return subprocess.run(argv, check=False, **options)


def run_in_namespace(argv):
    """What the command says, in a namespace that is fit for a Link."""
    done = subprocess.run(['unshare', '--net', *argv], env=dict(os.environ, POSTERN_NAMESPACE='yes'), check=False,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    return done.stdout


def enter_namespace():
    """Go on in a network namespace of our own; comes back as a new process image."""
    if not is_in_namespace():
        outside = os.open('/proc/self/ns/net', os.O_RDONLY)
        os.set_inheritable(outside, True)
        os.environ.update(POSTERN_NAMESPACE='yes', POSTERN_OUTSIDE=str(outside))
        os.execvp('unshare', ['unshare', '--net', sys.executable, *sys.argv])
    prepare()


def prepare():
    """Once in a fresh namespace."""
    ip('link', 'set', 'lo', 'up')
    nft(RULES)
    for name in ('route_localnet', 'accept_local'):
        with open('/proc/sys/net/ipv4/conf/all/' + name, 'w', encoding='ascii') as out:
            out.write('1')
