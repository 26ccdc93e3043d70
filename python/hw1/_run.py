"""Runs the command: its progress, its errors, its end and ours."""
from __future__ import annotations

import codecs
import errno
import json
import os
import re
import selectors
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

from . import _binary
from ._arguments import words
from ._errors import Hw1Error, UsageError
from ._results import Run, open_run

_CONTROL = re.compile(r"\x1b\[[0-9;?]*[ -/]*[@-~]")
# At the beginning of a line, which may be one that was cleared.
_ERROR = re.compile(r"(?:\A|(?<=[\r\nK]))(?:hw1: )?error: ")
_WHOLE = re.compile(r"\d+ of \d+ trials done")
_INTERRUPTED = {128 + number for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1)}


def run(command: str, *arguments: str | os.PathLike[str], **flags: object) -> Run:
    """hw1.run."""
    line = words(command, arguments, flags)
    begin = 1 if command != "report" else len(line)
    # Each study's metrics.json, a line; `report` makes a page and has none.
    output = start(line[:begin] + ["--json"] * (command != "report") + line[begin:])
    folders: list[str] = []
    preset: object = None
    for text in output.splitlines():
        try:
            metrics: Any = json.loads(text)
            folders.append(str(metrics["folder"]))
            preset = metrics["provenance"]["preset"]
        except (ValueError, KeyError, TypeError):
            continue
    out = flags.get("out")
    if out is None:
        out = arguments[0] if command == "report" and arguments else None
    if out is None:
        out = Path("runs") / str(preset or flags.get("preset") or "report")
    return open_run(cast("str | os.PathLike[str]", out), folders or None)


def start(line: list[str]) -> str:
    """What the command prints on standard output, once it has ended well.

    Raises as hw1.run says.
    """
    try:
        begin, environment = _binary.command()
    except _binary.Hw1Error as error:
        raise Hw1Error(str(error)) from None
    told = _teller(line[0])
    environment = {**os.environ, **environment, "NO_COLOR": "1"}  # an error is to be read
    if told.draws:
        if environment.get("TERM", "dumb") == "dumb" and not isinstance(told, _Terminal):
            environment["TERM"] = "xterm"
        reads, writes = os.openpty()
        told.size(reads)
    else:
        reads, writes = os.pipe()
    try:
        # A session of its own: a Ctrl-C in the terminal comes to us alone, and we pass it on, once.
        child = subprocess.Popen(begin + line, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=writes, env=environment,
                                 start_new_session=True)
    except OSError as error:
        os.close(reads)
        raise Hw1Error(f"{begin[0]} cannot be run: {error.strerror}.") from None
    finally:
        os.close(writes)
    output, interrupts = bytearray(), 0
    try:
        with _Watch(child.pid):
            while True:
                try:
                    _read(child, reads, output, told)
                    code = child.wait()
                    break
                except KeyboardInterrupt:
                    interrupts += 1
                    _interrupt(child, interrupts)
                except BaseException:
                    child.terminate()  # which writes checkpoints, too
                    child.wait()
                    raise
    finally:
        os.close(reads)
        if child.stdout:
            child.stdout.close()
    told.end(code, interrupts > 0)
    if interrupts:
        raise KeyboardInterrupt
    if code:
        raise _failure(line[0], code, told.errors)
    return output.decode("utf-8", "replace")


def _interrupt(child: subprocess.Popen[bytes], times: int) -> None:
    """The first lets it write its checkpoints, the second ends it at once, as in a shell; the third does so whatever it does."""
    ignored = signal.getsignal(signal.SIGINT) == signal.SIG_IGN  # which it inherits
    child.send_signal(signal.SIGKILL if times > 2 else signal.SIGTERM if ignored else signal.SIGINT)


