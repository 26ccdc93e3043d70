"""hw1.analyse: a model and data as they are in memory, as files that `hw1 analyse` reads."""
from __future__ import annotations

import math
import os
import struct
import tempfile
import zipfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, cast

from ._errors import Hw1Error, UsageError
from ._export import export_model, short, tensor_bytes, torch, write_safetensors
from ._libraries import optional
from ._results import Run
from ._run import run


class Array(NamedTuple):
    """Numbers as an .npy file has them."""

    descr: str
    shape: tuple[int, ...]
    data: bytes | memoryview


def analyse(model: Any, data: Any, *, measure: str | Sequence[str] | None, test: Any, example: Any, weights: Any, **flags: object) -> Run:
    """hw1.analyse."""
    for name in ("model", "data", "dataset"):
        if name in flags:
            raise UsageError(f"{name} stands before the flags: hw1.analyse(model, data, …).")
    with tempfile.TemporaryDirectory(prefix="hw1-") as name:
        folder = Path(name)
        if isinstance(data, (str, os.PathLike)):
            if test is not None:
                raise UsageError("test goes with data in memory; what a path or a name stands for has its own.")
            source, arrays = os.fspath(cast("str | os.PathLike[str]", data)), None
        else:
            source, arrays = str(folder / "data.npz"), _splits(data, test)
        if isinstance(model, (str, os.PathLike)):
            what = os.fspath(cast("str | os.PathLike[str]", model))
        else:
            if example is None:
                if arrays is None:
                    raise UsageError("example is missing: an input with its batch first, to export the model with, such as x[:2].")
                example = _first(next(iter(arrays.values())), model)
            # The folder of the results is called by its stem.
            what = str(folder / f"{type(model).__name__}.pt2")
            export_model(model, example, what)
        if arrays is not None:
            _write_npz(Path(source), arrays)
        if isinstance(weights, Mapping):
            path = folder / "weights.safetensors"
            write_safetensors(path, cast("Mapping[str, Any]", weights))
            weights = path
        return run("analyse", what, data=source, measure=measure, weights=weights, **flags)


def _splits(data: Any, test: Any) -> dict[str, Array]:
    """The arrays of an .npz, inputs first."""
    if isinstance(data, Mapping):
        if test is not None:
            raise UsageError("test goes with data of inputs and targets; a mapping has its own x_test and y_test.")
        named = cast("Mapping[str, Any]", data)
        arrays = {str(key): _array(value, str(key)) for key, value in named.items()}
        if not arrays:
            raise UsageError("data is an empty mapping: give x_train and y_train, and x_test and y_test where there are some.")
        return dict(sorted(arrays.items(), key=lambda item: not item[0].lower().startswith(("x", "train_x", "inputs", "images", "data"))))
    if test is None:
        inputs, targets = _pair(data, "data")
        return {"x": inputs, "y": targets}
    (inputs, targets), (test_inputs, test_targets) = _pair(data, "data"), _pair(test, "test")
    return {"x_train": inputs, "y_train": targets, "x_test": test_inputs, "y_test": test_targets}


def _pair(data: Any, name: str) -> tuple[Array, Array]:
    """Inputs and targets of what has both."""
    if isinstance(data, (tuple, list)) and len(cast("Sequence[Any]", data)) == 2 and not _is_loader(cast(object, data)):
        inputs, targets = cast("Sequence[Any]", data)
    else:
        inputs, targets = _gathered(data, name)
    x, y = _array(inputs, f"the inputs of {name}"), _array(targets, f"the targets of {name}")
    if not x.shape or not y.shape or x.shape[0] != y.shape[0]:
        raise UsageError(f"{name} has inputs of the shape {list(x.shape)} and targets of {list(y.shape)}, which are not as many.")
    return x, y


def _is_loader(data: object) -> bool:
    return hasattr(data, "dataset") and hasattr(data, "collate_fn")


def _gathered(data: Any, name: str) -> tuple[Any, Any]:
    """All samples of a DataLoader or Dataset."""
    if _is_loader(data) and type(data.sampler).__name__ == "RandomSampler" and data.batch_size is not None:
        # In the order of its data set, so that the same data are known again.
        data = torch().utils.data.DataLoader(data.dataset, batch_size=data.batch_size, collate_fn=data.collate_fn,
                                             num_workers=data.num_workers)
    whole = data.dataset if _is_loader(data) else data
    if isinstance(whole, torch().utils.data.TensorDataset) and (whole is data or type(data.sampler).__name__ == "SequentialSampler"):
        tensors: tuple[Any, ...] = whole.tensors
        if len(tensors) != 2:
            raise UsageError(f"{name} has {len(tensors)} tensors a sample, and two are needed: input and target.")
        return tensors
    if not _is_loader(data):
        if not hasattr(data, "__getitem__") or not hasattr(data, "__len__"):
            if not hasattr(data, "__iter__"):
                raise UsageError(f"{name} is of type {type(data).__name__}: give a DataLoader, a Dataset, a pair (inputs, targets), "
                                 "a mapping of arrays or a path.")
        data = torch().utils.data.DataLoader(data, batch_size=256)
    inputs: list[Any] = []
    targets: list[Any] = []
    try:
        for batch in cast("Iterable[Any]", data):
            pair = cast("Sequence[Any]", batch)
            if not isinstance(batch, (tuple, list)) or len(pair) != 2:
                raise UsageError(f"{name} gives no pairs (inputs, targets), but a {type(pair).__name__} a batch; wrap it, or give arrays.")
            inputs.append(torch().as_tensor(pair[0]))
            targets.append(torch().as_tensor(pair[1]))
        if not inputs:
            raise UsageError(f"{name} is empty.")
        return torch().cat(inputs), torch().cat(targets)
    except Hw1Error:
        raise
    except Exception as error:
        raise Hw1Error(f"{name} cannot be read to its end: {short(error)}") from None


