"""list, info, copy."""

from __future__ import annotations

from typing import Any

from monai_brain.cli.command import command


def declare(commands: Any) -> None:
    """Add the commands."""
    listing = command(
        commands,
        "list",
        "the installed models, and plugins that are broken",
        "monai_brain.cli.models:list_models",
    )
    listing.add_argument("--refresh", action="store_true", help="ask every plugin anew what it offers")
    info = command(commands, "info", "what a model is", "monai_brain.cli.models:info")
    info.add_argument("model", metavar="MODEL", help="a name, a bundle folder or a run folder")
    only = info.add_mutually_exclusive_group()
    only.add_argument("--path", action="store_true", help="print only the bundle's folder")
    only.add_argument("--bibtex", action="store_true", help="print only the paper's BibTeX entry")
    copy = command(commands, "copy", "a writable copy of a model's bundle", "monai_brain.cli.models:copy")
    copy.add_argument("model", metavar="MODEL", help="a name, a bundle folder or a run folder")
    copy.add_argument("folder", metavar="DIR", help="a new folder")
