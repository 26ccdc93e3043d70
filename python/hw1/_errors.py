"""What can go wrong, as exceptions that say it in a sentence."""
from __future__ import annotations


class Hw1Error(Exception):
    """A sentence: what was wrong, where, and what to do next.

    `code` is the command's exit code where a command failed (128 + n after signal n), else None.
    """

    def __init__(self, message: str, code: int | None = None) -> None:
        super().__init__(message)
        self.code = code


class UsageError(Hw1Error, ValueError):
    """What was asked for makes no sense: the command line's exit code 2, or an argument that is refused here."""


class MissingLibraryError(Hw1Error, ImportError):
    """A library that is needed for what was asked, and for nothing else, is not installed."""


class NotFoundError(Hw1Error, KeyError):
    """There is nothing of this name; the sentence says what there is."""

    __str__ = Exception.__str__  # KeyError's is a repr