def _array(value: Any, name: str) -> Array:
    """A tensor, an array or lists of numbers. Raises UsageError for what is no array of numbers."""
    if hasattr(value, "data_ptr"):  # a tensor, without importing torch for what is none
        return _of_tensor(value, name)
    numpy = optional("numpy")
    if numpy is not None:
        try:
            array = numpy.ascontiguousarray(value)
        except (TypeError, ValueError) as error:
            raise UsageError(f"{name} is no array of numbers: {short(error)}") from None
        if array.dtype.kind not in "fiub":
            raise UsageError(f"{name} is no array of numbers, but of {array.dtype}.")
        # Scalars come back as arrays of one number.
        array = array.astype(array.dtype.newbyteorder("<"), copy=False)
        return Array(array.dtype.str, tuple(array.shape), memoryview(array).cast("B") if array.size else b"")
    try:
        return _of_tensor(torch().as_tensor(value), name)
    except (TypeError, ValueError, RuntimeError) as error:
        raise UsageError(f"{name} is no array of numbers: {short(error)}") from None


def _of_tensor(tensor: Any, name: str) -> Array:
    kinds = {"float64": "<f8", "float32": "<f4", "float16": "<f2", "int64": "<i8", "int32": "<i4", "int16": "<i2", "int8": "|i1",
             "uint8": "|u1",         "bool": "|b1"}
    if tensor.dtype == torch().bfloat16:
        tensor = tensor.float()  # which numpy's format lacks
    descr = kinds.get(str(tensor.dtype).removeprefix("torch."))
    if descr is None:
        raise UsageError(f"{name} is a tensor of {tensor.dtype}, and numbers are needed.")
    return Array(descr, tuple(tensor.shape), tensor_bytes(tensor))


def _first(array: Array, model: Any, count: int = 2) -> Any:
    """The first samples as a tensor, in type and shape as `hw1 analyse` gives them to a model."""
    kinds = {"f8": "float64", "f4": "float32", "f2": "float16", "i8": "int64", "i4": "int32", "i2": "int16", "i1": "int8",
             "u1": "uint8", "b1": "bool"}
    kind = kinds.get(array.descr[1:])
    if kind is None:
        raise UsageError(f"The inputs are of {array.descr}, and an example cannot be taken of them: give one as example.")
    shape = (min(count, array.shape[0]), *array.shape[1:]) if array.shape else (0,)
    length = math.prod(shape) * int(array.descr[2:])
    if not length:
        raise UsageError(f"The inputs have the shape {list(array.shape)}: there is no sample among them.")
    tensor = torch().frombuffer(bytearray(array.data[:length]), dtype=getattr(torch(), kind)).reshape(shape)
    if len(shape) < 3:
        has_tokens = any(isinstance(module, torch().nn.Embedding) for module in model.modules()) if hasattr(model, "modules") else False
        return tensor.long() if has_tokens and not tensor.is_floating_point() else tensor.float()
    if len(shape) == 3:
        return tensor.float().unsqueeze(1)
    channels_last = len(shape) == 4 and shape[3] in range(1, 5) and shape[1] not in range(1, 5)
    return tensor.float().permute(0, 3, 1, 2) if channels_last else tensor.float()


def _write_npz(path: Path, arrays: Mapping[str, Array]) -> None:
    """An .npz, as numpy.savez writes it."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        for name, array in arrays.items():
            shape = "(" + "".join(f"{length}, " for length in array.shape).rstrip(" " if len(array.shape) == 1 else ", ") + ")"
            header = f"{{'descr': '{array.descr}', 'fortran_order': False, 'shape': {shape}, }}"
            header += " " * (-(len(header) + 11) % 64) + "\n"
            with archive.open(f"{name}.npy", "w", force_zip64=True) as file:
                file.write(b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header.encode("latin-1"))
                view = memoryview(array.data)
                for begin in range(0, len(view), 1 << 24):
                    file.write(view[begin : begin + (1 << 24)])
