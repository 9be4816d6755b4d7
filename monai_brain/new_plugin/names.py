"""The names that a new plugin bears: of its package, its distribution, its classes."""

from __future__ import annotations

import importlib.util
import keyword
import re
from collections.abc import Sequence
from dataclasses import dataclass

from monai_brain import registry
from monai_brain.bundles import FOLDER_SUFFIX
from monai_brain.errors import ConfigurationError

CLASSES = ("glioma", "meningioma", "pituitary", "no_tumor")


@dataclass(frozen=True)
class Naming:
    """What one name becomes: `my_model`, `my-model`, `MyModel`."""

    package: str

    @property
    def distribution(self) -> str:
        """The name under which pip installs it."""
        return self.package.replace("_", "-")

    @property
    def class_name(self) -> str:
        """The name of the network's class."""
        return "".join(part.capitalize() for part in self.package.split("_"))

    @property
    def folder(self) -> str:
        """The name of the bundle's folder."""
        return f"{self.package}{FOLDER_SUFFIX}"


def naming(name: str) -> Naming:
    """The names that follow from one.

    Raises:
        ConfigurationError: Python, MONAI or an installed model leaves no place for it.
    """
    plain = re.sub(r"\W+|_+", "_", name.lower(), flags=re.ASCII).strip("_").removesuffix(FOLDER_SUFFIX)
    usable = plain.isidentifier() and not keyword.iskeyword(plain)
    if name != plain or not usable:
        offer = f" Try {plain!r}." if usable else ""
        raise ConfigurationError(
            f"NAME is {name!r}. Expected small letters, digits and single _, a letter first, and no "
            f"{FOLDER_SUFFIX!r} at its end, such as 'kidney_stones'.{offer}"
        )
    if plain.startswith("monai"):
        raise ConfigurationError(
            f"NAME is {name!r}. MONAI searches every package whose name begins with monai: choose another."
        )
    if plain in registry.models():
        raise ConfigurationError(f"A model named {name!r} is installed already. Choose another name.")
    if importlib.util.find_spec(plain) is not None:
        raise ConfigurationError(f"A Python module named {name!r} is installed already. Choose another name.")
    return Naming(plain)


def class_names(given: Sequence[str]) -> tuple[str, ...]:
    """The classes as they were given, checked.

    Raises:
        ConfigurationError: There are fewer than two, or one stands twice or is empty.
    """
    names = tuple(name.strip() for name in given)
    if len(names) < 2 or "" in names or len(set(names)) < len(names):
        raise ConfigurationError(
            f"The classes are {', '.join(map(repr, names)) or 'none'}. Expected two or more different names."
        )
    unwritable = [name for name in names if not name.isprintable() or "," in name]
    if unwritable:
        raise ConfigurationError(f"The class name {unwritable[0]!r} cannot stand in a table. Choose another.")
    return names
