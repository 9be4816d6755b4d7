"""The process in which one plugin is asked what it offers: it may hang, crash or leave without harm."""

from __future__ import annotations

import argparse
import importlib.util
import os
from collections.abc import Callable
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

from monai_brain.bundles import Bundle
from monai_brain.files import write_json
from monai_brain.hooked import offers_of, told
from monai_brain.hookspecs import GROUP
from monai_brain.offers import Offer
from monai_brain.requirement import check_requirement

_MOST_FILES = 500


def answer(given: dict[str, Any]) -> None:
    """Write what the plugin offers, or why it offers nothing, into the file that is named.

    The files whose change makes the answer out of date are written before the plugin is touched: one that
    hangs is asked again when it changes, too.
    """
    reply = Path(given["answer"])
    watched = files(given["value"].partition(":")[0].partition(".")[0])
    write_json(reply, {"files": watched})
    try:
        check_requirement(required(given["requires"]), "its distribution")
        module = EntryPoint(given["name"], given["value"], GROUP).load()
        offers = offers_of(given["name"], module)
        found = {"module": module.__name__, **{kind: described(kind, offers[kind]) for kind in offers}}
    except (Exception, SystemExit) as error:  # noqa: BLE001  a plugin may raise anything
        found = {"reason": told(error)}
    else:
        watched += [str(one.root / "configs" / "metadata.json") for one in offers["bundles"].values()]
    write_json(reply, {"files": watched, "answer": found})
    os._exit(0)  # threads and exit handlers of the plugin's have no say


def required(lines: list[str]) -> str | None:
    """The versions of monai_brain that a distribution asks for; pip held them when it was installed."""
    if not any("monai" in line.lower() for line in lines):
        return None
    from packaging.requirements import InvalidRequirement, Requirement
    from packaging.utils import canonicalize_name

    for line in lines:
        try:
            wanted = Requirement(line)
        except InvalidRequirement:
            continue
        if canonicalize_name(wanted.name) == "monai-brain" and (
            not wanted.marker or wanted.marker.evaluate()
        ):
            return str(wanted.specifier) or None
    return None


def files(package: str) -> list[str]:
    """The source files and folders of a top-level package or module, found without importing it."""
    try:
        spec = importlib.util.find_spec(package)
    except (ImportError, ValueError):
        return []
    if spec is None:
        return []
    if not spec.submodule_search_locations:
        return [spec.origin] if spec.origin else []
    found: list[str] = []
    for place in spec.submodule_search_locations:
        for folder, below, names in os.walk(place):
            below[:] = sorted(name for name in below if name != "__pycache__")
            found += [str(Path(folder) / name) for name in sorted(names) if name.endswith(".py")]
            if len(found) >= _MOST_FILES:
                return found[:_MOST_FILES]
    return found


def described(kind: str, offers: dict[str, Any]) -> list[dict[str, Any]]:
    """The offers of one kind in words that JSON takes."""
    found: list[dict[str, Any]] = []
    for name, offer in offers.items():
        if isinstance(offer, Bundle):
            found.append({"name": name, "root": str(offer.root)})
        elif isinstance(offer, Offer):
            if offer.arguments is not None:
                _try(offer.arguments)
            target = offer.target if isinstance(offer.target, str) else None
            found.append(
                {
                    "name": name,
                    "target": target,
                    "help": str(offer.help),
                    "arguments": offer.arguments is not None,
                }
            )
    return found


def _try(fill: Callable[[argparse.ArgumentParser], None]) -> None:
    """Let a plugin fill a parser that nobody uses, so that one which cannot is found here."""
    fill(argparse.ArgumentParser(add_help=True))
