"""Pages that are made from the code when the docs are built.

A page holds `<!-- generated: NAME -->` on a line of its own; what stands there in the end is the Markdown
that the function named NAME gives.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import command_line
import offers
import public_names

PARTS: dict[str, Callable[[], str]] = {
    "commands": command_line.commands,
    "datasets": lambda: offers.table("datasets", "kind"),
    "errors": public_names.errors,
    "errors in full": public_names.errors_in_full,
    "exporters": lambda: offers.table("exporters", "format"),
    "formats": offers.formats,
    "models": offers.models,
    "public names": public_names.public_names,
    "writers": lambda: offers.table("writers", "form"),
}
_MARK = re.compile(r"^<!-- generated: (?P<name>.+) -->$", re.MULTILINE)


def filled(text: str) -> str:
    """The page with every mark replaced by what it names; an unknown name is a KeyError."""
    return _MARK.sub(lambda mark: PARTS[mark["name"]](), text)


def setup(app: Any) -> dict[str, bool]:
    """Fill pages as they are read, and read those with marks in every build."""

    def fill(app: Any, page: str, source: list[str]) -> None:
        source[0] = filled(source[0])

    def outdated(app: Any, env: Any, *changes: Any) -> list[str]:
        return [page for page in env.found_docs if _MARK.search(env.doc2path(page).read_text("utf-8"))]

    app.connect("source-read", fill)
    app.connect("env-get-outdated", outdated)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
