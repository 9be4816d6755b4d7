"""A bundle's folder as MONAI's model zoo takes it."""

from __future__ import annotations

import copy
import json
import shutil
from pathlib import Path
from typing import Any

from monai_brain import registry
from monai_brain.bundles import WEIGHTS_FILE, Bundle
from monai_brain.errors import ConfigurationError
from monai_brain.files import read_json, sha256, whole, write_json
from monai_brain.inference import torch_formats
from monai_brain.inference.configs import METADATA, Configs
from monai_brain.inference.export import Exportable, Run
from monai_brain.recipe import PLACES

LARGE = 25 * 2**20
LARGE_FILES = "large_files.yml"
REQUIRED = ("LICENSE", "docs/README.md", "docs/data_license.txt")
_FOLDERS = ("docs", "sample_data")


def to_zoo(job: Exportable, path: Path) -> Run:
    """A folder with configs, docs, licence and models/model.pt, and large_files.yml for what is over 25 MB.

    Of a run folder only what belongs to a bundle goes along: no checkpoints, no predictions, and no
    paths of the machine on which it was trained.

    Raises:
        ConfigurationError: The bundle lacks a file that the zoo requires.
    """
    root = job.bundle.root
    missing = [name for name in REQUIRED if not (root / name).is_file()]
    if missing:
        raise ConfigurationError(
            f"{job.bundle.name} lacks {', '.join(missing)}, which the model zoo requires. "
            f"Write what is missing in {root}."
        )
    version = job.metadata.get("version")
    if version not in job.metadata.get("changelog", {}):
        raise ConfigurationError(
            f"{job.bundle.name}: the changelog in metadata.json says nothing of {version}."
        )
    (path / "models").mkdir(parents=True)
    shutil.copyfile(root / "LICENSE", path / "LICENSE")
    for folder in _FOLDERS:
        if (root / folder).is_dir():
            shutil.copytree(root / folder, path / folder, copy_function=shutil.copyfile)
    run = torch_formats.to_state_dict(job, path / WEIGHTS_FILE)
    _write_configs(job, path)
    large = [file for file in sorted(path.rglob("*")) if file.is_file() and file.stat().st_size > LARGE]
    if large:
        _list_large(job.bundle, path, large)
    return run


def _write_configs(job: Exportable, path: Path) -> None:
    configs = without_places(job.bundle, copy.deepcopy(job.configs))
    facts, digest = configs[METADATA].setdefault("monai_brain", {}), sha256(path / WEIGHTS_FILE)
    same = facts.get("weights", {}).get("sha256") == digest
    facts["weights"] = {**(facts["weights"] if same else {}), "file": WEIGHTS_FILE, "sha256": digest}
    for name, content in configs.items():
        write_json(path / "configs" / name, content)
    logging = job.bundle.root / "configs" / "logging.conf"
    if logging.is_file():
        shutil.copyfile(logging, path / "configs" / "logging.conf")


def without_places(bundle: Bundle, configs: Configs) -> Configs:
    """The configs with the places and the start of one run put back to what the registered model has."""
    registered = registry.registry().bundles.get(bundle.name)
    if registered is None or registered.root == bundle.root:
        return configs
    for name, content in configs.items():
        if name == METADATA or not (registered.root / "configs" / name).is_file():
            continue
        original = read_json(registered.config(Path(name).stem))
        for key in (*PLACES, "resume", "start_weights"):
            if key in content and key in original:
                content[key] = original[key]
    return configs


def _list_large(bundle: Bundle, path: Path, large: list[Path]) -> None:
    recorded: dict[str, Any] = bundle.facts.get("weights", {})
    lines = [
        "# Put each file up at an address of yours, write the address here, and leave the file out of the",
        "# pull request: the zoo takes no file over 25 MB.",
        "large_files:",
    ]
    for file in large:
        name, digest = file.relative_to(path).as_posix(), sha256(file)
        known = name == WEIGHTS_FILE and recorded.get("sha256") == digest
        lines += [
            f"  - path: {json.dumps(name)}",
            f"    url: {json.dumps(str(recorded.get('url', '')) if known else '')}",
            f"    hash_val: {json.dumps(digest)}",
            '    hash_type: "sha256"',
        ]
    with whole(path / LARGE_FILES) as stream:
        stream.write("\n".join(lines) + "\n")
