#!/usr/bin/python3
"""The rules of rules/ against their own messages, rules/tests/, and their effect on a foreign corpus.

    default_rules.py --postern BINARY --out BUILD_DIR [--suites DIR]

A test says which rules hit, exactly these, or one that does not, on the message tests/base.eml with some
fields changed: `Name: value` instead of the one that may be there, `-Name` without it, `+Name: value` one more.
Every rule wants a message that it hits and one that it does not, a description and a score.
"""
import argparse
import os
import re
import subprocess
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import corpus                                 # noqa: E402

TOP = os.path.normpath(os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', '..'))
RULES = os.path.join(TOP, 'rules')
TAG = 5.0
HAM_OVER_TAG_MAX = 0.003    # of all ham
FIELD = re.compile(r'([+-]?)([A-Za-z-]+)(:.*)?$', re.S)
# What checks find out about a client while it is there, read from the topmost Received instead
FACTS = r'''
header T_RDNS_NONE   X-Spam-Relays-Untrusted =~ /^\[ ip=\S+ rdns= /
score  T_RDNS_NONE   1.3
header T_RDNS_DYN    X-Spam-Relays-Untrusted =~ /^\[ ip=\d+\.\d+\.(\d+)\.(\d+) rdns=(?=\S*\b\1\b)\S*\b\2\b\S* /
score  T_RDNS_DYN    1
header T_HELO_BARE   X-Spam-Relays-Untrusted =~ /^\[ ip=\S+ rdns=\S* helo=!?\d+\.\d+\.\d+\.\d+!? /
score  T_HELO_BARE   1.5
header T_HELO_WORD   X-Spam-Relays-Untrusted =~ /^\[ ip=\S+ rdns=\S* helo=[\w-]+ /
score  T_HELO_WORD   1
'''


def fields_of(text):
    """[(name, whole field)...]"""
    found = []
    for line in text.split('\n'):
        if line[:1] in (' ', '\t') and found:
            found[-1] = (found[-1][0], found[-1][1] + '\n' + line)
        elif line:
            found.append((line.lstrip('+-').split(':')[0].lower(), line))
    return found


def message(base, changes):
    fields = list(base)
    for name, text in fields_of(changes):
        sign, _, _ = FIELD.match(text).groups()
        at = [i for i, field in enumerate(fields) if field[0] == name]
        if sign == '+' or not (sign or at):
            fields.insert(1 if name == 'received' else len(fields), (name, text.lstrip('+')))
        elif sign == '-':
            fields = [field for field in fields if field[0] != name]
        else:
            fields[at[0]] = (name, text)
    text = '\n'.join(field for _, field in fields) + '\n\nHello.\n'
    return re.sub(rb'\\x([0-9a-f]{2})', lambda m: bytes([int(m[1], 16)]), text.replace('\\t', '\t').encode())


def tests():
    """[(place, whether it shall hit, names, changes)...]"""
    found = []
    for name in sorted(os.listdir(os.path.join(RULES, 'tests'))):
        if not name.endswith('.txt'):
            continue
        with open(os.path.join(RULES, 'tests', name), encoding='ascii') as stream:
            line = 1
            for paragraph in stream.read().split('\n\n'):
                head, _, changes = paragraph.strip('\n').partition('\n')
                verb, *names = head.split()
                found.append(('rules/tests/%s:%d' % (name, line), verb == 'hit', names, changes))
                line += paragraph.count('\n') + 2
    return found


def hits(postern, rules, paths):
    """{file name: (score, the names that hit)}, sub-rules left out"""
    done = subprocess.run([postern, 'rules', 'hits', '--rules', rules, '-'],
                          input='\n'.join(paths).encode(), stdout=subprocess.PIPE, check=False, timeout=600)
    found = {}
    for row in done.stdout.decode('latin-1').split('\n'):
        columns = row.split('\t')
        if len(columns) > 2 and re.match(r'-?[\d.]+$', columns[1]):
            words = re.split(r'[ ,]+', ' '.join(columns[2:]))
            found[os.path.basename(columns[0])] = (float(columns[1]), {
                word.split('*')[0] for word in words if word and not word.startswith('__')})
    return found


def run_tests(postern, folder):
    """[(name, what is wrong)...]"""
    with open(os.path.join(RULES, 'tests', 'base.eml'), encoding='ascii') as stream:
        base = fields_of(stream.read())
    cases = [('rules/tests/base.eml', True, [], '')] + tests()
    os.makedirs(folder, exist_ok=True)
    paths = [os.path.join(folder, '%03d.eml' % i) for i in range(len(cases))]
    for path, case in zip(paths, cases):
        with open(path, 'wb') as stream:
            stream.write(message(base, case[3]))
    found = hits(postern, RULES, paths)
    results = []
    for path, (place, shall, names, _) in zip(paths, cases):
        got = found.get(os.path.basename(path), (0, None))[1]
        good = got is not None and (got == set(names) if shall else not got & set(names))
        results.append(('%s: %s %s' % (place, 'hit' if shall else 'not', ' '.join(names)),
                        [] if good else ['hit: %s' % ' '.join(sorted(got or ['nothing was said']))]))
    return results, cases


def run_names(postern, cases):
    """Whether each rule is tested, described and scored, and nothing is complained of."""
    text = ''
    for name in sorted(os.listdir(RULES)):
        if name.endswith('.cf'):
            with open(os.path.join(RULES, name), encoding='ascii') as stream:
                text += stream.read()
    ones = {verb: set(re.findall(r'(?m)^%s\s+([A-Z]\w+)' % verb, text))
            for verb in ('header|meta', 'describe', 'score')}
    names = set(re.findall(r'(?m)^(?:header|meta)\s+([A-Z]\w+)', text))
    hit = {name for _, shall, words, _ in cases if shall for name in words}
    # any message without a hit is one on which a rule does not; those that must not be doubted have their own
    wrong = ['%s: no %s' % (name, what) for what, have in (
        ('test', hit), ('describe', ones['describe']), ('score', ones['score'])) for name in sorted(names - have)]
    wrong += ['%s: no such rule' % name for name in sorted(hit - names)]
    lint = subprocess.run([postern, 'rules', 'lint', RULES], stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          check=False, timeout=60)
    last = lint.stdout.decode('latin-1').rstrip('\n').split('\n')[-1]
    return [('rules: each has a test, a description and a score', wrong),
            ('rules: lint', [] if lint.returncode == 0 and last.endswith(' 0 errors, 0 warnings') else [last])]


def run_effect(postern, suites, cache, say):
    """The table of rules/README.md."""
    folder = corpus.unpack(os.path.join(suites, 'corpus', 'messages.tar.xz'), os.path.join(cache, 'messages'))
    with open(os.path.join(suites, 'corpus', 'MANIFEST.tsv'), encoding='utf-8') as stream:
        classes = dict(row.split('\t')[:2] for row in stream.read().split('\n')[1:] if row)
    paths = [os.path.join(folder, name) for name in sorted(classes)]
    facts = os.path.join(cache, 'facts.cf')
    with open(facts, 'w', encoding='ascii') as stream:
        stream.write(FACTS)
        stream.writelines('include %s\n' % os.path.join(RULES, name) for name in sorted(os.listdir(RULES))
                          if name.endswith('.cf'))
    ham_most = 0.0
    rows = []
    for label, rules in (('the rules alone', RULES), ('and what the connection tells', facts)):
        found = hits(postern, rules, paths)
        for kind in ('spam', 'ham'):
            scores = [found[name][0] for name in classes if classes[name] == kind and name in found]
            rows.append([label, kind, len(scores)] + [
                '%d (%.1f %%)' % (count, 100.0 * count / max(1, len(scores)))
                for count in (sum(s >= t for s in scores) for t in (3, TAG, 8, 10, 15))])
            if kind == 'ham':
                over = sum(s >= TAG for s in scores) / max(1, len(scores))
                ham_most = max(ham_most, over if scores else 1.0)
    say('| | | messages | 3 | 5 | 8 | 10 | 15 |')
    for row in rows:
        say('| %s |' % ' | '.join(map(str, row)))
    return [('rules: ham over tag', [] if ham_most <= HAM_OVER_TAG_MAX else ['%.2f %%' % (100 * ham_most)])]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument('--postern', required=True)
    parser.add_argument('--out', required=True)
    parser.add_argument('--suites')
    options = parser.parse_args()
    postern = os.path.abspath(options.postern)
    cache = os.path.join(options.out, 'corpus')
    results, cases = run_tests(postern, os.path.join(options.out, 'rule-tests'))
    results += run_names(postern, cases)
    if options.suites:
        os.makedirs(cache, exist_ok=True)
        results += run_effect(postern, options.suites, cache, print)
    for name, wrong in results:
        for line in wrong:
            print('%s: %s' % (name, line))
    failed = sum(bool(wrong) for _, wrong in results)
    print('%d passed, %d failed' % (len(results) - failed, failed))
    return 1 if failed else 0


if __name__ == '__main__':
    sys.exit(main())
