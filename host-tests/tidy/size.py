#!/usr/bin/python3
"""Prints the bytes of each module and of the program.

    size.py BUILD_DIR MODULE=OBJECT [OBJECT]... [MODULE=...]

Module figures are sums over objects, before the linker drops what nobody calls.
"""
import os
import subprocess
import sys


def sections(paths):
    """text, data and bss bytes of all the files together."""
    listing = subprocess.run(['size', *paths], check=True, stdout=subprocess.PIPE, text=True)
    rows = [line.split()[:3] for line in listing.stdout.splitlines()[1:]]
    return [sum(int(row[column]) for row in rows) for column in range(3)]


def main():
    out = sys.argv[1]
    modules = {}
    for word in sys.argv[2:]:
        if '=' in word:
            name, word = word.split('=', 1)
            modules[name] = []
        modules[name].append(os.path.join(out, word))
    print('%-24s%10s%10s%10s' % ('', 'text', 'data', 'bss'))
    total = [0, 0, 0]
    for name, objects in modules.items():
        figures = sections(objects)
        total = [a + b for a, b in zip(total, figures)]
        print('%-24s%10d%10d%10d' % (name, *figures))
    print('%-24s%10d%10d%10d' % ('all modules', *total))
    program = os.path.join(out, 'postern')
    if os.path.exists(program):
        print('%-24s%10d%10d%10d' % ('program, libc dynamic', *sections([program])))


if __name__ == '__main__':
    main()
