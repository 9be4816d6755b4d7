"""The bundle of a new plugin: the recipes of the baseline model, with what differs.

There is one training recipe in the project, which every model's bundle is a version of. A new bundle is
made from the newest of it, not from a copy kept for the purpose.
"""

from __future__ import annotations

import datetime
import importlib.metadata
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from monai_brain import __version__
from monai_brain.bundles import DISCLAIMER, Bundle
from monai_brain.data import phantoms
from monai_brain.files import read_json, write_json
from monai_brain.new_plugin.names import Naming

ORIGIN = ("monai_brain_bundles", "baseline_classification")
_PER_IMAGE = ("monai.transforms.NormalizeIntensityd", "monai.transforms.RepeatChanneld")
_PHANTOMS = {"brain": phantoms.BRAIN_CLASSES, "mammogram": phantoms.MAMMOGRAM_CLASSES}


@dataclass(frozen=True)
class Wanted:
    """What a user asks of a new model.

    Attributes:
        names: Its names.
        labels: The classes, in the order of the network's outputs.
        size: Side of the image in pixels.
        channels: Channels that the network takes.
        mean: Of each channel on 0..1, or empty: each image is standardised by itself.
        deviation: The same.
    """

    names: Naming
    labels: tuple[str, ...]
    size: int = 224
    channels: int = 1
    mean: tuple[float, ...] = ()
    deviation: tuple[float, ...] = ()

    @property
    def phantom(self) -> str | None:
        """The kind of phantoms that shows these classes."""
        return next((kind for kind, shown in _PHANTOMS.items() if set(self.labels) <= set(shown)), None)


def write_recipes(wanted: Wanted, root: Path, network_def: dict[str, Any], pretrained: bool) -> None:
    """Write the recipes, the logging and the licence of the new bundle into its folder."""
    origin = Bundle.in_package(*ORIGIN).root
    for path in sorted((origin / "configs").iterdir()):
        target = root / "configs" / path.name
        if path.suffix != ".json":
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, target)
        elif path.name != "metadata.json":
            write_json(target, _recipe(path, wanted, network_def, pretrained))
    shutil.copyfile(origin / "LICENSE", root / "LICENSE")


def _recipe(path: Path, wanted: Wanted, network_def: dict[str, Any], pretrained: bool) -> dict[str, Any]:
    content = read_json(path)
    own = {"image_size": wanted.size, "in_channels": wanted.channels, "network_def": network_def}
    dropped = {"architecture", *(() if pretrained else ("pretrained",))}
    content = {key: own.get(key, value) for key, value in content.items() if key not in dropped}
    if wanted.mean:
        content = _scaled(content, wanted)
    return content


def _scaled(content: dict[str, Any], wanted: Wanted) -> dict[str, Any]:
    """The recipe with channels standardised by fixed numbers, where it standardised each image by itself."""
    repeat = {"_target_": _PER_IMAGE[1], "keys": "image", "repeats": "@in_channels"}
    fixed = {
        "_target_": _PER_IMAGE[0],
        "keys": "image",
        "subtrahend": "$[255 * value for value in @mean]",
        "divisor": "$[255 * value for value in @std]",
        "channel_wise": True,
    }
    found: dict[str, Any] = {}
    for key, value in content.items():
        found[key] = value
        if key == "in_channels":
            found |= {"mean": list(wanted.mean), "std": list(wanted.deviation)}
    if "standardize" in found:
        found["standardize"] = [repeat, fixed]
        found["train"] = {**found["train"], "augmentation": _repeated_first(found["train"]["augmentation"])}
    elif "preprocessing" in found:
        steps = [step for step in found["preprocessing"]["transforms"] if step["_target_"] not in _PER_IMAGE]
        found["preprocessing"] = {**found["preprocessing"], "transforms": [*steps, repeat, fixed]}
    if "train#augmentation" in found:
        found["train#augmentation"] = _repeated_first(found["train#augmentation"])
    return found


def _repeated_first(steps: Sequence[Any]) -> list[Any]:
    """The steps with all of `standardize` where its first was."""
    at = list(steps).index("@standardize#0")
    rest = [step for step in steps[at + 1 :] if step != "@standardize#1"]
    return [*steps[: at + 1], "@standardize#1", *rest]


def write_metadata(wanted: Wanted, root: Path, facts: dict[str, Any]) -> None:
    """Write the metadata: the zoo's keys, and ours with the facts of this network."""
    content = dict(Bundle.in_package(*ORIGIN).metadata)
    name, several = wanted.names.package, ", ".join(wanted.labels)
    task = f"Classification of 2D images: {several}"
    owners = f"the authors of {name}"
    beside = [package for package in content["required_packages_version"] if package != "monai-brain"]
    content |= {
        "version": "0.1.0",
        "changelog": {"0.1.0": "first version"},
        "monai_version": importlib.metadata.version("monai"),
        "pytorch_version": importlib.metadata.version("torch").partition("+")[0],
        "numpy_version": importlib.metadata.version("numpy"),
        "required_packages_version": {
            "monai-brain": __version__,
            **{package: importlib.metadata.version(package) for package in beside},
        },
        "name": name,
        "task": task,
        "description": f"{task}. {DISCLAIMER}",
        "authors": owners,
        "copyright": f"Copyright (c) {owners}",
        "data_source": "not said yet",
        "image_classes": f"one image, scaled to 0..255, resized to {wanted.size} px, standardised",
        "label_classes": "the class of the image",
        "pred_classes": f"probabilities of the {len(wanted.labels)} classes",
        "references": [],
        "network_data_format": _formats(content["network_data_format"], wanted),
        "monai_brain": {
            "model": name,
            "summary": f"one of {len(wanted.labels)} classes: {several}"[:100],
            "licence": "Apache-2.0",
            "disclaimer": DISCLAIMER,
            "paper": {
                "title": f"Not published yet: {name}",
                "authors": owners,
                "year": datetime.date.today().year,
                "url": f"https://example.org/{wanted.names.distribution}",
            },
            **facts,
            **({"phantom": wanted.phantom} if wanted.phantom else {}),
        },
    }
    write_json(root / "configs" / "metadata.json", content)


def _formats(origin: dict[str, Any], wanted: Wanted) -> dict[str, Any]:
    image, pred = dict(origin["inputs"]["image"]), dict(origin["outputs"]["pred"])
    image |= {
        "modality": {"brain": "MR", "mammogram": "MG"}.get(wanted.phantom or "", "n/a"),
        "num_channels": wanted.channels,
        "spatial_shape": [wanted.size, wanted.size],
        "channel_def": {str(index): "image" for index in range(wanted.channels)},
    }
    pred |= {
        "num_channels": len(wanted.labels),
        "channel_def": {str(index): label for index, label in enumerate(wanted.labels)},
    }
    return {"inputs": {"image": image}, "outputs": {"pred": pred}}


def write_samples(wanted: Wanted, root: Path) -> None:
    """Draw a phantom of each class into sample_data, where there are phantoms of these classes."""
    makers = {"brain": phantoms.brain, "mammogram": phantoms.mammogram}
    if wanted.phantom is None:
        return
    for made in makers[wanted.phantom](len(wanted.labels), 0, 128, wanted.labels):
        phantoms.save(made, root / "sample_data" / f"phantom_{made.class_name}.png")
