#!/usr/bin/env python3
"""Writes a PyTorch model as a .pt2 that `hw1 analyse` reads. Needs torch 2.9 or newer and nothing else.

    python hw1_export.py resnet.py:make_model --weights model.pth --input 1,3,32,32 -o model.pt2
    python hw1_export.py resnet.py:ResNet --kwargs '{"depth": 18}' --input 1,3,32,32
    python hw1_export.py mypackage.models:gpt --weights model.safetensors --input 1,64:int64

The model: FILE.py:NAME or MODULE:NAME, a class, a function that returns an nn.Module, or a module.
--weights   a .pth or .pt (a state dict, or a dict that holds one as state_dict, model or model_state_dict) or a .safetensors.
            Prefixes module., _orig_mod. and model. are taken off where the names then fit; every name must fit. Weights
            all of float16 or bfloat16 stay so.
--input     the shape of an input, its batch first; of another type than the weights': 1,64:int64. Integers are drawn
            below the size of the smallest nn.Embedding (2 without one), or as said: 1,64:int64:50257. Once per input;
            hw1 gives a model one.
The batch is left open, whatever --input says of it; where torch.export cannot leave it open, it is that of --input.
The model is exported in eval mode on the CPU; of several outputs `logits` or the first tensor is kept; names of parameters
stay. The exported program is held to the model's outputs for batches of 2 and of 3 before it is written; then
`hw1 analyse --check` looks at it, where there is an hw1.

--safetensors FILE also writes the weights alone. For a .pth without the model, one line does it:
    python -c "import torch, safetensors.torch as s; s.save_file({k: v.contiguous() for k, v in torch.load('model.pth', weights_only=True).items()}, 'model.safetensors')"
"""
import argparse
import contextlib
import importlib
import importlib.util
import io
import json
import logging
import os
import pathlib
import shutil
import struct
import subprocess
import sys
import warnings

import torch
from torch import nn

TYPES = {"F64": torch.float64, "F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16, "I64": torch.int64, "I32": torch.int32,
         "I16": torch.int16, "I8": torch.int8, "U8": torch.uint8, "BOOL": torch.bool}
PREFIXES = ["module.", "_orig_mod.", "model."]
TOLERANCES = {torch.float64: 1e-9, torch.float32: 1e-4}  # of the largest output; 2e-2 for half precision


