"""What the installed plugins offer, and which of them are broken and why.

One broken plugin must never take the others with it: each is loaded, checked and called by itself,
and one that fails in any of these is put aside whole, with its reason.
"""

from __future__ import annotations

import contextlib
import functools
import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from types import ModuleType
from typing import Any

import pluggy

from monai_brain import hookspecs
from monai_brain.bundles import FOLDER_SUFFIX, Bundle
from monai_brain.errors import ConfigurationError, MonaiBrainError, UnknownNameError, did_you_mean
from monai_brain.offers import Commands, Named, Offer

SELECTION_VARIABLE = "MONAI_BRAIN_PLUGINS"
_OWN_PACKAGES = ("monai_brain", "monai_brain_plugins")


@dataclass
class Registry:
    """Everything the plugins offer, by name, and the plugins that were put aside, with reasons."""

    bundles: dict[str, Bundle] = field(default_factory=dict)
    datasets: dict[str, Offer] = field(default_factory=dict)
    writers: dict[str, Offer] = field(default_factory=dict)
    exporters: dict[str, Offer] = field(default_factory=dict)
    commands: dict[str, Offer] = field(default_factory=dict)
    plugins: dict[str, str] = field(default_factory=dict)  # plugin -> module
    sources: dict[str, str] = field(default_factory=dict)  # bundle -> module of the plugin that registers it
    broken: dict[str, str] = field(default_factory=dict)  # plugin -> reason

    KINDS = ("bundles", "datasets", "writers", "exporters", "commands")

    def add(self, module: ModuleType) -> None:
        """Take in a plugin that is imported already, or put it aside; it bears its module's name."""
        self.load(module.__name__, lambda: module)

    def load(self, plugin: str, load: Callable[[], ModuleType]) -> None:
        """Take in one plugin, or put it aside with the reason."""
        try:
            module = load()
            offers = _offers(plugin, module)
            for kind, found in offers.items():
                for name in found:
                    if name in getattr(self, kind):
                        raise ConfigurationError(f"the name {name!r} among {kind} is taken by another plugin")
        except (Exception, SystemExit) as error:  # noqa: BLE001  a plugin may raise anything
            self.broken[plugin] = _reason(error)
            return
        for kind, found in offers.items():
            getattr(self, kind).update(found)
        self.sources.update(dict.fromkeys(offers["bundles"], module.__name__))
        self.plugins[plugin] = module.__name__


_in_place: list[Registry] = []


def registry() -> Registry:
    """What is installed, read once a process."""
    return _in_place[-1] if _in_place else _read()


@contextlib.contextmanager
def isolated() -> Iterator[Registry]:
    """An empty registry that stands in place of the installed plugins' until the block ends."""
    _in_place.append(Registry())
    try:
        yield _in_place[-1]
    finally:
        _in_place.pop()


@functools.cache
def _read() -> Registry:
    found = Registry()
    for plugin, load in _selected(_installed()):
        found.load(plugin, load)
    return found


def models() -> list[str]:
    """The names of the registered models, sorted."""
    return sorted(registry().bundles)


def bundle(model: str | os.PathLike[str] | Bundle) -> Bundle:
    """The bundle of a registered name, of a bundle folder, or of a run folder.

    Raises:
        UnknownNameError: No plugin registers the name, and it is no folder either.
    """
    if isinstance(model, Bundle):
        return model
    known = registry().bundles
    if isinstance(model, str):
        name = model.removesuffix(FOLDER_SUFFIX)
        if name in known:
            return known[name]
    if Path(model).is_dir():
        return Bundle.at(model)
    raise UnknownNameError("model", os.fspath(model), known)


def _installed() -> Iterator[tuple[str, Callable[[], ModuleType]]]:
    seen: dict[str, str] = {}
    # Our own first, so that nobody can take a built-in's name; then by name, not as the disk has them.
    for entry in sorted(entry_points(group=hookspecs.GROUP), key=_precedence):
        if seen.get(entry.name) == entry.value:
            continue  # one distribution that stands twice on the path
        name = entry.name if entry.name not in seen else f"{entry.name} ({entry.value})"
        seen.setdefault(entry.name, entry.value)
        yield name, entry.load


def _precedence(entry: EntryPoint) -> tuple[bool, str, str]:
    return entry.module.partition(".")[0] not in _OWN_PACKAGES, entry.name, entry.value


def _selected(
    found: Iterable[tuple[str, Callable[[], ModuleType]]],
) -> Iterator[tuple[str, Callable[[], ModuleType]]]:
    """Those that the variable names; a name in it that nothing bears is itself put aside with a reason."""
    wanted = os.environ.get(SELECTION_VARIABLE)
    if wanted is None:
        yield from found
        return
    names = [name.strip() for name in wanted.split(",") if name.strip()]
    at_hand = dict(found)
    for name in names:
        yield name, at_hand.get(name) or functools.partial(_not_installed, name, tuple(at_hand))


def _not_installed(name: str, at_hand: tuple[str, ...]) -> ModuleType:
    raise UnknownNameError(f"plugin in {SELECTION_VARIABLE}", name, at_hand)


def _offers(plugin: str, module: ModuleType) -> dict[str, dict[str, Any]]:
    """What one plugin offers, by kind and name; raises whatever is wrong with it."""
    manager = pluggy.PluginManager(hookspecs.GROUP)
    manager.add_hookspecs(hookspecs)
    manager.register(module, plugin)  # refuses a wrong signature
    known = [name for name in vars(hookspecs) if name.startswith("register_")]
    for name in vars(module):
        if manager.parse_hookimpl_opts(module, name) is not None and name not in known:
            raise ConfigurationError(f"{name!r} is no hook. {did_you_mean(name, known)}")
    offers: dict[str, dict[str, Any]] = {kind: {} for kind in Registry.KINDS}

    def put(kind: str, name: str, offer: Any) -> None:
        if name in offers[kind]:
            raise ConfigurationError(f"the name {name!r} among {kind} is given twice")
        offers[kind][name] = offer

    def put_bundle(bundle: Bundle) -> None:
        if not isinstance(bundle, Bundle):
            raise ConfigurationError(f"register takes a monai_brain.Bundle, not {type(bundle).__name__}")
        _ = bundle.labels  # a bundle whose facts cannot be read is no offer
        put("bundles", bundle.name, bundle)

    def put_named(kind: str) -> Named:
        def register(name: str, target: str | Callable[..., Any], *, help: str = "") -> None:  # noqa: A002
            put(kind, name, Offer(name, target, plugin, help))

        return register

    hook = manager.hook
    hook.register_bundles(register=put_bundle)
    hook.register_datasets(register=put_named("datasets"))
    hook.register_writers(register=put_named("writers"))
    hook.register_exporters(register=put_named("exporters"))
    hook.register_commands(cli=Commands(lambda offer: put("commands", offer.name, offer), plugin))
    return offers


def _reason(error: BaseException) -> str:
    if isinstance(error, MonaiBrainError | pluggy.PluginValidationError):
        return " ".join(str(error).split())
    return " ".join(f"{type(error).__name__}: {error}".split())
