#!/usr/bin/python3
"""What OpenWrt's packages are made of: the UCI configuration becomes a good one of ours, for every option; bad values are
refused with the option named; the packages are the same at each build and hold what they should (packages.py), signed and
with an index (signatures.py); OpenWrt's own build makes the same (feed.py); they can be installed, upgraded and removed, and
the service runs in a jail (service.py, by root only).

    run.py --postern BINARY

The scripts run under busybox's ash, with a stand-in of ours for /lib/functions.sh (stubs/). The last line is
`N passed, N failed`.
"""
import argparse
import os
import shutil
import subprocess
import sys
import tempfile

import apk_reader
import feed
import packages
import service
import signatures
from packages import Failed, check

HERE = os.path.dirname(os.path.abspath(__file__))
TOP = os.path.dirname(os.path.dirname(HERE))
PACKAGE = os.path.join(TOP, 'board', 'openwrt')
FILES = os.path.join(PACKAGE, 'files')
RELAY = "config relay\n\tlist domain 'example.org'\n\tlist server '192.0.2.10:25'\n"

# UCI lines of main, and the line that must come of them.
MAIN = [
    ("option hostname 'mx.example.org'", 'hostname mx.example.org'),
    ("list listen '0.0.0.0:25'", 'listen 0.0.0.0:25'),
    ("list listen_tls '0.0.0.0:465'", 'listen 0.0.0.0:465 tls'),
    ("list submission '0.0.0.0:587'\n\toption submission_to '192.0.2.10:587'", 'listen 0.0.0.0:587 submission'),
    ("option submission_to '192.0.2.10:587'\n\tlist submission '0.0.0.0:587'", 'submission to 192.0.2.10:587'),
    ("option tls 'off'", 'tls off'),
    ("option tls_state '/var/lib/postern'", 'tls state /var/lib/postern'),
    ("list require_tls_from 'bank.example'", 'tls require-from bank.example'),
    ("list trust '192.168.0.0/16'", 'trust 192.168.0.0/16'),
    ("list allow_client '192.0.2.7'", 'allow client 192.0.2.7'),
    ("list deny_client '198.51.100.0/24'", 'deny client 198.51.100.0/24'),
    ("list deny_sender '@spam.example'", 'deny sender @spam.example'),
    ("list deny_recipient 'old@example.org'", 'deny recipient old@example.org'),
    ("option message '25M'", 'message 25M'),
    ("option hold '128K'", 'hold 128K'),
    ("option hold_pool '4M'", 'hold-pool 4M'),
    ("option header '64K'", 'header 64K'),
    ("option ledger '512'", 'ledger 512'),
    ("option recipients '200'", 'recipients 200'),
    ("option hops '50'", 'hops 50'),
    ("option bare_newline 'reject'", 'bare-newline reject'),
    ("option sessions '50'", 'limit sessions 50'),
    ("option per_client '5'", 'limit per-client 5'),
    ("option tarpit '4096'", 'tarpit 4096'),
    ("option early_talk '3s'", 'timeout early-talk 3s'),
    ("option idle '2m'", 'timeout idle 2m'),
    ("list resolver '192.0.2.53'", 'dns 192.0.2.53'),
    ("list resolver '192.0.2.53'\n\tlist resolver '[2001:db8::53]:5353'", 'dns 192.0.2.53 [2001:db8::53]:5353'),
    ("option dns_trouble 'defer'", 'dns trouble defer'),
    ("option dns_cache '256K'", 'dns cache 256K'),
    ("option spf_fail '3'", 'spf fail 3'),
    ("option spf_softfail '1.5'", 'spf softfail 1.5'),
    ("option greylist 'on'", 'greylist on'),
    ("option tag_score '6'", 'verdict tag 6'),
    ("option reject_score 'off'", 'verdict reject off'),
    ("option subject '[SPAM?]'", 'verdict subject "[SPAM?]"'),
    ("option mode 'observe'", 'mode observe'),
]
# Not checked by the program: their files are elsewhere.
FILED = [
    ("option rules '1'", 'rules /usr/share/postern/rules'),
    ("option os '1'", 'os signatures /usr/share/postern/rules/os.sig'),
    ("list rules_more '/etc/postern/rules'", 'rules /etc/postern/rules'),
    ("option cert '/etc/acme/mx.cer'\n\toption certkey '/etc/acme/mx.key'", 'tls cert /etc/acme/mx.cer key /etc/acme/mx.key'),
    ("option cert '/etc/acme/mx.pem'", 'tls cert /etc/acme/mx.pem'),
    ("option ca '/etc/ssl/cert.pem'\n\nconfig relay\n\tlist domain 'a.example'\n\tlist server '192.0.2.11:25'\n\toption verify 'mail.a.example'",
     'relay a.example to 192.0.2.11:25 verify mail.a.example'),
]
SECTIONS = [
    ("config relay\n\tlist domain 'example.net'\n\tlist domain '.example.net'\n\tlist server '192.0.2.11:25'\n\tlist server "
     "'192.0.2.12:25'\n\toption pass 'none'\n\toption connections '4'\n\toption tls 'must'\n\toption text 'pass'\n\toption routing "
     "'allow'", 'relay example.net .example.net to 192.0.2.11:25 192.0.2.12:25 pass none connections 4 tls must text pass routing allow'),
    ("config relay\n\tlist domain 'b.example'\n\tlist server '192.0.2.11:25'\n\toption pin 'sha256:" + 'ab' * 32 + "'",
     'relay b.example to 192.0.2.11:25 pin sha256:' + 'ab' * 32),
    ("config dnsbl\n\toption zone 'zen.example'", 'dnsbl zen.example score 4'),
    ("config dnsbl\n\toption zone 'zen.example'\n\toption score '3'\n\tlist codes '127.0.0.2'\n\toption direct '1'\n\toption dry_run '1'",
     'dnsbl zen.example score 3 codes 127.0.0.2 direct dry-run'),
    ("config dnsbl\n\toption zone 'dom.example'\n\toption reject '1'\n\toption domain '1'", 'dnsbl dom.example reject domain'),
]
BAD = [
    ("option sessions 'many'", 'sessions'), ("option message '5X'", 'message'), ("option early_talk 'soon'", 'early_talk'),
    ("option mode 'maybe'", 'mode'), ("option tag_score 'high'", 'tag_score'), ("option rules 'perhaps'", 'rules'),
    ("option os 'linux'", 'os'),
    ("option hostname 'a b'", 'hostname'), ("list listen '0.0.0.0:25 tls'", 'listen'),
    ("list resolver '192.0.2.53 off'", 'resolver'), ("option subject 'a\"b'", 'subject'), ("list deny_client '1.2.3.4 #'", 'deny_client'),
]