def short(error):
    """An error in a line."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return f"{type(error).__name__}: {lines[0][:300]}" if lines else type(error).__name__


def load_model(spec, kwargs):
    source, _, name = spec.rpartition(":")
    if not source or not name:
        raise SystemExit(f"{spec} does not say which model: write FILE.py:NAME or MODULE:NAME.")
    try:
        if source.endswith(".py"):
            path = pathlib.Path(source).resolve()
            if not path.is_file():
                raise SystemExit(f"There is no file {source}.")
            sys.path.insert(0, str(path.parent))
            found = importlib.util.spec_from_file_location(path.stem, path)
            module = importlib.util.module_from_spec(found)
            sys.modules[path.stem] = module
            found.loader.exec_module(module)
        else:
            sys.path.insert(0, os.getcwd())
            module = importlib.import_module(source)
    except Exception as error:
        raise SystemExit(f"{source} cannot be imported: {short(error)}")
    for part in name.split("."):
        if not hasattr(module, part):
            raise SystemExit(f"{source} has no {name}.")
        module = getattr(module, part)
    if isinstance(module, nn.Module):
        if kwargs:
            raise SystemExit(f"{name} is a module already: --kwargs would be for a class or a function.")
        return module
    if not callable(module):
        raise SystemExit(f"{name} is no class, function or module, but of type {type(module).__name__}.")
    try:
        model = module(**kwargs)
    except Exception as error:
        raise SystemExit(f"{name}({', '.join(f'{k}={v!r}' for k, v in kwargs.items())}) failed: {short(error)}")
    if not isinstance(model, nn.Module):
        raise SystemExit(f"{name} gives no nn.Module, but a {type(model).__name__}.")
    return model


def read_safetensors(path):
    data = memoryview(bytearray(path.read_bytes()))
    try:
        (size,) = struct.unpack("<Q", data[:8])
        header = json.loads(bytes(data[8 : 8 + size]))
        header.pop("__metadata__", None)
        tensors = {}
        for name, about in header.items():
            begin, end = (8 + size + at for at in about["data_offsets"])
            kind = TYPES[about["dtype"]]
            flat = torch.frombuffer(data[begin:end], dtype=kind) if end > begin else torch.empty(0, dtype=kind)
            tensors[name] = flat.reshape(about["shape"])
        return tensors
    except (struct.error, ValueError, KeyError, TypeError, AttributeError, RuntimeError) as error:
        raise SystemExit(f"{path} is no .safetensors that can be read here: {short(error)}")


def write_safetensors(path, tensors):
    names = {kind: name for name, kind in TYPES.items()}
    header, chunks, at = {"__metadata__": {"format": "pt"}}, [], 0
    for name, tensor in tensors.items():
        tensor = tensor.detach().cpu().contiguous()
        if tensor.dtype not in names:
            raise SystemExit(f"{name} is of {tensor.dtype}, which cannot be written as .safetensors here.")
        chunks.append(bytes(tensor.reshape(-1).view(torch.uint8).numpy()) if tensor.numel() else b"")
        header[name] = {"dtype": names[tensor.dtype], "shape": list(tensor.shape), "data_offsets": [at, at + len(chunks[-1])]}
        at += len(chunks[-1])
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        file.writelines(chunks)


def read_weights(path):
    if not path.is_file():
        raise SystemExit(f"There is no file {path}.")
    if path.suffix == ".safetensors":
        return read_safetensors(path)
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        raise SystemExit(f"{path} cannot be loaded as plain weights: {short(error)} Save model.state_dict() instead.")
    for key in ["state_dict", "model_state_dict", "model"]:
        if isinstance(state, dict) and isinstance(state.get(key), dict):
            state = state[key]
    if not isinstance(state, dict) or not state or not all(isinstance(v, torch.Tensor) for v in state.values()):
        raise SystemExit(f"{path} holds no state dict: neither itself nor under state_dict, model_state_dict or model.")
    return state


def misfits(model, state):
    """(names without a weight, weights without a name). Tied parameters need one weight among them."""
    own = model.state_dict(keep_vars=True)
    have = {id(own[name]) for name in state if name in own}
    return [n for n, v in own.items() if n not in state and id(v) not in have], [n for n in state if n not in own]


def load_weights(model, path):
    state = read_weights(path)
    tries, best = [state], state
    for _ in PREFIXES:  # such as module._orig_mod.model.
        tries += [{n.removeprefix(p): v for n, v in t.items()} for t in tries for p in PREFIXES if any(n.startswith(p) for n in t)]
        tries = [t for i, t in enumerate(tries) if t.keys() not in [u.keys() for u in tries[:i]] and len(t) == len(state)]
    best = min(tries, key=lambda t: sum(map(len, misfits(model, t))))
    missing, unexpected = misfits(model, best)
    if missing or unexpected:
        def some(names): return ", ".join(names[:8]) + (f" and {len(names) - 8} more" if len(names) > 8 else "")
        says = [f"{text} {some(names)}" for text, names in [("without a weight:", missing), ("not in the model:", unexpected)] if names]
        raise SystemExit(f"The names in {path} do not fit the model: {'; '.join(says)}.")
    own = model.state_dict()
    wrong = [f"{n} is {list(v.shape)}, the model's {list(own[n].shape)}" for n, v in best.items() if v.shape != own[n].shape]
    if wrong:
        raise SystemExit(f"Shapes in {path} do not fit the model: {'; '.join(wrong[:8])}{' and more' if len(wrong) > 8 else ''}.")
    kinds = {v.dtype for v in best.values() if v.is_floating_point()}
    if len(kinds) == 1:
        model.to(kinds.pop())
    model.load_state_dict(best, strict=False)
    print(f"weights: {len(best)} tensors of {path}")


def parse_input(text, model):
    """(shape, type, what integers stay below) of an --input."""
    shape, *rest = text.split(":")
    kinds = [p.dtype for p in model.parameters() if p.is_floating_point()]
    try:
        shape = [int(v) for v in shape.split(",")]
        kind = getattr(torch, rest[0]) if rest else kinds[0] if kinds else torch.float32
        below = int(rest[1]) if len(rest) > 1 else min((m.num_embeddings for m in model.modules() if isinstance(m, nn.Embedding)), default=2)
        if not isinstance(kind, torch.dtype) or min(shape) < 1 or below < 1 or len(rest) > 2:
            raise ValueError
    except (ValueError, AttributeError):
        raise SystemExit(f"--input {text} is no shape: write it as 1,3,32,32 or 1,64:int64.")
    return shape, kind, below


def draw(inputs, batch, seed):
    generator = torch.Generator().manual_seed(seed)
    def one(shape, kind, below):
        shape = [batch or shape[0], *shape[1:]]
        if kind.is_floating_point:
            return torch.randn(shape, generator=generator).to(kind)
        return torch.randint(2 if kind == torch.bool else below, shape, generator=generator).to(kind)
    return tuple(one(*i) for i in inputs)


def pick(outputs):
    """(what was picked, the tensor) of a model's outputs."""
    if isinstance(outputs, torch.Tensor):
        return "", outputs
    if getattr(outputs, "logits", None) is not None:
        return "logits", outputs.logits
    if isinstance(outputs, dict) and "logits" in outputs:
        return "logits", outputs["logits"]
    items = outputs.items() if isinstance(outputs, dict) else enumerate(outputs) if isinstance(outputs, (tuple, list)) else []
    for key, value in items:
        name, tensor = pick(value)
        if tensor is not None:
            return f"{key}{'.' if name else ''}{name}", tensor
    return "", None


