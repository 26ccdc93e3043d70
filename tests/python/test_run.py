"""hw1.run: the command line by keyword; its progress, errors and end."""
import io
import os
import pathlib
import pty
import signal
import subprocess
import sys
import textwrap
import time
import unittest
from unittest import mock

from support import ROOT, Folder, hw1, needs_binary, quietly

from hw1 import _run
from hw1._arguments import toml, words

# A training that never ends by itself, on two points, and writes checkpoints.
ENDLESS = dict(fn="x", model="1-2-1", epochs=10**8, set={"convergence": 0.0, "patience": 10**8, "train_size": 2, "validation_size": 2}, out="out")


def line(*arguments, **flags):
    return words(arguments[0], arguments[1:], flags)


class Words(Folder):
    """The command line from keywords."""

    def test_keywords(self):
        for flags, said in [
            (dict(fn="sin-sq", repeats=10), ["--fn=sin-sq", "--repeats=10"]),
            (dict(by_layer=True, force=False, out=None, data_dir=pathlib.Path("a b")), ["--by-layer", "--data-dir=a b"]),
            (dict(domain=(-3, 2.5)), ["--domain=-3:2.5"]),
            (dict(weights=["a", pathlib.Path("b")], model=("x", "y")), ["--weights=a", "--weights=b", "--model=x", "--model=y"]),
            (dict(measure=["slices", "surface"], only=("simulate", "min-ratio"), skip=[]), ["--measure=slices,surface", "--only=simulate,min-ratio"]),
            (dict(measure="slices"), ["--measure=slices"]),
            (dict(set={"patience": 3, "data.size": [32, 32], "name": 'a"b\n', "deep": {"on": True, "rate": 0.5}}),
             ["--set=patience=3", "--set=data.size=[32, 32]", '--set=name="a\\"b\\n"', '--set=deep={"on" = true, "rate" = 0.5}']),
            (dict(set=["a=1", "b=2"]), ["--set=a=1", "--set=b=2"]),
        ]:
            self.assertEqual(line("simulate", **flags), ["simulate", *said])
        self.assertEqual(line("analyse", "model.pt2", pathlib.Path("-x"), jobs=2), ["analyse", "--jobs=2", "--", "model.pt2", "-x"])

    def test_toml_reads_as_it_was(self):
        try:
            import tomllib
        except ImportError:
            self.skipTest("Python 3.10 has no tomllib")
        for value in [0, -7, 1e-300, 0.1, 1e22, float("inf"), True, "", "é\x7f\t\\ \"'", [1, [2.5, "x"]], [], {}, {"a b": {"c": [False]}}]:
            self.assertEqual(tomllib.loads(f"key = {toml(value, 'key')}")["key"], value)
        self.assertNotEqual(tomllib.loads(f"key = {toml(float('nan'), 'key')}")["key"], 0)

    def test_what_is_refused(self):
        for text, arguments, flags in [
            ("is no subcommand", ["--version"], {}), ("is no subcommand", [""], {}), ("is for a shell", ["doctor"], {}), ("is for a shell", ["slurm"], {}),
            ("dry_run is not for hw1.run", ["simulate"], dict(dry_run=True)), ("json is not for hw1.run", ["simulate"], dict(json=True)),
            ("takes texts, numbers and paths", ["simulate"], dict(fn=object())), ("takes texts, numbers and paths", ["simulate", 3.5j], {}),
            ("only `set` takes one", ["simulate"], dict(fn={"a": 1})), ("set: a is of type NoneType", ["simulate"], dict(set={"a": None})),
            ("zero byte", ["simulate"], dict(fn="a\0b")),
        ]:
            error = self.refused(text, hw1.run, *arguments, kind=hw1.UsageError, **flags)
            self.assertIsInstance(error, ValueError)
            self.assertIsNone(error.code)
        self.assertEqual(line("simulate", json=False, dry_run=None), ["simulate"])


