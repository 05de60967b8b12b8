"""What rules see of each message of the foreign corpus, against SpamAssassin's answers."""
import hashlib
import json
import lzma
import os
import subprocess
import tarfile
import tempfile

HASHED = ('ALL', 'ALL:raw', 'ALL-TRUSTED', 'ALL-UNTRUSTED', 'ALL-EXTERNAL')
FIRST_ONLY = ('addr', 'name', 'host', 'domain', 'ip', 'revip')
# Parts of the messages that must be equal. Received fields are read by a grammar of our own, which
# does not know every program of the nineties; ALL:raw has its CRs taken out.
VALUES_LEAST, RELAYS_LEAST, RAW_LEAST = 0.999, 0.99, 0.99


def unescape(text):
    """The probe's escapes undone, as bytes."""
    text = text.replace(b'\\\\', b'\\x5C').replace(b'\\n', b'\\x0A')
    parts = text.split(b'\\x')
    return parts[0] + b''.join(bytes([int(p[:2], 16)]) + p[2:] for p in parts[1:])


def expected_bytes(text):
    parts = text.encode('latin-1').split(b'\\x')
    out = parts[0]
    for part in parts[1:]:
        try:
            out += bytes([int(part[:2], 16)]) + part[2:]
        except ValueError:
            out += b'\\x' + part
    return out


def seen(target, field):
    if field[:1] != b'+':
        return None
    value = unescape(field[1:])
    if target in HASHED:
        return '%s:%d' % (hashlib.sha1(value).hexdigest(), len(value))
    if any(word in FIRST_ONLY for word in target.split(':')[1:]):
        value = value.split(b'\n')[0]
    return value


def domain_lines(rules):
    """The lines of the stock rules that say what a domain is."""
    lines = b''
    if os.path.exists(rules):
        with tarfile.open(rules) as archive:
            for member in archive.getmembers():
                if member.name.endswith('.cf'):
                    lines += b''.join(line for line in archive.extractfile(member)
                                      if line.startswith(b'util_rb_'))
    return lines


def compare(probe, views, messages, rules='', unstable=(), show=3):
    """{target: [equal, all, [(file, expected, seen)...]]}"""
    rows = [json.loads(line) for line in lzma.open(views)]
    rows = [row for row in rows if row['file'] not in unstable]
    targets = sorted({t for row in rows for t in row['h']}) + list(HASHED)
    with tempfile.TemporaryDirectory() as folder:
        with tarfile.open(messages) as archive:
            archive.extractall(folder)
        domains = os.path.join(folder, 'domains.cf')
        with open(domains, 'wb') as stream:
            stream.write(domain_lines(rules))
        where = {}
        for path, _, files in os.walk(folder):
            where.update({name: os.path.join(path, name) for name in files})
        names = '\n'.join(where[os.path.basename(row['file'])] for row in rows)
        output = subprocess.run([probe, ','.join(targets), domains], input=names.encode(),
                                stdout=subprocess.PIPE, check=False).stdout
    table = {target: [0, 0, []] for target in targets}
    for row, line in zip(rows, output.split(b'\n')):
        for target, field in zip(targets, line.split(b'\t')[1:]):
            want = row['sha1'].get(target) if target in HASHED else row['h'].get(target)
            if target not in HASHED and want is not None:
                want = expected_bytes(want)
            got = seen(target, field)
            entry = table[target]
            entry[0] += got == want
            entry[1] += 1
            if got != want and len(entry[2]) < show:
                entry[2].append((row['file'], want, got))
    return table


def run(probe, folder, say):
    """One test a target.  ret [(target, what is wrong)...]"""
    unstable = set()
    if os.path.exists(os.path.join(folder, 'unstable.txt')):
        with open(os.path.join(folder, 'unstable.txt'), encoding='utf-8') as stream:
            unstable = set(stream.read().split())
    table = compare(probe, os.path.join(folder, 'views.jsonl.xz'),
                    os.path.join(folder, 'messages.tar.xz'),
                    os.path.join(folder, '..', 'rules', 'sa-stock-rules.tar.xz'), unstable)
    results = []
    for target, (equal, count, wrong) in sorted(table.items()):
        relays = target.startswith('X-Spam-Relays')
        least = RELAYS_LEAST if relays else RAW_LEAST if target == 'ALL:raw' else VALUES_LEAST
        good = equal >= count * least
        say('%-28s %5d of %5d equal%s' % (target, equal, count, '' if good else '   TOO FEW'))
        results.append((target, [] if good else ['%s: expected %.300r, seen %.300r' % row
                                                 for row in wrong]))
    return results
