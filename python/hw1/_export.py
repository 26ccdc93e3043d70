"""Writes a PyTorch model as a .pt2 that `hw1 analyse` reads: hw1.export, and the script python/hw1_export.py."""
from __future__ import annotations

import argparse
import contextlib
import copy
import importlib
import importlib.util
import io
import json
import logging
import os
import shutil
import struct
import subprocess
import sys
import warnings
from collections.abc import Callable, Generator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple, NoReturn, cast

from ._errors import Hw1Error, MissingLibraryError

Tell = Callable[[str], None]
_PREFIXES = ["module.", "_orig_mod.", "model."]


class Input(NamedTuple):
    """What an input is like: its shape with the batch first, its torch.dtype, and what integers stay below."""

    shape: list[int]
    kind: Any
    below: int


@cache
def torch() -> Any:
    """PyTorch, imported once it is needed."""
    try:
        module: Any = importlib.import_module("torch")
    except ImportError as error:
        raise MissingLibraryError(f"Models of PyTorch's need PyTorch, and it cannot be imported ({error}): "
                                  "pip install 'torch==2.11.*'.") from None
    if tuple(int(part) for part in module.__version__.split(".")[:2]) < (2, 9):
        raise Hw1Error(f"torch is {module.__version__}; hw1 reads what 2.9 and newer write.")
    return module


def _types() -> dict[str, Any]:
    names = {"F64": "float64", "F32": "float32", "F16": "float16", "BF16": "bfloat16", "I64": "int64", "I32": "int32", "I16": "int16",
             "I8": "int8", "U8": "uint8", "BOOL": "bool"}
    return {name: getattr(torch(), kind) for name, kind in names.items()}


