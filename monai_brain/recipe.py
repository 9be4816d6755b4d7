"""A bundle's recipes with overlays and overrides, exactly as `python -m monai.bundle run` reads them."""

from __future__ import annotations

import codecs
import contextlib
import copy
import importlib
import importlib.util
import json
import math
import numbers
import re
import sys
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from monai_brain.bundles import Bundle
from monai_brain.errors import ConfigurationError, MissingExtraError, MonaiBrainError, did_you_mean
from monai_brain.files import read_json
from monai_brain.safety import trust

if TYPE_CHECKING:
    from monai.bundle import ConfigParser, ConfigWorkflow

# Keys of a recipe that belong to one run on one machine: they are never carried from one recipe to another.
PLACES = ("bundle_root", "dataset_dir", "datalist", "device", "num_workers", "output_dir", "run_dir")
# Keys that stand at the top of every recipe and hold a whole number, with the least that makes sense.
WHOLE = {
    **dict.fromkeys(("accumulate", "batch_size", "image_size", "in_channels", "max_epochs"), 1),
    **dict.fromkeys(("fold", "keep_every", "num_workers", "seed"), 0),
}
# Keys that take one of a few values.
CHOICES: dict[str, tuple[bool | str, ...]] = {
    "amp": ("auto", True, False, "bf16", "fp16"),
    "channels_last": ("auto", True, False),
    "compile": (True, False, "default", "reduce-overhead", "max-autotune", "max-autotune-no-cudagraphs"),
    "device_cache": ("auto", True, False),
}
_FAULTS = ("the referring item", "detected circular references", "Cannot locate class or function path")


def override(text: str) -> tuple[str, Any]:
    """The key and value of `key=value`; the value is JSON where it can be read as such, else the text.

    Raises:
        ConfigurationError: There is no "=" or no key.
    """
    key, equals, value = text.partition("=")
    if not equals or not key.strip():
        raise ConfigurationError(f"--set takes key=value, for example max_epochs=5, not {text!r}.")
    try:
        return key.strip(), json.loads(value, parse_constant=_no_number)
    except ValueError:
        return key.strip(), value


def _no_number(constant: str) -> NoReturn:
    raise ValueError(constant)  # NaN and Infinity are no JSON, though Python reads them


def parsed(bundle: Bundle, name: str) -> ConfigParser:
    """MONAI's parser of one of a bundle's recipes, with its metadata, and its place as bundle_root.

    Raises:
        ConfigurationError: The recipe cannot be read, or says one thing twice.
        TrustError: The bundle names code that is neither installed nor trusted.
    """
    trust.admit(bundle)
    from monai.bundle import ConfigParser
    from monai.bundle.utils import merge_kv

    found = ConfigParser({})
    for key, value in read_json(bundle.config(name)).items():
        merge_kv(found, key, value)
    found.read_meta(copy.deepcopy(bundle.metadata))
    found["bundle_root"] = str(bundle.root)
    return found


def workflow(
    bundle: Bundle,
    recipes: Sequence[str],
    overrides: Mapping[str, Any],
    *,
    kind: str,
    tracking: str | None = None,
) -> ConfigWorkflow:
    """The MONAI workflow of a bundle's recipe and overlays, not yet initialized.

    Args:
        bundle: the model.
        recipes: names of files in configs/, or paths; later ones overlay earlier ones.
        overrides: values by MONAI's id (`train#trainer#max_epochs`).
        kind: "train" or "infer", as MONAI calls it.
        tracking: the address of an MLflow server or database that MONAI's handlers write to.

    Raises:
        ConfigurationError: A recipe cannot be read, lacks an overridden key, or takes another kind of value.
        TrustError: It names code that is neither installed nor trusted.
    """
    files = [Path(name) if name.endswith(".json") else bundle.config(name) for name in recipes]
    folder = bundle.root / "configs"
    trust.admit(bundle, [path for path in files if path.resolve().parent != folder])
    from monai.bundle import ConfigWorkflow

    conf = folder / "logging.conf"
    with contextlib.ExitStack() as stack:
        *configs, meta = [_readable(file, stack) for file in (*files, folder / "metadata.json")]
        found = ConfigWorkflow(
            config_file=configs,
            meta_file=meta,
            logging_file=str(conf) if conf.is_file() else False,
            workflow_type=kind,
            tracking=_tracked(tracking) if tracking else None,
        )
    check_keys(found.parser, overrides)
    check_values(found.parser, overrides)
    found.parser.update({"bundle_root": str(bundle.root), **overrides})
    return found


