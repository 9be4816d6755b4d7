"""One result or one failure for each input, whatever the others are."""

from __future__ import annotations

import json
import shutil

import cv2
import numpy as np
import pytest

from monai_brain.cli import main
from monai_brain.errors import ConfigurationError, ModelError
from monai_brain.evaluation import predictions
from monai_brain.inference.predict import predict


@pytest.fixture(scope="module")
def images(brain_phantoms, tmp_path_factory):
    folder = tmp_path_factory.mktemp("images")
    for path in sorted((brain_phantoms.parent / "images").glob("*.png"))[:7]:
        shutil.copy(path, folder)
    return folder


def test_every_image_is_answered_in_order_whatever_the_batch(run, images):
    whole = predict(run, images).predictions
    assert list(whole.case) == sorted(path.name for path in images.iterdir())
    np.testing.assert_allclose(whole.probs.sum(axis=1), 1, atol=1e-9)
    for batch in (1, 3):
        again = predict(run, images, batch_size=batch, threads=3).predictions
        assert list(again.case) == list(whole.case)
        np.testing.assert_allclose(again.probs, whole.probs, atol=1e-5)


def test_the_run_said_the_same_of_its_own_test_images(run, brain_phantoms):
    told = predictions.read(run / "predictions.csv")
    again = predict(run, [row.image for row in told]).predictions
    by_case = {row.case: row.logits for row in again}
    for row in told:
        for name, value in row.logits.items():
            assert by_case[row.case.rpartition("/")[2]][name] == pytest.approx(value, abs=1e-5)


def test_bad_files_cost_one_line_each(run, images, tmp_path, capsys):
    folder = tmp_path / "mixed"
    shutil.copytree(images, folder)
    (folder / "empty.png").write_bytes(b"")
    (folder / "text.jpg").write_text("<html>not an image</html>")
    whole = next(images.iterdir()).read_bytes()
    (folder / "cut.png").write_bytes(whole[: len(whole) // 2])
    cv2.imwrite(str(folder / "flat.png"), np.full((40, 40), 7, np.uint8))
    (folder / "sub").mkdir()
    shutil.copy(next(images.iterdir()), folder / "sub" / "ümlaut 1.png")
    status = main(["predict", str(run), str(folder), "-o", str(tmp_path / "out")])
    said = capsys.readouterr()
    assert status == 3
    lines = [
        json.loads(line) for line in (tmp_path / "out" / "results.jsonl").read_text("utf-8").splitlines()
    ]
    failed = {line["case"]: line["reason"] for line in lines if line["status"] == "failed"}
    assert set(failed) == {"empty.png", "text.jpg", "cut.png", "flat.png"}
    assert len(lines) == 7 + 1 + 4
    assert all("\n" not in reason and str(tmp_path) not in reason for reason in failed.values())
    assert sum(line.split(":")[0] in failed for line in said.err.splitlines()) == 4
    assert "8 done, 4 failed" in said.out
    found = predictions.read(tmp_path / "out" / "predictions.csv")
    assert "sub/ümlaut 1.png" in set(found.case)
    assert all("not for diagnosis" in line["disclaimer"] for line in lines if line["status"] == "done")


def test_nothing_but_bad_files_is_no_crash(run, tmp_path, capsys):
    (tmp_path / "a.png").write_bytes(b"")
    assert main(["predict", str(run), str(tmp_path / "a.png"), "-o", str(tmp_path / "out")]) == 3
    assert "a.png: " in capsys.readouterr().err


def test_json_on_standard_output_is_json(run, images, tmp_path, capsys):
    assert main(["predict", str(run), str(images), "-o", str(tmp_path), "--json"]) == 0
    assert len(json.loads(capsys.readouterr().out)) == 7


def test_missing_inputs_are_named_up_front(run, images, tmp_path):
    with pytest.raises(ConfigurationError, match="2 inputs do not exist"):
        predict(run, [images, tmp_path / "a", tmp_path / "b"])


def test_a_model_without_weights_says_how_to_get_them(images):
    with pytest.raises(ModelError, match=r"has no weights.*monai-brain train brain_tumor_resnet34"):
        predict("brain_tumor_resnet34", images)


def test_weights_of_a_run_serve_the_installed_model(run, images):
    mine = predict(run, images).predictions
    lent = predict("brain_tumor_resnet34", images, weights=run).predictions
    assert lent.weights_sha256[0] == mine.weights_sha256[0]
