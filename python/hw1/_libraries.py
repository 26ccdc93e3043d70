"""Libraries that are imported only when they are asked for. All are typed Any: none need be there to check types."""
from __future__ import annotations

import importlib
from typing import Any

from ._errors import MissingLibraryError


def optional(*names: str) -> Any:
    """The first of these modules that can be imported, or None."""
    for name in names:
        try:
            return importlib.import_module(name)
        except ImportError:
            continue
    return None


def frame(columns: dict[str, list[Any]], instead: str) -> Any:
    """A DataFrame of pandas or, where that is missing, of polars. `instead` says what needs neither."""
    library = optional("pandas", "polars")
    if library is None:
        raise MissingLibraryError(f"A DataFrame needs pandas or polars, and neither is installed: pip install pandas, or take {instead}.")
    return library.DataFrame(columns)
