"""verify, install, remove, weights get: what comes from elsewhere. Nothing here imports torch."""

from __future__ import annotations

import argparse
import dataclasses
import json
from collections.abc import Iterator

from monai_brain import registry
from monai_brain.errors import IntegrityError
from monai_brain.safety import install as installing
from monai_brain.safety import store, trust
from monai_brain.safety import verify as verifying

_SECTIONS = {
    "refused": "refused",
    "targets": "calls what no allowed package has",
    "expressions": "runs or imports, unlike any installed model",
    "pickles": "would load more than tensors",
    "escapes": "leads out of its folder",
    "sources": "holds source or programs",
    "notes": "note",
}


def verify(options: argparse.Namespace) -> int:
    """Print the account of a bundle; 4 if it must not be run."""
    account = verifying.verify(options.model)
    if options.json:
        print(json.dumps({"schema_version": 1, **dataclasses.asdict(account)}, ensure_ascii=False))
    else:
        for line in lines(account):
            print(line)
    return IntegrityError.exit_status if account.refused else 0


def lines(account: verifying.Account) -> Iterator[str]:
    """An account as a person reads it."""
    if account.files:
        yield f"{account.name}: {account.files} files, {account.size / 2**20:.1f} MB"
    for key, title in _SECTIONS.items():
        for text in getattr(account, key):
            yield f"{title}: {text}"
    if account.refused:
        yield "It is refused. Nothing of it was run."
    elif account.trusted:
        yield f"It may run: {account.trusted}."
    else:
        yield "Nobody has trusted its code. It runs only after --trust, which is recorded."


def install(options: argparse.Namespace) -> None:
    """Install a bundle and say where it is."""
    bundle, account = installing.install(options.source, progress=False if options.json else None)
    if options.json:
        content = {"name": bundle.name, "path": str(bundle.root), "digest": account.digest}
        print(json.dumps({"schema_version": 1, **content}))
        return
    for text in account.notes:
        print(f"note: {text}")
    print(f"{bundle.name} is installed in {bundle.root}. Remove it by: monai-brain remove {bundle.name}")


def remove(options: argparse.Namespace) -> None:
    """Remove an installed bundle."""
    gone = installing.remove(options.name)
    print(json.dumps({"schema_version": 1, "removed": str(gone)}) if options.json else f"{gone} is removed.")


def get_weights(options: argparse.Namespace) -> None:
    """Fetch weights and say where they are, and under which licence."""
    bundle = registry.bundle(options.model)
    if options.source is None and bundle.weights is None and bundle.fetched_weights is not None:
        trust.admit(bundle)
    path = store.get(bundle, options.to, options.source, progress=False if options.json else None)
    licence = bundle.weights_listing.get("licence") or bundle.facts.get("licence")
    if options.json:
        content = {"path": str(path), "sha256": bundle.weights_sha256, "licence": licence}
        print(json.dumps({"schema_version": 1, **content}))
    else:
        print(f"{path}  licence: {licence or 'not stated'}")
