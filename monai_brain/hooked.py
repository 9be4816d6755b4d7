"""What one plugin offers, asked by its hooks; whatever is wrong with it is raised."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType
from typing import Any

import pluggy

from monai_brain import hookspecs
from monai_brain.bundles import Bundle
from monai_brain.errors import ConfigurationError, MonaiBrainError, did_you_mean
from monai_brain.offers import Commands, Named, Offer
from monai_brain.requirement import check_requirement

Offers = dict[str, dict[str, Any]]  # kind -> name -> Bundle or Offer
KINDS = ("bundles", "datasets", "writers", "exporters", "commands")


def offers_of(plugin: str, module: ModuleType) -> Offers:
    """What one plugin offers, by kind and name; raises whatever is wrong with it."""
    check_requirement(getattr(module, "requires_monai_brain", None), f"plugin {plugin!r}")
    manager = pluggy.PluginManager(hookspecs.GROUP)
    manager.add_hookspecs(hookspecs)
    manager.register(module, plugin)  # refuses a wrong signature
    known = [name for name in vars(hookspecs) if name.startswith("register_")]
    for name in vars(module):
        if manager.parse_hookimpl_opts(module, name) is not None and name not in known:
            raise ConfigurationError(f"{name!r} is no hook. {did_you_mean(name, known)}")
    offers: dict[str, dict[str, Any]] = {kind: {} for kind in KINDS}

    def put(kind: str, name: str, offer: Any) -> None:
        if name in offers[kind]:
            raise ConfigurationError(f"the name {name!r} among {kind} is given twice")
        offers[kind][name] = offer

    def put_bundle(bundle: Bundle) -> None:
        if not isinstance(bundle, Bundle):
            raise ConfigurationError(f"register takes a monai_brain.Bundle, not {type(bundle).__name__}")
        _ = bundle.labels  # a bundle whose facts cannot be read is no offer
        check_requirement(bundle.facts.get("requires_monai_brain"), bundle.name)
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


def told(error: BaseException) -> str:
    """An error in one line, as `list` gives it as the reason."""
    if isinstance(error, MonaiBrainError | pluggy.PluginValidationError):
        return " ".join(str(error).split())
    return " ".join(f"{type(error).__name__}: {error}".split())
