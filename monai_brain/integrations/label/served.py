"""Which version of a model is served: every version is kept, and each can be served again."""

from __future__ import annotations

import datetime
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from monai_brain.bundles import Bundle
from monai_brain.errors import ConfigurationError, UnknownNameError
from monai_brain.files import read_json, write_json

FIRST = "000"
STATE_FILE = "served.json"


@dataclass(frozen=True)
class Score:
    """How well a version answers for the patients that are held out.

    Attributes:
        balanced_accuracy: The mean over the classes of the share of their images that is answered rightly.
        log_loss: The mean of -log of the probability of the right class.
        images: How many images were asked.
        patients: Of how many patients.
    """

    balanced_accuracy: float
    log_loss: float
    images: int
    patients: int


def better(new: Score, old: Score | None) -> bool:
    """Whether a version is to be served in place of the one that is.

    It is where its balanced accuracy is higher, or is the same and its log loss is lower.
    """
    if old is None:
        return True
    if new.balanced_accuracy != old.balanced_accuracy:
        return new.balanced_accuracy > old.balanced_accuracy
    return new.log_loss < old.log_loss


class Served:
    """The versions of one model in the application's folder: 000 as it came, then one each round of training.

    Each version is a bundle folder. Which is served stands in served.json, which is replaced in one step,
    so that a server and a training beside it never see half of it.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @property
    def name(self) -> str:
        """The model's name."""
        return self.folder.name

    @property
    def state(self) -> dict[str, Any]:
        """What served.json says: the version, those that were served before it, and the rounds."""
        path = self.folder / STATE_FILE
        found = read_json(path) if path.is_file() else {}
        return {"schema_version": 1, "version": FIRST, "before": [], "rounds": [], **found}

    @property
    def version(self) -> str:
        """The version that is served."""
        return str(self.state["version"])

    @property
    def bundle(self) -> Bundle:
        """The bundle of the version that is served."""
        return Bundle.at(self.folder / self.version)

    def versions(self) -> list[str]:
        """The versions that are there, the oldest first."""
        return sorted(path.name for path in self.folder.iterdir() if path.is_dir() and path.name.isdecimal())

    def next_version(self) -> str:
        """The name of the version to come."""
        return f"{int(self.versions()[-1]) + 1:03d}"

    def judged(self, version: str, new: Score, old: Score | None) -> bool:
        """Note how a round of training ended, and serve the new version if it is better."""
        taken = better(new, old)
        state = self.state
        state["rounds"].append(
            {
                "version": version,
                "against": state["version"],
                "score": asdict(new),
                "score_against": asdict(old) if old is not None else None,
                "served": taken,
                "time": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
            }
        )
        if taken:
            state["before"].append(state["version"])
            state["version"] = version
        write_json(self.folder / STATE_FILE, state)
        return taken

    def restore(self, version: str | None = None) -> str:
        """Serve a version again, by default the one served before; gives which.

        Raises:
            ConfigurationError: None was served before.
            UnknownNameError: There is no such version.
        """
        state = self.state
        if version is None:
            if not state["before"]:
                raise ConfigurationError(f"{self.name}: no version was served before {state['version']}.")
            version = str(state["before"].pop())
        elif version not in self.versions():
            raise UnknownNameError(f"version of {self.name}", version, self.versions())
        else:
            state["before"].append(state["version"])
        state["version"] = version
        write_json(self.folder / STATE_FILE, state)
        return version
