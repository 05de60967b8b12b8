#!/usr/bin/python3
"""Boots an emulated board to a running proxy in front of the built-in mail server on this machine, says how to reach it.

    run.py BOARD      (make qemu BOARD=qemu-aarch64)
"""
import os
import re
import subprocess
import sys

import machine

HINT = """
The board is up after %(seconds).1f s. Postern listens on its port 25, which is 127.0.0.1:%(port)d here. Try:

    printf 'Subject: hello\\r\\n\\r\\nIt works.\\r\\n' | \\
      curl -sv smtp://127.0.0.1:%(port)d --mail-from me@example.net --mail-rcpt you@example.org -T -

What it accepts lies in %(maildir)s/new. Ctrl-C cuts the power.
"""
CONF = """hostname mx.example.org
listen 0.0.0.0:25
relay example.org to %s:%d
tls state /var/lib/postern
log stderr
"""


def main():
    board = machine.Board(sys.argv[1])
    board.build()
    own = machine.make_program('host')
    maildir = os.path.join(board.out, 'maildir')
    os.makedirs(maildir, exist_ok=True)
    sink = subprocess.Popen([own, 'sink', '--listen', '127.0.0.1:0', '--maildir', maildir],
                            stdout=subprocess.PIPE, text=True)
    guest = None
    try:
        port = int(re.search(r':(\d+)', sink.stdout.readline())[1])
        guest = machine.Guest(board, board.image(), CONF % (machine.HOST, port), echo=True)
        seconds = guest.ready()
        print(HINT % {'seconds': seconds, 'port': guest.port, 'maildir': os.path.relpath(maildir, machine.TOP)}, flush=True)
        guest.process.wait()
    except KeyboardInterrupt:
        print('\npower cut')
    finally:
        if guest:
            guest.cut()
        sink.terminate()
        sink.wait()


if __name__ == '__main__':
    main()
