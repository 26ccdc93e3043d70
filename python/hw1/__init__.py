"""hw1 from Python: open what a run has made, start runs, and analyse networks of PyTorch's.

    import hw1
    run = hw1.open("runs/report")                                   # metrics, claims, figures, weights, settings
    run = hw1.run("simulate", fn="sin-sq", repeats=10)              # the command line, by keyword
    run = hw1.analyse(model, loader, measure=["accuracy", "spectrum"])

Needs the standard library alone; pandas or polars for tables as DataFrames, numpy for weights as its arrays, and torch
for `export` and `analyse` of a model in memory are imported when they are first asked for.
"""
from __future__ import annotations

from ._errors import Hw1Error, MissingLibraryError, NotFoundError, UsageError

TYPE_CHECKING = False  # as type checkers know it; `hw1` on the PATH starts by way of this file, and typing takes milliseconds
if TYPE_CHECKING:
    import os
    from collections.abc import Mapping, Sequence
    from pathlib import Path
    from typing import Any

    from ._results import Claim, Claims, Figure, Figures, Page, Run, Study, Trial

    __version__: str

__all__ = ["open", "run", "export", "analyse", "Hw1Error", "UsageError", "MissingLibraryError", "NotFoundError",
           "Run", "Study", "Trial", "Claim", "Claims", "Figure", "Figures", "Page", "__version__"]

_RESULTS = ["Run", "Study", "Trial", "Claim", "Claims", "Figure", "Figures", "Page"]


def open(path: str | os.PathLike[str]) -> Run:
    """What stands in a run directory, such as "runs/report", or in the folder of one of its studies.

    Raises Hw1Error where there is no such folder, or none of a study's results in it. A study's numbers are read when they
    are first asked for; where they are damaged, asking raises.
    """
    from ._results import open_run
    return open_run(path)


def run(command: str, *arguments: str | os.PathLike[str], **flags: object) -> Run:
    """Runs a subcommand that makes results (a study, `all` or `report`) to its end, and opens them.

    hw1.run("simulate", fn="sin-sq", repeats=10) is `hw1 simulate --fn sin-sq --repeats 10`: underscores become hyphens, True
    is a flag alone, False and None are left out, a pair of numbers is low:high, and `set={"patience": 3}` is
    `--set patience=3`, with values written as TOML. Lists repeat their flag, or are joined by commas where the flag takes
    such a list (measure, only, skip). The result has the studies of this call.

    Progress goes to standard error, as in a shell; in a notebook it is one line. Ctrl-C, or a kernel's interrupt, lets the
    command write its checkpoints before KeyboardInterrupt is raised; the same call goes on from there. When this process
    ends, however it does, so does the command.

    Raises UsageError for what makes no sense and Hw1Error for all else that fails, with the command's own sentence and its
    exit code in `code`.
    """
    from ._run import run as start
    return start(command, *arguments, **flags)


def export(model: Any, example: Any, path: str | os.PathLike[str] = "model.pt2") -> Path:
    """Writes a torch.nn.Module as a .pt2 that `hw1 analyse` reads; the path.

    `example` is an input with its batch first: a tensor, an array, or a tuple of them, one for each input. The model is exported
    in eval mode on the CPU, with its batch left open where torch.export can; of several outputs `logits` or the first tensor is
    kept. The program is held to the model's outputs before it is written. The model itself is not changed.

    Raises Hw1Error where the model cannot be exported, or its program gives other outputs. Needs torch 2.9 or newer.
    """
    from ._export import export_model
    return export_model(model, example, path)


def analyse(model: Any, data: Any, *, measure: str | Sequence[str] | None = None, test: Any = None, example: Any = None,
            weights: Mapping[str, Any] | str | os.PathLike[str] | Sequence[str | os.PathLike[str]] | None = None,
            **flags: object) -> Run:
    """Looks at the loss, gradient, spectrum and more of a trained network on data; what `hw1 analyse` finds, opened.

    model    a torch.nn.Module, exported for this; or the path of a .pt2; or layers such as "conv8-conv16-128-classes".
    data     a DataLoader or another Dataset of (input, target), a pair of arrays or tensors (inputs, targets), a mapping of
             arrays by the names of an .npz (x_train, y_train, x_test, y_test), the path of what `--data` reads, or a set's name.
             A loader that shuffles is read in the order of its data set.
    test     data for testing in the same forms, beside `data` in memory; without it all is over training samples.
    measure  of accuracy, gradient, spectrum, sensitivity, line, path, slices, surface, sharpness; the first four by default.
    example  an input to export the model with, batch first; by default the first two of `data`, which a path has not.
    weights  one or several .safetensors files, or a state_dict, in the place of the model's own.
    flags    the other flags of `hw1 analyse`, as in `hw1.run`: samples=100, repeats=5, name="resnet", out="runs/mine".

    Images of whole numbers are divided by 255, floats stay as they are. Raises Hw1Error as `export` and `run` do.
    """
    from ._analyse import analyse as start
    return start(model, data, measure=measure, test=test, example=example, weights=weights, **flags)


def __getattr__(name: str) -> Any:
    if name in _RESULTS:
        from . import _results
        return getattr(_results, name)
    if name == "__version__":
        from ._version import version
        return version()
    raise AttributeError(f"module 'hw1' has no attribute {name!r}")
