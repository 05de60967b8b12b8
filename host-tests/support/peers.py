#!/usr/bin/python3
"""Programs that the proxy is tested against, from Debian packages that are never installed.

    peers.py [--directory DIR] [NAME...]     fetch and unpack (default: all), print where they are

apt resolves and downloads what the machine lacks; the packages are unpacked under build/peers and
run from there with their own library path. Downloads are kept in a cache that clones share
(${XDG_CACHE_HOME:-~/.cache}/postern/peers), so a second checkout needs no network. Nothing here
touches the dpkg database, starts a service or needs root.
"""
import argparse
import fcntl
import glob
import os
import re
import shutil
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from support.link import run_outside  # noqa: E402

# a peer's name -> the packages it is made of
PACKAGES = {
    'postfix': 'postfix', 'haproxy': 'haproxy', 'swaks': 'swaks', 'curl': 'curl',
    'exim': 'exim4-daemon-light', 'opensmtpd': 'opensmtpd', 'msmtp': 'msmtp',
    'dovecot': 'dovecot-core dovecot-imapd dovecot-lmtpd dovecot-pop3d', 'dkimpy': 'python3-dkim',
    'nginx': 'nginx-core',
    'ssleay': 'libnet-ssleay-perl', 'unbound': 'unbound', 'nsd': 'nsd', 'rbldnsd': 'rbldnsd', 'dnsmasq': 'dnsmasq-base',
}
NPM = {'nodemailer': '10.6.0'}
TOOLS = {
    'smtp-source': ('postfix', 'usr/sbin/smtp-source'),
    'smtp-sink': ('postfix', 'usr/sbin/smtp-sink'),
    'postfix-master': ('postfix', 'usr/lib/postfix/sbin/master'),
    'postqueue': ('postfix', 'usr/sbin/postqueue'),
    'postsuper': ('postfix', 'usr/sbin/postsuper'),
    'haproxy': ('haproxy', 'usr/sbin/haproxy'),
    'swaks': ('swaks', 'usr/bin/swaks'),
    'curl': ('curl', 'usr/bin/curl'),
    'exim': ('exim', 'usr/sbin/exim4'),
    'smtpd': ('opensmtpd', 'usr/sbin/smtpd'),
    'smtpctl': ('opensmtpd', 'usr/sbin/smtpctl'),
    'msmtp': ('msmtp', 'usr/bin/msmtp'),
    'dovecot': ('dovecot', 'usr/sbin/dovecot'),
    'dovecot-lmtp': ('dovecot', 'usr/lib/dovecot/lmtp'),
    'dovecot-imap': ('dovecot', 'usr/lib/dovecot/imap'),
    'dovecot-pop3': ('dovecot', 'usr/lib/dovecot/pop3'),
    'dkimpy': ('dkimpy', 'usr/lib/python3/dist-packages/dkim/__init__.py'),
    'unbound': ('unbound', 'usr/sbin/unbound'),
    'nsd': ('nsd', 'usr/sbin/nsd'),
    'rbldnsd': ('rbldnsd', 'usr/sbin/rbldnsd'),
    'nginx': ('nginx', 'usr/sbin/nginx'),
    'dnsmasq': ('dnsmasq', 'usr/sbin/dnsmasq'),
    'ssleay': ('ssleay', 'usr/lib/%s/perl5/5.36/Net/SSLeay.pm'),
}
SYSTEM_FIRST = ('curl',)
LIBRARIES = ('usr/lib/postfix', 'usr/lib/dovecot', 'usr/lib/%s', 'lib/%s')
ROOT = os.path.abspath(os.path.join(os.path.dirname(__file__), '..', '..'))


class Unavailable(Exception):
    """A peer cannot be had here; the text says why."""


def cache_directory():
    base = os.environ.get('XDG_CACHE_HOME') or os.path.expanduser('~/.cache')
    return os.path.join(base, 'postern', 'peers')


def release():
    """Distribution and architecture: what a cached package fits to."""
    values = {}
    with open('/etc/os-release') as stream:
        for line in stream:
            key, _, value = line.strip().partition('=')
            values[key] = value.strip('"')
    arch = subprocess.run(['dpkg', '--print-architecture'], capture_output=True, text=True,
                          check=True).stdout.strip()
    return '%s%s-%s' % (values.get('ID', 'linux'), values.get('VERSION_ID', ''), arch)


