"""What a plugin is handed to offer things by, and the things offered."""

from __future__ import annotations

import argparse
import importlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from monai_brain.bundles import Bundle
from monai_brain.errors import ConfigurationError


class RegisterBundle(Protocol):
    """What register_bundles is handed."""

    def __call__(self, bundle: Bundle) -> None:
        """Add a model."""
        ...


class Named(Protocol):
    """What register_datasets, register_writers and register_exporters are handed."""

    def __call__(self, name: str, target: str | Callable[..., Any], *, help: str = "") -> None:  # noqa: A002
        """Add an offer under a name."""
        ...


@dataclass(frozen=True)
class Offer:
    """One thing that a plugin offers under a name: a function, or where to find it.

    A `late` one has for its target a function that gives the offer itself, from the plugin's module.
    """

    name: str
    target: str | Callable[..., Any]
    plugin: str
    help: str = ""
    arguments: Callable[[argparse.ArgumentParser], None] | None = None
    late: bool = False

    def load(self) -> Callable[..., Any]:
        """The function itself; its module is imported now and not before."""
        if not isinstance(self.target, str):
            return self.target().load() if self.late else self.target
        module, _, attribute = self.target.partition(":")
        found = getattr(importlib.import_module(module), attribute)
        if not callable(found):
            raise ConfigurationError(f"{self.target} of plugin {self.plugin!r} is no function.")
        return found


class Commands:
    """What register_commands is handed: a place to add commands."""

    def __init__(self, put: Callable[[Offer], None], plugin: str) -> None:
        self._put, self._plugin = put, plugin

    def add(
        self,
        name: str,
        run: str | Callable[[argparse.Namespace], int | None],
        *,
        help: str = "",  # noqa: A002
        arguments: Callable[[argparse.ArgumentParser], None] | None = None,
    ) -> None:
        """Add the command `monai-brain name`, whose parser `arguments` fills and which calls `run`."""
        self._put(Offer(name, run, self._plugin, help, arguments))
