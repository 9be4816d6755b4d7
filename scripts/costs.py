#!/usr/bin/env python3
"""Counts every network that the page of models shows and writes docs/_data/costs.json."""

import argparse
import dataclasses
import json
import sys
from pathlib import Path

import monai_brain_bundles

from monai_brain.bundles import Bundle

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "docs" / "_ext"))

import paper_tables  # noqa: E402  it lies beside the pages that it fills


def bundles() -> dict[str, Bundle]:
    """The bundles of this repository by name, registered or not."""
    folders = Path(monai_brain_bundles.__path__[0]).glob("*/configs/metadata.json")
    found = [Bundle.at(path.parents[1]) for path in folders]
    return {bundle.name: bundle for bundle in sorted(found, key=lambda bundle: bundle.name)}


def wanted() -> list[paper_tables.Counted]:
    """All networks that are shown, each once."""
    return list(dict.fromkeys(one for bundle in bundles().values() for one in paper_tables.wanted(bundle)))


def count(one: paper_tables.Counted) -> dict[str, int]:
    """Parameters and operations of one of them, built with random weights."""
    from monai_brain.inference.cost import cost
    from monai_brain.inference.weights import network

    channels, size, _ = one.input
    bundle = bundles()[one.model]
    built = network(
        bundle, variant=one.variant or None, in_channels=channels, image_size=size, num_classes=one.classes
    )
    return dataclasses.asdict(cost(built, one.input))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("-o", "--output", type=Path, default=paper_tables.COSTS)
    options = parser.parse_args()
    counted = {}
    for one in wanted():
        counted[paper_tables.key(one)] = count(one)
        print(paper_tables.key(one), counted[paper_tables.key(one)], flush=True)
    options.output.write_text(json.dumps(counted, indent=1, sort_keys=True) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
