#!/usr/bin/python3
"""Real mail programs on both sides of the proxy; see README.md beside this file.

    run.py --postern BINARY --out BUILD_DIR [--only NAME[,NAME]] [--full] [--jobs N] [--list]

NAME is a part of a test's name (`table`, `table.exim`). Prints the table of who spoke with whom;
the last line is `N passed, N failed[, N skipped]`; the status is 1 if any failed.
"""
import os
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.dirname(HERE), HERE]
from support import suite                  # noqa: E402
import world                               # noqa: E402

if __name__ == '__main__':
    sys.exit(suite.main('interop', HERE, 'postern between real mail programs', world.end_all))
