"""Messages to send and the comparison of what went in with what came out."""
import os
import random
import re

OURS = (b'received:', b'x-spam-flag:', b'x-spam-score:', b'x-spam-level:', b'x-spam-status:',
        b'authentication-results:', b'received-spf:')


def message(identity='1', size=400, subject='a test', extra=()):
    """An RFC 5322 message of about `size` octets, CRLF lines, made from its identity alone."""
    head = ['From: Sender <sender@example.com>', 'To: User <user@example.org>',
            'Subject: %s' % subject, 'Date: Thu, 01 Jan 2026 00:00:00 +0000',
            'Message-ID: <%s@test.example>' % identity, *extra, '', '']
    out = bytearray('\r\n'.join(head).encode())
    dice = random.Random(identity)
    while len(out) < size:
        out += ('%08x ' % dice.getrandbits(32) * dice.randint(1, 8)).encode() + b'\r\n'
    return bytes(out)


def fields(data):
    """The header of a message as a list of (lower-case name with colon, whole field)."""
    result, position = [], 0
    field = re.compile(rb'([!-9;-~]+:)[^\n]*\n(?:[ \t][^\n]*\n)*')
    while True:
        match = field.match(data, position)
        if not match:
            return result
        result.append((match.group(1).lower(), match.group(0)))
        position = match.end()


def without_ours(data, by=b'mx.example.org'):
    """What the proxy put in front is taken off: its leading fields up to its own Received."""
    position = 0
    for name, whole in fields(data):
        if name not in OURS:
            return data
        position += len(whole)
        if name == b'received:':
            return data[position:] if b'by ' + by in whole else data
    return data


def difference(sent, got):
    """None if `got` is `sent` behind our headers, else where they part."""
    got = without_ours(got)
    if got == sent:
        return None
    at = next((i for i, (a, b) in enumerate(zip(sent, got)) if a != b), min(len(sent), len(got)))
    return 'differ at octet %d of %d/%d: sent %r, got %r' % (
        at, len(sent), len(got), sent[max(0, at - 20):at + 40], got[max(0, at - 20):at + 40])


def maildir(directory):
    """The messages of a Maildir's new/, by file name."""
    new = os.path.join(directory, 'new')
    result = {}
    for name in sorted(os.listdir(new)) if os.path.isdir(new) else ():
        with open(os.path.join(new, name), 'rb') as stream:
            result[name] = stream.read()
    return result
