"""A model, or several, as a complete application of MONAI Deploy in a folder of its own."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from monai_brain import registry
from monai_brain.bundles import FOLDER_SUFFIX, WEIGHTS_FILE, Bundle
from monai_brain.data import phantoms
from monai_brain.dicom_out import codes
from monai_brain.errors import ConfigurationError, ModelError, UnknownNameError
from monai_brain.files import read_json, sha256, whole, write_json
from monai_brain.inference import decision, domain
from monai_brain.inference import weights as network_weights
from monai_brain.inference.configs import METADATA
from monai_brain.inference.export import beside, export
from monai_brain.inference.predictor import Predictor
from monai_brain.inference.zoo import without_places
from monai_brain.integrations import deploy_text
from monai_brain.integrations.deploy_models import SCRIPTED, ScriptedPredictor
from monai_brain.safety import code, trust

FORMS = ("eager", "torchscript")
_OPTIONAL = ("LICENSE", "configs/logging.conf", "docs/README.md", "docs/data_license.txt")
_SAMPLE_SIZE = 128


def deploy(
    models: str | os.PathLike[str] | Bundle | Sequence[str | os.PathLike[str] | Bundle],
    folder: str | os.PathLike[str],
    *,
    weights: str | os.PathLike[str] | None = None,
    form: str = "eager",
) -> Path:
    """Write an application of MONAI Deploy, whole or not at all; gives its folder.

    It holds app.py, app.yaml, requirements.txt, the models, sample input, a README and a Dockerfile.

    Args:
        models: registered names, bundle folders or run folders; several share one application.
        folder: a new folder.
        weights: for a single model, a .pt file or a run folder instead of the model's own weights.
        form: eager, a bundle with its state_dict; or torchscript, one .ts file without heat maps.

    Raises:
        ModelError: A model has no weights, or they do not fit.
        ConfigurationError: Two models bear one name, or weights are named for several.
        OutputError: The folder is not empty, or cannot be written.
    """
    if form not in FORMS:
        raise UnknownNameError("form of a deployed model", form, FORMS)
    given = [models] if isinstance(models, str | os.PathLike | Bundle) else list(models)
    bundles = [registry.bundle(model) for model in given]
    names = [bundle.name for bundle in bundles]
    if not bundles:
        raise ConfigurationError("Nothing to deploy. Name one model or several.")
    if len(set(names)) < len(names):
        raise ConfigurationError(f"An application holds each model once: {', '.join(sorted(names))}.")
    if weights is not None and len(bundles) > 1:
        raise ConfigurationError("--weights are for one model. Of several name the run folders themselves.")
    for bundle in bundles:
        trust.admit(bundle)
        network_weights.locate(bundle, weights)  # before anything is written
    target = Path(folder)
    trusted: list[str] = []
    with beside(target) as place:
        for bundle in bundles:
            model = place / "models" / bundle.name
            deployed = _copy(bundle, model / f"{bundle.name}{FOLDER_SUFFIX}", weights)
            if trust.outside(deployed):
                trusted.append(code.digest(deployed.root))
            with trust.given():  # of code that was let pass above, the copy names some
                Predictor(deployed, device="cpu")  # the copy answers, or there is no application
            _sample(bundle, place / "input" / (bundle.name if len(bundles) > 1 else ""))
            if form == "torchscript":
                _scripted(deployed, model / f"model{SCRIPTED}")
        for name, text in deploy_text.files(bundles, form, trusted).items():
            with whole(place / name) as stream:
                stream.write(text)
    return target


def _copy(bundle: Bundle, folder: Path, weights: str | os.PathLike[str] | None) -> Bundle:
    """The bundle with its weights, and with nothing of the machine on which it was trained."""
    path, recorded = network_weights.locate(bundle, weights)
    network_weights.read(path, recorded)
    (folder / "models").mkdir(parents=True)
    for name in _OPTIONAL:
        if (bundle.root / name).is_file():
            (folder / name).parent.mkdir(exist_ok=True)
            shutil.copyfile(bundle.root / name, folder / name)
    shutil.copyfile(path, folder / WEIGHTS_FILE)
    if (path.parent / domain.NAME).is_file():
        shutil.copyfile(path.parent / domain.NAME, folder / "models" / domain.NAME)
    configs = {
        file.name: read_json(file)
        for file in sorted((bundle.root / "configs").glob("*.json"))
        if file.name in (METADATA, "inference.json")
    }
    for name, content in without_places(bundle, configs).items():
        if name == METADATA:
            content["monai_brain"] = _facts(bundle, weights, sha256(folder / WEIGHTS_FILE))
        write_json(folder / "configs" / name, content)
    return Bundle.at(folder)


def _facts(bundle: Bundle, weights: str | os.PathLike[str] | None, digest: str) -> dict[str, Any]:
    """The bundle's facts, with the decision that belongs to these weights."""
    facts = {**bundle.facts, "model": bundle.name}
    if weights is not None:
        facts.pop(decision.KEY, None)
        kept = Bundle.at(weights).facts.get(decision.KEY) if Path(weights).is_dir() else None
        facts |= {decision.KEY: kept} if kept else {}
    known = facts.get("weights") or {}
    kept = known if known.get("sha256") == digest else {}
    return facts | {"weights": {**kept, "file": WEIGHTS_FILE, "sha256": digest}}


def _scripted(bundle: Bundle, path: Path) -> None:
    """Put one TorchScript file in the place of the bundle."""
    if (bundle.root / "models" / domain.NAME).is_file():
        raise ModelError(
            f"{bundle.name} abstains by limits on a layer's features, which TorchScript does not show. "
            "Deploy it eager."
        )
    export(bundle, "torchscript", path)
    shutil.rmtree(bundle.root)
    with trust.given():
        ScriptedPredictor(path, "cpu")


def _sample(bundle: Bundle, folder: Path) -> None:
    """A few images to try the model with: the bundle's own, its registered model's, or phantoms."""
    folder.mkdir(parents=True, exist_ok=True)
    registered = registry.registry().bundles.get(bundle.name)
    for root in (bundle.root, *([registered.root] if registered else [])):
        images = sorted(file for file in (root / "sample_data").rglob("*") if file.is_file())
        for image in images:
            shutil.copyfile(image, folder / image.name)
        if images:
            return
    kind = bundle.facts.get("phantom")
    if kind:
        with tempfile.TemporaryDirectory(prefix="monai_brain_") as made:
            wanted = len(bundle.labels)
            written = phantoms.write(str(kind), made, wanted, size=_SAMPLE_SIZE, classes=bundle.labels)
            for item in json.loads(written.read_text(encoding="utf-8"))["training"]:
                source = Path(made, item["image"])
                shutil.copyfile(source, folder / f"phantom_{item['class_name']}{source.suffix}")


def reported(bundle: Bundle) -> bool:
    """Whether the model's answers can become DICOM reports."""
    try:
        codes.read(bundle)
    except ConfigurationError:
        return False
    return True
