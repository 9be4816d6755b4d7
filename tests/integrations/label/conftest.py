"""MONAI Label as a user runs it: in its own environment, by `monai-brain label`, asked by its own client."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import time
import urllib.error
import urllib.request
from pathlib import Path

import numpy as np
import pytest

from monai_brain.data import phantoms
from monai_brain.testing.tiny import tiny_bundle

ROOT = Path(__file__).parents[3]
CLIENT = Path(__file__).with_name("client.py")
START_SECONDS = 300
TAUGHT = ("glioma", "no_tumor")  # so few images teach the tiny network no more


class Answered:
    """A status and what came with it."""

    def __init__(self, status: int, content: bytes) -> None:
        self.status, self.content = status, content

    @property
    def json(self):
        return json.loads(self.content)


class Server:
    """A server that `monai-brain label` started."""

    def __init__(self, python: Path, folder: Path, *options: str, prefix=(), studies="studies") -> None:
        self.python, self.folder = python, folder
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.address = f"http://127.0.0.1:{self.port}"
        self.log = folder / "server.log"
        environment = {**os.environ, "MONAI_BRAIN_HOME": str(folder / "home"), "OMP_NUM_THREADS": "1"}
        command = [str(python), "-m", "monai_brain", "label", "--port", str(self.port)]
        command += ["--studies", studies]
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [*prefix, *command, "-o", str(folder / "app"), *options],
                cwd=folder, stdout=log, stderr=log, env=environment,
            )  # fmt: skip

    def ready(self) -> Server:
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            assert self.process.poll() is None, self.log.read_text("utf-8")
            try:
                self.ask("/info/", timeout=START_SECONDS)
                return self
            except (ConnectionError, urllib.error.URLError):
                time.sleep(0.3)  # it has not bound its port yet
        raise AssertionError(self.log.read_text("utf-8"))

    def ask(self, path: str, content=None, method=None, timeout=300) -> Answered:
        data = None if content is None else json.dumps(content).encode()
        request = urllib.request.Request(
            self.address + path, data, {"Content-Type": "application/json"}, method=method
        )
        try:
            with urllib.request.urlopen(request, timeout=timeout) as answer:
                return Answered(answer.status, answer.read())
        except urllib.error.HTTPError as error:
            return Answered(error.code, error.read())

    def client(self, calls: list[list]) -> list:
        """What MONAILabelClient gives for calls of its methods."""
        done = subprocess.run(
            [str(self.python), str(CLIENT), self.address, str(self.folder)],
            input=json.dumps(calls), capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout.splitlines()[-1])

    def memory(self) -> int:
        """Kibibytes that the server's process holds."""
        (server,) = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
        text = Path(f"/proc/{server}/status").read_text("utf-8")
        return int(next(line.split()[1] for line in text.splitlines() if line.startswith("VmRSS")))

    def close(self) -> None:
        self.process.terminate()
        self.process.wait(timeout=60)


@pytest.fixture(scope="session")
def label_python() -> Path:
    """The Python of the environment of scripts/env; MONAI_BRAIN_LABEL_ENV names one made elsewhere."""
    named = os.environ.get("MONAI_BRAIN_LABEL_ENV")
    folder = Path(named) if named else ROOT / ".venv-label"
    if not named:
        made = subprocess.run(
            [str(ROOT / "scripts" / "env"), "label"], capture_output=True, text=True, check=False
        )
        if made.returncode:
            pytest.skip(f"scripts/env label failed: {made.stderr.strip().splitlines()[-1:]}")
    return folder / "bin" / "python"


@pytest.fixture(scope="session")
def served_folder(tmp_path_factory) -> Path:
    """Studies of phantoms in four forms, and the tiny model with weights."""
    folder = tmp_path_factory.mktemp("label")
    phantoms.write("brain", folder / "studies", 40, seed=3, size=48, classes=TAUGHT)
    tiny_bundle(folder / "tiny_classification", weights=True)
    forms(folder / "forms")
    return folder


