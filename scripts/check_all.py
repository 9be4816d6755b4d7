#!/usr/bin/env python3
"""Runs the conformance checks on every model of this repository, and those of networks on every variant.

A line for each model and variant, and one below it for each check that failed. Exit status 4 if any did.
"""

import argparse
import json
import sys
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from costs import bundles, paper_tables

from monai_brain.bundles import Bundle
from monai_brain.errors import ModelError

OF_A_NETWORK = (
    "forward",
    "finite_gradients",
    "deterministic_eval",
    "batch_independence",
    "state_dict_round_trip",
    "one_and_three_channels",
    "fused_is_equal",
    "export_parity",
)
# Their families are exported by another member: ResNet34.
NOT_EXPORTED = {("baseline", "resnet50"), ("baseline", "resnext101")}


def main() -> int:
    known = bundles()
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--only", nargs="+", metavar="MODEL", choices=list(known), help="default: all")
    parser.add_argument("--variants", nargs="*", metavar="NAME", help="default: all that change the network")
    parser.add_argument("--no-export", action="store_true", help="leave out the exports, which take longest")
    options = parser.parse_args()
    failed = 0
    for name in options.only or known:
        if options.variants is None:
            failed += report(name, known[name], None)
        for variant in paper_tables.networks(known[name])[1:]:
            if options.variants is not None and variant not in options.variants:
                continue
            left_out = options.no_export or (name, variant) in NOT_EXPORTED
            checks = [check for check in OF_A_NETWORK if not (left_out and check == "export_parity")]
            with tempfile.TemporaryDirectory() as folder:
                failed += report(f"{name}/{variant}", varied(known[name], variant, Path(folder)), checks)
    print(f"{failed} checks failed." if failed else "All checks passed.")
    return ModelError.exit_status if failed else 0


def varied(bundle: Bundle, variant: str, folder: Path) -> Bundle:
    """A copy of the bundle whose recipes are the variant's."""
    copy = bundle.copy(folder / bundle.root.name)
    for path in (copy.config("train"), copy.config("inference")):
        content = json.loads(path.read_text(encoding="utf-8"))
        for key, value in bundle.facts["variants"][variant].items():
            put(content, key.split("#"), value)
        path.write_text(json.dumps(content), encoding="utf-8")
    return copy


def put(content: Any, steps: list[str], value: Any) -> None:
    """Set what stands at the end of the steps, where it is there; one recipe has keys another lacks."""
    *above, last = steps
    for step in above:
        content = content.get(step, {})
    if last in content:
        content[last] = value


def report(title: str, bundle: Bundle, only: Iterable[str] | None) -> int:
    """Run the checks and print how they ended; gives the number that failed."""
    from monai_brain.testing import checks

    found = list(checks.results(bundle, only))
    failed = [result for result in found if result.state == "failed"]
    states = ", ".join(f"{count} {state}" for state, count in counted(found))
    print(
        f"{'FAILED' if failed else 'ok':6}  {title}: {states} ({sum(one.seconds for one in found):.0f} s)",
        flush=True,
    )
    for result in failed:
        print(f"        {result.name}: {result.reason}", flush=True)
    return len(failed)


def counted(found: Iterable[Any]) -> Iterator[tuple[str, int]]:
    """Each state that occurs, with its count."""
    states = [result.state for result in found]
    for state in dict.fromkeys(states):
        yield state, states.count(state)


if __name__ == "__main__":
    sys.exit(main())
