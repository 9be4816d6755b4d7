"""A model's folder and the facts in it, read without torch, MONAI or numpy."""

from __future__ import annotations

import functools
import importlib.util
import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from monai_brain.errors import ConfigurationError, OutputError, UnknownNameError
from monai_brain.files import read_json
from monai_brain.home import home

FOLDER_SUFFIX = "_classification"
WEIGHTS_FILE = "models/model.pt"
DISCLAIMER = "Research use only, not for diagnosis."


@dataclass(frozen=True)
class Bundle:
    """One model: a folder laid out as a MONAI bundle.

    A registered bundle, a copy of one and the folder of a finished run are all bundles, and every
    door that takes a model takes any of them.
    """

    root: Path
    weights_version: str | None = None  # which of several listed weights; None for the first choice

    @classmethod
    def at(cls, folder: str | os.PathLike[str]) -> Bundle:
        """The bundle in a folder.

        Raises:
            ConfigurationError: The folder holds no configs/metadata.json.
        """
        root = Path(folder).resolve()
        if not (root / "configs" / "metadata.json").is_file():
            raise ConfigurationError(f"{folder} is no bundle: it has no configs/metadata.json.")
        return cls(root)

    @classmethod
    def in_package(cls, package: str, folder: str) -> Bundle:
        """The bundle in a folder of an installed package, found without importing the package.

        Raises:
            ConfigurationError: The package or the folder is not there.
        """
        spec = importlib.util.find_spec(package)
        if spec is None or not spec.submodule_search_locations:
            raise ConfigurationError(f"Package {package!r}, which should hold {folder!r}, is not installed.")
        for place in spec.submodule_search_locations:
            if (Path(place) / folder).is_dir():
                return cls.at(Path(place) / folder)
        raise ConfigurationError(f"Package {package!r} has no bundle folder {folder!r}.")

    @property
    def name(self) -> str:
        """The model's name, which is its folder's without the suffix; a run folder bears its model's."""
        return str(self.facts.get("model", self.root.name.removesuffix(FOLDER_SUFFIX)))

    @functools.cached_property
    def metadata(self) -> dict[str, Any]:
        """The content of configs/metadata.json."""
        content = read_json(self.root / "configs" / "metadata.json")
        if not isinstance(content, dict):
            raise ConfigurationError(f"{self.root}/configs/metadata.json must hold one JSON object.")
        return content

    @property
    def facts(self) -> dict[str, Any]:
        """The object under "monai_brain", which holds what the zoo's metadata has no key for."""
        facts = self.metadata.get("monai_brain", {})
        return facts if isinstance(facts, dict) else {}

    @property
    def labels(self) -> tuple[str, ...]:
        """The class names, in the order of the network's outputs."""
        return labels(self._format("outputs", "pred").get("channel_def", {}))

    @property
    def input_shape(self) -> tuple[int, int, int]:
        """Channels, height and width of the image that the network takes."""
        image = self._format("inputs", "image")
        try:
            height, width = (int(size) for size in image["spatial_shape"])
            return int(image["num_channels"]), height, width
        except (KeyError, TypeError, ValueError):
            raise ConfigurationError(
                f"{self.root}/configs/metadata.json states no 2D input: network_data_format#inputs#image "
                "needs num_channels and a spatial_shape of two numbers."
            ) from None

    @property
    def disclaimer(self) -> str:
        """The sentence that every output a person reads must carry."""
        return str(self.facts.get("disclaimer", DISCLAIMER))

    @property
    def weights(self) -> Path | None:
        """The weights beside the configs, or those fetched from the listed address; None without either."""
        path = self.root / WEIGHTS_FILE
        if self.weights_version is None and path.is_file():
            return path
        fetched = self.fetched_weights
        return fetched if fetched is not None and fetched.is_file() else None

    @property
    def fetched_weights(self) -> Path | None:
        """Where weights that are fetched by address go; None where no address with a hash is listed."""
        sha256 = self.weights_sha256
        if not self.weights_listing.get("url") or sha256 is None:
            return None
        return home() / "weights" / f"{sha256}.pt"

    @property
    def weights_listing(self) -> dict[str, Any]:
        """What is listed of the weights of the version that is asked for, such as sha256, url and licence.

        Raises:
            UnknownNameError: No weights of that version are listed.
        """
        listed = self.facts.get("weights", {})
        if not isinstance(listed, dict):
            raise ConfigurationError(f"{self.root}: monai_brain#weights must be an object.")
        versions = listed.get("versions", {})
        if self.weights_version is None or self.weights_version == listed.get("version"):
            return listed
        if not isinstance(versions, dict) or not isinstance(versions.get(self.weights_version), dict):
            known = [*versions, *([listed["version"]] if "version" in listed else [])]
            raise UnknownNameError(f"version of the weights of {self.name}", self.weights_version, known)
        return dict(versions[self.weights_version])

    @property
    def weights_sha256(self) -> str | None:
        """The hash that the weights must have, or None where none is recorded."""
        recorded = self.weights_listing.get("sha256")
        return str(recorded) if recorded else None

    def config(self, name: str) -> Path:
        """The path of one of the recipes: train, evaluate, inference, ...

        Raises:
            UnknownNameError: The bundle has no such recipe.
        """
        path = self.root / "configs" / f"{name}.json"
        if not path.is_file():
            known = [entry.stem for entry in path.parent.glob("*.json") if entry.stem != "metadata"]
            raise UnknownNameError(f"recipe of {self.name}", name, known)
        return path

    def copy(self, folder: str | os.PathLike[str]) -> Bundle:
        """A writable copy of the bundle in a new folder.

        Raises:
            OutputError: The folder holds something already, or cannot be written.
        """
        target = Path(folder)
        if target.exists() and (not target.is_dir() or any(target.iterdir())):
            raise OutputError(f"{folder} exists and is not empty. Name a new folder.")
        try:
            shutil.copytree(
                self.root,
                target,
                dirs_exist_ok=True,
                copy_function=shutil.copyfile,  # contents alone: the original may be read-only
                ignore=shutil.ignore_patterns("__pycache__"),
            )
        except (OSError, shutil.Error) as error:
            raise OutputError(f"Cannot copy {self.name} to {folder}: {error}.") from None
        return Bundle.at(target)

    def _format(self, side: str, key: str) -> dict[str, Any]:
        found: Any = self.metadata
        for step in ("network_data_format", side, key):
            found = found.get(step, {}) if isinstance(found, dict) else {}
        return found if isinstance(found, dict) else {}


def labels(channel_def: dict[str, str]) -> tuple[str, ...]:
    """The class names of a metadata channel_def, in the order of its indices.

    Raises:
        ConfigurationError: The indices are not 0, 1, 2, ... or a name stands twice.
    """
    names = tuple(str(channel_def[key]) for key in sorted(channel_def, key=str))
    ordered = tuple(str(channel_def.get(str(index), "")) for index in range(len(channel_def)))
    if not names or "" in ordered or len(set(ordered)) < len(ordered):
        raise ConfigurationError(f"channel_def must name each class once, from '0' up: {dict(channel_def)}.")
    return ordered
