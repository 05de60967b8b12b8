#!/usr/bin/python3
"""Prints the bytes of each module and library that are in the program, and of the program.

    size.py BUILD_DIR [BYTES_MAX]

The figures of the parts come from the linker's map, so what nobody calls does not count. What was optimised as one
(LTO) has no files in the map: there the lines of the debugger say whose a function is, and texts and most tables are
nobody's. The status is 1 if the program's file is larger than BYTES_MAX, which is a board's limit and only makes sense
for a stripped program.
"""
import bisect
import collections
import os
import re
import subprocess
import sys

KINDS = (('text', re.compile(r'\.(text|rodata|init|fini|eh_frame|plt|rela|ARM|MIPS|reginfo)')),
         ('data', re.compile(r'\.(data|tdata|got|init_array|fini_array|sdata)')),
         ('bss', re.compile(r'\.(bss|tbss|sbss)|COMMON')))
# a section of one file that is in the program: name, address, size, file; a long name has a line of its own
ROW = re.compile(r'^ (\S+)\s+0x([0-9a-f]+)\s+0x([0-9a-f]+) (\S.*)$', re.M)
SYMBOL = re.compile(r'^([0-9a-f]+) ([0-9a-f]+) \w \S+\t(.*):\d+$', re.M)


def part(path):
    """Which line of the table a file belongs to."""
    ours = re.search(r'firmware/(\w+)/', path)
    if ours:
        return ours[1]
    library = re.search(r'lib(\w+?)\.a\(|/src-\w+/(\w+)/', path)
    return 'lib' + (library[1] or library[2]) if library else 'start files'


def parts(path, program):
    with open(path, encoding='utf-8', errors='replace') as file:
        text = file.read()
    text = text[text.index('Linker script and memory map'):]
    text = re.sub(r'^( \S+)\n\s+', r'\1 ', text, flags=re.M)
    table = collections.defaultdict(lambda: [0, 0, 0])
    as_one = []
    for name, address, size, file in ROW.findall(text):
        for column, (_, pattern) in enumerate(KINDS):
            if pattern.match(name):
                table['texts' if '.ltrans' in file else part(file)][column] += int(size, 16)
                if '.ltrans' in file and int(size, 16):
                    as_one.append((int(address, 16), int(size, 16), column))
    if as_one:
        as_one.sort()
        share(table, as_one, program)
    return table


def share(table, as_one, program):
    """Gives the symbols of [(address, size, column)] to those who wrote them."""
    listing = subprocess.run(['nm', '--print-size', '--line-numbers', program], check=True, stdout=subprocess.PIPE,
                             text=True)
    seen = set()
    for address, size, file in SYMBOL.findall(listing.stdout):
        address, size = int(address, 16), int(size, 16)
        start, length, column = as_one[max(0, bisect.bisect(as_one, (address, sys.maxsize)) - 1)]
        if address not in seen and start <= address < start + length:
            seen.add(address)
            table['texts'][column] -= size
            table[part(file)][column] += size


def main():
    out = sys.argv[1]
    program = os.path.join(out, 'postern')
    row = '%-24s%10s%10s%10s'
    print(row % ('', 'text', 'data', 'bss'))
    ours, theirs = [], []
    full = program + '.full' if os.path.exists(program + '.full') else program
    for name, figures in parts(program + '.map', full).items():
        (theirs if name.startswith(('lib', 'start', 'texts')) else ours).append((name, figures))
    for rows, what in ((ours, 'our modules'), (theirs, 'libraries')):
        for name, figures in sorted(rows, key=lambda pair: -pair[1][0]):
            print(row % (name, *figures))
        print(row % (what, *[sum(figures[column] for _, figures in rows) for column in range(3)]))
    listing = subprocess.run(['size', program], check=True, stdout=subprocess.PIPE, text=True)
    print(row % ('program', *listing.stdout.splitlines()[1].split()[:3]))
    size = os.path.getsize(program)
    limit = int(sys.argv[2]) if len(sys.argv) > 2 else 0
    print('file: %d bytes%s' % (size, ', at most %d' % limit if limit else ''))
    if limit and size > limit:
        print('%s is %d bytes over its limit' % (program, size - limit))
        return 1
    return 0


if __name__ == '__main__':
    sys.exit(main())
