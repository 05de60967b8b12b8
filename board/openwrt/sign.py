"""Signs packages and indexes, by the openssl command line: for apk with EC on P-256, for opkg with Ed25519, as OpenWrt does.

What apk signs is not the file but a note about it: the schema, the head of the signature and the SHA-512 of the description,
which holds the hashes of all else. An ECDSA signature is another each time; one of Ed25519 is not.
"""
import base64
import hashlib
import struct
import subprocess
import tempfile

# How an openssl public key of the kind begins; the key itself is the rest.
P256 = bytes.fromhex('3059301306072a8648ce3d020106082a8648ce3d03010703420004')
ED25519 = bytes.fromhex('302a300506032b6570032100')
VERSION, SHA512 = 0, 4      # of apk's signatures


class Refused(Exception):
    """Why this key cannot sign."""


def openssl(*words, stdin=b''):
    done = subprocess.run(['openssl', *words], input=stdin, stdout=subprocess.PIPE, check=False)
    if done.returncode:
        raise Refused('openssl %s: it failed, see above' % words[0])
    return done.stdout


class Key:
    def __init__(self, path, head, wanted):
        self.path = path
        self.pem = openssl('pkey', '-in', path, '-pubout')
        der = base64.b64decode(b''.join(self.pem.splitlines()[1:-1]))
        if not der.startswith(head):
            raise Refused('%s: another kind of key is wanted; this makes one: openssl %s' % (path, wanted))
        self.der = der


class ApkKey(Key):
    def __init__(self, path):
        super().__init__(path, P256, 'ecparam -name prime256v1 -genkey -noout -out key.pem')
        point = self.der[len(P256) - 1:]
        self.name = hashlib.sha512(point).digest()[:16]

    def public(self):
        return b'Copy this file into /etc/apk/keys of the routers that are to trust what it signs.\n' + self.pem

    def sign(self, schema, description):
        """The content of the signature block."""
        head = struct.pack('BB', VERSION, SHA512) + self.name
        note = schema + head + hashlib.sha512(description).digest()
        return head + openssl('dgst', '-sha512', '-sign', self.path, stdin=note)


class OpkgKey(Key):
    """What usign writes and reads: two lines, the second in base64."""

    def __init__(self, path):
        super().__init__(path, ED25519, 'genpkey -algorithm ed25519 -out opkg.pem')
        self.raw = self.der[len(ED25519):]
        self.name = hashlib.sha512(self.raw).digest()[:8]

    def lines(self, comment, content):
        return b'untrusted comment: %s\n%s\n' % (comment, base64.b64encode(b'Ed' + self.name + content))

    def public(self):
        return self.lines(b'for opkg-key add: key %s' % self.name.hex().encode(), self.raw)

    def sign(self, content):
        with tempfile.NamedTemporaryFile() as file:
            file.write(content)
            file.flush()
            signature = openssl('pkeyutl', '-sign', '-rawin', '-inkey', self.path, '-in', file.name)
        return self.lines(b'signed by key %s' % self.name.hex().encode(), signature)
