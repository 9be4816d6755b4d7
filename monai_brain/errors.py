"""Every error that monai_brain raises on purpose: what was given, what was expected, what to do next.

The command line turns each into one line and the exit status named here. Nothing else in the
project knows exit statuses.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class MonaiBrainError(Exception):
    """The parent of all errors that a user can mend."""

    exit_status = 2


class ConfigurationError(MonaiBrainError):
    """A recipe, an option or a value that cannot be used as given."""


class UnknownNameError(ConfigurationError):
    """A name that nothing bears, with the nearest names that something does."""

    def __init__(self, kind: str, name: str, known: Iterable[str]) -> None:
        self.kind, self.name, self.known = kind, name, sorted(known)
        super().__init__(f"Unknown {kind} {name!r}. {did_you_mean(name, self.known)}")


class DataError(MonaiBrainError):
    """A file that cannot be read as an image, or a datalist that is not whole."""

    exit_status = 3


class ModelError(MonaiBrainError):
    """A model without weights, or weights that do not fit its network."""

    exit_status = 4


class IntegrityError(ModelError):
    """A file whose SHA-256 is not the recorded one, or that cannot be loaded safely."""


class OutputError(MonaiBrainError):
    """A place that cannot be written."""

    exit_status = 5


class MissingExtraError(MonaiBrainError, ModuleNotFoundError):
    """An optional package that the wanted function needs, with the extra that brings it.

    It is a ModuleNotFoundError too, because MONAI reads the attributes of every module whose name
    begins with "monai" and forgives only that error.
    """

    def __init__(self, module: str, extra: str) -> None:
        self.module, self.extra = module, extra
        super().__init__(f"{module} is not installed. Install it with: pip install 'monai-brain[{extra}]'")


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """A sentence that offers the nearest of the known names, or lists them all."""
    names = sorted(known)
    near = difflib.get_close_matches(name, names, n=1, cutoff=0.5)
    if near:
        return f"Did you mean {near[0]!r}?"
    return f"Known: {', '.join(names)}." if names else "None is known."