class _Watch:
    """Ends a process when this one ends, be it by SIGKILL: a shell waits at a pipe whose other end is here alone."""

    def __init__(self, pid: int) -> None:
        reads, self._writes = os.pipe()
        # A kernel is killed with its process group; this is in none of its.
        self._shell = subprocess.Popen(["/bin/sh", "-c", 'read -r over || kill -s TERM "$1"', "hw1-watch", str(pid)], stdin=reads,
                                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
        os.close(reads)

    def __enter__(self) -> None:
        pass

    def __exit__(self, *_: object) -> None:
        try:
            os.write(self._writes, b"over\n")
        except OSError:
            pass  # someone has ended it
        os.close(self._writes)
        self._shell.wait()


def _read(child: subprocess.Popen[bytes], errors: int, output: bytearray, told: _Teller) -> None:
    """Reads both streams to their ends."""
    assert child.stdout
    with selectors.DefaultSelector() as selector:
        selector.register(child.stdout, selectors.EVENT_READ)
        selector.register(errors, selectors.EVENT_READ)
        while selector.get_map():
            for key, _ in selector.select():
                try:
                    data = os.read(key.fd, 1 << 16)
                except OSError as error:
                    if error.errno != errno.EIO:  # a terminal's end on Linux
                        raise
                    data = b""
                if not data:
                    selector.unregister(key.fileobj)
                elif key.fd == errors:
                    told.take(data)
                else:
                    output += data


def _failure(command: str, code: int, text: str) -> Hw1Error:
    """The command's own sentence."""
    if code < 0:
        name = signal.Signals(-code).name if -code in set(signal.Signals) else f"signal {-code}"
        return Hw1Error(f"hw1 {command} was ended by {name}; the same call goes on from its checkpoints.", 128 - code)
    lines = [line.strip() for line in re.split(r"[\r\n]+", _CONTROL.sub("\n", text)) if line.strip()]
    kind = UsageError if code == 2 else Hw1Error
    for at, line in reversed(list(enumerate(lines))):
        if line.startswith("hw1: error: "):
            return kind(line.removeprefix("hw1: error: "), code)
        if line.startswith("error: "):  # the parser of arguments, with a hint in lines of its own
            rest = [more for more in lines[at + 1 :] if not more.startswith(("Usage:", "For more information"))]
            return kind("; ".join([line.removeprefix("error: "), *rest]), code)
    if code in _INTERRUPTED:
        return Hw1Error(f"hw1 {command} was interrupted by {signal.Signals(code - 128).name}; the same call goes on from its checkpoints.", code)
    said = f": {lines[-1]}" if lines else ""
    return kind(f"hw1 {command} failed with exit code {code}{said}", code)


class _Teller:
    """What the command says on standard error, on its way to ours: as it comes, but for the error, which is to be raised."""

    draws = False  # whether the command is to draw bars, for which it needs a terminal

    def __init__(self) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._whole = ""
        self._shown = 0

    @property
    def errors(self) -> str:
        return self._whole

    def size(self, terminal: int) -> None:
        """Gives a terminal the size of ours."""

    def take(self, data: bytes) -> None:
        self._whole += self._decoder.decode(data)
        # An error is a line of its own, and the last word.
        error = _ERROR.search(self._whole, max(self._shown - 1, 0))
        upto = error.start() if error else len(self._whole)
        line = max(map(self._whole.rfind, "\r\nK")) + 1
        begun = self._whole[line:]
        if not error and any(start.startswith(begun) for start in ["hw1: error: ", "error: "]):
            upto = max(line, self._shown)  # it may become one
        new = self._whole[self._shown : upto]
        self._shown = max(self._shown, upto)
        if new:
            self._show(new)
        if not error and len(self._whole) > 1 << 20:
            self._whole, self._shown = self._whole[-4096:], 4096

    def _show(self, text: str) -> None:
        _to_stderr(text)

    def end(self, code: int, interrupted: bool) -> None:
        """The command has ended."""
        rest = self._whole[self._shown :]
        if rest and (code == 0 or interrupted):
            _to_stderr(rest)


def _to_stderr(text: str) -> None:
    """Whoever reads it may have gone away: that is no reason to stop."""
    try:
        sys.stderr.write(text)
        sys.stderr.flush()
    except (OSError, ValueError, AttributeError):
        pass


class _Terminal(_Teller):
    """A terminal of ours: the command draws its bars on one like it."""

    draws = True

    def __init__(self) -> None:
        super().__init__()
        self._terminal: int | None = None
        self._had: bytes | None = None

    def size(self, terminal: int) -> None:
        self._terminal = terminal
        import fcntl
        import termios
        try:
            has = fcntl.ioctl(sys.stderr.fileno(), termios.TIOCGWINSZ, bytes(8))
            if has != self._had:
                self._had = has
                fcntl.ioctl(terminal, termios.TIOCSWINSZ, has)
        except (OSError, ValueError):
            pass

    def _show(self, text: str) -> None:
        if self._terminal is not None:
            self.size(self._terminal)
        _to_stderr(text.replace("\r\n", "\n"))


class _Notebook(_Teller):
    """A line of a notebook's output that is replaced as the run goes on. Warnings stay."""

    draws = True
    _columns = 240  # more than twice a line's width, so that lines can be told by what they are filled up with

    def __init__(self, command: str, display: Callable[..., Any]) -> None:
        super().__init__()
        self._command, self._begin, self._last = command, time.monotonic(), 0.0
        self._rest, self._line, self._told = "", "", ""
        self._handle = display(self._bundle("starts"), raw=True, display_id=True)

    def _bundle(self, text: str) -> dict[str, str]:
        return {"text/plain": f"hw1 {self._command}: {text}"}

    def size(self, terminal: int) -> None:
        import fcntl
        import struct
        import termios
        fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 100, self._columns, 0, 0))

    def _show(self, text: str) -> None:
        *pieces, self._rest = re.split(r"[\r\n]+| {8,}", _CONTROL.sub("\n", self._rest + text))
        for piece in filter(None, map(str.strip, pieces)):
            if piece.startswith("hw1: warning: "):
                _to_stderr(piece + "\n")
            elif not piece.startswith("hw1: ") and (_WHOLE.match(piece) or not _WHOLE.match(self._line)):
                self._line = piece  # that of the run as a whole, once there is one
        if self._line != self._told and time.monotonic() - self._last >= 0.2:
            self._last, self._told = time.monotonic(), self._line
            self._handle.update(self._bundle(self._line), raw=True)

    def end(self, code: int, interrupted: bool) -> None:
        seconds = time.monotonic() - self._begin
        how = "interrupted" if interrupted else "done" if code == 0 else "failed"
        self._handle.update(self._bundle(f"{how} after {seconds:.1f} s"), raw=True)


def _teller(command: str) -> _Teller:
    """For where we are: a notebook, a terminal, or anywhere else, where the command tells plain lines."""
    shell: Any = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
    if shell is not None and hasattr(shell, "kernel"):
        from importlib import import_module
        display: Callable[..., Any] = import_module("IPython.display").display
        return _Notebook(command, display)
    try:
        if sys.stderr.isatty() and sys.stderr.fileno() >= 0:
            return _Terminal()
    except (OSError, ValueError, AttributeError):
        pass
    return _Teller()
