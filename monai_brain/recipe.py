"""A bundle's recipes with overlays and overrides, exactly as `python -m monai.bundle run` reads them."""

from __future__ import annotations

import copy
import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from monai_brain.bundles import Bundle
from monai_brain.errors import ConfigurationError, MonaiBrainError, did_you_mean
from monai_brain.files import read_json

if TYPE_CHECKING:
    from monai.bundle import ConfigWorkflow

# Keys of a recipe that belong to one run on one machine: they are never carried from one recipe to another.
PLACES = ("bundle_root", "dataset_dir", "datalist", "device", "num_workers", "output_dir", "run_dir")


def override(text: str) -> tuple[str, Any]:
    """The key and value of `key=value`; the value is JSON where it can be read as such, else the text.

    Raises:
        ConfigurationError: There is no "=" or no key.
    """
    key, equals, value = text.partition("=")
    if not equals or not key.strip():
        raise ConfigurationError(f"--set takes key=value, for example max_epochs=5, not {text!r}.")
    try:
        return key.strip(), json.loads(value)
    except json.JSONDecodeError:
        return key.strip(), value


def workflow(
    bundle: Bundle, recipes: Sequence[str], overrides: Mapping[str, Any], *, kind: str
) -> ConfigWorkflow:
    """The MONAI workflow of a bundle's recipe and overlays, not yet initialized.

    Args:
        bundle: the model.
        recipes: names of files in configs/, or paths; later ones overlay earlier ones.
        overrides: values by MONAI's id (`train#trainer#max_epochs`).
        kind: "train" or "infer", as MONAI calls it.

    Raises:
        ConfigurationError: A recipe cannot be read, or lacks a key that is overridden.
    """
    from monai.bundle import ConfigWorkflow

    files = [name if name.endswith(".json") else str(bundle.config(name)) for name in recipes]
    for file in files:
        read_json(file)  # refuses what MONAI would silently misread
    logging_file: str | bool = str(bundle.root / "configs" / "logging.conf")
    found = ConfigWorkflow(
        config_file=files,
        meta_file=str(bundle.root / "configs" / "metadata.json"),
        logging_file=logging_file if Path(str(logging_file)).is_file() else False,
        workflow_type=kind,
    )
    check_keys(found.parser, overrides)
    found.parser.update({"bundle_root": str(bundle.root), **overrides})
    return found


def check_keys(config: Any, overrides: Iterable[str]) -> None:
    """Refuse an override of a key that the recipe lacks.

    Raises:
        ConfigurationError: With the nearest key that the recipe has.
    """
    for key in overrides:
        if key not in config:
            content = config.get()
            raise ConfigurationError(f"The recipe has no key {key!r}. {did_you_mean(key, _ids(content))}")


def running() -> dict[str, Any]:
    """The recipe that is being evaluated right now, with all overlays and overrides applied.

    MONAI hands an expression of a recipe the values it refers to, but not the recipe. A run that is
    to keep its recipe "as resolved" must have it, also when `python -m monai.bundle run` started it:
    it is taken from the resolver that is evaluating the expression which called us.

    Raises:
        ConfigurationError: No recipe is being evaluated.
    """
    from monai.bundle import ReferenceResolver

    frame = sys._getframe(1)
    while frame is not None:
        holder = frame.f_locals.get("self")
        if isinstance(holder, ReferenceResolver):
            return copy.deepcopy(holder.items[""].get_config())
        frame = frame.f_back  # type: ignore[assignment]
    raise ConfigurationError("No recipe is being evaluated: call this from an expression of a recipe.")


def as_resolved(bundle_root: str | Path, recipe: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """The configs of the bundle that a run becomes: file name to content.

    The run's own recipe stands as it ran. Of the bundle's other recipes each top-level key that the
    run's recipe has too takes the run's value, so that inference builds the network that was trained.
    """
    folder = Path(bundle_root) / "configs"
    plain = {key: value for key, value in recipe.items() if key != "_meta_"}
    configs = {"train.json": {**plain, "bundle_root": "."}}
    for path in sorted(folder.glob("*.json")):
        if path.name in ("train.json", "metadata.json"):
            continue
        content = read_json(path)
        for key in content:
            if key in plain and key not in PLACES and _is_setting(plain[key]):
                content[key] = plain[key]
        if "network_def" in content and "network_def" in plain:
            content["network_def"] = plain["network_def"]
        configs[path.name] = content
    configs["metadata.json"] = dict(recipe.get("_meta_") or read_json(folder / "metadata.json"))
    return configs


def failure(error: BaseException) -> MonaiBrainError | None:
    """The error of ours that stands behind one which MONAI raised while it evaluated a recipe.

    Where the first cause is none of ours, but an expression or a component of the recipe failed, that
    is a fault of the recipe, and the cause is named. None where the error has nothing to do with a recipe.
    """
    chain: list[BaseException] = []
    cause: BaseException | None = error
    while cause is not None and cause not in chain:
        if isinstance(cause, MonaiBrainError):
            return cause
        chain.append(cause)
        cause = cause.__cause__ or cause.__context__
    if len(chain) > 1 and str(error).startswith(("Failed to evaluate", "Failed to instantiate")):
        where = " ".join(str(error).partition(" with keywords")[0].split())
        return ConfigurationError(f"{where}: {type(chain[-1]).__name__}: {chain[-1]}")
    return None


def _is_setting(value: Any) -> bool:
    """A value that means the same in any recipe, unlike a reference or an expression."""
    if isinstance(value, str):
        return not value.startswith(("$", "@", "%"))
    return isinstance(value, int | float) or value is None


def _ids(content: Any, above: str = "") -> list[str]:
    """Every id in a recipe, as one writes it after --set."""
    pairs: Iterable[tuple[Any, Any]] = ()
    if isinstance(content, dict):
        pairs = ((key, value) for key, value in content.items() if key != "_meta_")
    elif isinstance(content, list):
        pairs = enumerate(content)
    found = []
    for key, value in pairs:
        name = f"{above}#{key}" if above else str(key)
        found += [name, *_ids(value, name)]
    return found
