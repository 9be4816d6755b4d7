"""Whatever predict answers, --explain shows, and nothing else: zips, volumes by plane, withheld images."""

from __future__ import annotations

import csv
import json
import zipfile

import cv2
import numpy as np
import pytest

from monai_brain.cli import main
from monai_brain.inference.explain import Explanation
from monai_brain.inference.overlays import Rows, colours
from monai_brain.testing.tiny import tiny_bundle

pytest.importorskip("pytorch_grad_cam")

RNG = np.random.default_rng(3)


def picture(path, size=60):
    cv2.imwrite(str(path), RNG.integers(0, 256, (size, size)).astype(np.uint8))
    return path


def explained(out):
    path = out / "explanations" / "explanations.jsonl"
    return {line["case"]: line for line in map(json.loads, path.read_text("utf-8").splitlines())}


def answered(out):
    return [json.loads(line) for line in (out / "results.jsonl").read_text("utf-8").splitlines()]


def test_images_in_a_zip_are_explained_as_they_are_outside(tiny_like, dicom, tmp_path):
    model, out = tiny_like("brain_tumor_resnet34").root, tmp_path / "out"
    a, scan = picture(tmp_path / "a.png"), dicom("scan.dcm")
    with zipfile.ZipFile(tmp_path / "some.zip", "w") as archive:
        archive.write(a, "in/a.png")
        archive.write(scan, "in/scan.dcm")
        archive.writestr("broken.png", b"\x89PNG")
    words = ["predict", str(model), str(a), str(tmp_path / "some.zip"), "-o", str(out), "--explain"]
    assert main(words) == 3
    shown = explained(out)
    assert set(shown) == {line["case"] for line in answered(out) if line["status"] == "done"}
    assert len(shown) == 3
    assert "scan" not in "".join(shown)  # DICOM is called by a hash, in a zip too
    assert shown["some.zip/in/a.png"]["probabilities"] == pytest.approx(shown["a.png"]["probabilities"])
    assert shown["some.zip/in/a.png"]["peak"] == shown["a.png"]["peak"]


def test_what_got_no_label_gets_no_map(tiny_like, dicom, tmp_path):
    model, out = tiny_like("brain_tumor_resnet34").root, tmp_path / "out"
    dicom("in/good.dcm")
    dicom("in/knee.dcm", BodyPartExamined="KNEE")
    words = ["predict", str(model), str(tmp_path / "in"), "-o", str(out), "--explain"]
    assert main(words) == 0
    lines = {line["status"]: line["case"] for line in answered(out)}
    assert set(lines) == {"done", "not applicable"}
    assert set(explained(out)) == {lines["done"]}
    assert main([*words, "--force", "--restart"]) == 0
    assert set(explained(out)) == set(lines.values())


@pytest.mark.parametrize("plane", [None, "coronal"])
def test_a_volume_is_explained_slice_by_slice_along_the_plane_that_was_asked(plane, tmp_path):
    itk = pytest.importorskip("itk")
    volume = RNG.integers(0, 1000, (3, 5, 20)).astype(np.int16)
    itk.imwrite(itk.image_from_array(volume), str(tmp_path / "head.nii.gz"))
    model, out = tiny_bundle(tmp_path / "tiny", weights=True).root, tmp_path / "out"
    words = ["predict", str(model), str(tmp_path / "head.nii.gz"), "-o", str(out), "--explain"]
    assert main([*words, *(["--plane", plane] if plane else [])]) == 0
    with (out / "predictions.csv").open(encoding="utf-8", newline="") as stream:
        rows = {row["case"]: row for row in csv.DictReader(stream)}
    shown = explained(out)
    assert set(shown) == set(rows)
    assert len(rows) == {None: 3, "coronal": 5}[plane]
    for case, line in shown.items():
        for name, value in line["probabilities"].items():
            assert value == pytest.approx(float(rows[case][f"prob_{name}"]), abs=1e-5)
    assert len({tuple(line["probabilities"].values()) for line in shown.values()}) == len(rows)


def test_the_figure_of_three_rows_shows_some_of_each_class():
    rows = Rows()
    assert rows.drawn("words") is None
    heats = {}
    for number in range(30):
        name = "glioma" if number < 25 else "pituitary"
        heat = RNG.random((40, 80)).astype(np.float32)
        heats.setdefault(name, heat)
        image = np.full((40, 80), number, np.uint8)
        rows.add(Explanation(str(number), name, heat, image, None, "gradcam", "a"))
    shown = rows.drawn("Research use only, not for diagnosis.")
    step = 224 + 8
    assert shown.shape[1] == 8 * step - 8
    # The first four of each class; an image twice as wide as high is centred in its square.
    originals = [int(shown[2 * step + 112, column * step + 112, 0]) for column in range(8)]
    assert originals == [0, 1, 2, 3, 25, 26, 27, 28]
    wide = cv2.resize(colours(heats["glioma"]), (224, 112), interpolation=cv2.INTER_LINEAR)
    np.testing.assert_array_equal(shown[56:168, :224], wide)
    assert (shown[:56, :224] == 16).all()
