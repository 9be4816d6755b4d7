"""Whole folders and lists of bad files through `data index`: one line each, and the batch goes on."""

from __future__ import annotations

import contextlib
import gzip
import io
import json
import os
import struct
import unicodedata
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy.io import savemat

from monai_brain.cli import main

RNG = np.random.default_rng(0)


def noise(kind=np.uint8, *shape):
    top = 256 if kind == np.uint8 else 4000
    return RNG.integers(0, top, shape or (32, 32)).astype(kind)


def encoded(image, form="PNG", **options) -> bytes:
    stream = io.BytesIO()
    (image if isinstance(image, Image.Image) else Image.fromarray(image)).save(stream, form, **options)
    return stream.getvalue()


def chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def nifti(image) -> bytes:
    """A NIfTI-1 file by hand: header of 348 bytes, 4 of extension, the pixels."""
    head = bytearray(352)
    head[0:4] = struct.pack("<i", 348)
    head[40:56] = struct.pack("<8h", 2, *image.shape[::-1], 1, 1, 1, 1, 1)
    head[70:74] = struct.pack("<2h", 4, 16)
    head[76:108] = struct.pack("<8f", 1, 1, 1, 1, 1, 1, 1, 1)
    head[108:112] = struct.pack("<f", 352)
    head[344:348] = b"n+1\0"
    return bytes(head) + image.astype("<i2").tobytes()


def mat(**fields) -> bytes:
    stream = io.BytesIO()
    record = {"label": 1.0, "PID": "p1", "image": noise(np.int16), "tumorMask": np.zeros((32, 32), np.uint8)}
    savemat(stream, {"cjdata": {k: v for k, v in (record | fields).items() if v is not None}})
    return stream.getvalue()


def turned() -> Image.Exif:
    exif = Image.Exif()
    exif[0x0112] = 6
    return exif


def half_nan():
    image = RNG.random((32, 32)).astype(np.float32)
    image[:9] = np.nan
    image[20] = np.inf
    return image


