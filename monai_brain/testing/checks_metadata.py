"""Checks of what a model says of itself: its plugin, its metadata, its files."""

from __future__ import annotations

import json
import re
from typing import Any

from monai_brain.bundles import WEIGHTS_FILE, Bundle
from monai_brain.dicom_out import codes
from monai_brain.errors import MonaiBrainError
from monai_brain.files import read_json
from monai_brain.registry import registry
from monai_brain.testing import bench, subject
from monai_brain.testing.outcome import CheckFailed, NotApplicable, listed, require

HEAVY = ("torch", "monai", "numpy")
LARGE_FILE = 25 * 2**20  # the model zoo keeps larger files elsewhere and lists them in large_files.yml
FILES = (
    "configs/metadata.json",
    "configs/inference.json",
    "configs/train.json",
    "LICENSE",
    "docs/README.md",
    "docs/data_license.txt",
)
ZOO_KEYS = (
    *("version", "changelog", "monai_version", "pytorch_version", "numpy_version"),
    *("required_packages_version", "task", "description", "authors", "copyright", "network_data_format"),
)
INPUT_KEYS = (
    "type",
    "format",
    "num_channels",
    "spatial_shape",
    "dtype",
    "value_range",
    "is_patch_data",
    "channel_def",
)
FACTS = ("summary", "licence", "disclaimer", "paper", "cam_layer", "parameters")

_IMPORT = """
import importlib, json, sys
before = set(sys.modules)
importlib.import_module(sys.argv[1])
print(json.dumps([name for name in sys.argv[2:] if name in sys.modules and name not in before]))
"""


def plugin_of(bundle: Bundle) -> str | None:
    """The module of the plugin that registers the bundle, or None where it is a folder of its own."""
    registered = registry().bundles.get(bundle.name)
    return registry().sources.get(bundle.name) if registered == bundle else None


def check_import_is_light(bundle: Bundle) -> None:
    """The plugin's module imports neither torch nor MONAI nor numpy: `list` answers at once."""
    module = plugin_of(bundle)
    if module is None:
        raise NotApplicable("no plugin registers it: it is a folder")
    done = bench.fresh(_IMPORT, module, *HEAVY)
    if done.returncode:
        reason = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
        raise CheckFailed(f"Plugin {module} cannot be imported by a fresh Python: {reason}")
    loaded = json.loads(done.stdout.strip().splitlines()[-1])
    require(
        not loaded,
        f"Importing plugin {module} imports {listed(loaded)}. Let the hook register the bundle alone, and "
        "leave the network to a module that only network_def names.",
    )


def check_metadata_complete(bundle: Bundle) -> None:
    """The metadata holds what the model zoo asks for, and under "monai_brain" what we ask for."""
    metadata, facts = bundle.metadata, bundle.facts
    lacking = [key for key in ZOO_KEYS if not metadata.get(key)]
    lacking += [f"monai_brain#{key}" for key in FACTS if not facts.get(key)]
    require(not lacking, f"configs/metadata.json lacks {listed(lacking, 20)}. Add them.")
    require(
        metadata["version"] in metadata["changelog"],
        f"Version {metadata['version']} is not in the changelog of configs/metadata.json. Say there what "
        "changed.",
    )
    _check_formats(bundle)
    if "codes" in facts:
        _check_codes(bundle)
    paper = facts["paper"]
    require(
        isinstance(paper, dict)
        and {"title", "authors", "year"} <= paper.keys()
        and {"arxiv", "doi", "journal", "url"} & paper.keys(),
        "monai_brain#paper needs title, authors, year and one of arxiv, doi, journal, url.",
    )
    require(
        isinstance(facts["parameters"], int) and not isinstance(facts["parameters"], bool),
        f"monai_brain#parameters is {facts['parameters']!r}. Write the number of the network's parameters.",
    )
    require(
        isinstance(facts["summary"], str) and "\n" not in facts["summary"] and len(facts["summary"]) <= 100,
        "monai_brain#summary stands in one line of `monai-brain list`. Make it at most 100 letters.",
    )
    require(
        re.search("research use only", str(facts["disclaimer"]), re.IGNORECASE),
        'monai_brain#disclaimer must say "Research use only, not for diagnosis."',
    )


