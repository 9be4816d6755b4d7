"""The checkpoints of a run: files that are whole or not there, each with its SHA-256 beside it."""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from monai_brain.errors import IntegrityError
from monai_brain.files import sha256, sweep, whole
from monai_brain.inference.weights import write_tensors

_LOG = logging.getLogger(__name__)
FOLDER = "checkpoints"
HASH_SUFFIX = ".sha256"
KEPT = 2  # the last one, and the one before it in case the last is damaged
_NAME = re.compile(r"epoch_(\d+)(?:_step_(\d+))?\.pt")


@dataclass(frozen=True, order=True)
class Checkpoint:
    """One checkpoint file: the state after so many whole epochs and so many steps of the next one."""

    epoch: int
    step: int
    path: Path

    @classmethod
    def at(cls, run_dir: str | Path, epoch: int, step: int = 0) -> Checkpoint:
        """The checkpoint of that moment, written or not."""
        name = f"epoch_{epoch:04d}.pt" if not step else f"epoch_{epoch:04d}_step_{step:06d}.pt"
        return cls(epoch, step, Path(run_dir) / FOLDER / name)

    @property
    def hash_file(self) -> Path:
        """The file beside it, in the form that `sha256sum --check` reads."""
        return self.path.with_name(self.path.name + HASH_SUFFIX)

    def write(self, state: Mapping[str, Any]) -> None:
        """Write the state; the file takes its name only when it is whole and its hash is on disk.

        Raises:
            OutputError: The disk is full, or the place cannot be written.
        """

        def record(digest: str) -> None:
            with whole(self.hash_file) as stream:
                stream.write(f"{digest}  {self.path.name}\n")

        write_tensors(self.path, dict(state), before=record)

    def read(self) -> dict[str, Any]:
        """The state, if every byte is as it was written.

        Raises:
            IntegrityError: The file is damaged, or its hash is not recorded.
        """
        try:
            recorded = self.hash_file.read_text(encoding="utf-8").partition(" ")[0]
            if sha256(self.path) != recorded:
                raise IntegrityError(f"{self.path} has not the SHA-256 that {self.hash_file.name} records.")
            state: dict[str, Any] = torch.load(self.path, map_location="cpu", weights_only=True)
            return state
        except (OSError, UnicodeDecodeError) as error:
            raise IntegrityError(f"{self.path} cannot be read: {error}.") from None
        except IntegrityError:
            raise
        except Exception as error:  # noqa: BLE001  a damaged archive raises many kinds
            reason = str(error).partition("\n")[0]
            raise IntegrityError(f"{self.path} cannot be resumed from: {reason}.") from None

    def remove(self) -> None:
        """Remove the file, then its hash."""
        self.path.unlink(missing_ok=True)
        self.hash_file.unlink(missing_ok=True)


def found(run_dir: str | Path) -> list[Checkpoint]:
    """The checkpoints of a run, the newest first."""
    known = []
    for path in (Path(run_dir) / FOLDER).glob("epoch_*.pt"):
        name = _NAME.fullmatch(path.name)
        if name:
            known.append(Checkpoint(int(name[1]), int(name[2] or 0), path))
    return sorted(known, reverse=True)


def tidy(run_dir: str | Path) -> None:
    """Remove what a killed process left: temporary files, and hashes whose checkpoint never came."""
    folder = Path(run_dir) / FOLDER
    sweep(folder)
    for path in folder.glob(f"*{HASH_SUFFIX}"):
        if not path.with_name(path.name.removesuffix(HASH_SUFFIX)).exists():
            path.unlink(missing_ok=True)


def thin(run_dir: str | Path, every: int = 0) -> None:
    """Remove old checkpoints but the last two and, where `every` is not 0, that of every so many epochs."""
    for checkpoint in found(run_dir)[KEPT:]:
        if checkpoint.step or not every or checkpoint.epoch % every:
            checkpoint.remove()


def last_whole(run_dir: str | Path) -> tuple[Checkpoint, dict[str, Any]] | None:
    """The newest checkpoint that is whole, with its state; None where there is none at all.

    Each damaged one is named in a warning, and the one before it is tried.

    Raises:
        IntegrityError: There are checkpoints, and every one is damaged.
    """
    reasons = []
    for checkpoint in found(run_dir):
        try:
            state = checkpoint.read()
        except IntegrityError as error:
            reasons.append(str(error))
            continue
        for reason in reasons:
            _LOG.warning("%s Going on from %s, which is whole.", reason, checkpoint.path.name)
        return checkpoint, state
    if reasons:
        raise IntegrityError(
            f"{' '.join(reasons)} No checkpoint of the run is whole: begin it anew in another run_dir."
        )
    return None
