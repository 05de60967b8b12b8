"""testssl.sh, which knows the weaknesses of TLS by name, finds none in ours and nothing below TLS 1.2."""
import json
import os
import shutil

import world
from support import harness
from support.harness import Skip, check, equal, table, test
from support.proc import wait_listening

# Of a certificate that nobody has signed, for a name that does not lead to 127.0.0.1: not of the protocol.
OF_THE_CERTIFICATE = {'cert_trust', 'cert_chain_of_trust', 'cert_expirationStatus', 'cert_notAfter', 'cert_validityPeriod', 'cert_revocation', 'DNS_CAArecord'}
OF_THE_MACHINE = {'engine_problem', 'service'}   # no GOST here; what speaks behind TLS cannot be told
# A part of what must have been looked at: a scan that broke off finds nothing, too.
LOOKED_AT = {'SSLv2', 'SSLv3', 'TLS1', 'TLS1_1', 'TLS1_2', 'TLS1_3', 'cipherlist_NULL', 'cipherlist_3DES_IDEA', 'heartbleed', 'CCS', 'ROBOT',
             'secure_renego', 'CRIME_TLS', 'POODLE_SSL', 'fallback_SCSV', 'SWEET32', 'FREAK', 'DROWN', 'LOGJAM', 'BEAST', 'LUCKY13', 'RC4'}
# It starts thousands of processes: a minute on an idle machine, five where several scans and mail programs share two slow cores.
SCAN_SECONDS = 480


def scan(t, address, *options):
    """What it found, by name."""
    if not shutil.which('testssl'):
        raise Skip('testssl.sh is not on this machine')
    path = os.path.join(t.scratch, 'findings')
    process = t.process(['testssl', '--jsonfile', path, '--warnings', 'off', '--quiet', '--color', '0', '--connect-timeout', '20',
                         *options, address])
    process.wait(SCAN_SECONDS)
    with open(path) as findings:
        return {entry['id']: entry for entry in json.load(findings)}


def weaknesses(findings):
    return ['%(id)s: %(severity)s %(finding)s' % entry for name, entry in findings.items()
            if entry['severity'] not in ('OK', 'INFO') and name not in OF_THE_CERTIFICATE | OF_THE_MACHINE]


@table([('ecdsa-starttls', 'ec', False), ('rsa-from-the-first-byte', 'rsa', True), ('of-our-own-making-starttls', None, False)],
       seconds=SCAN_SECONDS + 40)
def finds_nothing(t, name, kind, at_once):
    port = t.port()
    certificate = ('tls cert %s key %s' % world.certificate(t.directory('certificate'), 'mx.example.org', kind=kind) if kind
                   else 'tls state %s' % t.directory('state'))
    proxy = t.postern(t.server(), listen='%s %s' % (port, 'tls' if at_once else ''), lines=[certificate])
    findings = scan(t, str(port), *([] if at_once else ['-t', 'smtp']), '-p', '-s', '-P', '-S', '-U')
    equal(sorted(LOOKED_AT - set(findings)), [], 'not looked at')
    equal(weaknesses(findings), [], 'weaknesses')
    for version in 'SSLv2', 'SSLv3', 'TLS1', 'TLS1_1':
        check(findings[version]['finding'].startswith('not offered'), '%s: %s', version, findings[version]['finding'])
    for version in 'TLS1_2', 'TLS1_3':
        check(findings[version]['finding'].startswith('offered'), '%s: %s', version, findings[version]['finding'])
    equal(findings['TLS_session_ticket']['finding'].split()[0], 'no', 'tickets')
    check(proxy.proc.running, 'it has ended: %s', proxy.proc.text)
    harness.FIGURES.append('testssl.sh, %s: %d findings, no weakness' % (name, len(findings)))


@test(seconds=SCAN_SECONDS + 40)
def sees_what_is_weak(t):
    """Against a server with TLS 1.1, which is a finding."""
    port = t.port()
    certificate, key = world.certificate(t.directory('certificate'), 'weak.example')
    port.close()
    t.process(['openssl', 's_server', '-quiet', '-accept', str(port), '-cert', certificate, '-key', key, '-no_tls1_3',
               '-cipher', 'ALL:@SECLEVEL=0', '-min_protocol', 'TLSv1.1'])
    check(wait_listening(port.host, port.number, 10), 'no server')
    check(weaknesses(scan(t, str(port), '-p')), 'nothing was found')
