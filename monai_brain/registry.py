"""What the installed plugins offer, and which of them are broken and why.

One broken plugin must never take the others with it: each is loaded, checked and called by itself,
and one that fails in any of these is put aside whole, with its reason.
"""

from __future__ import annotations

import argparse
import contextlib
import functools
import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from types import ModuleType

from monai_brain import hookspecs, isolation
from monai_brain.bundles import FOLDER_SUFFIX, Bundle
from monai_brain.errors import ConfigurationError, MonaiBrainError, UnknownNameError
from monai_brain.home import home
from monai_brain.hooked import KINDS, Offers, offers_of, told
from monai_brain.offers import Offer

SELECTION_VARIABLE = "MONAI_BRAIN_PLUGINS"
INSTALLED = (
    "installed"  # the source of bundles that `monai-brain install` brought, which no package registers
)
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

    def add(self, module: ModuleType) -> None:
        """Take in a plugin that is imported already, or put it aside; it bears its module's name."""
        self.load(module.__name__, lambda: module)

    def load(self, plugin: str, load: Callable[[], ModuleType]) -> None:
        """Take in one plugin, or put it aside with the reason."""
        try:
            module = load()
            self.take(plugin, module.__name__, offers_of(plugin, module))
        except (Exception, SystemExit) as error:  # noqa: BLE001  a plugin may raise anything
            self.broken[plugin] = told(error)

    def take(self, plugin: str, module: str, offers: Offers) -> None:
        """Take in what a plugin offers, all of it or nothing.

        Raises:
            ConfigurationError: Another plugin has given one of the names.
        """
        for kind, found in offers.items():
            for name in found:
                if name in getattr(self, kind):
                    raise ConfigurationError(f"the name {name!r} among {kind} is taken by another plugin")
        for kind, found in offers.items():
            getattr(self, kind).update(found)
        self.sources.update(dict.fromkeys(offers["bundles"], module))
        self.plugins[plugin] = module

    def recall(self, stranger: isolation.Stranger, answer: isolation.Answer) -> None:
        """Take in what a stranger's plugin answered, without importing it."""
        try:
            if "reason" in answer:
                raise ConfigurationError(answer["reason"])
            self.take(stranger.name, str(answer["module"]), _recalled(stranger, answer))
        except (MonaiBrainError, KeyError, TypeError) as error:
            self.broken[stranger.name] = told(error)


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


def forget() -> None:
    """Read what is installed anew when it is next asked for."""
    _read.cache_clear()


def read_again() -> Registry:
    """What is installed, with every plugin asked anew."""
    _read.cache_clear()
    _asked_anew.append(True)
    try:
        return _read()
    finally:
        _asked_anew.clear()


_asked_anew: list[bool] = []


@functools.cache
def _read() -> Registry:
    found = Registry()
    plugins = list(_selected(_installed()))
    strangers = [one for one in plugins if isinstance(one, isolation.Stranger)]
    answers = isolation.ask(strangers, anew=bool(_asked_anew))
    for one in plugins:
        if not isinstance(one, isolation.Stranger):
            found.load(*one)
        elif one.name in answers:
            found.recall(one, answers[one.name])
    if INSTALLED in (_wanted() or [INSTALLED]):
        _without_package(found)
    return found


def installed_folder() -> Path:
    """Where `monai-brain install` puts bundles."""
    return home() / "bundles"


def _without_package(found: Registry) -> None:
    """Add the bundles that were installed without a package; one that cannot be read is broken alone."""
    folder = installed_folder()
    if not folder.is_dir():
        return
    for path in sorted(folder.iterdir()):
        if path.name.startswith("."):
            continue
        try:
            bundle = Bundle.at(path)
            _ = bundle.labels
            if bundle.name in found.bundles:
                raise ConfigurationError(f"the name {bundle.name!r} among bundles is taken by a plugin")
        except MonaiBrainError as error:
            found.broken[f"{INSTALLED} {path.name}"] = told(error)
            continue
        found.bundles[bundle.name] = bundle
        found.sources[bundle.name] = INSTALLED