@pytest.fixture(scope="session")
def server(label_python, served_folder):
    started = Server(label_python, served_folder, "--models", "tiny_classification")
    try:
        yield started.ready()
    finally:
        started.close()


def forms(folder: Path) -> None:
    """One image in every form that is taken: pictures, DICOM, slices and volumes."""
    import itk
    from PIL import Image

    folder.mkdir()
    images = phantoms.brain(24, seed=9, size=40)
    stack = np.stack([one.image for one in images]).astype(np.uint8)
    Image.fromarray(stack[0]).save(folder / "grey.png")
    Image.fromarray(np.repeat(stack[0][..., None], 3, axis=2)).save(folder / "colour.png")
    turn = np.array([[0.0, 1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, -1.0]])
    for name, array in (("slice", stack[:1]), ("volume", stack)):
        image = itk.image_from_array(np.ascontiguousarray(array.astype(np.int16)))
        image.SetSpacing((0.9, 0.8, 5.0))
        image.SetOrigin((-20.0, 11.0, 7.5))
        image.SetDirection(itk.matrix_from_array(turn))
        itk.imwrite(image, str(folder / f"{name}.nii.gz"))
    (folder / "series").mkdir()
    for number, plane in enumerate(stack):
        _dicom(folder / "series" / f"{99 - number}.dcm", plane, "MR", number)
    _dicom(folder / "mr.dcm", stack[0], "MR", 0)
    _dicom(folder / "mg.dcm", stack[0], "MG", 0)


def _dicom(path: Path, pixels: np.ndarray, modality: str, number: int) -> None:
    import pydicom
    from pydicom.dataset import Dataset, FileMetaDataset
    from pydicom.uid import ExplicitVRLittleEndian, generate_uid

    kind = "1.2.840.10008.5.1.4.1.1." + {"MR": "4", "MG": "1.2"}[modality]
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID, meta.TransferSyntaxUID = kind, ExplicitVRLittleEndian
    meta.MediaStorageSOPInstanceUID = generate_uid()
    image = Dataset()
    image.file_meta = meta
    image.SOPClassUID, image.SOPInstanceUID = kind, meta.MediaStorageSOPInstanceUID
    image.StudyInstanceUID = generate_uid(entropy_srcs=[modality, "study"])
    image.SeriesInstanceUID = generate_uid(entropy_srcs=[modality, path.parent.name])
    image.PatientName, image.PatientID, image.Modality = "Doe^Jane", "SECRET42", modality
    image.StudyDate, image.StudyTime, image.StudyID, image.AccessionNumber = "20240229", "1011", "1", "1"
    image.PatientBirthDate, image.PatientSex, image.ReferringPhysicianName = "", "", ""
    image.InstanceNumber, image.SeriesNumber = number + 1, 1
    image.PhotometricInterpretation, image.SamplesPerPixel = "MONOCHROME2", 1
    image.Rows, image.Columns = pixels.shape
    image.BitsAllocated, image.BitsStored, image.HighBit, image.PixelRepresentation = 16, 12, 11, 0
    if modality == "MR":
        image.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
        image.ImagePositionPatient = [-20.0, 11.0, 7.5 + 4.0 * number]
        image.PixelSpacing, image.SliceThickness = [0.9, 0.8], 4.0
        image.FrameOfReferenceUID = "1.2.3.4"
    else:
        image.ImagerPixelSpacing, image.ViewPosition, image.ImageLaterality = [0.1, 0.1], "CC", "L"
        image.PresentationIntentType = "FOR PRESENTATION"
    image.PixelData = (pixels.astype(np.uint16) * 8).tobytes()
    image["PixelData"].VR = "OW"
    if int(pydicom.__version__.split(".")[0]) < 3:
        image.is_little_endian, image.is_implicit_VR = True, False
        pydicom.dcmwrite(path, image, write_like_original=False)
    else:
        pydicom.dcmwrite(path, image, enforce_file_format=True)