def short(error: BaseException) -> str:
    """An error in a line."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return f"{type(error).__name__}: {lines[0][:300]}" if lines else type(error).__name__


def _silent(_: str) -> None:
    pass


def load_model(spec: str, kwargs: Mapping[str, Any]) -> Any:
    """The module that FILE.py:NAME or MODULE:NAME says. Raises Hw1Error where there is none."""
    source, _, name = spec.rpartition(":")
    if not source or not name:
        raise Hw1Error(f"{spec} does not say which model: write FILE.py:NAME or MODULE:NAME.")
    try:
        if source.endswith(".py"):
            path = Path(source).resolve()
            if not path.is_file():
                raise Hw1Error(f"There is no file {source}.")
            sys.path.insert(0, str(path.parent))
            found = importlib.util.spec_from_file_location(path.stem, path)
            if found is None or found.loader is None:
                raise Hw1Error(f"{source} is no file of Python's.")
            module: Any = importlib.util.module_from_spec(found)
            sys.modules[path.stem] = module
            found.loader.exec_module(module)
        else:
            sys.path.insert(0, os.getcwd())
            module = importlib.import_module(source)
    except Hw1Error:
        raise
    except Exception as error:
        raise Hw1Error(f"{source} cannot be imported: {short(error)}") from None
    for part in name.split("."):
        if not hasattr(module, part):
            raise Hw1Error(f"{source} has no {name}.")
        module = getattr(module, part)
    if isinstance(module, torch().nn.Module):
        if kwargs:
            raise Hw1Error(f"{name} is a module already: --kwargs would be for a class or a function.")
        return module
    if not callable(module):
        raise Hw1Error(f"{name} is no class, function or module, but of type {type(module).__name__}.")
    try:
        model: Any = module(**kwargs)
    except Exception as error:
        raise Hw1Error(f"{name}({', '.join(f'{k}={v!r}' for k, v in kwargs.items())}) failed: {short(error)}") from None
    if not isinstance(model, torch().nn.Module):
        raise Hw1Error(f"{name} gives no nn.Module, but a {type(model).__name__}.")
    return model


def _read_safetensors(path: Path) -> dict[str, Any]:
    data = memoryview(bytearray(path.read_bytes()))
    try:
        (size,) = struct.unpack("<Q", data[:8])
        header: dict[str, Any] = json.loads(bytes(data[8 : 8 + size]))
        header.pop("__metadata__", None)
        tensors: dict[str, Any] = {}
        for name, about in header.items():
            begin, end = (8 + size + at for at in about["data_offsets"])
            kind = _types()[about["dtype"]]
            flat = torch().frombuffer(data[begin:end], dtype=kind) if end > begin else torch().empty(0, dtype=kind)
            tensors[name] = flat.reshape(about["shape"])
        return tensors
    except (struct.error, ValueError, KeyError, TypeError, AttributeError, RuntimeError) as error:
        raise Hw1Error(f"{path} is no .safetensors that can be read here: {short(error)}") from None


def tensor_bytes(tensor: Any) -> bytes:
    """The numbers of a tensor in their order. Needs no numpy."""
    import ctypes
    tensor = tensor.detach().cpu().contiguous()
    return ctypes.string_at(tensor.data_ptr(), tensor.numel() * tensor.element_size()) if tensor.numel() else b""


def write_safetensors(path: Path, tensors: Mapping[str, Any]) -> None:
    """Writes tensors by name. Raises Hw1Error for a type that has no place there."""
    names = {kind: name for name, kind in _types().items()}
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    chunks: list[bytes] = []
    at = 0
    for name, tensor in tensors.items():
        if tensor.dtype not in names:
            raise Hw1Error(f"{name} is of {tensor.dtype}, which cannot be written as .safetensors here.")
        chunks.append(tensor_bytes(tensor))
        header[name] = {"dtype": names[tensor.dtype], "shape": list(tensor.shape), "data_offsets": [at, at + len(chunks[-1])]}
        at += len(chunks[-1])
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        file.writelines(chunks)


def _read_weights(path: Path) -> dict[str, Any]:
    if not path.is_file():
        raise Hw1Error(f"There is no file {path}.")
    if path.suffix == ".safetensors":
        return _read_safetensors(path)
    try:
        state: Any = torch().load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        raise Hw1Error(f"{path} cannot be loaded as plain weights: {short(error)} Save model.state_dict() instead.") from None
    for key in ["state_dict", "model_state_dict", "model"]:
        inner = _dict(state).get(key)
        if _dict(inner):
            state = inner
    tensors = _dict(state)
    if not tensors or not all(isinstance(v, torch().Tensor) for v in tensors.values()):
        raise Hw1Error(f"{path} holds no state dict: neither itself nor under state_dict, model_state_dict or model.")
    return tensors


def _dict(value: object) -> dict[str, Any]:
    """It, or an empty one where it is none."""
    return cast("dict[str, Any]", value) if isinstance(value, dict) else {}


def _misfits(model: Any, state: Mapping[str, Any]) -> tuple[list[str], list[str]]:
    """(names without a weight, weights without a name). Tied parameters need one weight among them."""
    own: dict[str, Any] = model.state_dict(keep_vars=True)
    have = {id(own[name]) for name in state if name in own}
    return [n for n, v in own.items() if n not in state and id(v) not in have], [n for n in state if n not in own]


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:8]) + (f" and {len(names) - 8} more" if len(names) > 8 else "")


def load_weights(model: Any, path: Path, tell: Tell) -> None:
    """Gives a model the weights of a file, whatever prefixes their names have. Raises Hw1Error where they do not fit."""
    state = _read_weights(path)
    tries = [state]
    for _ in _PREFIXES:  # such as module._orig_mod.model.
        tries += [{n.removeprefix(p): v for n, v in t.items()} for t in tries for p in _PREFIXES if any(n.startswith(p) for n in t)]
        tries = [t for i, t in enumerate(tries) if t.keys() not in [u.keys() for u in tries[:i]] and len(t) == len(state)]
    best = min(tries, key=lambda t: sum(map(len, _misfits(model, t))))
    missing, unexpected = _misfits(model, best)
    if missing or unexpected:
        says = [f"{text} {_some(names)}" for text, names in [("without a weight:", missing), ("not in the model:", unexpected)] if names]
        raise Hw1Error(f"The names in {path} do not fit the model: {'; '.join(says)}.")
    own: dict[str, Any] = model.state_dict()
    wrong = [f"{n} is {list(v.shape)}, the model's {list(own[n].shape)}" for n, v in best.items() if v.shape != own[n].shape]
    if wrong:
        raise Hw1Error(f"Shapes in {path} do not fit the model: {'; '.join(wrong[:8])}{' and more' if len(wrong) > 8 else ''}.")
    kinds = {v.dtype for v in best.values() if v.is_floating_point()}
    if len(kinds) == 1:
        model.to(kinds.pop())
    model.load_state_dict(best, strict=False)
    tell(f"weights: {len(best)} tensors of {path}")


def _float_kind(model: Any) -> Any:
    """The type of a model's weights."""
    return next((p.dtype for p in model.parameters() if p.is_floating_point()), torch().float32)