def models() -> list[str]:
    """The names of the registered models, sorted."""
    return sorted(registry().bundles)


def bundle(model: str | os.PathLike[str] | Bundle) -> Bundle:
    """The bundle of a registered name, of a bundle folder, or of a run folder.

    NAME@VERSION is the same model with another of its listed weights.

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
        name, at, version = name.rpartition("@")
        if at and name.removesuffix(FOLDER_SUFFIX) in known and not Path(model).is_dir():
            found = replace(known[name.removesuffix(FOLDER_SUFFIX)], weights_version=version)
            _ = found.weights_listing  # an unknown version is told now
            return found
    if Path(model).is_dir():
        return Bundle.at(model)
    raise UnknownNameError("model", os.fspath(model), known)


Loader = tuple[str, Callable[[], ModuleType]]


def _installed() -> Iterator[Loader | isolation.Stranger]:
    seen: dict[str, str] = {}
    # Our own first, so that nobody can take a built-in's name; then by name, not as the disk has them.
    for entry in sorted(entry_points(group=hookspecs.GROUP), key=_precedence):
        if seen.get(entry.name) == entry.value:
            continue  # one distribution that stands twice on the path
        name = entry.name if entry.name not in seen else f"{entry.name} ({entry.value})"
        seen.setdefault(entry.name, entry.value)
        yield (name, entry.load) if _is_own(entry) else isolation.Stranger(name, entry)


def _is_own(entry: EntryPoint) -> bool:
    return entry.module.partition(".")[0] in _OWN_PACKAGES


def _precedence(entry: EntryPoint) -> tuple[bool, str, str]:
    return not _is_own(entry), entry.name, entry.value


def _wanted() -> list[str] | None:
    """The plugins that the variable names, or None where it is not set."""
    wanted = os.environ.get(SELECTION_VARIABLE)
    return None if wanted is None else [name.strip() for name in wanted.split(",") if name.strip()]


def _selected(found: Iterable[Loader | isolation.Stranger]) -> Iterator[Loader | isolation.Stranger]:
    """Those that the variable names; a name in it that nothing bears is itself put aside with a reason."""
    wanted = _wanted()
    if wanted is None:
        yield from found
        return
    at_hand = {one.name if isinstance(one, isolation.Stranger) else one[0]: one for one in found}
    for name in wanted:
        if name != INSTALLED:
            yield at_hand.get(name) or (name, functools.partial(_not_installed, name, tuple(at_hand)))


def _not_installed(name: str, at_hand: tuple[str, ...]) -> ModuleType:
    raise UnknownNameError(f"plugin in {SELECTION_VARIABLE}", name, at_hand)


def _recalled(stranger: isolation.Stranger, answer: isolation.Answer) -> Offers:
    """The offers that a stranger's plugin answered with; its module is imported when one is used."""
    offers: Offers = {kind: {} for kind in KINDS}
    for given in answer["bundles"]:
        offers["bundles"][given["name"]] = Bundle.at(given["root"])
    for kind in KINDS[1:]:
        for given in answer[kind]:
            name = given["name"]
            late = functools.partial(_late, stranger, kind, name)
            offers[kind][name] = Offer(
                name,
                given["target"] or late,
                stranger.name,
                given["help"],
                functools.partial(_fill, late) if given["arguments"] else None,
                late=given["target"] is None,
            )
    return offers


def _late(stranger: isolation.Stranger, kind: str, name: str) -> Offer:
    """The offer itself, from the plugin's module, which is imported now."""
    found = _in_this_process(stranger)[kind].get(name)
    if not isinstance(found, Offer):
        raise ConfigurationError(f"Plugin {stranger.name!r} no longer offers {name!r}. Ask it again by: "
                                 "monai-brain list --refresh")  # fmt: skip
    return found


@functools.cache
def _in_this_process(stranger: isolation.Stranger) -> Offers:
    return offers_of(stranger.name, stranger.entry.load())


def _fill(late: Callable[[], Offer], parser: argparse.ArgumentParser) -> None:
    arguments = late().arguments
    if arguments is not None:
        arguments(parser)
