"""check."""

from __future__ import annotations

from typing import Any

from monai_brain.cli.command import command


def declare(commands: Any) -> None:
    """Add the commands."""
    check = command(
        commands, "check", "whether a model meets what is asked of every model", "monai_brain.cli.check:run"
    )
    check.add_argument("model", metavar="MODEL|PATH", help="a name, a bundle folder or a run folder")
    check.add_argument("--only", nargs="+", metavar="NAME", help="the names of checks; default: all")
