"""DICOM sources written by hand, predictions about them, and the objects made of both."""

from __future__ import annotations

import subprocess
import warnings
from pathlib import Path

import numpy as np
import pytest

pydicom = pytest.importorskip("pydicom")
pytest.importorskip("highdicom")

from pydicom.dataset import Dataset, FileMetaDataset  # noqa: E402
from pydicom.uid import ExplicitVRLittleEndian, generate_uid  # noqa: E402

MR, ENHANCED, MG = (f"1.2.840.10008.5.1.4.1.1.{tail}" for tail in ("4", "4.1", "1.2"))
WEIGHTS = "ab" * 32


@pytest.fixture(autouse=True)
def _own_home(tmp_path_factory, monkeypatch):
    monkeypatch.setenv("MONAI_BRAIN_HOME", str(tmp_path_factory.mktemp("home")))


class Sources:
    """Writes DICOM images; a change of None takes an element away."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.count = folder, 0

    def save(self, dataset: Dataset) -> Path:
        self.count += 1
        path = self.folder / f"{self.count:04d}.dcm"
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            if int(pydicom.__version__.split(".")[0]) < 3:
                dataset.is_little_endian, dataset.is_implicit_VR = True, False
                pydicom.dcmwrite(path, dataset, write_like_original=False)
            else:
                pydicom.dcmwrite(path, dataset, enforce_file_format=True)
        return path

    def plain(self, sop_class: str, seed: int = 0, shape=(40, 36), **changes) -> Dataset:
        meta = FileMetaDataset()
        meta.MediaStorageSOPClassUID, meta.TransferSyntaxUID = sop_class, ExplicitVRLittleEndian
        dataset = Dataset()
        dataset.file_meta = meta
        dataset.SOPClassUID, dataset.SOPInstanceUID = (
            sop_class,
            generate_uid(entropy_srcs=[str(seed), sop_class]),
        )
        dataset.StudyInstanceUID = generate_uid(entropy_srcs=["study", sop_class])
        dataset.SeriesInstanceUID = generate_uid(entropy_srcs=["series", sop_class])
        dataset.PatientName, dataset.PatientID, dataset.PatientBirthDate = "Doe^Jane", "SECRET42", "19700101"
        dataset.PatientSex, dataset.StudyID, dataset.AccessionNumber = "F", "17", "A-17"
        dataset.StudyDate, dataset.StudyTime = "20240229", "101112"
        dataset.ContentDate, dataset.ContentTime = "20240229", "101500.25"
        dataset.ReferringPhysicianName, dataset.StudyDescription = "Roe^Richard", "HEAD"
        dataset.Modality, dataset.InstanceNumber = "MR", seed + 1
        dataset.PhotometricInterpretation, dataset.SamplesPerPixel = "MONOCHROME2", 1
        dataset.Rows, dataset.Columns = shape
        dataset.BitsAllocated = dataset.BitsStored = 16
        dataset.HighBit, dataset.PixelRepresentation = 15, 0
        dataset.add_new(
            "PixelData", "OW", np.random.default_rng(seed).integers(0, 4000, shape, "u2").tobytes()
        )
        for keyword, value in changes.items():
            if value is not None:
                setattr(dataset, keyword, value)
            elif keyword in dataset:
                delattr(dataset, keyword)
        meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
        return dataset

    def mr(self, seed: int = 0, **changes) -> Path:
        place = {
            "FrameOfReferenceUID": "1.2.3.4",
            "PixelSpacing": [0.9, 0.8],
            "SliceThickness": 5,
            "ImageOrientationPatient": [1, 0, 0, 0, 1, 0],
            "ImagePositionPatient": [-10, -20, 5.0 * seed],
        }
        return self.save(self.plain(MR, seed, **(place | changes)))

    def enhanced(self, frames: int = 3, **changes) -> Path:
        dataset = self.plain(ENHANCED, 7, NumberOfFrames=frames, FrameOfReferenceUID="1.2.3.5", **changes)
        dataset.PixelData = dataset.PixelData * frames
        shared, measures, orientation = Dataset(), Dataset(), Dataset()
        measures.PixelSpacing, measures.SliceThickness = [0.5, 0.5], 3
        orientation.ImageOrientationPatient = [0, 1, 0, 0, 0, -1]
        shared.PixelMeasuresSequence, shared.PlaneOrientationSequence = [measures], [orientation]
        dataset.SharedFunctionalGroupsSequence, per_frame = [shared], []
        for frame in range(frames):
            group, position = Dataset(), Dataset()
            position.ImagePositionPatient = [3.0 * frame, 0, 0]
            group.PlanePositionSequence = [position]
            per_frame.append(group)
        dataset.PerFrameFunctionalGroupsSequence = per_frame
        return self.save(dataset)

    def mg(self, side: str, view: str, **changes) -> Path:
        seed = "LR".index(side) * 2 + ("CC", "MLO").index(view) + 20
        own = {
            "Modality": "MG",
            "ImageLaterality": side,
            "ViewPosition": view,
            "BodyPartExamined": "BREAST",
            "BurnedInAnnotation": "NO",
            "PresentationIntentType": "FOR PRESENTATION",
            "ImagerPixelSpacing": [0.1, 0.1],
            "StudyDescription": "MAMMO",
            "SeriesInstanceUID": f"1.2.3.{seed}",  # mammography often has one series a view
        }
        return self.save(self.plain(MG, seed, **(own | changes)))


@pytest.fixture
def sources(tmp_path):
    folder = tmp_path / "sources"
    folder.mkdir()
    return Sources(folder)


@pytest.fixture(scope="session")
def many_sources(tmp_path_factory):
    return Sources(tmp_path_factory.mktemp("many"))


def row(case, probs, **more):
    from monai_brain.evaluation.prediction import Prediction

    best = max(probs, key=lambda label: probs[label])
    return Prediction(case, probs, predicted=best, weights_sha256=WEIGHTS, **more)


def heat(case, label, shape=(40, 36), seed=0, method="gradcam"):
    from monai_brain.inference.explain import Explanation

    generator = np.random.default_rng(seed)
    values = generator.random(shape).astype(np.float32)
    image = generator.integers(0, 255, shape).astype(np.uint8)
    return Explanation(case, label, values, image, row(case, {label: 1.0}), method, "layer4")


@pytest.fixture
def make():
    """A row of predictions, and a heat map."""
    return type("make", (), {"row": staticmethod(row), "heat": staticmethod(heat)})


@pytest.fixture
def brain():
    from monai_brain import registry

    return registry.bundle("brain_tumor_resnet34")


@pytest.fixture
def breast():
    from monai_brain import registry

    return registry.bundle("mammography_quality_parb_kan")


SLICES = {"a": (0.7, 0.1, 0.1, 0.1), "b": (0.2, 0.5, 0.2, 0.1), "c": (0.9, 0.05, 0.03, 0.02)}


@pytest.fixture
def mr_series(sources, brain):
    """Three slices: rows, and the paths of their images."""
    rows = [row(case, dict(zip(brain.labels, probs, strict=True))) for case, probs in SLICES.items()]
    return rows, {case: sources.mr(number) for number, case in enumerate(SLICES)}


@pytest.fixture
def mg_exam(sources, breast):
    """Four views: rows, and the paths of their images."""
    rows, paths = [], {}
    for number, (side, view) in enumerate([("L", "CC"), ("L", "MLO"), ("R", "CC"), ("R", "MLO")]):
        share = 0.15 + 0.2 * number
        rows.append(row(f"{side}{view}", {"complete": 1 - share, "incomplete": share}))
        paths[f"{side}{view}"] = sources.mg(side, view)
    return rows, paths


def said_by_dciodvfy(path: Path) -> list[str]:
    """The error lines of dciodvfy; its exit status says nothing."""
    done = subprocess.run(["dciodvfy", "-new", str(path)], capture_output=True, text=True, errors="replace")
    return [line for line in (done.stdout + done.stderr).splitlines() if line.startswith("Error")]


@pytest.fixture
def dciodvfy():
    import shutil

    if shutil.which("dciodvfy") is None:
        pytest.skip("dciodvfy (Debian's dicom3tools) is not installed")
    return said_by_dciodvfy


@pytest.fixture
def by_kind():
    """Reports, pictures and maps among files, as datasets."""

    def sort(files):
        found = {"SR": [], "SC": [], "PM": []}
        names = {"1.2.840.10008.5.1.4.1.1.88.33": "SR", "1.2.840.10008.5.1.4.1.1.7": "SC"}
        names["1.2.840.10008.5.1.4.1.1.30"] = "PM"
        for file in files:
            dataset = pydicom.dcmread(file)
            found[names[dataset.SOPClassUID]].append(dataset)
        return found

    return sort
