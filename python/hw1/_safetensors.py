"""Reads .safetensors files: a length, a header in JSON, numbers. Every size is held against the file before it is believed."""
from __future__ import annotations

import json
import math
import struct
from pathlib import Path
from typing import Any, NamedTuple, cast

from ._errors import Hw1Error
from ._libraries import optional

# Bytes a number takes, its type in numpy, its format in memoryview.
_KINDS = {"F64": (8, "<f8", "d"), "F32": (4, "<f4", "f"), "F16": (2, "<f2", None), "BF16": (2, None, None), "I64": (8, "<i8", "q"),
          "I32": (4, "<i4", "i"), "I16": (2, "<i2", "h"), "I8": (1, "|i1", "b"), "U8": (1, "|u1", "B"), "BOOL": (1, "|b1", "?")}
_MOST_HEADER = 100_000_000


class Entry(NamedTuple):
    """A tensor's place among the numbers."""

    kind: str
    shape: tuple[int, ...]
    begin: int
    end: int


def _whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def parse(data: bytes, path: Path) -> tuple[dict[str, Entry], int]:
    """Where each tensor lies, and where the numbers begin.

    Raises Hw1Error for what is cut short, has bytes that belong to no tensor, or is no such file.
    """
    def refuse(what: str) -> Hw1Error:
        return Hw1Error(f"{path} is no .safetensors that can be read: {what}. `hw1 verify` says what else is amiss; "
                        "the run's command makes it anew.")
    if len(data) < 8:
        raise refuse(f"it has {len(data)} bytes")
    length = int(struct.unpack_from("<Q", data)[0])
    if length > min(_MOST_HEADER, len(data) - 8):
        raise refuse(f"its header would have {length} bytes, and {len(data) - 8} are there")
    try:
        header: object = json.loads(data[8 : 8 + length].decode("utf-8"))
    except (ValueError, RecursionError):
        raise refuse("its header is no JSON") from None
    if not isinstance(header, dict):
        raise refuse("its header is no object")
    entries: dict[str, Entry] = {}
    for name, about in cast("dict[str, object]", header).items():
        if name == "__metadata__":
            continue
        fields = cast("dict[str, object]", about) if isinstance(about, dict) else {}
        kind, shape, offsets = (fields.get(key) for key in ["dtype", "shape", "data_offsets"])
        if not isinstance(shape, list) or not isinstance(offsets, list) or not isinstance(kind, str):
            raise refuse(f"what its header says of {name} is incomplete")
        lengths, places = cast("list[object]", shape), cast("list[object]", offsets)
        if not all(map(_whole, lengths)) or not all(map(_whole, places)) or len(places) != 2:
            raise refuse(f"shape or place of {name} is none")
        if kind not in _KINDS:
            raise refuse(f"{name} is of type {kind}")
        entry = Entry(kind, tuple(cast("list[int]", lengths)), *cast("list[int]", places))
        if entry.end - entry.begin != math.prod(entry.shape) * _KINDS[kind][0]:
            raise refuse(f"{name} has {entry.end - entry.begin} bytes, and its shape {list(entry.shape)} of {kind} takes others")
        entries[name] = entry
    at = 0
    for name, entry in sorted(entries.items(), key=lambda item: (item[1].begin, item[1].end)):
        if entry.begin != at:
            raise refuse(f"{name} begins at byte {entry.begin}, where {at} would follow")
        at = entry.end
    if 8 + length + at != len(data):
        raise refuse(f"it has {len(data)} bytes, and {8 + length + at} are announced")
    return entries, 8 + length


def load(data: bytes, path: Path) -> dict[str, Any]:
    """The tensors by name: numpy arrays, or where numpy is missing memoryviews of that shape and type.

    Each is a copy that can be written to. bfloat16, which neither has, becomes float32, as float16 does without numpy.
    An empty one without numpy is of one dimension. `path` is for errors.
    """
    entries, begin = parse(data, path)
    numpy = optional("numpy")
    of: dict[str, Any] = {}
    for name, entry in entries.items():
        raw = bytearray(data[begin + entry.begin : begin + entry.end])
        _, kind, letter = _KINDS[entry.kind]
        if numpy is not None:
            if kind is None:
                array = (numpy.frombuffer(raw, "<u2").astype("<u4") << 16).view("<f4")
            else:
                array = numpy.frombuffer(raw, kind)
            of[name] = array.reshape(entry.shape)
            continue
        if letter is None:
            halves = struct.unpack(f"<{len(raw) // 2}{'e' if entry.kind == 'F16' else 'H'}", raw)
            if entry.kind == "F16":
                raw = bytearray(struct.pack(f"<{len(halves)}f", *halves))
            else:
                raw = bytearray(struct.pack(f"<{len(halves)}I", *(half << 16 for half in halves)))
            letter = "f"
        view = memoryview(raw)
        of[name] = view.cast(cast(Any, letter), shape=list(entry.shape)) if raw else view.cast(cast(Any, letter))
    return of