BAD_SECTIONS = [
    ("config relay\n\tlist domain 'b.example'\n\tlist server '192.0.2.11:25'\n\toption connections 'x'", 'connections'),
    ("config relay\n\tlist domain 'b.example'\n\tlist server '192.0.2.11:25'\n\toption verify 'a b'", 'verify'),
    ("config relay\n\tlist domain 'b.example'", 'server'), ("config relay\n\tlist server '192.0.2.11:25'", 'domain'),
    ("config dnsbl\n\toption zone 'zen.example'\n\toption direct 'perhaps'", 'direct'),
    ("config dnsbl\n\toption zone 'zen.example'\n\toption score 'x'", 'score'), ("config dnsbl\n\toption score '1'", 'zone'),
]


class Trial:
    def __init__(self, postern):
        self.postern = os.path.abspath(postern)
        self.root = tempfile.mkdtemp(prefix='pst-openwrt-')
        os.makedirs(os.path.join(self.root, 'lib'))
        shutil.copy(os.path.join(HERE, 'stubs', 'functions.sh'), os.path.join(self.root, 'lib', 'functions.sh'))
        self.count, self.skipped = [0, 0], 0

    def render(self, text):
        """(status, configuration, complaints)."""
        uci = os.path.join(self.root, 'postern')
        with open(uci, 'w', encoding='utf-8') as out:
            out.write(text)
        done = subprocess.run(['busybox', 'ash', os.path.join(FILES, 'usr/libexec/postern-config')], capture_output=True,
                              text=True, timeout=60, check=False,
                              env=dict(os.environ, IPKG_INSTROOT=self.root, UCI_FILE=uci,
                                       POSTERN_OPTIONS=os.path.join(FILES, 'usr/share/postern/options')))
        return done.returncode, done.stdout, done.stderr

    def is_good(self, configuration):
        path = os.path.join(self.root, 'postern.conf')
        with open(path, 'w', encoding='utf-8') as out:
            # Whom this machine does not have, and where it may not write.
            out.write(configuration.replace('user postern', 'user nobody').replace('/var/lib/postern', self.root)
                      .replace('/var/run/postern', self.root))
        done = subprocess.run([self.postern, 'check', '-c', path, '-o', 'tls state "%s"' % self.root], capture_output=True,
                              text=True, timeout=30, check=False)
        check(done.returncode == 0, 'postern check: %s of %s' % (done.stderr, configuration))

    def test(self, name, function, *arguments):
        try:
            function(*arguments)
            self.count[0] += 1
        except (Failed, apk_reader.Refused, OSError, subprocess.SubprocessError, ValueError, KeyError,
                AttributeError) as reason:
            self.count[1] += 1
            print('FAIL %s\n  %s: %s' % (name, type(reason).__name__, reason))

    def becomes(self, text, line, checked):
        status, out, err = self.render(text)
        check(status == 0, 'status %d: %s' % (status, err))
        check(line in [' '.join(one.split()) for one in out.split('\n')], 'no %r in\n%s' % (line, out))
        if checked:
            self.is_good(out)

    def refused(self, text, option):
        status, _, err = self.render(text)
        check(status == 1 and "option '%s'" % option in err, 'status %d: %s' % (status, err))

    def first_start(self):
        with open(os.path.join(FILES, 'etc/config/postern'), encoding='utf-8') as stream:
            status, out, err = self.render(stream.read())
        check((status, err) == (2, ''), 'status %d: %s' % (status, err))
        check('mode tag' in out, 'mode: %s' % out)

    def every_option_has_a_test(self):
        with open(os.path.join(FILES, 'usr/share/postern/options'), encoding='ascii') as stream:
            names = [line.split()[1] for line in stream if line.strip() and not line.startswith('#')]
        tested = '\n'.join(uci for uci, _ in MAIN + FILED + SECTIONS)
        missing = [name for name in names if " %s '" % name not in tested]
        check(not missing, 'not tested: %s' % missing)


