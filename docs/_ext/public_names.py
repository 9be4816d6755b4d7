"""The public names of monai_brain as directives of autodoc, and its errors as a table."""

from __future__ import annotations

import importlib
import inspect
import pkgutil

from markdown_text import code, table

import monai_brain
from monai_brain.errors import MonaiBrainError


def public_names() -> str:
    """A directive for each name in `monai_brain.__all__`: functions first, then classes."""
    values = {name: getattr(monai_brain, name) for name in monai_brain.__all__}
    lines = ["```{eval-rst}"]
    for name in sorted(values, key=lambda name: (inspect.isclass(values[name]), name.lower())):
        value = values[name]
        if inspect.isclass(value) and issubclass(value, Exception):
            lines += [f".. autoexception:: monai_brain.{name}", ""]
        elif inspect.isclass(value):
            lines += [f".. autoclass:: monai_brain.{name}", "   :members:", ""]
        elif inspect.isfunction(value):
            lines += [f".. autofunction:: monai_brain.{name}", ""]
        else:  # an instance: autodoc shows its value, not what it is for
            lines += [f".. py:data:: monai_brain.{name}", "", f"   {_first_line(value)}", ""]
    return "\n".join([*lines, "```"])


def errors() -> str:
    """Every error class with its exit status, its parent and what it means."""
    rows = [
        (code(kind.__name__), kind.exit_status, code(_parent(kind).__name__), _first_line(kind))
        for kind in error_classes()
    ]
    return table(("error", "exit status", "is a", "meaning"), rows)


def errors_in_full() -> str:
    """A directive for each error class, which the pages that name it then link to."""
    kinds = [kind for kind in error_classes() if kind is not MonaiBrainError]
    lines = [f".. autoexception:: {kind.__module__}.{kind.__name__}\n" for kind in kinds]
    return "\n".join(["```{eval-rst}", *lines, "```"])


def error_classes() -> list[type[MonaiBrainError]]:
    """MonaiBrainError and all that is derived from it in this project, parents first."""
    for module in pkgutil.walk_packages(monai_brain.__path__, "monai_brain."):
        if not module.name.endswith("__main__"):
            try:
                importlib.import_module(module.name)
            except ModuleNotFoundError:  # an optional package, or pytest, is not here
                continue
    found = [MonaiBrainError]
    for kind in found:  # grows while it is read: children, then theirs
        found += [child for child in kind.__subclasses__() if child not in found and _is_ours(child)]
    return [found[0], *sorted(found[1:], key=lambda kind: (kind.exit_status, kind.__name__))]


def _is_ours(kind: type) -> bool:
    return kind.__module__.split(".")[0] == "monai_brain"


def _parent(kind: type) -> type:
    return kind.__bases__[0]


def _first_line(value: object) -> str:
    return (inspect.getdoc(value) or "").partition("\n")[0]
