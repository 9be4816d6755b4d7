"""The text files of a deployed application."""

from __future__ import annotations

import importlib.metadata
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from string import Template
from typing import Any

from monai_brain import __version__
from monai_brain.bundles import Bundle
from monai_brain.files import read_json

# Everything that a registered model may need; holoscan-cli 4.2.0 is the last that packages applications.
EXTRAS = "baselines,deploy,dicom,explain,kan"
SDK = {"holoscan-cli": "4.2.0", "holoscan-cu13": "4.6.0", "monai-deploy-app-sdk": "4.0.0"}
_PINNED = ("grad-cam", "highdicom", "monai", "numpy", "opencv-python-headless", "pydicom", "torch")
_PINNED_TOO = ("pytorch-ignite", "scikit-learn", "scipy", "torchvision")
_OWN = "monai-brain"
_FILES = ("app.py", "app.yaml", "Dockerfile", "README.md")


def files(bundles: Sequence[Bundle], form: str, trusted: Sequence[str] = ()) -> dict[str, str]:
    """The application's text files by their path in its folder.

    Args:
        bundles: the models.
        form: eager or torchscript.
        trusted: the digests of code that may run though no installed package holds it.
    """
    names = [bundle.name for bundle in bundles]
    title = ", ".join(str(bundle.metadata.get("name") or bundle.name) for bundle in bundles)
    words: dict[str, Any] = {
        "title": _plain(title),
        "quoted": json.dumps(_plain(title)),
        "version": str(bundles[0].metadata.get("version") or "0.1.0") if len(bundles) == 1 else __version__,
        "disclaimer": _plain(" ".join(dict.fromkeys(bundle.disclaimer for bundle in bundles))),
        "package": __version__,
        "tag": "-".join(names).replace("_", "-").lower()[:100] + ":latest",
        "table": "\n".join(_row(bundle) for bundle in bundles),
        "routes": _routes(names),
        "trusted": ",".join(trusted),
    }
    found = {name: Template(_template(name)).substitute(words) for name in _FILES}
    if form == "torchscript":
        found["README.md"] = found["README.md"].replace(
            "## Output\n", "The models are TorchScript: there are no heat maps.\n\n## Output\n"
        )
    lines = "".join(f"{line}\n" for line in requirements(bundles))
    return found | {"requirements.txt": lines, "wheels/README.md": _template("wheels.md")}


def _template(name: str) -> str:
    return (Path(__file__).parent / "deploy_template" / f"{name}.template").read_text(encoding="utf-8")


def requirements(bundles: Sequence[Bundle]) -> list[str]:
    """What the application must install: this package, the models' plugins, and versions that were tried."""
    exact = {name: found for name in (*_PINNED, *_PINNED_TOO) if (found := _version(name))}
    packages = {f"{_OWN}[{EXTRAS}]": __version__, **_plugins(bundles), **exact, **SDK}
    return [f"{name}=={version}" for name, version in sorted(packages.items())]


def _plugins(bundles: Sequence[Bundle]) -> dict[str, str]:
    """The distributions that hold the code which the bundles name, but MONAI's, torch's and our own."""
    known = importlib.metadata.packages_distributions()
    roots = {target.partition(".")[0] for bundle in bundles for target in _targets(bundle)}
    owners = {owner for root in roots for owner in known.get(root, [])}
    return {
        owner: found for owner in owners if owner.replace("_", "-") != _OWN and (found := _version(owner))
    }


def _targets(bundle: Bundle) -> Iterator[str]:
    stack = [read_json(bundle.config("inference"))]
    while stack:
        content = stack.pop()
        if isinstance(content, dict):
            yield from (str(value) for key, value in content.items() if key == "_target_")
            stack += content.values()
        elif isinstance(content, list):
            stack += content


def _version(name: str) -> str | None:
    try:
        return importlib.metadata.version(name).partition("+")[0]
    except importlib.metadata.PackageNotFoundError:
        return None


def _row(bundle: Bundle) -> str:
    task = _plain(str(bundle.metadata.get("task") or "")).replace("|", "/")
    return f"| {bundle.name} | {task} | {', '.join(bundle.labels)} |"


def _routes(names: Sequence[str]) -> str:
    if len(names) == 1:
        return ""
    return f"""
DICOM goes to the model that is for its modality and body part. An image that does not state them goes to the
model whose name its folder bears: {", ".join(f"`{name}/`" for name in names)}.

"""


def _plain(text: str) -> str:
    return " ".join(text.replace('"', "'").replace("\\", "/").split())
