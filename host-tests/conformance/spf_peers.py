"""The same scenarios by pyspf and Mail::SPF, where Debian's python3-spf and libmail-spf-perl are installed, and
one table of them all. They are what others check with; their misses are shown and fail nothing. A name that is to
fail does so where it has no record of the type asked for, as in the files' other readers.
"""
import os
import shutil
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..'))

import spf_cases                                             # noqa: E402
from support.dnsd import Dnsd                                # noqa: E402

PERL = r'''
use Mail::SPF; use Net::DNS;
my ($resolver, $port) = (undef, 0);
$| = 1;
while (<STDIN>) {
    chomp;
    my ($at, $ip, $helo, $from) = split /\t/, $_, -1;
    if ($at != $port) {
        $port = $at;
        $resolver = Net::DNS::Resolver->new(nameservers => ['127.0.0.1'], port => $port, retry => 1,
                                            retrans => 1, udp_timeout => 1, recurse => 1);
    }
    ($helo, $from) = map { pack 'H*', $_ } $helo, $from;
    my $out = eval {
        my $server = Mail::SPF::Server->new(dns_resolver => $resolver, default_authority_explanation => '');
        my $request = Mail::SPF::Request->new(versions => [1], scope => length $from ? 'mfrom' : 'helo',
            identity => length $from ? $from : $helo, ip_address => $ip, helo_identity => $helo);
        my $result = $server->process($request);
        my $words = $result->isa('Mail::SPF::Result::Fail') ? $result->authority_explanation : '';
        $result->code . "\t" . unpack 'H*', $words;
    };
    print defined $out ? $out : "error\t", "\n";
}
'''


def zone_of(lines):
    """(records, faults) of a scenario's `zone` and `fault` lines."""
    records, faults = {}, {}
    for line in lines:
        word, *rest = line.split('\t')
        if word == 'zone':
            owner, kind, data = rest
            records.setdefault(owner.lower().rstrip('.'), []).append((kind, bytes.fromhex(data)))
        elif word == 'fault':
            faults[rest[0].lower().rstrip('.')] = rest[1]
    return records, faults


def is_right(case, result, words):
    if result not in case.results:
        return False
    return case.explanation is None or result != 'fail' or words == case.explanation


def by_pyspf(scenarios):
    try:
        import spf
    except ImportError:
        return 'python3-spf is not installed'
    good = 0
    for zone, cases in scenarios:
        records, faults = zone_of(zone)

        def look_up(name, kind, tcpfallback=True, timeout=30):
            key = str(name).lower().rstrip('.')
            out = []
            if key in faults and not any(have == kind for have, _ in records.get(key, ())):
                raise spf.TempError('DNS ' + faults[key])
            for have, data in records.get(key, ()):
                if have == 'CNAME':     # it follows them itself
                    out.append(((name, 'CNAME'), data.decode('latin-1')))
                if have != kind:
                    continue
                if kind == 'TXT':
                    value = [data]
                elif kind == 'MX':
                    preference, exchange = data.decode('latin-1').split()
                    value = (int(preference), exchange)
                else:
                    value = data.decode('latin-1')
                out.append(((name, kind), value))
            return out

        spf.DNSLookup = look_up
        for case in cases:
            query = spf.query(i=case.client, s=case.sender.decode('latin-1'), h=case.helo.decode('latin-1'),
                              strict=True)
            query.set_default_explanation('')
            result, _, words = query.check()
            good += is_right(case, result, words.encode('latin-1', 'replace'))
    return good


def by_mail_spf(scenarios):
    perl = shutil.which('perl')
    if not perl or subprocess.run([perl, '-MMail::SPF', '-e', '1'], capture_output=True).returncode:
        return 'libmail-spf-perl is not installed'
    lines, order, servers, good = [], [], [], 0
    for zone, cases in scenarios:
        records, faults = zone_of(zone)
        server = Dnsd(faults={name: 'silent' if kind == 'timeout' else 'servfail'
                              for name, kind in faults.items()
                              if not any(have == 'TXT' for have, _ in records.get(name, ()))})
        server.records = {name: [(kind, 300, data.decode('latin-1')) for kind, data in rows]
                          for name, rows in records.items()}
        servers.append(server)
        for case in cases:
            lines.append('%d\t%s\t%s\t%s' % (server.port, case.client, case.helo.hex(), case.sender.hex()))
            order.append(case)
    try:
        done = subprocess.run([perl, '-e', PERL], input='\n'.join(lines) + '\n', capture_output=True,
                              text=True, timeout=300)
    finally:
        for server in servers:
            server.stop()
    answers = done.stdout.splitlines()
    if len(answers) != len(order):
        return 'it ended after %d cases: %s' % (len(answers), done.stderr[-200:].strip())
    for case, answer in zip(order, answers):
        result, _, words = answer.partition('\t')
        good += is_right(case, result, bytes.fromhex(words))
    return good


def table(path, unescape, ours, say):
    """`ours`: cases that came out right both ways round."""
    scenarios = spf_cases.read(path, unescape)
    count = sum(len(cases) for _, cases in scenarios)
    say('%s, %d cases' % (os.path.basename(path), count))
    for name, good in (('Postern', ours), ('pyspf', by_pyspf(scenarios)),
                       ('Mail::SPF', by_mail_spf(scenarios))):
        if isinstance(good, str):
            say('  %-10s not run: %s' % (name, good))
        else:
            say('  %-10s %3d of %d' % (name, good, count))