def run(model, arguments):
    try:
        with torch.no_grad():
            return model(*arguments)
    except Exception as error:
        raise SystemExit(f"The model does not take inputs of {', '.join(f'{list(a.shape)} {str(a.dtype)[6:]}' for a in arguments)}: {short(error)}")


def one_output(model, arguments):
    """Lets the model give one tensor. Its class is changed, not wrapped, so that the names of its parameters stay."""
    if hasattr(getattr(model, "config", None), "use_cache"):
        model.config.use_cache = False
    name, tensor = pick(run(model, arguments))
    if tensor is None:
        raise SystemExit("The model gives no tensor.")
    if name:
        print(f"outputs: {name} of several" if name != "logits" else "outputs: logits")
        kind = type(model)
        model.__class__ = type(kind.__name__, (kind,), {"forward": lambda self, *x: pick(kind.forward(self, *x))[1]})
    return name


def export(model, inputs, picked):
    """(program, whether its batch is open)."""
    attempts = [(1, False), (2, False), (1, True), (None, False), (None, True)]
    for least, strict in attempts:
        shapes = None
        if least:
            shapes = tuple({0: torch.export.Dim("batch", min=least)} for _ in inputs)
            shapes = {"x": shapes} if picked else shapes
        try:
            with contextlib.redirect_stderr(io.StringIO()):
                program = torch.export.export(model, draw(inputs, least and 2, 0), dynamic_shapes=shapes, strict=strict)
            return program, bool(least)
        except Exception as error:
            failure = error
            if least:
                print(f"note: torch.export does not leave the batch open{' from 1' if least == 1 else ''}{', strict' if strict else ''}: {short(error)}")
    raise SystemExit(f"torch.export cannot export this model: {short(failure)}")


