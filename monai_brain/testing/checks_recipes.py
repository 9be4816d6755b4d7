"""Checks of a model's recipes: that every runner can read them, and that they say each thing once."""

from __future__ import annotations

import codecs
import json
import pydoc
from typing import Any

import numpy as np
import torch

from monai_brain import recipe
from monai_brain.bundles import Bundle
from monai_brain.errors import ConfigurationError, MissingExtraError
from monai_brain.files import read_json
from monai_brain.testing import bench, subject
from monai_brain.testing.outcome import CheckFailed, listed, require

TOP = (
    *("datalist", "fold", "run_dir", "seed", "max_epochs", "batch_size", "learning_rate"),
    *("image_size", "in_channels", "amp", "num_workers"),
)
RECIPES = ("train", "evaluate", "inference")
# Names under which components take what a recipe's top says, whatever they call it.
ALIASES = {
    "lr": "learning_rate",
    "img_size": "image_size",
    "size": "image_size",
    "spatial_size": "image_size",
    "roi_size": "image_size",
    "repeats": "in_channels",
}
SHARED = ("image_size", "in_channels", "labels", "network_def")


def check_strict_json(bundle: Bundle) -> None:
    """Every config says one thing only: valid JSON, no key twice, no NaN."""
    for name in RECIPES:
        require(
            (bundle.root / "configs" / f"{name}.json").is_file(), f"configs/{name}.json is missing. Add it."
        )
    for path in sorted((bundle.root / "configs").glob("*.json")):
        try:
            content = read_json(path)
        except ConfigurationError as error:
            raise CheckFailed(str(error)) from None
        require(isinstance(content, dict), f"configs/{path.name} must hold one JSON object.")
        require(
            not path.read_bytes().startswith(codecs.BOM_UTF8),
            f"configs/{path.name} begins with a byte order mark, at which MONAI's own commands stop. Save it "
            "as UTF-8 without one.",
        )


def check_targets_locate(bundle: Bundle) -> None:
    """Every _target_ is a dotted name of something that is installed."""
    recipes = list(subject.recipes(bundle))
    require(recipes, "configs/ holds no recipe in JSON. Write those that there are as JSON.")
    for file, content in recipes:
        for name, target in subject.walk(content):
            if not name.endswith("_target_") or not isinstance(target, str) or target.startswith(("$", "@")):
                continue
            place = f"configs/{file}: {name} is {target!r}"
            require(
                "." in target,
                f"{place}. Write the dotted name, for example monai.transforms.Compose: bare names are "
                "looked up in every loaded module whose name begins with monai.",
            )
            try:
                found = pydoc.locate(target)
            except pydoc.ErrorDuringImport as error:
                if isinstance(error.value, MissingExtraError):
                    raise error.value from error
                raise CheckFailed(f"{place}, whose module cannot be imported: {error.value}") from error
            require(
                callable(found), f"{place}, which is not installed or no class or function. Correct the name."
            )


def check_recipe_keys(bundle: Bundle) -> None:
    """The values that users change stand at the top of train.json, once; below it stand references."""
    train = read_json(bundle.config("train"))
    lacking = [key for key in TOP if key not in train]
    require(
        not lacking,
        f"configs/train.json lacks {listed(lacking, len(TOP))} at its top. Add them, so that --set and the "
        "experiments find them.",
    )
    for file, content in subject.recipes(bundle):
        for name, value in subject.walk(content):
            key = name.rpartition("#")[2]
            if "#" not in name or isinstance(value, dict | list) or _is_reference(value):
                continue
            meant = key if key in TOP else ALIASES.get(key)
            bound_again = key in TOP or (meant in content and value == content[meant])
            require(
                meant is None or not bound_again,
                f'configs/{file}: {name} is {value!r}, a second place for {meant}. Write "@{meant}".',
            )


def _is_reference(value: Any) -> bool:
    return isinstance(value, str) and value.startswith(("@", "$", "%"))


def check_recipes_agree(bundle: Bundle) -> None:
    """train.json and inference.json build the same network and prepare an image in the same way."""
    train, inference = read_json(bundle.config("train")), read_json(bundle.config("inference"))
    for key in SHARED:
        require(
            _as_written(train.get(key)) == _as_written(inference.get(key)),
            f"{key} is {train.get(key)!r} in configs/train.json and {inference.get(key)!r} in "
            "configs/inference.json. Make them equal, or the network that is used is not the one that was "
            "trained.",
        )
    channels, height, _ = bundle.input_shape
    for key, stated in (("image_size", height), ("in_channels", channels)):
        require(
            inference.get(key) == stated,
            f"{key} is {inference.get(key)!r} in configs/inference.json, {stated} in network_data_format. "
            "Make them equal.",
        )
    with bench.aside() as folder:
        bench.image(folder / "noise.png", np.random.default_rng(0))
        item = {"image": str(folder / "noise.png")}
        validated = component(bundle, "train", "validate#preprocessing")(dict(item))["image"]
        inferred = component(bundle, "inference", "preprocessing")(dict(item))["image"]
    shapes = tuple(validated.shape), tuple(inferred.shape)
    require(
        shapes[0] == shapes[1] and torch.equal(torch.as_tensor(validated), torch.as_tensor(inferred)),
        f"validate#preprocessing of configs/train.json gives {shapes[0]}, preprocessing of "
        f"configs/inference.json {shapes[1]}{', other values' if shapes[0] == shapes[1] else ''}, for the "
        "same image. Make them the same transforms in the same order.",
    )


def _as_written(value: Any) -> str:
    """A value for comparison; MONAI writes :: for # where it has resolved a recipe, as in a run's."""
    return json.dumps(value, sort_keys=True).replace("::", "#")


def component(bundle: Bundle, name: str, key: str) -> Any:
    """A component of a recipe, read as predict, Label and Deploy read it."""
    parser = recipe.parsed(bundle, name)
    require(key in parser, f"configs/{name}.json has no {key}. Add it.")
    try:
        return parser.get_parsed_content(key)
    except Exception as error:
        cause = recipe.failure(error) or error
        if isinstance(cause, MissingExtraError):
            raise cause from error
        raise CheckFailed(
            f"configs/{name}.json: {key} cannot be made: {' '.join(str(cause).split())}"
        ) from error
