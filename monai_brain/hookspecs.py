"""The whole contract of a plugin. A plugin is a module named by an entry point of group "monai_brain"."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pluggy

if TYPE_CHECKING:
    from monai_brain.offers import Commands, Named, RegisterBundle

GROUP = "monai_brain"
hookspec = pluggy.HookspecMarker(GROUP)
hookimpl = pluggy.HookimplMarker(GROUP)


@hookspec
def register_bundles(register: RegisterBundle) -> None:
    """Add models: `register(mb.Bundle.in_package("your_package", "your_model_classification"))`."""


@hookspec
def register_datasets(register: Named) -> None:
    """Add a kind of dataset: `register("kind", "module:function", help="...")`."""


@hookspec
def register_writers(register: Named) -> None:
    """Add a form in which predictions are written: `register("form", "module:function", help="...")`."""


@hookspec
def register_exporters(register: Named) -> None:
    """Add a format to export networks to: `register("format", "module:function", help="...")`."""


@hookspec
def register_commands(cli: Commands) -> None:
    """Add a command: `cli.add("name", "module:function", help="...", arguments=fill_the_parser)`."""