HUGE = struct.pack(">IIBBBBB", 20000, 20000, 8, 0, 0, 0, 0)
FLIPPED = bytearray(encoded(noise()))
FLIPPED[60] ^= 1
MOVIE = {"save_all": True, "append_images": [Image.fromarray(noise())]}
GOOD = {
    "16 bits.png": encoded(noise(np.uint16)),
    "equal channels.png": encoded(np.dstack([noise()] * 3)),
    "rgba.png": encoded(noise(np.uint8, 32, 32, 4)),
    "palette.png": encoded(Image.fromarray(noise(np.uint8, 32, 32, 3)).quantize(32)),
    "one bit.png": encoded(Image.fromarray(noise() > 127)),
    "cmyk.jpg": encoded(Image.fromarray(noise()).convert("CMYK"), "JPEG"),
    "turned.jpg": encoded(noise(np.uint8, 24, 40), "JPEG", exif=turned()),
    "a jpeg.png": encoded(noise(), "JPEG"),
    "some nan.tif": encoded(half_nan(), "TIFF"),
    "version 5.mat": mat(),
    "not 512.mat": mat(image=noise(np.int16, 30, 50)),
    unicodedata.normalize("NFC", "größe.png"): encoded(noise()),
    unicodedata.normalize("NFD", "größe2.png"): encoded(noise()),
}
BAD = {
    "animated.gif": (encoded(noise(), "GIF", **MOVIE), "several frames"),
    "cut.png": (encoded(noise())[:300], "truncated"),
    "crc.png": (bytes(FLIPPED), "damaged"),
    "cut.jpg": (encoded(noise(), "JPEG")[:-30], "truncated"),
    "1x1.png": (encoded(noise(np.uint8, 1, 1)), "no contrast"),
    "huge.png": (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", HUGE) + chunk(b"IEND", b""), "too large"),
    "all nan.tif": (encoded(np.full((9, 9), np.nan, np.float32), "TIFF"), "no contrast"),
    "cut.mat": (mat()[:700], "damaged"),
    "no image.mat": (mat(image=None), "damaged"),
    "empty array.mat": (mat(image=np.zeros((0, 9), np.int16)), "empty"),
    "empty.png": (b"", "empty"),
    "text.jpg": (b"<!DOCTYPE html>", "not an image"),
}


def run(*words):
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        status = main(["data", "index", *map(str, words), "--no-cache"])
    return status, err.getvalue().splitlines()


def check(result, output, bad, good):
    """One line for each bad file and none more; the good ones are in the datalist."""
    status, lines = result
    assert status == 3
    content = json.loads(Path(output).read_text(encoding="utf-8"))
    assert {Path(item["image"]).name for item in content["training"]} == set(good)
    listed = [f"{entry['image']}: {entry['reason']}" for entry in content["rejected"]]
    assert lines[: len(listed)] == listed
    assert len(lines) == len(listed) + bool(content.get("missing"))
    assert len(listed) == len(bad)
    for name, reason in bad.items():
        (line,) = (line for line in listed if line.split(": ")[0].endswith(name))
        assert line.split(": ")[1] == reason
        assert len(line.split(": ", 2)) == 3


def test_a_folder_of_rasters_and_mat_files(tmp_path):
    folder = tmp_path / "in" / "glioma"
    folder.mkdir(parents=True)
    for name, content in (GOOD | {name: content for name, (content, _) in BAD.items()}).items():
        (folder / name).write_bytes(content)
    bad = {name: reason for name, (_, reason) in BAD.items()}
    (folder / "loop.png").symlink_to(folder / "loop.png")
    (folder / "gone.png").symlink_to(folder / "nowhere.png")
    bad |= {"loop.png": "not a file", "gone.png": "missing"}
    if hasattr(os, "mkfifo"):
        os.mkfifo(folder / "pipe.png")
        (folder / "null.png").symlink_to("/dev/null")
        bad |= {"pipe.png": "not a file", "null.png": "not a file"}
    good = dict(GOOD)
    if hasattr(os, "geteuid") and os.geteuid() != 0:
        (folder / "locked.png").write_bytes(encoded(noise()))
        (folder / "locked.png").chmod(0)
        bad["locked.png"] = "no permission"
    check(run("folders", tmp_path / "in", "-o", tmp_path / "a.json"), tmp_path / "a.json", bad, good)


def test_nifti_whole_cut_and_packed(tmp_path):
    pytest.importorskip("itk")
    folder = tmp_path / "in" / "glioma"
    folder.mkdir(parents=True)
    files = {
        "good.nii": nifti(noise(np.int16)),
        "good.nii.gz": gzip.compress(nifti(noise(np.int16))),
        "cut.nii": nifti(noise(np.int16))[:900],
        "cut.nii.gz": gzip.compress(nifti(noise(np.int16)))[:-300],
    }
    for name, content in files.items():
        (folder / name).write_bytes(content)
    status, lines = run("folders", tmp_path / "in", "-o", tmp_path / "a.json")
    assert status == 3
    assert [line.split(": ")[0] for line in lines] == ["glioma/cut.nii", "glioma/cut.nii.gz"]


def test_figshares_labels_and_patients(tmp_path):
    folder = tmp_path / "in"
    folder.mkdir()
    files = {
        "1.mat": mat(),
        "2.mat": mat(label=9.0),
        "3.mat": mat(label=np.nan),
        "4.mat": mat(label=None),
        "5.mat": mat(PID=None),
        "6.mat": mat(image=None),
        "7.mat": mat(PID=""),
    }
    for name, content in files.items():
        (folder / name).write_bytes(content)
    bad = dict.fromkeys([name for name in files if name != "1.mat"], "damaged")
    result = run("figshare", folder, "-o", tmp_path / "a.json")
    check(result, tmp_path / "a.json", bad, ["1.mat"])
    assert result[1][-1].startswith("7 of 3064: 8.mat, 9.mat, ")


def test_a_list_that_names_what_is_missing_or_no_file(tmp_path):
    folder = tmp_path / "in"
    (folder / "folder.png").mkdir(parents=True)
    (folder / "a.png").write_bytes(encoded(noise()))
    (folder / "b.png").write_bytes(b"")
    names = ["a.png", "x.png", "folder.png", "b.png", "y.png", "/dev/null"]
    text = "file,label\n" + "".join(f"{name},glioma\n" for name in names)
    (folder / "list.csv").write_text(text, encoding="utf-8")
    bad = {"x.png": "missing", "y.png": "missing", "folder.png": "not a file", "b.png": "empty"}
    bad["/dev/null"] = "not a file"
    check(
        run("manifest", folder / "list.csv", "-o", tmp_path / "a.json"), tmp_path / "a.json", bad, ["a.png"]
    )


@pytest.mark.parametrize("kind", ["folders", "manifest", "figshare", "dicom", "mias", "cbis_ddsm"])
def test_places_that_are_none_are_one_line(tmp_path, kind):
    (tmp_path / "file").write_bytes(b"\x00\x01")
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    for place in ("absent", "file", "loop"):
        status, lines = run(kind, tmp_path / place, "-o", tmp_path / "a.json")
        assert (status, len(lines)) == (3, 1)
        assert lines[0].startswith("monai-brain: ")
        assert not (tmp_path / "a.json").exists()