def _parse_input(text: str, model: Any) -> Input:
    shape, *rest = text.split(":")
    try:
        lengths = [int(v) for v in shape.split(",")]
        kind: Any = getattr(torch(), rest[0]) if rest else _float_kind(model)
        embeddings = (m.num_embeddings for m in model.modules() if isinstance(m, torch().nn.Embedding))
        below = int(rest[1]) if len(rest) > 1 else cast(int, min(embeddings, default=2))
        if not isinstance(kind, torch().dtype) or min(lengths) < 1 or below < 1 or len(rest) > 2:
            raise ValueError
    except (ValueError, AttributeError):
        raise Hw1Error(f"--input {text} is no shape: write it as 1,3,32,32 or 1,64:int64.") from None
    return Input(lengths, kind, below)


def _inputs_like(example: Any, model: Any) -> list[Input]:
    """What inputs are like one that is given: a tensor, an array, or a tuple of them."""
    several = isinstance(example, (tuple, list)) and not _is_plain(cast(object, example))
    each: list[Any] = list(cast("Sequence[Any]", example)) if several else [example]
    inputs: list[Input] = []
    for at, one in enumerate(each):
        try:
            tensor: Any = torch().as_tensor(one)
        except Exception as error:
            raise Hw1Error(f"Input {at} of the example, of type {type(one).__name__}, is no tensor: {short(error)}") from None
        if tensor.dim() < 1 or not tensor.numel():
            raise Hw1Error(f"Input {at} of the example has the shape {list(tensor.shape)}: "
                           "give an input with its batch first, such as x[:2].")
        # As a list or numpy has them, of float64; the weights' type is what the model takes.
        kind = _float_kind(model) if tensor.is_floating_point() else tensor.dtype
        whole = not tensor.is_floating_point() and tensor.dtype != torch().bool
        inputs.append(Input(list(tensor.shape), kind, max(int(tensor.max()) + 1, 1) if whole else 2))
    if not inputs:
        raise Hw1Error("The example is empty: give an input with its batch first, such as x[:2].")
    return inputs


def _is_plain(value: object) -> bool:
    """Whether it is a list of numbers, however deep, so one array."""
    while isinstance(value, (list, tuple)) and value:
        value = cast("Sequence[object]", value)[0]
    return isinstance(value, (int, float))


def _draw(inputs: Sequence[Input], batch: int | None, seed: int) -> tuple[Any, ...]:
    generator = torch().Generator().manual_seed(seed)

    def one(input: Input) -> Any:
        shape = [batch or input.shape[0], *input.shape[1:]]
        if input.kind.is_floating_point:
            return torch().randn(shape, generator=generator).to(input.kind)
        return torch().randint(2 if input.kind == torch().bool else input.below, shape, generator=generator).to(input.kind)
    return tuple(one(input) for input in inputs)


def _pick(outputs: Any) -> tuple[str, Any]:
    """(what was picked, the tensor) of a model's outputs."""
    if isinstance(outputs, torch().Tensor):
        return "", outputs
    if getattr(outputs, "logits", None) is not None:
        return "logits", outputs.logits
    if "logits" in _dict(outputs):
        return "logits", _dict(outputs)["logits"]
    items: Any = _dict(outputs).items()
    if isinstance(outputs, (tuple, list)):
        items = enumerate(cast("Sequence[Any]", outputs))
    for key, value in items:
        name, tensor = _pick(value)
        if tensor is not None:
            return f"{key}{'.' if name else ''}{name}", tensor
    return "", None