def check(model, program, inputs, batches):
    ran = program.module()
    for batch in batches:
        arguments = draw(inputs, batch, 1)
        expected, again = run(model, arguments), run(model, arguments)
        if not torch.equal(expected.nan_to_num(), again.nan_to_num()):
            raise SystemExit("The model gives two outputs for the same inputs: it draws random numbers, or changes, in eval mode.")
        try:
            with torch.no_grad():
                given = ran(*arguments)
        except Exception as error:
            raise SystemExit(f"The exported program does not take a batch of {len(arguments[0])}: {short(error)}")
        scale = expected.double().nan_to_num().abs().max().item()
        same = given.shape == expected.shape and torch.equal(given.isnan(), expected.isnan())
        error = (given.double() - expected.double()).nan_to_num().abs().max().item() if same else float("inf")
        print(f"check: a batch of {len(arguments[0])}, outputs {list(expected.shape)}, largest difference {error:.3g}, of the largest output {error / (scale or 1):.3g}")
        if error > TOLERANCES.get(expected.dtype, 2e-2) * max(scale, 1e-6):
            raise SystemExit("The exported program does not give the model's outputs; nothing was written.")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("--kwargs", default="{}")
    parser.add_argument("--weights", type=pathlib.Path)
    parser.add_argument("--input", action="append", required=True)
    parser.add_argument("-o", "--output", type=pathlib.Path, default=pathlib.Path("model.pt2"))
    parser.add_argument("--safetensors", type=pathlib.Path)
    parser.add_argument("--hw1")
    args = parser.parse_args()
    warnings.filterwarnings("ignore")
    logging.disable(logging.CRITICAL)  # torch.export's own account of what fails is long
    if tuple(int(v) for v in torch.__version__.split(".")[:2]) < (2, 9):
        raise SystemExit(f"torch is {torch.__version__}; hw1 reads what 2.9 and newer write.")
    if args.output.suffix != ".pt2":
        raise SystemExit(f"{args.output} must end in .pt2.")
    for path in [args.output, args.safetensors]:
        if path and not path.parent.is_dir():
            raise SystemExit(f"There is no folder {path.parent}.")
    try:
        kwargs = json.loads(args.kwargs)
        assert isinstance(kwargs, dict)
    except (ValueError, AssertionError):
        raise SystemExit(f"--kwargs {args.kwargs} is no object in JSON.")
    torch.manual_seed(0)
    model = load_model(args.model, kwargs).cpu().eval()
    if args.weights:
        load_weights(model, args.weights)
    else:
        print("note: no --weights; the model's own are taken")
    inputs = [parse_input(text, model) for text in args.input]
    if len(inputs) > 1:
        print(f"note: {len(inputs)} inputs; hw1 gives a model one")
    picked = one_output(model, draw(inputs, None, 0))
    program, open_batch = export(model, inputs, picked)
    if not open_batch:
        print(f"note: the batch is fixed to {inputs[0][0][0]}, that of --input; hw1 can give this program no other")
    check(model, program, inputs, [2, 3] if open_batch else [None])
    try:
        torch.export.save(program, str(args.output))
    except Exception as error:
        args.output.unlink(missing_ok=True)
        raise SystemExit(f"torch.export cannot write this program: {short(error)}")
    count = sum(p.numel() for p in model.parameters())
    print(f"wrote {args.output}: {count} parameters, {args.output.stat().st_size} bytes")
    if args.safetensors:
        write_safetensors(args.safetensors, model.state_dict())
        print(f"wrote {args.safetensors}")
    hw1 = args.hw1 or shutil.which("hw1")
    if not hw1:
        return print(f"next: hw1 analyse --check {args.output}")
    try:
        sys.stdout.flush()
        sys.exit(subprocess.run([hw1, "analyse", "--check", str(args.output)]).returncode)
    except OSError as error:
        raise SystemExit(f"{hw1} cannot be run: {error.strerror}")


if __name__ == "__main__":
    main()
