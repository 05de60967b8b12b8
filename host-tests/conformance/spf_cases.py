"""Scenarios of SPF (.spft files) against the SPF core, through tools/spf_probe.

Each case runs twice: answers to questions that are open together come in order, and last first. The
explanation counts where the file gives one; DEFAULT means none of the domain's own.
"""
import os
import re
import subprocess

QUOTED = re.compile(r'"((?:[^"\\]|\\.)*)"')


def strings(text, unescape):
    return b''.join(unescape(part) for part in QUOTED.findall(text))


def owner_of(text, unescape):
    """The owner, which may be quoted, and what follows."""
    quoted = QUOTED.match(text)
    if quoted:
        return unescape(quoted.group(1)).decode(), text[quoted.end():].lstrip()
    owner, _, rest = text.partition(' ')
    return owner, rest


class Case:
    def __init__(self, name):
        self.name, self.client = name, ''
        self.helo = self.sender = b''
        self.results, self.explanation = [], None


def read(path, unescape):
    """[(lines that make the zone, [cases])]"""
    scenarios, case = [], None
    with open(path, encoding='utf-8') as stream:
        for line in stream:
            word, _, rest = line.rstrip('\n').partition(' ')
            if word == 'scenario':
                scenarios.append((['clear'], []))
            elif word == 'zone':
                owner, rest = owner_of(rest, unescape)
                kind, _, data = rest.partition(' ')
                if kind == 'TXT':
                    data = strings(data, unescape)
                elif kind == 'SPF':
                    continue            # RFC 7208 section 3.1: not asked for
                else:
                    data = data.strip('"').encode()
                scenarios[-1][0].append('zone\t%s\t%s\t%s' % (owner, kind, data.hex()))
            elif word == 'fault':
                owner, kind = owner_of(rest, unescape)
                if kind != 'NXDOMAIN':
                    scenarios[-1][0].append('fault\t%s\t%s' % (
                        owner, 'timeout' if kind == 'TIMEOUT' else 'servfail'))
            elif word == 'case':
                case = Case(strings(rest, unescape).decode())
                scenarios[-1][1].append(case)
            elif word == 'host':
                case.client = rest.strip()
            elif word == 'helo':
                case.helo = strings(rest, unescape)
            elif word == 'mailfrom':
                case.sender = strings(rest, unescape)
            elif word == 'result':
                case.results = rest.split('|')
            elif word == 'explanation':
                text = strings(rest, unescape)
                case.explanation = b'' if text == b'DEFAULT' else text
    return scenarios


def run_file(path, probe, report, unescape):
    """How many cases come out right both ways round."""
    scenarios, failed = read(path, unescape), set()
    for order in ('in order', 'last first'):
        lines, cases = [], []
        for zone, some in scenarios:
            lines += zone
            for case in some:
                local, at, domain = case.sender.rpartition(b'@')
                if not case.sender:
                    domain = case.helo
                elif not at:
                    domain = case.sender
                lines.append('check\t%s\t%s\t%s\t%s' % (case.client, case.helo.hex(), local.hex(),
                                                        domain.hex()))
                cases.append(case)
        done = subprocess.run([probe] + (['-r'] if order != 'in order' else []),
                              input=('\n'.join(lines) + '\n').encode(), capture_output=True,
                              timeout=60)
        answers = done.stdout.decode().splitlines()
        name = os.path.basename(path)
        if done.returncode or len(answers) != len(cases):
            report.result('%s/the probe' % name, ['status %d, %d answers for %d cases: %s' % (
                done.returncode, len(answers), len(cases), done.stderr.decode()[-300:])])
            return 0
        for case, answer in zip(cases, answers):
            result, words, problem = answer.split('\t')
            wrong = []
            if result not in case.results:
                wrong.append('%s (%s), want %s' % (result, problem, ' or '.join(case.results)))
            elif case.explanation is not None and result == 'fail' and \
                    bytes.fromhex(words) != case.explanation:
                wrong.append('explanation %r, want %r' % (bytes.fromhex(words), case.explanation))
            if wrong:
                failed.add((case.name, case.client, case.sender))
            report.result('%s/%s, %s' % (name, case.name, order), wrong)
    return sum(len(cases) for _, cases in scenarios) - len(failed)