class Stand(Folder):
    """Against scripts that stand in for the binary."""

    def command(self, script):
        path = self.folder / "stand-in"
        path.write_text("#!/bin/sh\n" + textwrap.dedent(script))
        path.chmod(0o755)
        return mock.patch.object(_run._binary, "command", lambda: ([str(path)], {"ADDED": "1"}))

    def test_errors_are_the_commands_own(self):
        for script, code, kind, message, shown in [
            ("echo 'hw1: 1 of 3'; echo 'hw1: error: it is so: do that' >&2; exit 1", 1, hw1.Hw1Error, "it is so: do that", ""),
            ("printf 'working\\nhw1: err' >&2; sleep 0.1; printf 'or: cut in two\\n' >&2; exit 2", 2, hw1.UsageError, "cut in two", "working\n"),
            ("printf \"error: unexpected '--x'\\n\\n  tip: '--y'\\n\\nUsage: hw1 [OPTIONS]\\n\\nFor more information, try '--help'.\\n\" >&2; exit 2", 2,
             hw1.UsageError, "unexpected '--x'; tip: '--y'", ""),
            ("echo no more words >&2; exit 9", 9, hw1.Hw1Error, "hw1 simulate failed with exit code 9: no more words", "no more words\n"),
            ("exit 9", 9, hw1.Hw1Error, "hw1 simulate failed with exit code 9", ""),
            ("kill -9 $$", 137, hw1.Hw1Error, "hw1 simulate was ended by SIGKILL", ""),
            ("exit 143", 143, hw1.Hw1Error, "hw1 simulate was interrupted by SIGTERM", ""),
        ]:
            with self.command(script), mock.patch("sys.stderr", io.StringIO()) as said:
                error = self.refused(message, hw1.run, "simulate")
            self.assertEqual([error.code, type(error), said.getvalue()], [code, kind, shown], script)

    def test_what_only_looks_like_an_error_is_shown(self):
        with self.command("printf 'error: no, all is well' >&2; echo '{}'; mkdir -p runs/report/x/trials"):
            run, said = quietly(hw1.run, "simulate")
        self.assertEqual([said, list(run)], ["error: no, all is well", ["x"]])

    def test_no_such_command(self):
        with mock.patch.object(_run._binary, "command", lambda: (["/nowhere/hw1"], {})):
            self.refused("/nowhere/hw1 cannot be run", hw1.run, "simulate")

    def test_environment_and_arguments(self):
        with self.command("echo \"$ADDED $*\" > said; mkdir -p there/x/trials"):
            quietly(hw1.run, "simulate", "a b", out="there", fn="x y")
        self.assertEqual(pathlib.Path("said").read_text(), "1 simulate --json --out=there --fn=x y -- a b\n")

    def test_a_reader_that_has_gone_stops_nothing(self):
        class Gone(io.StringIO):
            def write(self, text):
                raise BrokenPipeError
        with self.command("echo word >&2; mkdir -p runs/report/x/trials"), mock.patch("sys.stderr", Gone()):
            self.assertEqual(list(hw1.run("simulate")), ["x"])

    def test_much_output(self):
        with self.command("head -c 3000000 /dev/zero | tr '\\0' x >&2; head -c 3000000 /dev/zero | tr '\\0' y; mkdir -p runs/report/x/trials"):
            _, said = quietly(hw1.run, "simulate")
        self.assertEqual(said.count("x"), 3000000)

    def test_a_terminal_has_bars(self):
        script = "[ -t 2 ] || exit 3; stty size <&2 >&2; printf 'a\\r\\033[2K' >&2; echo 'hw1: error: so' >&2; exit 1"
        with self.command(script):
            ours, theirs = pty.openpty()
            import fcntl
            import struct
            import termios
            fcntl.ioctl(ours, termios.TIOCSWINSZ, struct.pack("HHHH", 17, 71, 0, 0))
            with open(theirs, "w") as terminal, mock.patch("sys.stderr", terminal):
                self.refused("so", hw1.run, "simulate")
                said = os.read(ours, 1000).decode()
            os.close(ours)
        self.assertIn("17 71", said)
        self.assertNotIn("so", said)

    def test_a_notebook_has_a_line(self):
        lines = []

        class Handle:
            def update(self, bundle, raw):
                lines.append(bundle["text/plain"])

        def display(bundle, raw, display_id):
            lines.append(bundle["text/plain"])
            return Handle()
        script = """
            bar() { printf "$1%180s\\r\\033[2K" '' >&2; sleep 0.3; }
            echo 'hw1: at most 2 GB of memory' >&2
            bar '0 of 2 trials done'
            bar '1 of 2 trials done; about 1s left'
            printf 'hw1: warning: look%150s' '' >&2
            bar '2 of 2 trials done'
            mkdir -p runs/report/x/trials"""
        with self.command(script), mock.patch("sys.stderr", io.StringIO()) as said, \
                mock.patch.object(_run, "_teller", lambda command: _run._Notebook(command, display)):
            hw1.run("simulate")
        self.assertEqual(lines[:-1], ["hw1 simulate: starts", "hw1 simulate: 0 of 2 trials done", "hw1 simulate: 1 of 2 trials done; about 1s left",
                                      "hw1 simulate: 2 of 2 trials done"])
        self.assertRegex(lines[-1], r"^hw1 simulate: done after \d+\.\d s$")
        self.assertEqual(said.getvalue(), "hw1: warning: look\n")