def _outputs(model: Any, arguments: tuple[Any, ...]) -> Any:
    try:
        with torch().no_grad():
            return model(*arguments)
    except Exception as error:
        shapes = ", ".join(f"{list(a.shape)} {str(a.dtype)[6:]}" for a in arguments)
        raise Hw1Error(f"The model does not take inputs of {shapes}: {short(error)}") from None


def _one_output(model: Any, arguments: tuple[Any, ...], tell: Tell) -> str:
    """Lets the model give one tensor. Its class is changed, not wrapped, so that the names of its parameters stay."""
    if hasattr(getattr(model, "config", None), "use_cache"):
        model.config.use_cache = False
    name, tensor = _pick(_outputs(model, arguments))
    if tensor is None:
        raise Hw1Error("The model gives no tensor.")
    if name:
        tell(f"outputs: {name} of several" if name != "logits" else "outputs: logits")
        kind = cast(Any, type(model))

        def forward(self: Any, *x: Any) -> Any:
            return _pick(kind.forward(self, *x))[1]
        model.__class__ = type(kind.__name__, (kind,), {"forward": forward})
    return name


def _export(model: Any, inputs: Sequence[Input], picked: str, tell: Tell) -> tuple[Any, bool]:
    """(program, whether its batch is open)."""
    failure = ""
    for least, strict in [(1, False), (2, False), (1, True), (None, False), (None, True)]:
        shapes: Any = None
        if least:
            shapes = tuple({0: torch().export.Dim("batch", min=least)} for _ in inputs)
            shapes = {"x": shapes} if picked else shapes
        try:
            with contextlib.redirect_stderr(io.StringIO()):
                program: Any = torch().export.export(model, _draw(inputs, least and 2, 0), dynamic_shapes=shapes, strict=strict)
            return program, bool(least)
        except Exception as error:
            failure = short(error)
            if least:
                how = (" from 1" if least == 1 else "") + (", strict" if strict else "")
                tell(f"note: torch.export does not leave the batch open{how}: {failure}")
    raise Hw1Error(f"torch.export cannot export this model: {failure}")


def _check(model: Any, program: Any, inputs: Sequence[Input], batches: Sequence[int | None], tell: Tell) -> None:
    ran = program.module()
    tolerances = {torch().float64: 1e-9, torch().float32: 1e-4}  # of the largest output; 2e-2 for half precision
    for batch in batches:
        arguments = _draw(inputs, batch, 1)
        expected, again = _outputs(model, arguments), _outputs(model, arguments)
        if not torch().equal(expected.nan_to_num(), again.nan_to_num()):
            raise Hw1Error("The model gives two outputs for the same inputs: it draws random numbers, or changes, in eval mode.")
        try:
            with torch().no_grad():
                given = ran(*arguments)
        except Exception as error:
            raise Hw1Error(f"The exported program does not take a batch of {len(arguments[0])}: {short(error)}") from None
        scale: float = expected.double().nan_to_num().abs().max().item()
        same = given.shape == expected.shape and torch().equal(given.isnan(), expected.isnan())
        off = (given.double() - expected.double()).nan_to_num().abs().max().item() if same else float("inf")
        tell(f"check: a batch of {len(arguments[0])}, outputs {list(expected.shape)}, largest difference {off:.3g}, "
             f"of the largest output {off / (scale or 1):.3g}")
        if off > tolerances.get(expected.dtype, 2e-2) * max(scale, 1e-6):
            raise Hw1Error("The exported program does not give the model's outputs; nothing was written.")


def _write(model: Any, inputs: Sequence[Input], path: Path, tell: Tell, fixed: Tell) -> None:
    """Exports, checks and writes. Half a file is no file."""
    picked = _one_output(model, _draw(inputs, None, 0), tell)
    program, open_batch = _export(model, inputs, picked, tell)
    if not open_batch:
        fixed(f"the batch is fixed to {inputs[0].shape[0]}, ")
    _check(model, program, inputs, [2, 3] if open_batch else [None], tell)
    try:
        torch().export.save(program, str(path))
    except Exception as error:
        path.unlink(missing_ok=True)
        raise Hw1Error(f"torch.export cannot write this program: {short(error)}") from None
    count = sum(p.numel() for p in model.parameters())
    tell(f"wrote {path}: {count} parameters, {path.stat().st_size} bytes")


