#!/usr/bin/env python
"""Feed damaged images to the reader: every file must be read or refused in one line, within seconds.

    python scripts/fuzz.py --n 2000 --seed 0 [--start 4000] [--keep DIR]

Files of every format are written, damaged by a seeded rule and read in a process of their own, so
that a crash of a decoder or an endless loop is seen. What is read must be an image: two axes, real
numbers, contrast. Where the format can tell damage, garbage must not pass: a PNG and a compressed
NIfTI have checksums, so that what is read must be the whole file's pixels; so it must be for a file of
any format of which only the end was cut off. Exit status 1 if any is at fault.

The files of a run are those numbered from --start on: --n 5000 is --n 2500 and --n 2500 --start 2500.
"""

from __future__ import annotations

import argparse
import gzip
import hashlib
import io
import multiprocessing
import random
import shutil
import struct
import sys
import tempfile
import time
import warnings
from collections import Counter
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

LIMIT = 5.0
START_LIMIT = 120.0


def seeds() -> dict[str, list[bytes]]:
    """Good files of every format, as bytes."""
    import numpy as np
    from PIL import Image
    from scipy.io import savemat

    draw = np.random.default_rng(0)
    grey = draw.integers(0, 256, (40, 36), dtype=np.uint8)
    wide = draw.integers(0, 4000, (40, 36)).astype(np.int16)

    def picture(array: Any, form: str, **options: Any) -> bytes:
        stream = io.BytesIO()
        Image.fromarray(array).save(stream, form, **options)
        return stream.getvalue()

    def mat_5() -> bytes:
        stream = io.BytesIO()
        savemat(stream, {"cjdata": {"label": 1.0, "PID": "100360", "image": wide, "tumorMask": grey > 99}})
        return stream.getvalue()

    def mat_7() -> bytes:
        import h5py

        stream = io.BytesIO()
        with h5py.File(stream, "w", userblock_size=512) as file:
            group = file.create_group("cjdata")
            group["label"], group["image"] = np.array([[1.0]]), wide.T
            group["PID"] = np.array([[ord(letter)] for letter in "100360"], np.uint16)
        return b"MATLAB 7.3 MAT-file".ljust(512) + stream.getvalue()[512:]

    head = bytearray(352)
    head[0:4], head[344:348] = struct.pack("<i", 348), b"n+1\0"
    head[40:56] = struct.pack("<8h", 2, 36, 40, 1, 1, 1, 1, 1)
    head[70:74], head[108:112] = struct.pack("<2h", 4, 16), struct.pack("<f", 352)
    head[76:108] = struct.pack("<8f", *[1.0] * 8)
    return {
        "png": [picture(grey, "PNG"), picture(wide.astype(np.uint16), "PNG")],
        "jpeg": [picture(grey, "JPEG"), picture(grey, "JPEG", progressive=True)],
        "dicom": [dicom(wide, False), dicom(wide, True), jpeg_lossless(wide.astype(np.uint16))],
        "mat": [mat_5(), mat_7()],
        "nii": [bytes(head) + wide.tobytes()],
        "nii.gz": [gzip.compress(bytes(head) + wide.tobytes(), mtime=0)],
    }


def dicom(pixels: Any, packed: bool) -> bytes:
    """An MR image, run-length encoded if `packed`."""
    import pydicom
    from pydicom.dataset import Dataset, FileMetaDataset
    from pydicom.uid import ExplicitVRLittleEndian, RLELossless, generate_uid

    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.MediaStorageSOPClassUID = dataset.SOPClassUID = "1.2.840.10008.5.1.4.1.1.4"
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID = generate_uid(
        entropy_srcs=["fuzz"]
    )
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.PatientName, dataset.Modality = "Doe^Jane", "MR"
    dataset.PhotometricInterpretation, dataset.SamplesPerPixel = "MONOCHROME2", 1
    dataset.Rows, dataset.Columns = pixels.shape
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit, dataset.PixelRepresentation = 16, 16, 15, 1
    dataset.RescaleSlope, dataset.RescaleIntercept = "2", "-5"
    dataset.WindowCenter, dataset.WindowWidth = "40", "400"
    dataset.PixelData = pixels.tobytes()
    dataset["PixelData"].VR = "OW"
    if packed:
        dataset.compress(RLELossless, generate_instance_uid=False)
    stream = io.BytesIO()
    pydicom.dcmwrite(stream, dataset, enforce_file_format=True)
    return stream.getvalue()


def jpeg_lossless(pixels: Any) -> bytes:
    """A DICOM image as mammograms are often stored, which ITK decodes."""
    import itk
    import numpy as np

    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "a.dcm"
        writer = itk.GDCMImageIO.New()
        writer.SetCompressionType(itk.GDCMImageIOEnums.Compression_JPEG)
        whole = itk.image_from_array(np.ascontiguousarray(pixels))
        itk.ImageFileWriter.New(whole, FileName=str(file), ImageIO=writer, UseCompression=True).Update()
        return file.read_bytes()


def damaged(content: bytes, draw: random.Random) -> bytes:
    """The content with a few of its bytes changed, cut, repeated or taken out, mostly near the start."""
    data = bytearray(content)
    for _ in range(draw.choice((1, 1, 2, 3, 8))):
        size = len(data)
        if size < 2:
            break
        place = draw.randrange(min(size, draw.choice((64, 512, size))))
        kind = draw.randrange(7)
        if kind == 0:
            data[place] ^= 1 << draw.randrange(8)
        elif kind == 1:
            data[place] = draw.choice((0, 1, 0x7F, 0x80, 0xFF))
        elif kind == 2:
            data[place : place + 4] = draw.choice(
                (b"\xff" * 4, b"\0" * 4, b"\xff\xff\xff\x7f", b"\0\0\0\x80")
            )
        elif kind == 3:
            del data[draw.randrange(size) :]
        elif kind == 4:
            del data[place : place + draw.randrange(1, 64)]
        elif kind == 5:
            data[place:place] = data[place : place + draw.randrange(1, 64)]
        else:
            data[place : place + 16] = draw.randbytes(16)
    return bytes(data)


