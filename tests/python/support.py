"""What the tests of the Python package share. HW1 names the binary; the package is the checkout's."""
import contextlib
import io
import os
import pathlib
import shutil
import sys
import tempfile
import unittest

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(ROOT / "python"))

import hw1  # noqa: E402

# Without HW1, scripts/hw1 would compile for minutes.
HAS_BINARY = "HW1" in os.environ
needs_binary = unittest.skipUnless(HAS_BINARY, "HW1 does not name a binary")


def needs(*names):
    """Skips, and says so, where a library is missing."""
    import importlib.util
    missing = [name for name in names if importlib.util.find_spec(name) is None]
    return unittest.skipIf(bool(missing), f"{' and '.join(missing)} not installed")


class Folder(unittest.TestCase):
    """A test with a folder of its own, in which relative paths begin."""

    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)
        self.addCleanup(os.chdir, os.getcwd())
        os.chdir(folder.name)

    def refused(self, text, call, *arguments, kind=hw1.Hw1Error, **keywords):
        """The error of a call that must fail: one line that says `text`."""
        with self.assertRaises(kind) as caught:
            call(*arguments, **keywords)
        message = str(caught.exception)
        self.assertIn(text, message)
        self.assertNotIn("\n", message)
        return caught.exception


def quietly(call, *arguments, **keywords):
    """(result, what stood on standard error)."""
    with contextlib.redirect_stderr(io.StringIO()) as said:
        result = call(*arguments, **keywords)
    return result, said.getvalue()


_SMOKE = []


def smoke_run(into):
    """A copy of a small run of two studies, made once."""
    if not _SMOKE:
        folder = tempfile.TemporaryDirectory()
        out = pathlib.Path(folder.name) / "run"
        quietly(hw1.run, "all", only=["simulate", "min-ratio"], preset="smoke", repeats=2, out=out)
        _SMOKE.extend([out, folder])
    shutil.copytree(_SMOKE[0], into)
    return into
