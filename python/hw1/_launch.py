"""Becomes the binary: what `hw1` on the PATH falls back to where PyTorch does not lie beside it (python/launcher.sh)."""
from __future__ import annotations

import os
import signal
import sys

from ._binary import command
from ._errors import Hw1Error

TYPE_CHECKING = False  # as type checkers know it; typing takes milliseconds
if TYPE_CHECKING:
    from typing import NoReturn


def main() -> NoReturn:
    """Replaces this process by the binary, with the arguments of the command line: signals, exit code and bars are its own."""
    try:
        words, environment = command()
    except Hw1Error as why:
        _fail(str(why))
    # Python ignores these two, and what is ignored stays so in what a process becomes.
    for name in ("SIGPIPE", "SIGXFSZ"):
        signal.signal(getattr(signal, name), signal.SIG_DFL)
    try:
        os.execve(words[0], [*words, *sys.argv[1:]], {**os.environ, **environment})
    except OSError as why:
        _fail(f"{words[0]} does not start: {why.strerror}; install hw1 again")


def _fail(line: str) -> NoReturn:
    print(f"hw1: error: {line}", file=sys.stderr)
    sys.exit(1)
