"""The addresses of an `interface` from a network's own servers: DHCP by dnsmasq and by BusyBox's udhcpd, SLAAC by dnsmasq's
router advertisements. lwIP counts leases by 5 seconds."""
import os
import shutil
import time

from support import client
from support.harness import Postern, Skip, check, equal, test
from support.link import NUMBERS, ip, no_ipv6
from support.proc import wait_until

TEXT = b'Subject: x\r\n\r\nx\r\n'


class Lan:
    """A network whose only other host is this kernel."""

    def __init__(self, t):
        self.t = t
        number = next(NUMBERS)
        self.prefix, self.prefix6 = '10.79.%d.' % number, 'fd79:%x::' % number
        self.name = 'dh%d' % number
        self.kind = t.transport
        self.outside = self.name if self.kind == 'tap' else self.name + 'k'
        if self.kind == 'tap':
            ip('tuntap', 'add', 'dev', self.name, 'mode', 'tap')
        else:
            ip('link', 'add', self.outside, 'type', 'veth', 'peer', 'name', self.name)
            no_ipv6(self.name)
            ip('link', 'set', self.name, 'up')
        t.cleanup.callback(ip, 'link', 'delete', self.outside)
        ip('addr', 'add', self.prefix + '1/24', 'dev', self.outside)
        ip('addr', 'add', self.prefix6 + '1/64', 'dev', self.outside, 'nodad')
        ip('link', 'set', self.outside, 'up')

    def dnsmasq(self, *options):
        argv, environment = self.t.tool('dnsmasq')
        return self.t.process([*argv, '--keep-in-foreground', '--conf-file=/dev/null', '--port=0', '--user=root',
                               '--pid-file=', '--bind-interfaces', '--interface=' + self.outside,
                               '--except-interface=lo', '--log-facility=-',
                               '--dhcp-leasefile=' + os.path.join(self.t.scratch, 'leases'),
                               '--dhcp-range=%s50,%s59,2m' % (self.prefix, self.prefix), *options],
                              env=environment, name='dnsmasq')

    def udhcpd(self, lease_s):
        busybox = shutil.which('busybox')
        if not busybox:
            raise Skip('no busybox')
        path = os.path.join(self.t.scratch, 'udhcpd.conf')
        with open(path, 'w', encoding='ascii') as out:
            out.write('start %s50\nend %s59\ninterface %s\nmin_lease 1\nlease_file %s.leases\npidfile %s.pid\n'
                      'option subnet 255.255.255.0\noption router %s1\noption lease %d\n' % (
                          self.prefix, self.prefix, self.outside, path, path, self.prefix, lease_s))
        open(path + '.leases', 'ab').close()
        return self.t.process([busybox, 'udhcpd', '-f', path], name='udhcpd')

    def postern(self, words, wait=True):
        server = self.t.server()
        proxy = Postern(self.t, '\n'.join((
            'hostname mx.example.org', 'interface %s %s %s' % (self.name, self.kind, words), 'listen %s:25' % self.name,
            'relay example.org to ' + server.address, 'tls off', 'dns off', 'timeout early-talk 0')) + '\n', wait)
        self.t.posterns.append(proxy)
        return proxy


def delivers(address):
    return client.deliver((address, 25), 'a@example.com', 'u@example.org', TEXT, 5)[1].code == 250


def address_of(proxy, prefix, seconds=10, count=1):
    found = wait_until(lambda: (lambda all: len(all) >= count and all)(
        [r['address'] for r in proxy.log('address') if r['address'].startswith(prefix)]), seconds)
    check(found, 'no address of %s: %s', prefix, proxy.proc.text)
    return found[-1]


@test(seconds=40, own=True, root=True)
def dhcp_and_slaac(t):
    """dnsmasq gives both, and mail comes by both."""
    lan = Lan(t)
    lan.dnsmasq('--enable-ra', '--dhcp-range=%s,ra-only,64' % lan.prefix6)
    proxy = lan.postern('dhcp slaac')
    check(delivers(address_of(proxy, lan.prefix)), 'by IPv4')
    six = address_of(proxy, lan.prefix6)
    check(wait_until(lambda: delivers(six), 5), 'by IPv6')


@test(seconds=60, own=True, root=True)
def lease_renewed(t):
    """dnsmasq has leases of two minutes at least, but may ask to be asked sooner. A session lives on."""
    lan = Lan(t)
    server = lan.dnsmasq('--dhcp-option-force=option:T1,10', '--dhcp-option-force=option:T2,60')
    proxy = lan.postern('dhcp')
    address = address_of(proxy, lan.prefix)
    session = client.Client((address, 25))
    equal(session.greet().code, 250, 'EHLO')
    check(wait_until(lambda: server.text.count('DHCPACK') >= 3, 35, 0.2), 'no renewals: %s', server.text)
    equal(session.command('NOOP').code, 250, 'the session')
    equal(len(proxy.log('address')), 1, 'addresses')
    equal(proxy.log('address_lost') + proxy.log('dhcp_unanswered'), [], 'complaints')


@test(seconds=90, own=True, root=True)
def server_lost(t):
    """The address is kept until the lease ends; both are said; and it is had again."""
    lan = Lan(t)
    server = lan.udhcpd(30)
    proxy = lan.postern('dhcp')
    address = address_of(proxy, lan.prefix)
    began = time.monotonic()
    server.stop()
    proxy.wait_log('dhcp_unanswered', seconds=30)
    check(delivers(address), 'while the lease lasts')
    check(not proxy.log('address_lost'), 'lost too early')
    lost = proxy.wait_log('address_lost', seconds=15)[0]
    took = time.monotonic() - began
    equal(lost['address'], address, 'what was lost')
    check(22 <= took <= 31, 'lost after %.0f s of 30', took)
    try:
        check(not delivers(address), 'without an address')
    except OSError:
        pass
    lan.udhcpd(30)
    check(delivers(address_of(proxy, lan.prefix, 30, 2)), 'with a new lease')


@test(seconds=60, own=True, root=True)
def no_server_at_start(t):
    """Postern starts without an address, says so, and has one as soon as somebody gives it."""
    lan = Lan(t)
    proxy = lan.postern('dhcp', wait=False)
    check(proxy.proc.wait_line(r'\bready\b', 30), 'not ready: %s', proxy.proc.text)
    equal(len(proxy.log('address_missing')), 1, 'records')
    lan.dnsmasq()
    check(delivers(address_of(proxy, lan.prefix, 30)), 'delivery')