class Apt:
    """apt-get that writes nothing outside its own directory."""

    def __init__(self, directory, private_lists):
        self.archives = os.path.join(directory, 'archives')
        self.options = ['-o', 'Dir::Cache::archives=' + self.archives,
                        '-o', 'Dir::Cache=' + directory,
                        '-o', 'Debug::NoLocking=1', '-o', 'APT::Sandbox::User=' + user_name(),
                        '-o', 'Acquire::Retries=2']
        os.makedirs(os.path.join(self.archives, 'partial'), exist_ok=True)
        if private_lists:
            lists = os.path.join(directory, 'lists')
            os.makedirs(os.path.join(lists, 'partial'), exist_ok=True)
            self.options += ['-o', 'Dir::State::Lists=' + lists]
            # A foreign source of the machine that fails is no reason to stop: the download decides.
            self.run('update')

    def run(self, *arguments):
        environment = dict(os.environ, LC_ALL='C.UTF-8', DEBIAN_FRONTEND='noninteractive')
        return run_outside(['apt-get', '-q', '-y', *self.options, *arguments],
                           capture_output=True, text=True, env=environment,
                           stdin=subprocess.DEVNULL)

    def download(self, packages):
        """The archive's file name of every .deb that they need and the machine lacks."""
        arguments = ['--no-install-recommends', '--reinstall', 'install', *packages]
        wanted = self.run('--print-uris', *arguments)
        if wanted.returncode == 0:
            done = self.run('--download-only', *arguments)
            if done.returncode == 0:
                names = re.findall(r"^'[^']*' (\S+\.deb) ", wanted.stdout, re.M)
                return [os.path.join(self.archives, name) for name in names]
            wanted = done
        raise Unavailable('apt cannot get %s: %s' % (
            ' '.join(packages), wanted.stderr.strip()[-300:]))


def user_name():
    return subprocess.run(['id', '-un'], capture_output=True, text=True).stdout.strip() or 'root'


class Lock:
    def __init__(self, path):
        os.makedirs(os.path.dirname(path), exist_ok=True)
        self.stream = open(path, 'w')

    def __enter__(self):
        fcntl.flock(self.stream, fcntl.LOCK_EX)

    def __exit__(self, *_):
        self.stream.close()


