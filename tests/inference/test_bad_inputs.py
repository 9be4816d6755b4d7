"""Every bad input in one archive: one line for each, without a traceback, and the good ones are answered."""

from __future__ import annotations

import gzip
import io
import json
import os
import struct
import unicodedata
import zlib
from pathlib import Path

import h5py
import numpy as np
import pytest
from PIL import Image
from scipy.io import savemat

from monai_brain.cli import main
from monai_brain.testing.tiny import tiny_bundle

pydicom = pytest.importorskip("pydicom")
pytest.importorskip("itk")

RNG = np.random.default_rng(3)
DONE, FAILED = "done", "failed"


def noise(kind=np.uint8, *shape):
    return RNG.integers(0, 256 if kind == np.uint8 else 4000, shape or (56, 56)).astype(kind)


def encoded(image, form="PNG", **options):
    stream = io.BytesIO()
    (image if isinstance(image, Image.Image) else Image.fromarray(image)).save(stream, form, **options)
    return stream.getvalue()


def chunk(kind, body):
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def mat(**fields):
    stream = io.BytesIO()
    record = {"label": 1.0, "PID": "p1", "image": noise(np.int16), "tumorMask": np.zeros((56, 56), np.uint8)}
    savemat(stream, {"cjdata": {key: value for key, value in (record | fields).items() if value is not None}})
    return stream.getvalue()


def hdf5():
    stream = io.BytesIO()
    with h5py.File(stream, "w") as file:
        group = file.create_group("cjdata")
        group["image"] = noise(np.int16)
        group["label"] = [[1.0]]
        group["PID"] = np.frombuffer(b"p1", np.uint8).astype(np.uint16)[:, None]
    return stream.getvalue()


def nifti(image):
    head = bytearray(352)
    head[0:4] = struct.pack("<i", 348)
    head[40:56] = struct.pack("<8h", 2, *image.shape[::-1], 1, 1, 1, 1, 1)
    head[70:74] = struct.pack("<2h", 4, 16)
    head[76:108] = struct.pack("<8f", *[1.0] * 8)
    head[108:112] = struct.pack("<f", 352)
    head[344:348] = b"n+1\0"
    return bytes(head) + image.astype("<i2").tobytes()


def half_nan():
    image = RNG.random((56, 56)).astype(np.float32)
    image[:9], image[20] = np.nan, np.inf
    return image


def turned():
    exif = Image.Exif()
    exif[0x0112] = 6
    return exif


