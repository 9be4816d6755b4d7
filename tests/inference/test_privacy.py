"""No value of an identifying attribute, and no word of a hidden path, in anything that is written or said."""

from __future__ import annotations

import logging
import warnings

import cv2
import numpy as np
import pytest

from monai_brain.cli import main

pydicom = pytest.importorskip("pydicom")

WORD, DATE, TIME, UID, AGE = "KOLIBRI", "19010203", "235958.123", "1.2.826.0.77777777", "098Y"
VALUES = {
    **dict.fromkeys(("PN", "LO", "SH", "LT", "ST", "UT", "UC", "AE"), WORD),
    "UR": f"http://{WORD}",
    "DA": DATE,
    "TM": TIME,
    "DT": DATE + TIME,
    "UI": UID,
    "AS": AGE,
}
CANARIES = (WORD, WORD.lower(), DATE, "1901-02-03", "235958", "77777777", "098Y")
KEPT = {"SOPClassUID", "SpecificCharacterSet", "TransferSyntaxUID"}


def marked(dataset):
    """Every attribute of the dictionary that can hold a name, a date or a UID, and one private tag."""
    for tag, (kind, _, _, retired, keyword) in pydicom.datadict.DicomDictionary.items():
        group = tag >> 16
        if retired or keyword in KEPT or not 0x0008 <= group < 0x5000 or kind not in VALUES:
            continue
        dataset.add_new(tag, kind, VALUES[kind])
    nested = pydicom.dataset.Dataset()
    nested.PatientName, nested.ReferencedSOPInstanceUID = WORD, UID
    dataset.OtherPatientIDsSequence = [nested]
    dataset.private_block(0x0011, WORD, create=True).add_new(0x10, "LO", WORD)
    return dataset


def everything_written(*folders):
    for folder in folders:
        for path in folder.rglob("*"):
            yield str(path), path.relative_to(folder).as_posix().encode()
            if path.is_file():
                yield str(path), path.read_bytes()


@pytest.fixture
def heard(tmp_path):
    """A file that takes every DEBUG line of every logger."""
    path = tmp_path / "debug.log"
    handler, root = logging.FileHandler(path, encoding="utf-8"), logging.getLogger()
    before = {name: logging.getLogger(name).level for name in ("", "pydicom", "monai_brain")}
    root.addHandler(handler)
    for name in before:
        logging.getLogger(name).setLevel(logging.DEBUG)
    logging.captureWarnings(True)
    yield path
    logging.captureWarnings(False)
    root.removeHandler(handler)
    handler.close()
    for name, level in before.items():
        logging.getLogger(name).setLevel(level)


def check(words, out, heard, capsys):
    heard.write_text("", encoding="utf-8")  # what the test itself has read does not count
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        status = main([*map(str, words), "-o", str(out), "--explain", "--debug", "--parquet"])
    said = capsys.readouterr()
    texts = [("stdout", said.out.encode()), ("stderr", said.err.encode()), ("log", heard.read_bytes())]
    hits = [
        (where, canary)
        for where, content in [*texts, *everything_written(out)]
        for canary in CANARIES
        if canary.encode() in content
    ]
    assert not hits, [line for line in heard.read_text("utf-8").splitlines() if WORD in line][:5]
    return status, said


def test_dicom_with_a_canary_in_every_attribute_in_its_path_and_in_a_private_tag(
    tiny_like, dicom, tmp_path, heard, capsys, monkeypatch
):
    pytest.importorskip("pytorch_grad_cam")
    source = tmp_path / f"DOE^{WORD}"
    for number in range(3):
        path = dicom(f"DOE^{WORD}/{WORD}_{number}.dcm")
        dataset = marked(pydicom.dcmread(path))
        dataset.Modality, dataset.SOPInstanceUID = "MR", f"{UID}.{number}"
        dataset.save_as(source / f"{WORD}{number}", enforce_file_format=True)
        path.unlink()
    good = sorted(source.iterdir())
    content = good[0].read_bytes()
    (source / f"{WORD}_cut.dcm").write_bytes(content[: len(content) - 500])
    (source / f"{WORD}_header").write_bytes(content[:3000])
    (source / f"{WORD}_131").write_bytes(content[:131])
    (source / f"{WORD}_empty.dcm").write_bytes(b"")
    (source / f"{WORD}_text.dcm").write_text(WORD, encoding="utf-8")
    (source / f"{WORD}_twice.dcm").write_bytes(content)
    bad_value = pydicom.dcmread(good[0])
    bad_value.save_as(source / f"{WORD}_odd.dcm", enforce_file_format=True)
    odd = (source / f"{WORD}_odd.dcm").read_bytes()
    (source / f"{WORD}_odd.dcm").write_bytes(odd.replace(UID.encode(), b"KOLIBRI " * 2 + b"KO", 3))
    model = tiny_like("brain_tumor_resnet34")
    status, said = check(["predict", model.root, source], tmp_path / "out", heard, capsys)
    assert status == 3
    assert (tmp_path / "out" / "results.jsonl").read_text("utf-8").count("\n") == 10
    assert len(list((tmp_path / "out" / "explanations").glob("*_overlay.png"))) >= 4
    assert "Which file a hash stands for" in said.out


def test_hashed_names_hide_the_paths_of_plain_pictures(tiny_like, tmp_path, heard, capsys):
    pytest.importorskip("pytorch_grad_cam")
    source = tmp_path / f"{WORD}_folder"
    source.mkdir()
    for number in range(2):
        image = np.random.default_rng(number).integers(0, 256, (60, 60)).astype(np.uint8)
        cv2.imwrite(str(source / f"{WORD}_{number}.png"), image)
    (source / f"{WORD}_bad.png").write_bytes(b"")
    (source / f"{WORD}_bad.jpg").write_bytes(b"\xff\xd8\xff" + WORD.encode())
    words = ["predict", tiny_like("brain_tumor_resnet34").root, source, "--names", "hashed"]
    status, _ = check(words, tmp_path / "out", heard, capsys)
    assert status == 3