def _refuse_path(path: Path, suffix: str = "") -> None:
    if suffix and path.suffix != suffix:
        raise Hw1Error(f"{path} must end in {suffix}.")
    if not path.parent.is_dir():
        raise Hw1Error(f"There is no folder {path.parent}.")


@contextlib.contextmanager
def _quiet() -> Generator[None, None, None]:
    """torch.export's own account of what fails is long."""
    level = logging.root.manager.disable
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        logging.disable(logging.CRITICAL)
        try:
            yield
        finally:
            logging.disable(level)


def export_model(model: Any, example: Any, path: str | os.PathLike[str]) -> Path:
    """hw1.export."""
    target = Path(path)
    module = torch().nn.Module
    if not isinstance(model, module):
        raise Hw1Error(f"The model is no torch.nn.Module, but of type {type(model).__name__}.")
    _refuse_path(target, ".pt2")
    notes: list[str] = []
    while type(model).__name__ in ("DataParallel", "DistributedDataParallel", "OptimizedModule"):  # wrappers that training puts on
        model = model._orig_mod if hasattr(model, "_orig_mod") else model.module
    with _quiet(), torch().random.fork_rng(devices=[]):
        try:
            own: Any = copy.deepcopy(model).cpu().eval()
        except Exception as error:
            raise Hw1Error(f"The model cannot be copied, as it is for export: {short(error)}") from None
        _write(own, _inputs_like(example, own), target, _silent, notes.append)
    for note in notes:
        warnings.warn(f"hw1.export: {note}that of the example; hw1 can give this program no other", stacklevel=3)
    return target


def main(documentation: str | None) -> NoReturn:
    """The script. Ends the process: with a line on standard error where something is wrong."""
    try:
        sys.exit(_main(documentation))
    except Hw1Error as error:
        raise SystemExit(str(error)) from None


def _main(documentation: str | None) -> int:
    parser = argparse.ArgumentParser(description=documentation, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("--kwargs", default="{}")
    parser.add_argument("--weights", type=Path)
    parser.add_argument("--input", action="append", required=True)
    parser.add_argument("-o", "--output", type=Path, default=Path("model.pt2"))
    parser.add_argument("--safetensors", type=Path)
    parser.add_argument("--hw1")
    args = parser.parse_args()
    output, safetensors = cast(Path, args.output), cast("Path | None", args.safetensors)
    torch()
    _refuse_path(output, ".pt2")
    if safetensors:
        _refuse_path(safetensors)
    try:
        kwargs: Any = json.loads(args.kwargs)
        if not isinstance(kwargs, dict):
            raise ValueError
    except ValueError:
        raise Hw1Error(f"--kwargs {args.kwargs} is no object in JSON.") from None
    with _quiet():
        torch().manual_seed(0)
        model = load_model(args.model, cast("dict[str, Any]", kwargs)).cpu().eval()
        if args.weights:
            load_weights(model, args.weights, print)
        else:
            print("note: no --weights; the model's own are taken")
        inputs = [_parse_input(text, model) for text in args.input]
        if len(inputs) > 1:
            print(f"note: {len(inputs)} inputs; hw1 gives a model one")
        _write(model, inputs, output, print, lambda note: print(f"note: {note}that of --input; hw1 can give this program no other"))
    if safetensors:
        write_safetensors(safetensors, model.state_dict())
        print(f"wrote {safetensors}")
    hw1: str | None = args.hw1 or shutil.which("hw1")
    if not hw1:
        print(f"next: hw1 analyse --check {output}")
        return 0
    try:
        sys.stdout.flush()
        return subprocess.run([hw1, "analyse", "--check", str(output)]).returncode
    except OSError as error:
        raise Hw1Error(f"{hw1} cannot be run: {error.strerror}") from None
