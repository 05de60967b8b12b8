"""What a process costs: CPU and memory from /proc, system calls by strace, instructions by callgrind.

strace and callgrind do not disturb what they count, only how long it takes. Both are used the same
way: the program is run twice from start to end with different numbers of messages, and the
difference of the two counts, divided by the difference of the messages, is free of start and end.
"""
import glob
import os
import re
import shutil

TICK_NS = 1_000_000_000 // os.sysconf('SC_CLK_TCK')


class Unavailable(Exception):
    """The machine lacks what a measurement needs; the text says what."""


def need(tool):
    path = shutil.which(tool)
    if not path:
        raise Unavailable('no %s here' % tool)
    return path


def read(path):
    with open(path) as stream:
        return stream.read()


def cpu_ns(pid):
    """Time on a CPU of all threads so far, user and system together."""
    total = 0
    for path in glob.glob('/proc/%d/task/*/schedstat' % pid):
        total += int(read(path).split()[0])
    return total or sum(cpu_split_ns(pid))


def cpu_split_ns(pid):
    """(user, system), only as fine as the scheduler's tick."""
    fields = read('/proc/%d/stat' % pid).rsplit(')', 1)[1].split()
    return int(fields[11]) * TICK_NS, int(fields[12]) * TICK_NS


def family_cpu_ns(pid):
    """Of the process, its children and theirs; of those that have ended as fine as the tick."""
    total = cpu_ns(pid)
    for path in glob.glob('/proc/%d/task/*/children' % pid):
        total += sum(family_cpu_ns(int(child)) for child in read(path).split())
    fields = read('/proc/%d/stat' % pid).rsplit(')', 1)[1].split()
    return total + (int(fields[13]) + int(fields[14])) * TICK_NS


def machine_busy_ns():
    """Time that all CPUs together were not idle."""
    fields = [int(f) for f in read('/proc/stat').split('\n', 1)[0].split()[1:9]]
    return (sum(fields) - fields[3] - fields[4]) * TICK_NS


def memory(pid):
    """KiB: what only this process has, its share of everything, what of it is no file's, the heap."""
    rollup = dict(re.findall(r'^(\w+):\s+(\d+) kB', read('/proc/%d/smaps_rollup' % pid), re.M))
    heap = re.search(r'\[heap\]\n(?:.*\n)*?Rss:\s+(\d+) kB', read('/proc/%d/smaps' % pid))
    return {'private_kib': int(rollup['Private_Clean']) + int(rollup['Private_Dirty']),
            'pss_kib': int(rollup['Pss']),
            'anonymous_kib': int(rollup['Anonymous']),
            'heap_kib': int(heap.group(1)) if heap else 0}


def child_of(pid):
    """The program that a tracer has started."""
    children = read('/proc/%d/task/%d/children' % (pid, pid)).split()
    return int(children[0]) if children else None


def strace_prefix(path):
    """strace follows every thread and leaves its table in `path`."""
    return [need('strace'), '-f', '-c', '-U', 'calls,errors,name', '-o', path]


def strace_counts(path):
    """{call: (times, of these failed)}"""
    counts = {}
    for line in read(path).splitlines():
        match = re.match(r'^\s*(\d+)\s+(?:(\d+)\s+)?([a-z]\w*)$', line)
        if match and match.group(3) != 'total':
            counts[match.group(3)] = (int(match.group(1)), int(match.group(2) or 0))
    if not counts:
        raise Unavailable('strace counted nothing; may processes be traced here?')
    return counts


def callgrind_prefix(path):
    return [need('valgrind'), '--tool=callgrind', '--callgrind-out-file=' + path, '-q']


def callgrind_instructions(path):
    match = re.search(r'^(?:summary|totals): (\d+)', read(path), re.M) if os.path.exists(path) \
        else None
    if not match:
        raise Unavailable('callgrind has left no count')
    return int(match.group(1))


def per_message(small, large, messages):
    """{call: (times, failed)} for each message, from two runs that differ by `messages`."""
    result = {}
    for name in sorted(set(small) | set(large)):
        first, second = small.get(name, (0, 0)), large.get(name, (0, 0))
        times, failed = ((b - a) / messages for a, b in zip(first, second))
        if times > 0.005:
            result[name] = (times, max(failed, 0.0))
    return result