def main():
    parser = argparse.ArgumentParser(description="OpenWrt's package")
    parser.add_argument('--postern', required=True)
    trial = Trial(parser.parse_args().postern)
    try:
        trial.test('every option has a test', trial.every_option_has_a_test)
        trial.test('first start', trial.first_start)
        for number, (uci, line) in enumerate(MAIN + FILED):
            trial.test('main: ' + line, trial.becomes, "config postern 'main'\n\t%s\n\n%s" % (uci, RELAY), line,
                       number < len(MAIN))
        for uci, line in SECTIONS:
            trial.test('section: ' + line, trial.becomes, "config postern 'main'\n\n%s\n\n%s" % (RELAY, uci), line, True)
        for uci, option in BAD:
            trial.test('bad: ' + uci, trial.refused, "config postern 'main'\n\t%s\n\n%s" % (uci, RELAY), option)
        for uci, option in BAD_SECTIONS:
            trial.test('bad: ' + uci, trial.refused, "config postern 'main'\n\n%s\n\n%s" % (RELAY, uci), option)
        parts = [packages, signatures, feed]
        if os.geteuid() == 0:
            parts.append(service)
        else:
            trial.skipped = sum(1 for _ in service.tests(trial.postern, os.path.join(trial.root, 'skipped')))
            print('skipped %d: a root folder and a jail take root' % trial.skipped)
        for part in parts:
            for name, function in part.tests(trial.postern, trial.root):
                trial.test(name, function)
    finally:
        shutil.rmtree(trial.root)
    print('%d passed, %d failed%s' % (*trial.count, ', %d skipped' % trial.skipped if trial.skipped else ''))
    return 1 if trial.count[1] else 0


if __name__ == '__main__':
    sys.exit(main())