def pictures():
    """Name to content and what is said of it: the first word of the reason, or that it is done."""
    broken = bytearray(encoded(noise()))
    broken[60] ^= 1
    huge = struct.pack(">IIBBBBB", 20000, 20000, 8, 0, 0, 0, 0)
    movie = {"save_all": True, "append_images": [Image.fromarray(noise())]}
    packed = gzip.compress(nifti(noise(np.int16)))
    return {
        "16 bits.png": (encoded(noise(np.uint16)), DONE),
        "equal channels.png": (encoded(np.dstack([noise()] * 3)), DONE),
        "rgba.png": (encoded(noise(np.uint8, 56, 56, 4)), DONE),
        "palette.png": (encoded(Image.fromarray(noise(np.uint8, 56, 56, 3)).quantize(32)), DONE),
        "one bit.png": (encoded(Image.fromarray(noise() > 127)), DONE),
        "cmyk.jpg": (encoded(Image.fromarray(noise()).convert("CMYK"), "JPEG"), DONE),
        "turned.jpg": (encoded(noise(np.uint8, 40, 60), "JPEG", exif=turned()), DONE),
        "a jpeg.png": (encoded(noise(), "JPEG"), DONE),
        "some nan.tif": (encoded(half_nan(), "TIFF"), DONE),
        "version 5.mat": (mat(), DONE),
        "no label.mat": (mat(label=None), DONE),
        "label 9.mat": (mat(label=9.0), DONE),
        "label nan.mat": (mat(label=np.nan), DONE),
        "no patient.mat": (mat(PID=None), DONE),
        "not 512.mat": (mat(image=noise(np.int16, 70, 90)), DONE),
        "volume.nii.gz": (packed, DONE),
        unicodedata.normalize("NFC", "größe.png"): (encoded(noise()), DONE),
        unicodedata.normalize("NFD", "größe2.png"): (encoded(noise()), DONE),
        "animated.gif": (encoded(noise(), "GIF", **movie), "several frames"),
        "cut.png": (encoded(noise())[:300], "truncated"),
        "crc.png": (bytes(broken), "damaged"),
        "cut.jpg": (encoded(noise(), "JPEG")[:-30], "truncated"),
        "1x1.png": (encoded(noise(np.uint8, 1, 1)), "no contrast"),
        "huge.png": (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", huge) + chunk(b"IEND", b""), "too large"),
        "all nan.tif": (encoded(np.full((9, 9), np.nan, np.float32), "TIFF"), "no contrast"),
        "cut.mat": (mat()[:700], "damaged"),
        "cut 7.mat": (hdf5()[:900], ""),
        "no image.mat": (mat(image=None), "damaged"),
        "empty array.mat": (mat(image=np.zeros((0, 9), np.int16)), "empty"),
        "cut.nii.gz": (packed[: len(packed) // 2], "truncated"),
        "empty.png": (b"", "empty"),
        "text.jpg": (b"<!DOCTYPE html>", "not an image"),
    }


def deep():
    item = struct.pack("<HHI", 0xFFFE, 0xE000, 0xFFFFFFFF) + struct.pack(
        "<HH2sHI", 8, 0x1140, b"SQ", 0, 0xFFFFFFFF
    )
    return item * 2000


def report(write):
    path = write("report.tmp", SOPClassUID="1.2.840.10008.5.1.4.1.1.88.11", Modality="SR")
    dataset = pydicom.dcmread(path)
    del dataset.PixelData
    dataset.save_as(path)
    content = path.read_bytes()
    path.unlink()
    return content


def dicoms(write):
    """The same for DICOM: name to content."""
    whole = write("whole.tmp").read_bytes()
    write("whole.tmp").unlink()

    def changed(**changes):
        path = write("changed.tmp", **changes)
        content = path.read_bytes()
        path.unlink()
        return content

    def without(keyword):
        path = write("less.tmp")
        dataset = pydicom.dcmread(path)
        delattr(dataset, keyword)
        dataset.save_as(path)
        content = path.read_bytes()
        path.unlink()
        return content

    def claimed(keyword, value):
        path = write("claim.tmp")
        dataset = pydicom.dcmread(path)
        setattr(dataset, keyword, value)
        dataset.save_as(path)
        content = path.read_bytes()
        path.unlink()
        return content

    inverted = changed(PhotometricInterpretation="MONOCHROME1")
    syntax = whole.replace(b"1.2.840.10008.1.2.1\0", b"1.2.840.10008.9.9.9\0", 1)
    frames = noise(np.uint16, 2, 56, 56)
    missing = changed(NumberOfFrames=4)
    return {
        "good.dcm": (whole, DONE),
        "inverted.dcm": (inverted, DONE),
        "signed.dcm": (changed(pixels=noise(np.int16) - 2000, RescaleSlope=2, RescaleIntercept=-1024), DONE),
        "burned in.dcm": (changed(BurnedInAnnotation="YES"), DONE),
        "frames.dcm": (changed(pixels=frames, NumberOfFrames=2), DONE),
        "bad uid.dcm": (changed(SOPInstanceUID="../../etc/passwd"), DONE),
        "odd characters.dcm": (changed(SpecificCharacterSet="ISO_IR 999", PatientName="x"), DONE),
        "0.dcm": (b"", "empty"),
        "1.dcm": (b"D", "not an image"),
        "131.dcm": (whole[:131], "not an image"),
        "132.dcm": (whole[:132], ""),
        "header cut.dcm": (whole[:300], ""),
        "half.dcm": (whole[: len(whole) - 4000], ""),
        "one byte short.dcm": (whole[:-1], ""),
        "no preamble.dcm": (whole[132:], "not an image"),
        "zeros.dcm": (bytes(4000), "not an image"),
        "page.dcm": (b"<html>", "not an image"),
        "no pixels.dcm": (without("PixelData"), "no pixels"),
        "no rows.dcm": (without("Rows"), "damaged"),
        "rows 0.dcm": (claimed("Rows", 0), "empty"),
        "60000.dcm": (claimed("Rows", 60000), ""),
        "no photometric.dcm": (without("PhotometricInterpretation"), "damaged"),
        "slope 0.dcm": (changed(RescaleSlope=0, RescaleIntercept=0), "no contrast"),
        "constant.dcm": (changed(pixels=np.full((56, 56), 7, np.uint16)), "no contrast"),
        "frames missing.dcm": (missing, ""),
        "unknown syntax.dcm": (syntax, ""),
        "report.dcm": (report(write), "no pixels"),
        "deep.dcm": (whole[:132] + whole[132:400] + deep(), ""),
        "program.dcm": (b"MZ" + whole[2:], "unsafe"),
    }


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    return tiny_bundle(tmp_path_factory.mktemp("models") / "tiny", weights=True)


def answered(tiny, source, out, capsys, status, *words):
    assert (
        main(["predict", str(tiny.root), str(source), "-o", str(out), "--names", "plain", *words]) == status
    )
    said = capsys.readouterr()
    assert "Traceback" not in said.err
    lines = [json.loads(line) for line in (out / "results.jsonl").read_text(encoding="utf-8").splitlines()]
    failed = [line for line in lines if line["status"] == FAILED]
    assert [line for line in said.err.splitlines() if ": " in line] == [
        f"{line['case']}: {line['reason']}" for line in failed
    ]
    return {line["case"]: line for line in lines}


def check(found, expected):
    assert set(found) == set(expected)
    for name, (_, said) in expected.items():
        line = found[name]
        if said == DONE:
            assert line["status"] == DONE, (name, line)
        else:
            assert line["status"] == FAILED, (name, line)
            assert line["reason"].startswith(said), (name, line)
            assert "\n" not in line["reason"]


def test_pictures_volumes_and_matrices(tiny, tmp_path, capsys):
    expected = pictures()
    for name, (content, _) in expected.items():
        (tmp_path / "in" / name).parent.mkdir(exist_ok=True)
        (tmp_path / "in" / name).write_bytes(content)
    check(answered(tiny, tmp_path / "in", tmp_path / "out", capsys, 3), expected)


def test_dicom(tiny, dicom, tmp_path, capsys):
    expected = dicoms(dicom)
    (tmp_path / "in").mkdir()
    for name, (content, _) in expected.items():
        (tmp_path / "in" / name).write_bytes(content)
    found = answered(tiny, tmp_path / "in", tmp_path / "out", capsys, 3)
    check(found, expected)
    assert found["burned in.dcm"]["burned_in_annotation"]
    assert not list(tmp_path.rglob("passwd*"))


def test_one_image_in_two_files_is_answered_twice_under_two_names(tiny, dicom, tmp_path):
    content = dicom("in/a.dcm").read_bytes()
    (tmp_path / "in" / "b.dcm").write_bytes(content)
    assert main(["predict", str(tiny.root), str(tmp_path / "in"), "-o", str(tmp_path / "out")]) == 0
    lines = [
        json.loads(line) for line in (tmp_path / "out" / "results.jsonl").read_text("utf-8").splitlines()
    ]
    assert lines[1]["case"] == f"{lines[0]['case']}.2"
    assert lines[0]["probabilities"] == lines[1]["probabilities"]


def test_a_dicomdir_in_a_folder_is_counted_and_as_an_input_refused(tiny, dicom, tmp_path, capsys):
    dicom("in/a.dcm")
    (tmp_path / "in" / "DICOMDIR").write_bytes(bytes(128) + b"DICM")
    assert main(["predict", str(tiny.root), str(tmp_path / "in"), "-o", str(tmp_path / "out")]) == 0
    assert "1 other files are not named as images" in capsys.readouterr().out
    assert (
        main(["predict", str(tiny.root), str(tmp_path / "in" / "DICOMDIR"), "-o", str(tmp_path / "o")]) == 3
    )


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="root may read everything")
def test_a_file_that_may_not_be_read(tiny, tmp_path, capsys):
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.png").write_bytes(encoded(noise()))
    (tmp_path / "in" / "a.png").chmod(0)
    found = answered(tiny, tmp_path / "in", tmp_path / "out", capsys, 3)
    assert found["a.png"]["reason"].startswith("no permission")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs pipes")
def test_what_is_no_file_never_blocks(tiny, tmp_path, capsys):
    source = tmp_path / "in"
    (source / "folder.png").mkdir(parents=True)
    (source / "folder.png" / "inner.png").write_bytes(encoded(noise()))
    (source / "loop.png").symlink_to(source / "loop.png")
    (source / "null.png").symlink_to("/dev/null")
    os.mkfifo(source / "pipe.png")
    found = answered(tiny, source, tmp_path / "out", capsys, 3)
    assert {name: line["status"] for name, line in found.items()} == {
        "folder.png/inner.png": DONE, "loop.png": FAILED, "null.png": FAILED, "pipe.png": FAILED
    }  # fmt: skip
    assert all("not a file" in found[name]["reason"] for name in ("loop.png", "null.png", "pipe.png"))


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_full_disk_ends_with_status_5(tiny, tmp_path, capsys):
    (tmp_path / "in.png").write_bytes(encoded(noise()))
    out = tmp_path / "out"
    out.mkdir()
    (out / "results.jsonl").symlink_to("/dev/full")
    assert main(["predict", str(tiny.root), str(tmp_path / "in.png"), "-o", str(out)]) == 5
    assert "Cannot write" in capsys.readouterr().err