def _tracked(address: str) -> dict[str, Any]:
    """MONAI's settings for MLflow, fitted to recipes that keep a batch together.

    Raises:
        MissingExtraError: MLflow is not installed.
    """
    from monai.bundle.utils import DEFAULT_MLFLOW_SETTINGS

    if importlib.util.find_spec("mlflow") is None:
        raise MissingExtraError("mlflow", "tracking")
    settings: dict[str, Any] = copy.deepcopy(DEFAULT_MLFLOW_SETTINGS)
    for handler in ("trainer", "validator", "evaluator"):
        settings["configs"][handler]["_target_"] = "monai.handlers.MLFlowHandler"
        # What would be stored is the whole of the resolved recipe, which the run folder holds already.
        settings["configs"][handler].pop("artifacts", None)
    settings["configs"]["trainer"]["output_transform"] = "$lambda output: output['loss'].item()"
    settings["configs"]["tracking_uri"] = address
    return settings


def _readable(file: Path, stack: contextlib.ExitStack) -> str:
    """The path of a config that says one thing only, in a form that MONAI takes: no byte order mark."""
    read_json(file)
    content = file.read_bytes()
    if not content.startswith(codecs.BOM_UTF8):
        return str(file)
    plain = Path(stack.enter_context(tempfile.TemporaryDirectory())) / file.name
    plain.write_bytes(content.removeprefix(codecs.BOM_UTF8))
    return str(plain)


def check_keys(config: Any, overrides: Iterable[str]) -> None:
    """Refuse an override of a key that the recipe lacks.

    Raises:
        ConfigurationError: With the nearest key that the recipe has.
    """
    for key in overrides:
        if key not in config:
            content = config.get()
            raise ConfigurationError(f"The recipe has no key {key!r}. {did_you_mean(key, _ids(content))}")


def check_values(config: Any, overrides: Mapping[str, Any]) -> None:
    """Refuse a value of another kind than the recipe has: text for a number, a half for a count.

    Raises:
        ConfigurationError: With what the key takes.
    """
    for key, value in overrides.items():
        if isinstance(value, str) and value.startswith(("$", "@", "%")):
            continue  # an expression, whose value shows when it is evaluated
        wanted = _wanted(key, config[key], value)
        if wanted:
            raise ConfigurationError(f"{key} is {value!r}, but takes {wanted}.")


def _wanted(key: str, current: Any, value: Any) -> str | None:
    """What the key takes, if the value is not of that kind."""
    is_flag = isinstance(value, bool)
    if key in WHOLE:
        fits = isinstance(value, numbers.Integral) and not is_flag and int(value) >= WHOLE[key]
        return None if fits else f"a whole number, {WHOLE[key]} or more"
    if key in CHOICES:
        *most, last = (str(choice).lower() for choice in CHOICES[key])
        fits = isinstance(value, bool | str) and value in CHOICES[key]
        return None if fits else f"{', '.join(most)} or {last}"
    if isinstance(current, bool):
        return None if is_flag else "true or false"
    if isinstance(current, int | float):
        fits = isinstance(value, numbers.Real) and not is_flag and math.isfinite(float(value))
        return None if fits else f"a number, such as {current}"
    return None


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
    Its further ways to train (recipe_NAME.json) stay as they are.
    """
    folder = Path(bundle_root) / "configs"
    plain = {key: value for key, value in recipe.items() if key != "_meta_"}
    configs = {"train.json": {**plain, "bundle_root": "."}}
    for path in sorted(folder.glob("*.json")):
        if path.name in ("train.json", "metadata.json"):
            continue
        content = read_json(path)
        for key in () if path.name.startswith("recipe_") else content:
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
        told = _told_by_a_worker(str(cause))
        if told is not None:
            return told
        if str(cause).startswith(_FAULTS):
            return ConfigurationError(f"The recipe does not hold together: {cause}")
        chain.append(cause)
        cause = cause.__cause__ or cause.__context__
    if len(chain) > 1 and str(error).startswith(("Failed to evaluate", "Failed to instantiate")):
        where = " ".join(str(error).partition(" with keywords")[0].split())
        return ConfigurationError(f"{where}: {type(chain[-1]).__name__}: {chain[-1]}")
    return None


def _told_by_a_worker(text: str) -> MonaiBrainError | None:
    """The error of ours that ended a loader's worker process: all that comes from there is its traceback."""
    found = re.search(r"^(monai_brain[\w.]*)\.(\w+): (.+)$", text, re.MULTILINE)
    if "DataLoader worker process" not in text or found is None:
        return None
    kind = getattr(importlib.import_module(found[1]), found[2], None)
    told = MonaiBrainError(found[3])
    told.exit_status = getattr(kind, "exit_status", told.exit_status)
    return told


def _is_setting(value: Any) -> bool:
    """A value that means the same in any recipe, unlike a reference or an expression."""
    if isinstance(value, str):
        return not value.startswith(("$", "@", "%"))
    if isinstance(value, list):
        return bool(value) and all(_is_setting(one) for one in value)
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
