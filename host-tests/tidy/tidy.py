#!/usr/bin/python3
"""Checks of the source itself, in a few seconds: layers, banned calls, symbols, texts.

    tidy.py [--out BUILD_DIR]

Each check counts as one test; what is wrong is printed as FILE:LINE: text. Long files and functions
are notes, not failures. The symbol check reads the objects of BUILD_DIR, if there are any.
"""
import argparse
import fnmatch
import glob
import os
import re
import subprocess
import sys

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
FILE_LINES_MAX = 800
FUNCTION_LINES_MAX = 70
COLUMNS_MAX = 120

CHECKS = []


def check(function):
    CHECKS.append(function)
    return function


# ---------------------------------------------------------------------------------- the tree

def listed_files():
    """Every file that is or could be committed."""
    try:
        listing = subprocess.run(['git', 'ls-files', '-z', '--cached', '--others',
                                  '--exclude-standard'], cwd=TOP, check=True,
                                 stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        names = listing.stdout.decode().split('\0')
    except (OSError, subprocess.CalledProcessError):
        names = []
        for folder, folders, files in os.walk(TOP):
            folders[:] = [f for f in folders if f not in ('build', '.git', '__pycache__')]
            names += [os.path.relpath(os.path.join(folder, file), TOP) for file in files]
    return sorted({name for name in names if name and os.path.isfile(os.path.join(TOP, name))})


class Source:
    """One file: its lines, and for C the same lines with comments and literals blanked."""

    LITERALS = re.compile(r'//[^\n]*|/\*.*?\*/|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'', re.S)

    def __init__(self, name):
        self.name = name
        with open(os.path.join(TOP, name), 'rb') as file:
            self.bytes = file.read()
        self.text = self.bytes.decode('utf-8', 'replace')
        self.lines = self.text.split('\n')
        self.binary = b'\0' in self.bytes
        self.code = []
        self.module = ''
        parts = name.split('/')
        if parts[0] == 'firmware' and len(parts) > 2 and parts[1] not in ('deps', 'doc'):
            self.module = parts[1]
        if name.endswith(('.c', '.h')):
            blank = self.LITERALS.sub(lambda m: re.sub(r'[^\n]', ' ', m[0]), self.text)
            self.code = blank.split('\n')


class Tree:
    def __init__(self):
        self.files = [Source(name) for name in listed_files()]
        self.firmware = [s for s in self.files if s.module]
        self.c_files = [s for s in self.files if s.code]
        self.notes = []


class Layers:
    """firmware/LAYERS, read."""

    def __init__(self):
        self.modules, self.adapters, self.pure, self.pure_headers = {}, {}, [], []
        with open(os.path.join(TOP, 'firmware', 'LAYERS'), encoding='ascii') as file:
            for line in file:
                words = line.split('#')[0].split()
                if not words:
                    continue
                kind, rest = words[0], words[1:]
                if kind == 'module':
                    self.modules[rest[0]] = rest[1:]
                elif kind == 'adapter':
                    self.adapters[rest[0]] = rest[1:]
                elif kind == 'pure':
                    self.pure += rest
                elif kind == 'pure-headers':
                    self.pure_headers += rest
                else:
                    raise SystemExit('firmware/LAYERS: unknown word %s' % kind)
        self.libraries = [word for words in self.adapters.values() for word in words
                          if word.startswith('<')]


# ---------------------------------------------------------------------------------- checks

INCLUDE = re.compile(r'\s*#\s*include\s+(["<])([^">]+)[">]')


def includes(source):
    for number, line in enumerate(source.lines, 1):
        match = INCLUDE.match(line)
        if match:
            yield number, match[1], match[2]


@check
def layers(tree):
    """Every #include is one that firmware/LAYERS allows; every adapter named there exists."""
    rules = Layers()
    stems = {os.path.splitext(source.name)[0].removeprefix('firmware/') for source in tree.firmware}
    for source in tree.files:
        for stem in rules.adapters if source.name == 'firmware/LAYERS' else ():
            if stem not in stems:
                yield source, 1, 'there is no %s' % stem
    for source in tree.firmware:
        if source.module not in rules.modules:
            yield source, 1, 'module %s is not in firmware/LAYERS' % source.module
            continue
        stem = os.path.splitext(source.name)[0].removeprefix('firmware/')
        allowed = rules.modules[source.module] + rules.adapters.get(stem, [])
        for number, quote, header in includes(source):
            if quote == '"':
                module = header.split('/')[0]
                if module == source.module and '/' in header or module in allowed \
                        or any(fnmatch.fnmatch(header, word) for word in allowed if '/' in word):
                    if header.endswith('_priv.h') and module != source.module:
                        yield source, number, '%s is private to %s/' % (header, module)
                    continue
                yield source, number, '%s/ must not include "%s"' % (source.module, header)
            else:
                word = '<%s>' % header
                if any(fnmatch.fnmatch(word, library) for library in rules.libraries):
                    if not any(fnmatch.fnmatch(word, a) for a in allowed if a.startswith('<')):
                        yield source, number, '%s belongs into its adapter alone' % word
                elif source.module in rules.pure and word not in rules.pure_headers:
                    yield source, number, '%s/ is pure and does without %s' % (source.module, word)


# What, where it may stand all the same (a prefix of the path below firmware/), why not elsewhere.
CALL = r'(?<![>.\w])'     # not a member of that name
BANNED = [
    (CALL + r'str[a-z]+\s*\(', ('base/',), 'C string function on bytes that may hold NUL'),
    (CALL + r'(?:atoi|atol|atoll|sscanf|fscanf|gets)\s*\(', (), 'parses without a bound'),
    (CALL + r'(?:sprintf|vsprintf|alloca)\s*\(', (), 'writes without a bound'),
    (CALL + r'(?:snprintf|vsnprintf)\s*\(', ('base/',), 'formats text outside base/'),
    (CALL + r'(?:printf|fprintf|puts|fputs|perror)\s*\(', ('base/', 'app/'), 'prints'),
    (r'#\s*include\s*<ctype\.h>', (), 'depends on the locale'),
    (CALL + r'(?:exit|_exit|abort|quick_exit)\s*\(', ('app/', 'base/'), 'ends the process'),
    (CALL + r'(?:malloc|calloc|realloc|reallocarray|free)\s*\(', ('base/mem',),
     'memory comes from a struct pst_mem'),
    (CALL + r'(?:time|clock_gettime|gettimeofday)\s*\(', ('loop/',), 'time comes from the loop'),
    (CALL + r'(?:rand|random|srand|getrandom|arc4random)\s*\(', ('loop/',),
     'randomness comes from the rng seam'),
    (CALL + r'(?:system|popen|getaddrinfo|gethostbyname|syslog|openlog|setlocale|sleep|usleep)\s*\(', (),
     'blocks, or acts on the whole process'),
    (r'\b(?:float|double|long double)\b', (), 'floating point'),
]


@check
def banned_calls(tree):
    """No call that the project does without, no floating point."""
    rules = [(re.compile(pattern), places, why) for pattern, places, why in BANNED]
    for source in tree.firmware:
        below = source.name.removeprefix('firmware/')
        for number, line in enumerate(source.code, 1):
            for pattern, places, why in rules:
                match = pattern.search(line)
                if match and not below.startswith(places or ('\0',)):
                    yield source, number, '%s: %s' % (match[0].strip(' ('), why)


@check
def symbols(tree):
    """What an object exports begins with pst_; main and the libraries' hooks excepted."""
    objects = []
    for source in tree.firmware:
        if source.name.endswith('.c'):
            path = os.path.join(TOP, OPTIONS.out, source.name[:-2] + '.o')
            if os.path.exists(path):
                objects.append((path, source))
    if not objects:
        tree.notes.append('symbols: nothing is built in %s, so none were looked at' % OPTIONS.out)
        return
    listing = subprocess.run(['nm', '-A', '-g', '--defined-only', '-P'] + [o for o, _ in objects],
                             check=False, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    by_object = dict(objects)
    hooks = {'sys_now', 'mbedtls_ms_time', 'mbedtls_psa_external_get_random'}
    for line in listing.stdout.decode().split('\n'):
        match = re.match(r'(.*): (\S+) \S', line)
        if match and not match[2].startswith('pst_') and match[2] not in hooks | {'main'} \
                and not match[2].startswith(('__asan', '__odr_asan', '__ubsan')):
            yield by_object[match[1]], 1, 'exports %s' % match[2]


@check
def head_comments(tree):
    """A header begins with its own path, what it is and its layer."""
    for source in tree.firmware:
        if not source.name.endswith('.h'):
            continue
        wanted = '/* %s - ' % source.name.removeprefix('firmware/')
        if not source.text.startswith(wanted):
            yield source, 1, 'does not begin with "%s"' % wanted.rstrip()
        elif not re.search(r'\*\s+Layer: ', source.text.split('*/')[0]):
            yield source, 1, 'its head comment has no "Layer:" line'


@check
def header_guards(tree):
    """A header's guard is PST_<MODULE>_<FILE>_H."""
    for source in tree.firmware:
        if source.name.endswith('.h'):
            guard = 'PST_%s' % re.sub(r'\W', '_', source.name.removeprefix('firmware/')).upper()
            if '#ifndef %s\n#define %s\n' % (guard, guard) not in source.text:
                yield source, 1, 'its guard is not %s' % guard


TEXT_SUFFIXES = ('.c', '.h', '.py', '.sh', '.mk', '.md', '.conf', '.def', 'Makefile', 'Kconfig',
                 'LAYERS', 'lock', 'defconfig', '.ci/run', '.js', '.css', '.json')
DATA_SUFFIXES = ('.conf', '.tsv', '.cf')    # of tests: their white space may be what is tested


@check
def white_space(tree):
    """No trailing white space, no CR, one newline at the end; tabs indent C, spaces Python."""
    for source in tree.files:
        data = source.name.startswith('host-tests/') and source.name.endswith(DATA_SUFFIXES)
        if source.binary or data or not source.name.endswith(TEXT_SUFFIXES):
            continue
        for number, line in enumerate(source.lines, 1):
            if line != line.rstrip():
                yield source, number, 'trailing white space'
            if source.name.endswith('.py') and '\t' in line:
                yield source, number, 'tab in Python'
            if source.code and line.startswith('        '):
                yield source, number, 'eight spaces instead of a tab'
        if source.text and (not source.text.endswith('\n') or source.text.endswith('\n\n')):
            yield source, len(source.lines), 'does not end in one newline'


# written so that this file does not name what it looks for
UNFINISHED = re.compile(r'\b(TOD[O]|FIXM[E]|XX[X])\b')
MACHINE = re.compile(r'/wor[k]/|/roo[t]/|/tmp/bas[h]|deb\.debia[n]\.org|registry\.np[m]js')


@check
def wide_lines(tree):
    """Lines of C fit a screen."""
    for source in tree.files:
        for number, line in enumerate(source.lines if source.code else (), 1):
            if len(line.expandtabs(8)) > COLUMNS_MAX:
                yield source, number, 'more than %d columns' % COLUMNS_MAX


@check
def finished(tree):
    """Nothing is left to be done in a comment."""
    for source in tree.files:
        if not source.binary:
            for number, line in enumerate(source.lines, 1):
                match = UNFINISHED.search(line)
                if match:
                    yield source, number, '%s' % match[0]


@check
def machine_paths(tree):
    """No path of somebody's machine, no host name of a package archive."""
    for source in tree.files:
        if not source.binary:
            for number, line in enumerate(source.lines, 1):
                match = MACHINE.search(line)
                if match:
                    yield source, number, '%s' % match[0]


NAMED_PATH = re.compile(r'(?<![\w/.<-])((?:firmware|board|rules|host-tests|\.ci)/[\w./*<>-]+)')
LINK = re.compile(r'\[[^\]]*\]\(([^)#:\s]+)(?:#[^)]*)?\)')


@check
def named_paths(tree):
    """A path that a document names is there."""
    for source in tree.files:
        if not source.name.endswith('.md'):
            continue
        folder = os.path.dirname(os.path.join(TOP, source.name))
        for number, line in enumerate(source.lines, 1):
            for match in NAMED_PATH.finditer(line):
                path = match[1].rstrip('.')
                if '<' not in path and not glob.glob(os.path.join(TOP, path)):
                    yield source, number, 'there is no %s' % path
            for match in LINK.finditer(line):
                if not os.path.exists(os.path.join(folder, match[1])):
                    yield source, number, 'there is no %s' % match[1]


@check
def options_do_something(tree):
    """Every Kconfig symbol is used, every used one exists."""
    declared, used = {}, {}
    for source in tree.files:
        if os.path.basename(source.name) == 'Kconfig':
            for number, line in enumerate(source.lines, 1):
                match = re.match(r'\s*config (\w+)', line)
                if match:
                    declared[match[1]] = (source, number)
        elif source.code or source.name.endswith(('.mk', 'Makefile')):
            for number, line in enumerate(source.lines, 1):
                for match in re.finditer(r'\bCONFIG_(POSTERN_\w+)', line):
                    used.setdefault(match[1], (source, number))
    # the other branch of a choice is what is left when the first one is off
    choices = re.findall(r'choice\n.*?endchoice', ''.join(
        s.text for s in tree.files if os.path.basename(s.name) == 'Kconfig'), re.S)
    for text in choices:
        members = re.findall(r'config (\w+)', text)
        if any(member in used for member in members):
            for member in members:
                used.setdefault(member, ())
    for name, (source, number) in sorted(declared.items()):
        if name not in used:
            yield source, number, '%s switches nothing' % name
    for name, place in sorted(used.items()):
        if name not in declared:
            yield place[0], place[1], 'there is no option %s' % name


def sizes(tree):
    """Notes on what a reader might rather have in two pieces."""
    for source in tree.firmware:
        if len(source.lines) > FILE_LINES_MAX:
            tree.notes.append('%s: %d lines' % (source.name, len(source.lines)))
        start, name = 0, ''
        for number, line in enumerate(source.code, 1):
            if line.startswith('{'):
                start = number
                above = ' '.join(source.code[max(0, number - 5):number - 1])
                names = re.findall(r'(\w+)\s*\(', above)
                name = names[-1] if names else '?'
            elif line.startswith('}') and start:
                if number - start > FUNCTION_LINES_MAX:
                    tree.notes.append('%s:%d: %s() has %d lines'
                                      % (source.name, start, name, number - start))
                start = 0


def main():
    tree = Tree()
    passed = failed = 0
    for function in CHECKS:
        findings = list(function(tree))
        for source, number, text in findings:
            print('%s:%d: %s' % (source.name, number, text))
        if findings:
            print('tidy: %s: %d places break it' % (function.__doc__.rstrip('.'), len(findings)))
        passed += not findings
        failed += bool(findings)
    sizes(tree)
    for note in tree.notes:
        print('note: %s' % note)
    print('%d passed, %d failed' % (passed, failed))
    return 1 if failed else 0


if __name__ == '__main__':
    PARSER = argparse.ArgumentParser(description='checks of the source itself')
    PARSER.add_argument('--out', default='build/host', help='the build directory')
    OPTIONS = PARSER.parse_args()
    sys.exit(main())