class Peers:
    Unavailable = Unavailable

    def __init__(self, directory=None, cache=None):
        self.directory = directory or os.path.join(ROOT, 'build', 'peers')
        self.cache = os.path.join(cache or cache_directory(), release())
        self.triplet = os.path.basename(os.path.dirname(
            (glob.glob('/usr/lib/*-linux-*/libc.so.6') + ['/usr/lib/none/x'])[0]))
        self.known = {}

    def package_of(self, tool):
        return TOOLS[tool][0]

    def root(self, package):
        return os.path.join(self.directory, package)

    def environment(self, package):
        root = self.root(package)
        path = [os.path.join(root, p % self.triplet if '%' in p else p) for p in LIBRARIES]
        path += filter(None, [os.environ.get('LD_LIBRARY_PATH')])
        return dict(os.environ, LD_LIBRARY_PATH=':'.join(path), LC_ALL='C.UTF-8')

    def tool(self, name):
        """(argv, environment) to run the program with."""
        if name in SYSTEM_FIRST and shutil.which(name):
            return [shutil.which(name)], dict(os.environ)
        package, path = TOOLS[name]
        self.prepare(package)
        return [self._place(package, path)], self.environment(package)

    def _place(self, package, path):
        return os.path.join(self.root(package), path % self.triplet if '%' in path else path)

    def npm(self, package):
        """The environment in which node finds this npm package, or Unavailable."""
        directory = os.path.join(self.directory, 'npm')
        target = os.path.join(directory, 'node_modules')
        with Lock(os.path.join(self.directory, '.lock')):
            if not os.path.isdir(os.path.join(target, package)):
                if not (shutil.which('npm') and shutil.which('node')):
                    raise Unavailable('%s: npm is not on this machine' % package)
                os.makedirs(directory, exist_ok=True)
                done = run_outside(['npm', 'install', '--no-audit', '--no-fund', '--prefix',
                                    directory, '%s@%s' % (package, NPM[package])],
                                   capture_output=True, text=True, cwd=directory,
                                   stdin=subprocess.DEVNULL)
                if done.returncode:
                    raise Unavailable('npm cannot get %s: %s' % (package, done.stderr[-300:]))
        return dict(os.environ, NODE_PATH=target)

    def prepare(self, package):
        """Make sure that the package is unpacked; raises Unavailable, the same way each time."""
        with_reason = self.known.get(package)
        if with_reason is None:
            try:
                if not self.is_complete(package):
                    with Lock(os.path.join(self.directory, '.lock')):
                        self._prepare(package)
                with_reason = ''
            except (Unavailable, OSError, subprocess.SubprocessError) as reason:
                with_reason = '%s: %s' % (package, reason)
            self.known[package] = with_reason
        if with_reason:
            raise Unavailable(with_reason)

    def is_complete(self, package):
        return os.path.exists(os.path.join(self.root(package), '.complete'))

    def _prepare(self, package):
        if self.is_complete(package):
            return
        with Lock(os.path.join(self.cache, '.lock')):
            missing = self._unpack_cached(package)
            if missing is not None and missing != []:
                print('peers: cached %s lacks %s here, fetching again' % (
                    package, ' '.join(missing)), file=sys.stderr)
            if missing is None or missing:
                self._fetch(package)
                missing = self._unpack_cached(package)
            if missing:
                raise Unavailable('libraries missing after unpacking: ' + ' '.join(missing))
        with open(os.path.join(self.root(package), '.complete'), 'w'):
            pass

    def _fetch(self, package):
        """Into the cache: one directory of .deb files per package, complete or absent."""
        target = os.path.join(self.cache, package)
        work = tempfile.mkdtemp(prefix='.fetch-', dir=self.cache)
        try:
            try:
                files = Apt(work, private_lists=False).download(PACKAGES[package].split())
            except Unavailable:
                files = Apt(work, private_lists=True).download(PACKAGES[package].split())
            fresh = os.path.join(work, 'debs')
            os.mkdir(fresh)
            for path in files:
                os.rename(path, os.path.join(fresh, os.path.basename(path)))
            shutil.rmtree(target, ignore_errors=True)
            os.rename(fresh, target)
        finally:
            shutil.rmtree(work, ignore_errors=True)

    def _unpack_cached(self, package):
        """None if nothing is cached, else the libraries that its programs still miss."""
        debs = glob.glob(os.path.join(self.cache, package, '*.deb'))
        if not debs:
            return None
        target = self.root(package)
        shutil.rmtree(target, ignore_errors=True)
        os.makedirs(target)
        for deb in debs:
            subprocess.run(['dpkg-deb', '-x', deb, target], check=True, capture_output=True)
        missing = set()
        for name, (owner, path) in TOOLS.items():
            if owner == package:
                missing |= self._missing(package, self._place(package, path))
        return sorted(missing)

    def _missing(self, package, program):
        if not os.path.exists(program):
            return {os.path.basename(program)}
        out = subprocess.run(['ldd', program], capture_output=True, text=True,
                             env=self.environment(package)).stdout
        return set(re.findall(r'^\s*(\S+) => not found', out, re.M))


def main():
    arguments = argparse.ArgumentParser(description='fetch and unpack the test peers')
    arguments.add_argument('--directory', help='default: build/peers')
    arguments.add_argument('names', nargs='*', help=' '.join(PACKAGES))
    options = arguments.parse_args()
    peers, status = Peers(options.directory), 0
    for name in options.names or PACKAGES:
        if name not in PACKAGES:
            print('peers: no such peer: %s (there are: %s)' % (name, ' '.join(PACKAGES)))
            status = 1
            continue
        try:
            peers.prepare(name)
            print('%s\t%s' % (name, peers.root(name)))
        except Unavailable as reason:
            print('%s\tnot available: %s' % (name, reason))
            status = 1
    return status


if __name__ == '__main__':
    sys.exit(main())
