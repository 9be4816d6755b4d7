"""What a deployed application does from its input folder to its output folder, whoever drives it."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from monai_brain.data.headers import read_header
from monai_brain.errors import DataError, OutputError
from monai_brain.files import whole, write_json
from monai_brain.inference.answers import SCHEMA_VERSION
from monai_brain.inference.gates import FAILED, Refusal
from monai_brain.inference.inputs import Inputs
from monai_brain.inference.names import Entry, Names
from monai_brain.inference.predictor import Predictor
from monai_brain.integrations.deploy_routes import Routes
from monai_brain.integrations.deploy_settings import Settings
from monai_brain.integrations.deploy_work import Tell, Work

SUMMARY, UNROUTED = "summary.json", "unrouted.jsonl"
SOME_FAILED = 3


class Job:
    """One run of an application: its inputs shared out to its models, and what is said at the end.

    Attributes:
        works: Each model with its inputs, by the model's name.
    """

    def __init__(
        self,
        predictors: Sequence[Predictor],
        inputs: Path,
        output: Path,
        chosen: Settings,
        tell: Tell,
    ) -> None:
        """Share the inputs out.

        Raises:
            ConfigurationError: The input does not exist.
            DataError: It holds no image.
            OutputError: The output folder holds results of another job.
        """
        self._output, self._tell, self._names = output, tell, Names(chosen.names)
        routes = Routes([predictor.bundle for predictor in predictors])
        found = Inputs(inputs)
        shared: dict[str, list[Entry]] = {name: [] for name in routes.names}
        self._unrouted: list[dict[str, Any]] = []
        taken: dict[str, str] = {}
        for entry in found:
            answer = routes.of(entry)
            if isinstance(answer, Refusal):
                self._refuse(entry, answer, taken)
            for name in () if isinstance(answer, Refusal) else answer:
                shared[name].append(entry)
        self._left_out = found.left_out
        if not any(shared.values()) and not self._unrouted:
            raise DataError(f"The input folder holds no image ({found.left_out} other files).")
        self.works = {
            name: Work(predictor, shared[name], _fresh(output / name), chosen, tell)
            for name, predictor in zip(routes.names, predictors, strict=True)
        }
        for work in self.works.values():
            self._warn(work)

    def finish(self) -> int:
        """Write summary.json, and unrouted.jsonl where an input was for no model; gives the exit status."""
        if self._unrouted:
            with whole(self._output / UNROUTED) as stream:
                for line in self._unrouted:
                    stream.write(json.dumps(line, ensure_ascii=False) + "\n")
        unrouted = Counter(str(line["status"]) for line in self._unrouted)
        models = {name: _told(work) for name, work in self.works.items()}
        content = {
            "schema_version": SCHEMA_VERSION,
            "models": models,
            "unrouted": dict(unrouted),
            "left_out": self._left_out,
        }
        write_json(self._output / SUMMARY, content)
        if self._left_out:
            self._tell(f"{self._left_out} other files are not named as images and were left out.")
        for name, said in models.items():
            counts = ", ".join(f"{count} {status}" for status, count in said["counts"].items()) or "no inputs"
            self._tell(f"{name}: {counts}, {said['dicom_objects']} DICOM objects. {said['disclaimer']}")
        if unrouted:
            self._tell(
                f"for no model: {', '.join(f'{count} {status}' for status, count in unrouted.items())}"
            )
        failed = unrouted[FAILED] + sum(work.counts.get(FAILED, 0) for work in self.works.values())
        return SOME_FAILED if failed or any(work.unreported for work in self.works.values()) else 0

    def _refuse(self, entry: Entry, refusal: Refusal, taken: dict[str, str]) -> None:
        case = self._names.case(entry, taken)
        line = {"schema_version": SCHEMA_VERSION, "case": case, "status": refusal.status}
        self._unrouted.append(line | {"reason": refusal.reason})
        if refusal.status == FAILED:
            self._tell(f"{case}: {refusal.reason}")

    def _warn(self, work: Work) -> None:
        """Say beforehand what a model will not give."""
        if work.settings.heat_maps and work.maps_missing:
            self._tell(f"no heat maps: {work.maps_missing}")
        if work.codes_missing and any(_is_dicom(entry) for entry in work.entries):
            self._tell(f"no DICOM objects: {work.codes_missing}")


def _fresh(folder: Path) -> Path:
    """The folder, if nothing stands in it that could be taken for results of this job."""
    if folder.is_dir() and any(folder.iterdir()):
        raise OutputError(f"{folder} holds results already. Name another output folder, or empty it.")
    return folder


def _is_dicom(entry: Entry) -> bool:
    try:
        return not entry.member and read_header(Path(entry.path)).format == "dicom"
    except DataError:
        return False


def _told(work: Work) -> dict[str, Any]:
    return {
        "counts": work.counts,
        "dicom_objects": len(work.written),
        "unreported": work.unreported,
        "weights_sha256": work.predictor.weights_sha256,
        "disclaimer": work.predictor.bundle.disclaimer,
    }
