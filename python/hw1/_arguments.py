"""The command line from keywords."""
from __future__ import annotations

import json
import math
import os
import re
from collections.abc import Iterable, Mapping
from typing import Any, cast

from ._errors import UsageError

# What prints something else than results, or nothing.
_NO_RUNS = ["data", "verify", "slurm", "show", "claims", "compare", "export", "doctor", "bench", "completions", "man", "help"]
_NOT_HERE = {"json": "the results are opened for you", "help": "`hw1 {} --help` prints it in a shell", "version": "it is hw1.__version__",
             "dry_run": "it makes no results; `hw1 {} --dry-run` says in a shell what would run",
             "check": "it makes no results; `hw1 {} --check` is for a shell"}
_BY_COMMAS = ["measure", "only", "skip"]


def words(command: str, arguments: Iterable[str | os.PathLike[str]], flags: Mapping[str, object]) -> list[str]:
    """`hw1`'s arguments. Raises UsageError for what cannot be one."""
    if not re.fullmatch(r"[a-z][a-z-]*", command):
        raise UsageError(f"{command!r} is no subcommand: give one of `hw1 --help`, such as hw1.run(\"simulate\", fn=\"sin-sq\").")
    if command in _NO_RUNS:
        raise UsageError(f"hw1.run runs what makes results: a study, \"all\" or \"report\"; `hw1 {command}` is for a shell.")
    line = [command]
    for name, value in flags.items():
        if name in _NOT_HERE and value not in (None, False):
            raise UsageError(f"{name} is not for hw1.run: {_NOT_HERE[name].format(command)}.")
        line += _flag(name, value)
    positional = [_word("an argument", argument) for argument in arguments]
    return line + (["--", *positional] if positional else [])


def _flag(name: str, value: object) -> list[str]:
    flag = "--" + name.replace("_", "-")
    value = _plain(value)
    if value is None or value is False:
        return []
    if value is True:
        return [flag]
    if isinstance(value, Mapping):
        if name != "set":
            raise UsageError(f"{name} is a mapping, and only `set` takes one: set={{\"key\": value}}.")
        return [f"{flag}={key}={toml(each, str(key))}" for key, each in cast("Mapping[object, object]", value).items()]
    if isinstance(value, tuple) and len(cast("tuple[object, ...]", value)) == 2:
        ends = cast("tuple[object, object]", value)
        if all(isinstance(end, (int, float)) and not isinstance(end, bool) for end in map(_plain, ends)):
            return [f"{flag}={_word(name, ends[0])}:{_word(name, ends[1])}"]
    if isinstance(value, (list, tuple)):
        each = [_word(name, one) for one in cast("Iterable[object]", value)]
        if name in _BY_COMMAS:
            return [f"{flag}={','.join(each)}"] if each else []
        return [f"{flag}={one}" for one in each]
    return [f"{flag}={_word(name, value)}"]


def _plain(value: object) -> object:
    """A number of numpy's or torch's as Python's."""
    item = getattr(value, "item", None)
    return item() if callable(item) and getattr(value, "shape", None) == () else value


def _word(name: str, value: object) -> str:
    value = _plain(value)
    if isinstance(value, os.PathLike):
        value = os.fspath(cast("os.PathLike[str]", value))
    if isinstance(value, bool) or not isinstance(value, (str, int, float)):
        raise UsageError(f"{name} is of type {type(value).__name__}, and the command line takes texts, numbers and paths.")
    text = str(value)
    if "\0" in text:
        raise UsageError(f"{name} holds a zero byte, which no command line can.")
    return text


def toml(value: object, name: str) -> str:
    """A value as TOML has it, in one line. Raises UsageError for what it has no form for."""
    value = _plain(value)
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, float):
        return repr(value) if math.isfinite(value) else str(value)
    if isinstance(value, os.PathLike):
        value = os.fspath(cast("os.PathLike[str]", value))
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    tolist = getattr(value, "tolist", None)
    value = tolist() if callable(tolist) else value
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(toml(each, name) for each in cast("Iterable[Any]", value)) + "]"
    if isinstance(value, Mapping):
        pairs = cast("Mapping[object, object]", value).items()
        return "{" + ", ".join(f"{toml(str(key), name)} = {toml(each, name)}" for key, each in pairs) + "}"
    raise UsageError(f"set: {name} is of type {type(value).__name__}, and TOML has booleans, numbers, texts, lists and tables.")