def _check_codes(bundle: Bundle) -> None:
    """What DICOM reports are coded with, where the model says it."""
    try:
        codes.read(bundle)
    except MonaiBrainError as error:
        raise CheckFailed(str(error)) from None


def _check_formats(bundle: Bundle) -> None:
    formats: Any = bundle.metadata["network_data_format"]
    try:
        image, pred = formats["inputs"]["image"], formats["outputs"]["pred"]
        labels, shape = bundle.labels, bundle.input_shape
    except (KeyError, TypeError) as error:
        raise CheckFailed(
            f"network_data_format of configs/metadata.json lacks {error}. It needs inputs#image and "
            "outputs#pred."
        ) from None
    except MonaiBrainError as error:
        raise CheckFailed(str(error)) from None
    lacking = [f"inputs#image#{key}" for key in INPUT_KEYS if key not in image]
    lacking += [f"outputs#pred#{key}" for key in INPUT_KEYS if key not in pred]
    require(
        not lacking, f"network_data_format of configs/metadata.json lacks {listed(lacking, 20)}. Add them."
    )
    require(
        (pred["type"], pred["format"]) == ("probabilities", "classes"),
        f"outputs#pred has type {pred['type']!r}, format {pred['format']!r}. A classifier's are "
        f'"probabilities" '
        'and "classes".',
    )
    require(
        pred["num_channels"] == len(labels),
        f"outputs#pred#num_channels is {pred['num_channels']}, its channel_def names {len(labels)} "
        "classes. Make them agree.",
    )
    require(
        len(image["channel_def"]) == shape[0],
        f"inputs#image#num_channels is {shape[0]}, its channel_def names {len(image['channel_def'])}. Make "
        "them agree.",
    )


def check_metadata_true_to_network(bundle: Bundle) -> None:
    """The network takes images of the stated shape, gives one logit a label, and has the stated size."""
    channels, height, width = bundle.input_shape
    require(
        height == width,
        f"The metadata state {height} x {width} px; image_size is one number. Make them square.",
    )
    sized = "image_size" in read_json(bundle.config("inference"))
    network = subject.network(bundle, **({"image_size": height} if sized else {}))
    output = subject.answer(network, subject.images(bundle, 1, size=height))
    require(
        output.shape == (1, len(bundle.labels)),
        f"For one image {channels} x {height} x {width} the network gives {tuple(output.shape)}; the "
        f"metadata name {len(bundle.labels)} classes. Make channel_def and num_classes agree.",
    )
    counted = sum(parameter.numel() for parameter in network.parameters())
    require(
        counted == bundle.facts.get("parameters"),
        f"The network has {counted} parameters, monai_brain#parameters says "
        f"{bundle.facts.get('parameters')}. Write {counted}, or find out what changed in the network.",
    )


def check_zoo_rules(bundle: Bundle) -> None:
    """The files that the model zoo's own verification asks for are there, and none is too large for it."""
    missing = [name for name in FILES if not (bundle.root / name).is_file()]
    require(not missing, f"The bundle lacks {listed(missing, 10)}. Add them.")
    empty = [name for name in FILES if not (bundle.root / name).read_text("utf-8").strip()]
    require(not empty, f"{listed(empty)} of the bundle is empty. Write it.")
    # Weights beside the configs are how we keep a model; the zoo's form of it lists them elsewhere.
    large = [
        path.relative_to(bundle.root).as_posix()
        for path in sorted(bundle.root.rglob("*"))
        if path.is_file() and path.stat().st_size > LARGE_FILE and path != bundle.root / WEIGHTS_FILE
    ]
    listing = bundle.root / "large_files.yml"
    stated = listing.read_text("utf-8") if listing.is_file() else ""
    unlisted = [name for name in large if name not in stated]
    require(
        not unlisted,
        f"{listed(unlisted)}: larger than 25 MB. Keep it elsewhere and name it in large_files.yml.",
    )
