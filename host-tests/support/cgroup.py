"""A memory limit for one child, by whichever cgroup version the machine has."""
import glob
import os
import time


class Unavailable(Exception):
    pass


def _mount(kind, option):
    with open('/proc/mounts') as stream:
        for line in stream:
            _, path, found, options = line.split()[:4]
            if found == kind and (option is None or option in options.split(',')):
                return path
    return None


class Memory:
    """Make the group, then start the child with `pre=group.join`. remove() when it has ended."""

    def __init__(self, name, bytes_max, socket_bytes_max=None):
        if os.geteuid() != 0:
            raise Unavailable('a cgroup needs root')
        self.version, base = 1, _mount('cgroup', 'memory')
        if base is None:
            self.version, base = 2, _mount('cgroup2', None)
        if base is None:
            raise Unavailable('no memory cgroup is mounted')
        self.path = os.path.join(base, '%s-%d-%d' % (name, os.getpid(), time.monotonic_ns()))
        try:
            if self.version == 2:
                with open(os.path.join(base, 'cgroup.subtree_control'), 'w') as out:
                    out.write('+memory')
            os.mkdir(self.path)
        except OSError as reason:
            raise Unavailable('cannot make a memory cgroup: %s' % reason) from None
        if self.version == 1:
            self._write('memory.limit_in_bytes', bytes_max)
            if socket_bytes_max:
                self._write('memory.kmem.tcp.limit_in_bytes', socket_bytes_max)
        else:
            self._write('memory.max', bytes_max)
            if os.path.exists(os.path.join(self.path, 'memory.swap.max')):
                self._write('memory.swap.max', 0)

    def _write(self, name, value):
        with open(os.path.join(self.path, name), 'w') as out:
            out.write('%s\n' % value)

    def _read(self, name):
        try:
            with open(os.path.join(self.path, name)) as stream:
                return stream.read()
        except OSError:
            return ''

    def join(self):
        """Runs in the child, between fork and exec."""
        self._write('cgroup.procs', os.getpid())

    def oom_kills(self):
        text = self._read('memory.oom_control' if self.version == 1 else 'memory.events')
        return sum(int(line.split()[1]) for line in text.splitlines()
                   if line.startswith('oom_kill '))

    def peak_bytes(self):
        """(all memory, TCP buffers counted apart or None)"""
        if self.version == 1:
            return (int(self._read('memory.max_usage_in_bytes') or 0),
                    int(self._read('memory.kmem.tcp.max_usage_in_bytes') or 0))
        return int(self._read('memory.peak') or 0), None

    def remove(self):
        for _ in range(50):
            try:
                os.rmdir(self.path)
                return
            except OSError:
                time.sleep(0.05)


def private_kib(pid):
    """Memory that only this process has."""
    total = 0
    try:
        with open('/proc/%d/smaps_rollup' % pid) as stream:
            for line in stream:
                if line.startswith(('Private_Clean:', 'Private_Dirty:')):
                    total += int(line.split()[1])
    except OSError:
        return 0
    return total


def open_files(pid):
    return len(glob.glob('/proc/%d/fd/*' % pid))