@needs_binary
class Real(Folder):
    """Against the binary."""

    def test_a_study_opened(self):
        run, said = quietly(hw1.run, "simulate", fn="sin-sq", preset="smoke", repeats=2, set={"patience": 3}, out=self.folder / "a b")
        self.assertEqual([list(run), run.study.settings["patience"], len(run.study.trials)], [["simulate-sin-sq"], 3, 6])
        self.assertIn("done in", said)
        again, said = quietly(hw1.run, "min-ratio", preset="smoke", out=self.folder / "a b", quiet=True)
        self.assertEqual([list(again), said], [["min-ratio"], ""])
        report, _ = quietly(hw1.run, "report", out=self.folder / "a b")
        self.assertEqual(list(report), ["min-ratio", "simulate-sin-sq"])
        self.assertTrue(report.page.path.is_file())

    def test_where_it_goes_by_itself(self):
        run, _ = quietly(hw1.run, "all", preset="smoke", only=["simulate"], quiet=True)
        self.assertEqual([run.path, list(run)], [pathlib.Path("runs/smoke"), ["simulate-sin-sq", "simulate-sign-sin"]])

    def test_mistakes(self):
        self.refused("a similar argument exists: '--fn'", hw1.run, "simulate", kind=hw1.UsageError, fnn="x")
        self.refused("unexpected end of expression", hw1.run, "simulate", kind=hw1.UsageError, fn="foo(")
        self.refused("unrecognized subcommand", hw1.run, "simulat", kind=hw1.UsageError)
        self.refused("cannot read", hw1.run, "analyse", "none.pt2", kind=hw1.UsageError)
        pathlib.Path("file").write_text("")
        error, _ = quietly(self.refused, "file", hw1.run, "simulate", preset="smoke", out="file/x")
        self.assertIn(error.code, (1, 2))

    def child(self, code):
        """A Python that runs an endless study by this code, and the process of hw1 that it has started."""
        text = f"import sys; sys.path.insert(0, {str(ROOT / 'python')!r}); import hw1\nENDLESS = {ENDLESS!r}\n" + textwrap.dedent(code)
        python = subprocess.Popen([sys.executable, "-c", text], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.addCleanup(python.communicate)
        self.addCleanup(python.kill)
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            for status in pathlib.Path("/proc").glob("[0-9]*/status"):
                try:
                    words_ = (status.parent / "cmdline").read_bytes().split(b"\0")
                    if f"PPid:\t{python.pid}\n" in status.read_text() and b"simulate" in words_ and list(pathlib.Path("out").glob("*/trials")):
                        return python, int(status.parent.name)
                except OSError:
                    continue
            if python.poll() is not None:
                break
            time.sleep(0.05)
        self.fail(f"hw1 did not start: {python.poll()}")

    def assert_ended(self, pid):
        deadline = time.monotonic() + 30
        while pathlib.Path(f"/proc/{pid}").exists():
            try:
                if "\nState:\tZ" in pathlib.Path(f"/proc/{pid}/status").read_text():
                    break
            except OSError:
                break
            self.assertLess(time.monotonic(), deadline, "hw1 goes on without its parent")
            time.sleep(0.05)
        self.assertTrue(list(pathlib.Path("out").glob("*/trials/*.checkpoint")), "no checkpoint")

    @unittest.skipUnless(os.path.exists("/proc/self/status"), "no /proc")
    def test_killed_with_its_parent(self):
        python, pid = self.child("hw1.run('simulate', **ENDLESS)")
        time.sleep(0.5)
        python.kill()
        self.assert_ended(pid)

    @unittest.skipUnless(os.path.exists("/proc/self/status"), "no /proc")
    def test_a_parent_that_ends_with_a_run_in_a_thread(self):
        python, pid = self.child("""
            import os, threading, time
            threading.Thread(target=lambda: hw1.run('simulate', **ENDLESS), daemon=True).start()
            while not os.path.exists('stop'):
                time.sleep(0.05)""")
        time.sleep(0.5)
        pathlib.Path("stop").touch()
        self.assertEqual(python.wait(30), 0)
        self.assert_ended(pid)

    @unittest.skipUnless(os.path.exists("/proc/self/status"), "no /proc")
    def test_interrupted(self):
        python, pid = self.child("""
            try:
                hw1.run('simulate', **ENDLESS)
            except KeyboardInterrupt:
                print('interrupted')""")
        time.sleep(0.5)
        python.send_signal(signal.SIGINT)
        out, errors = python.communicate(timeout=30)
        self.assertEqual([out, python.returncode], ["interrupted\n", 0])
        self.assertIn("the same command goes on from there", errors)
        self.assert_ended(pid)

    @unittest.skipUnless(os.path.exists("/proc/self/status"), "no /proc")
    def test_stopped_by_someone_else(self):
        python, pid = self.child("""
            try:
                hw1.run('simulate', **ENDLESS)
            except hw1.Hw1Error as error:
                print(error.code)""")
        time.sleep(0.5)
        os.kill(pid, signal.SIGTERM)
        self.assertEqual(python.communicate(timeout=30)[0], "143\n")


if __name__ == "__main__":
    unittest.main()