def work(connection: Connection, whole_files: list[Path]) -> None:
    """Read each file that is named, and say "read", the reason of a refusal, or what went wrong.

    The whole files are read first: what a reader imports when it is first used counts for no file.
    """
    from monai_brain.data.formats import read_slice
    from monai_brain.data.slices import UnreadableImageError

    warnings.simplefilter("ignore")
    for whole_file in whole_files:
        read_slice(whole_file)
    connection.send("ready")
    while (path := connection.recv()) is not None:
        try:
            connection.send(judged(read_slice(path)[0]))
        except UnreadableImageError as error:
            whole = str(error)
            one_line = "\n" not in whole and whole.startswith(Path(path).name) and "Doe" not in whole
            connection.send(f"refused: {error.reason}" if one_line else f"FAULT: message {whole!r}")
        except BaseException as error:  # noqa: BLE001  that is what is looked for
            connection.send(f"FAULT: {type(error).__name__}: {error}")


def judged(image: Any) -> str:
    """The word read with the pixels' hash, or what is wrong with an image that was read."""
    import numpy as np

    if image.ndim != 2 or image.dtype.kind not in "iuf":
        return f"FAULT: an image of shape {image.shape}, {image.dtype}"
    finite = image[np.isfinite(image)]
    if image.size > 64 * 2**20 or not finite.size or finite.min() == finite.max():
        return f"FAULT: an image of {image.size} pixels without contrast, or too many"
    shown = f"{image.shape} {image.dtype}".encode() + np.ascontiguousarray(image).tobytes()
    return f"read {hashlib.sha256(shown).hexdigest()}"


def must_be_whole(name: str, content: bytes, changed: bytes) -> bool:
    """Whether a reader can tell, so that nothing but the whole file's pixels may be read."""
    return name in ("png", "nii.gz") or content.startswith(changed) or changed.startswith(content)


class Worker:
    """A process that reads files, begun anew after it crashed or hung."""

    def __init__(self, whole_files: list[Path]) -> None:
        self.context = multiprocessing.get_context("spawn")
        self.whole_files = whole_files
        self.start()

    def start(self) -> None:
        """Begin a process and wait until it has imported what it needs."""
        self.here, there = self.context.Pipe()
        self.process = self.context.Process(target=work, args=(there, self.whole_files), daemon=True)
        self.process.start()
        there.close()
        if not self.here.poll(START_LIMIT):
            raise SystemExit("the worker did not start")
        self.here.recv()

    def read(self, path: Path) -> str:
        """What became of the file."""
        self.here.send(str(path))
        try:
            if self.here.poll(LIMIT):
                return str(self.here.recv())
            outcome = f"FAULT: hangs for more than {LIMIT:g} s"
        except EOFError:
            self.process.join(LIMIT)
            outcome = f"FAULT: crash, exit status {self.process.exitcode}"
        self.process.kill()
        self.process.join()
        self.start()
        return outcome

    def stop(self) -> None:
        """End the process."""
        self.here.send(None)
        self.process.join(LIMIT)


def main() -> int:
    """Exit status 1 if any file was neither read nor refused in one line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--n", type=int, default=2000, help="how many files; default: 2000")
    parser.add_argument("--start", type=int, default=0, help="the number of the first; default: 0")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--keep", type=Path, help="a folder for the files at fault")
    options = parser.parse_args()
    good = seeds()
    names = sorted(good)
    counts: Counter[str] = Counter()
    faults = []
    with tempfile.TemporaryDirectory() as folder:
        whole_files = {}
        for name in names:
            for number, content in enumerate(good[name]):
                whole_files[content] = Path(folder) / f"whole{number}.{name}"
                whole_files[content].write_bytes(content)
        worker = Worker(list(whole_files.values()))
        right = {content: worker.read(path) for content, path in whole_files.items()}
        began, slowest = time.monotonic(), 0.0
        for number in range(options.start, options.start + options.n):
            draw = random.Random(f"{options.seed}/{number}")
            name = names[number % len(names)]
            path = Path(folder) / f"{number:06d}.{name}"
            content = draw.choice(good[name])
            changed = damaged(content, draw)
            path.write_bytes(changed)
            asked = time.monotonic()
            outcome = worker.read(path)
            slowest = max(slowest, time.monotonic() - asked)
            if outcome.startswith("read"):
                same = outcome == right[content]
                if not same and must_be_whole(name, content, changed):
                    outcome = "FAULT: garbage is read as an image"
                else:
                    outcome = "read" if same else "read, other pixels"
            if outcome.startswith("FAULT"):
                faults.append(f"{path.name}: {outcome}")
                if options.keep:
                    options.keep.mkdir(parents=True, exist_ok=True)
                    shutil.copy(path, options.keep)
            counts[f"{name}: {outcome if not outcome.startswith('FAULT') else 'FAULT'}"] += 1
            path.unlink()
        worker.stop()
    for title, count in sorted(counts.items()):
        print(f"{count:6d}  {title}")
    took = time.monotonic() - began
    print(f"{options.n} files in {took:.0f} s, the slowest {slowest:.2f} s, {len(faults)} at fault")
    for fault in faults:
        print(fault, file=sys.stderr)
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
