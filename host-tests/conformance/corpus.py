"""Rules over the foreign corpus: which of them load, and which hit, against SpamAssassin's answers.

The messages and the stock rules are unpacked once into a cache below the build directory. The comparison itself
is the foreign tool's (sa_compare.py), used in place.
"""
import lzma
import os
import re
import subprocess
import tarfile

# of all messages: those whose hits of a column are the same
HEADER_LEAST, META_LEAST, EVAL_LEAST = 99.9, 99.5, 99.0
FATE = re.compile(r'\S+:\d+: (\S+) \(([^)]*)\): (.*)')
COLUMN = re.compile(r'^(\w+)\s+messages exact (\d+)/(\d+)')


def unpack(archive, folder):
    """The archive's files in `folder`, which is made anew when the archive is another one."""
    stamp = os.path.join(folder, '.of')
    about = '%s %d %d' % (archive, os.path.getsize(archive), os.path.getmtime(archive))
    if os.path.exists(stamp):
        with open(stamp, encoding='utf-8') as stream:
            if stream.read() == about:
                return folder
    os.makedirs(folder, exist_ok=True)
    with tarfile.open(archive) as tar:
        for member in tar.getmembers():
            if member.isfile():
                with open(os.path.join(folder, os.path.basename(member.name)), 'wb') as out:
                    out.write(tar.extractfile(member).read())
    with open(stamp, 'w', encoding='utf-8') as stream:
        stream.write(about)
    return folder


def plain(path, folder):
    """A file without its .xz."""
    if not path.endswith('.xz'):
        return path
    out = os.path.join(folder, os.path.basename(path)[:-3])
    with lzma.open(path) as packed, open(out, 'wb') as stream:
        stream.write(packed.read())
    return out


def fates(postern, rules):
    """{name: (type, what becomes of it)} of every rule that was taken."""
    done = subprocess.run([postern, 'rules', 'lint', '--as-hits', '--names', rules], stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, check=False, timeout=120)
    lines = done.stdout.decode('latin-1').split('\n')
    return {m[1]: (m[2], m[3]) for m in map(FATE.match, lines) if m}


def names_of(types):
    """The rules that SpamAssassin took, those of Debian's own file left out: it is not in the archive."""
    with open(types, encoding='latin-1') as stream:
        rows = [line.rstrip('\n').split('\t') for line in stream]
    return {row[0] for row in rows if '65_debian' not in row[8]}


def hits(postern, rules, messages, out):
    names = sorted(os.path.join(messages, n) for n in os.listdir(messages) if n.endswith('.eml'))
    with open(out, 'wb') as stream:
        done = subprocess.run([postern, 'rules', 'hits', '--rules', rules, '-'],
                              input='\n'.join(names).encode(), stdout=stream, stderr=subprocess.PIPE,
                              check=False, timeout=600)
    return done.returncode, done.stderr.decode('latin-1')


def compare(tool, oracle, candidate, columns, types, supported, skip):
    """{column: percent of messages that are equal}, and the tool's own words."""
    command = ['/usr/bin/python3', tool, oracle, candidate, '--cols', columns, '--types', types,
               '--rules', supported]
    if skip:
        command += ['--skip', skip]
    words = subprocess.run(command, stdout=subprocess.PIPE, check=True, timeout=300).stdout.decode('latin-1')
    found = [m for m in map(COLUMN.match, words.split('\n')) if m]
    return {m[1]: 100.0 * int(m[2]) / int(m[3]) for m in found}, words


def one_set(label, postern, rules, types, oracle, messages, suites, cache, least, say):
    """The results of one set of rules: [(name, what is wrong)...]"""
    results = []
    taken, wanted = fates(postern, rules), names_of(types)
    missing, extra = sorted(wanted - set(taken)), sorted(set(taken) - wanted)
    results.append(('%s: rules taken' % label,
                    ['not taken: %s; taken too many: %s' % (missing[:9], extra[:9])] if missing or extra else []))
    supported = os.path.join(cache, label + '.supported')
    with open(supported, 'w', encoding='utf-8') as stream:
        stream.write('\n'.join(n for n, (_, fate) in taken.items() if fate == 'runs'))
    candidate = os.path.join(cache, label + '.tsv')
    status, complaints = hits(postern, rules, messages, candidate)
    reached = [line for line in complaints.split('\n') if 'reached a limit' in line]
    results.append(('%s: the program' % label, ['status %d: %s' % (status, complaints[-300:])] if status else
                    ['limits: %s' % reached[:3]] if reached else []))
    skip = os.path.join(suites, 'corpus', 'unstable.txt')
    equal, words = compare(os.path.join(suites, 'tools', 'sa_compare.py'), oracle, candidate,
                           ','.join(least), types, supported, skip if os.path.exists(skip) else None)
    say('%s: %d rules taken, %d of them run' % (
        label, len(taken), sum(fate == 'runs' for _, fate in taken.values())))
    say(words.rstrip('\n'))
    for column, percent in least.items():
        got = equal.get(column, 100.0)
        results.append(('%s: column %s' % (label, column),
                        [] if got >= percent else ['%.2f %% of the messages equal, %.1f wanted' % (got, percent)]))
    return results


def run(postern, suites, cache, say):
    """One test each.  ret [(name, what is wrong)...]"""
    os.makedirs(cache, exist_ok=True)
    corpus, rules = os.path.join(suites, 'corpus'), os.path.join(suites, 'rules')
    messages = unpack(os.path.join(corpus, 'messages.tar.xz'), os.path.join(cache, 'messages'))
    stock = unpack(os.path.join(rules, 'sa-stock-rules.tar.xz'), os.path.join(cache, 'stock'))
    results = one_set('stock', postern, stock, plain(os.path.join(rules, 'sa-stock-types.tsv.xz'), cache),
                      plain(os.path.join(corpus, 'oracle-stock.tsv.xz'), cache), messages, suites, cache,
                      {'header': HEADER_LEAST, 'meta': META_LEAST, 'eval': EVAL_LEAST}, say)
    results += one_set('probe', postern, os.path.join(rules, 'probe.cf'), os.path.join(rules, 'probe.types.tsv'),
                       os.path.join(rules, 'oracle-probe.tsv'), messages, suites, cache,
                       {'header': HEADER_LEAST, 'meta': META_LEAST}, say)
    return results
