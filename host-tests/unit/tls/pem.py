#!/usr/bin/python3
"""Writes pem.h, the certificates and keys of the TLS tests, anew: pem.py > pem.h

The keys are used nowhere else. Everything is valid from 2026-01-01 to 2036-01-01 but `expired`,
which ended on 2026-02-01. Needs openssl 3; the tests themselves do not.
"""
import os
import subprocess
import tempfile

FROM, UNTIL = '20260101000000Z', '20360101000000Z'
SERVER = 'basicConstraints=CA:FALSE\nextendedKeyUsage=serverAuth\n'
# name, key, issuer, subject, extensions, not after
ROWS = [
    ('ca', 'P-256', None, '/CN=Postern test CA', 'basicConstraints=critical,CA:TRUE\n', UNTIL),
    ('middle', 'RSA:2048', 'ca', '/CN=Postern test middle',
     'basicConstraints=critical,CA:TRUE\n', UNTIL),
    ('other_ca', 'P-256', None, '/CN=Another CA', 'basicConstraints=critical,CA:TRUE\n', UNTIL),
    ('p256', 'P-256', 'ca', '/CN=mx', SERVER + 'subjectAltName=DNS:mx.example.org\n', UNTIL),
    ('rsa', 'RSA:2048', 'ca', '/CN=mx', SERVER + 'subjectAltName=DNS:mx.example.org\n', UNTIL),
    ('p384', 'P-384', 'middle', '/CN=mx',
     SERVER + 'subjectAltName=DNS:mx.example.net,DNS:*.wild.example\n', UNTIL),
    ('cn', 'P-256', 'ca', '/CN=old.example.org', SERVER, UNTIL),
    ('expired', 'P-256', 'ca', '/CN=mx', SERVER + 'subjectAltName=DNS:mx.example.org\n',
     '20260201000000Z'),
    ('client_only', 'P-256', 'ca', '/CN=mx',
     'extendedKeyUsage=clientAuth\nsubjectAltName=DNS:mx.example.org\n', UNTIL),
    ('short', 'RSA:1024', 'ca', '/CN=mx', SERVER, UNTIL),
    ('p521', 'P-521', 'ca', '/CN=mx', SERVER, UNTIL),
]


def run(directory, *argv):
    subprocess.run(['openssl', *argv], cwd=directory, check=True, stdin=subprocess.DEVNULL,
                   stderr=subprocess.DEVNULL)


def literal(name, kind, text):
    lines = ''.join('\t"%s\\n"\n' % line for line in text.strip().split('\n'))
    return 'static const char pem_%s_%s[] =\n%s;\n' % (name, kind, lines.rstrip('\n'))


def read(directory, name):
    with open(os.path.join(directory, name), encoding='ascii') as file:
        return file.read()


def main():
    print('/* pem.h - certificates and keys of the TLS tests; pem.py made this */\n'
          '#ifndef PST_TEST_PEM_H\n#define PST_TEST_PEM_H\n')
    with tempfile.TemporaryDirectory() as directory:
        with open(os.path.join(directory, 'ca.cnf'), 'w', encoding='ascii') as file:
            file.write('[ca]\ndefault_ca=d\n[d]\ndatabase=index\nnew_certs_dir=.\nserial=serial\n'
                       'default_md=sha256\npolicy=p\nunique_subject=no\n[p]\ncommonName=supplied\n')
        for name, text in (('index', ''), ('serial', '1001\n')):
            with open(os.path.join(directory, name), 'w', encoding='ascii') as file:
                file.write(text)
        for name, key, issuer, subject, extensions, until in ROWS:
            kind, _, bits = key.partition(':')
            how = ['-algorithm', 'RSA', '-pkeyopt', 'rsa_keygen_bits:' + bits] if bits else [
                '-algorithm', 'EC', '-pkeyopt', 'ec_paramgen_curve:' + kind]
            run(directory, 'genpkey', *how, '-out', name + '.key')
            run(directory, 'req', '-new', '-key', name + '.key', '-subj', subject, '-out', 'csr')
            with open(os.path.join(directory, 'ext'), 'w', encoding='ascii') as file:
                file.write(extensions)
            signer = issuer or name
            by = ['-cert', signer + '.pem'] if issuer else ['-selfsign']
            run(directory, 'ca', '-batch', '-notext', '-config', 'ca.cnf', '-in', 'csr', '-keyfile',
                signer + '.key', *by, '-extfile', 'ext', '-startdate', FROM, '-enddate', until,
                '-out', name + '.pem')
            print(literal(name, 'certificate', read(directory, name + '.pem')))
            print(literal(name, 'key', read(directory, name + '.key')))
        run(directory, 'pkcs8', '-topk8', '-v2', 'aes128', '-passout', 'pass:x', '-in', 'p256.key',
            '-out', 'locked.key')
        print(literal('locked', 'key', read(directory, 'locked.key')))
        for name in ('p256', 'rsa'):
            der = subprocess.run(['openssl', 'x509', '-in', name + '.pem', '-outform', 'DER'],
                                 cwd=directory, check=True, capture_output=True).stdout
            public = subprocess.run(['openssl', 'pkey', '-in', name + '.key', '-pubout', '-outform',
                                     'DER'], cwd=directory, check=True, capture_output=True).stdout
            for kind, data in (('certificate', der), ('key', public)):
                digest = subprocess.run(['openssl', 'dgst', '-sha256', '-binary'], input=data,
                                        check=True, capture_output=True).stdout
                rows = [', '.join('0x%02x' % b for b in digest[i:i + 12])
                        for i in range(0, 32, 12)]
                print('static const uint8_t sha256_%s_%s[32] = {\n\t%s,\n};\n' % (
                    name, kind, ',\n\t'.join(rows)))
    print('#endif')


if __name__ == '__main__':
    main()
