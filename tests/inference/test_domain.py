"""When a model abstains: limits fitted on its own data, and what lies elsewhere is told."""

from __future__ import annotations

import json

import cv2
import numpy as np
import pytest
from scipy.spatial.distance import mahalanobis
from scipy.special import softmax

from monai_brain.cli import main
from monai_brain.data import datalist, phantoms, splits
from monai_brain.errors import DataError, IntegrityError
from monai_brain.inference import probes
from monai_brain.inference.domain import NAME, Domain, distances, fit
from monai_brain.inference.predict import predict
from monai_brain.testing.tiny import tiny_bundle

RNG = np.random.default_rng(2)


def fitted(**changes):
    logits, features = RNG.normal(0, 3, (400, 3)), RNG.normal(0, 1, (400, 6))
    held_out = np.arange(400) % 2 == 0
    return (
        fit(logits, features, held_out, layer="a", weights_sha256="0", share=0.05, **changes),
        logits,
        features,
    )


def test_each_limit_gives_up_the_stated_share_of_the_held_out_images():
    domain, logits, features = fitted()
    judged = np.arange(400) % 2 == 0
    confidence = softmax(logits, axis=1).max(axis=1)[judged]
    energy = np.log(np.exp(logits).sum(axis=1))[judged]
    distance = distances(features[judged], domain.mean, domain.precision)
    assert (confidence < domain.least_confidence).mean() == pytest.approx(0.05, abs=0.006)
    assert (energy < domain.least_energy).mean() == pytest.approx(0.05, abs=0.006)
    assert (distance > domain.greatest_distance).mean() == pytest.approx(0.05, abs=0.006)
    by_hand = [mahalanobis(row, domain.mean, domain.precision) for row in features[judged][:5]]
    np.testing.assert_allclose(distance[:5], by_hand)


def test_doubts_name_their_reason():
    domain, _, _ = fitted(least_confidence=0.5)
    near, far, sure = np.zeros((1, 6)), np.full((1, 6), 50.0), [[9.0, 0.0, 0.0]]
    assert domain.doubts(sure, near) == [""]
    assert domain.doubts(sure, far)[0].startswith("unlike the training images: distance")
    assert domain.doubts([[-9.0, -30.0, -30.0]], near)[0].startswith("unlike the training images: energy")
    assert domain.doubts([[6.0, 6.0, 6.0]], near)[0].startswith("not sure: confidence 0.333, limit 0.5")


def test_what_is_kept_is_read_again_for_these_weights_alone(tmp_path):
    domain, _, _ = fitted()
    domain.save(tmp_path)
    again = Domain.beside(tmp_path / "model.pt", "0")
    assert again.least_energy == domain.least_energy
    np.testing.assert_array_equal(again.precision, domain.precision)
    assert Domain.beside(tmp_path / "model.pt", "1") is None
    (tmp_path / NAME).write_bytes(b"PK\x03\x04")
    with pytest.raises(IntegrityError, match=r"Fit it again with .monai-brain calibrate"):
        Domain.beside(tmp_path / "model.pt", "0")


def test_too_few_images():
    with pytest.raises(DataError, match="at least 20"):
        fit(np.zeros((10, 2)), np.zeros((10, 3)), np.arange(10) < 5, layer="a", weights_sha256="0")


def test_a_model_abstains_from_noise_and_not_from_its_own_images(tmp_path, capsys):
    written = datalist.read(phantoms.write("brain", tmp_path / "phantoms", 200, seed=1, size=48))
    folds = datalist.write(splits.split(written, "patient", folds=4), tmp_path / "phantoms" / "folds.json")
    own = tiny_bundle(tmp_path / "tiny", weights=True).root
    outside = tmp_path / "outside"
    outside.mkdir()
    for number in range(12):
        noise = RNG.integers(0, 256, (48, 48)).astype(np.uint8)
        cv2.imwrite(
            str(outside / f"{number}.png"), noise if number % 2 else cv2.GaussianBlur(255 - noise, (9, 9), 3)
        )
    words = ["calibrate", str(own), "--datalist", str(folds), "--share", "0.05", "--json"]
    card = own / "docs" / "README.md"
    card.write_text(card.read_text("utf-8") + "\n## When it abstains\n\nold\n\n## More\n", encoding="utf-8")
    assert main([*words, "--outside", str(outside)]) == 0
    said = json.loads(capsys.readouterr().out)
    assert (own / "models" / NAME).is_file()
    assert said["abstains"]["outside"]["value"] >= 0.9
    assert said["abstains"]["test"]["value"] <= 0.5
    drawn = {name: found for name, found in said["abstains"].items() if name not in ("test", "outside")}
    assert list(drawn) == ["noise", "natural-looking", "phantoms of a mammogram"]
    assert all(found["images"] == 100 for found in drawn.values())
    assert drawn["noise"]["value"] >= 0.5
    metadata = json.loads((own / "configs" / "metadata.json").read_text("utf-8"))
    assert metadata["monai_brain"]["abstains"] == said["abstains"]
    card = card.read_text("utf-8")
    assert "old" not in card
    assert card.endswith("\n\n## More\n")
    assert (card.count("## When it abstains"), card.count("| natural-looking | 100 |")) == (1, 1)
    answers = predict(own, outside)
    assert {one.status for one in answers.inputs} >= {"abstained"}
    assert all(one.reason for one in answers.inputs if one.status == "abstained")
    assert answers.predictions.abstain.sum() == said["abstains"]["outside"]["abstained"]
    assert main(["predict", str(own), str(outside), "-o", str(tmp_path / "out")]) == 0
    assert "abstained" in capsys.readouterr().out


def test_probes_are_the_same_for_a_seed_and_look_as_they_should(tmp_path):
    bundle = tiny_bundle(tmp_path / "tiny")
    first, again = (probes.write(bundle, tmp_path / name, count=3, seed=4) for name in ("a", "b"))
    for name, folder in first.items():
        files = sorted(folder.iterdir())
        assert len(files) == 3
        assert [file.read_bytes() for file in files] == [
            file.read_bytes() for file in sorted(again[name].iterdir())
        ]
    # Photographs have a spectrum that falls; noise of single pixels has a flat one.
    image = probes.natural(np.random.default_rng(1)).astype(float)
    power = np.abs(np.fft.fft2(image - image.mean())) ** 2
    far = np.hypot(*np.meshgrid(*[np.fft.fftfreq(len(image))] * 2))
    slope = np.polyfit(np.log(far[far > 0.02]), np.log(power[far > 0.02]), 1)[0]
    assert -3.5 < slope < -1.5
