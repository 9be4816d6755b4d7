"""How well maps point at boxes, held against figures worked out by hand."""

from __future__ import annotations

import json

import numpy as np
import pytest

from monai_brain.cli import main
from monai_brain.data import datalist, phantoms
from monai_brain.errors import DataError
from monai_brain.inference.localisation import (
    Box,
    ceiling_hits,
    centre_hits,
    measured,
    rank_correlation,
    summary,
)
from monai_brain.testing.tiny import tiny_bundle

SHAPE = (100, 200)


def test_a_box_from_fractions():
    box = Box.of("0.25 0.5 0.1 0.2", SHAPE)
    assert (box.top, box.left, box.bottom, box.right) == pytest.approx((40, 40, 60, 60))
    assert box.area == pytest.approx(400)
    for text in ("1 2 3", "a b c d", "0.5 0.5 0 0.1", "3 0.5 0.1 0.1"):
        with pytest.raises(DataError, match="is no box"):
            Box.of(text, SHAPE)


def test_measures_by_hand():
    heat = np.zeros(SHAPE, np.float32)
    heat[50:60, 50:70] = 1.0  # 200 pixels of 1
    heat[0, 0] = 0.25
    box = Box(40, 40, 60, 60)
    found = measured(heat, box)
    assert found["pointing"] == 1.0  # the middle of the plateau, (54.5, 59.5)
    assert found["iou"] == pytest.approx(100 / (400 + 200 - 100))
    assert found["energy_inside"] == pytest.approx(100 / 200.25)
    assert measured(np.zeros(SHAPE, np.float32), box) == {"pointing": 0.0, "iou": 0.0, "energy_inside": 0.0}
    heat[5, 150] = 2.0
    assert measured(heat, box)["pointing"] == 0.0


def test_baselines_by_hand():
    assert centre_hits((100, 100), Box(40, 40, 60, 60)) == 1.0
    assert centre_hits((100, 100), Box(60, 40, 80, 60)) == 0.0
    # Cells of 25 pixels have their centres at 12, 37, 62 and 87.
    assert ceiling_hits((100, 100), Box(36, 36, 39, 39), 4) == 1.0
    assert ceiling_hits((100, 100), Box(40, 36, 60, 39), 4) == 0.0


def test_intervals_draw_whole_patients():
    rows = [{"hit": float(number % 10 < 7)} for number in range(200)]
    alone = summary(rows, [str(number) for number in range(200)])["hit"]
    assert alone["value"] == pytest.approx(0.7)
    assert alone["high"] - alone["low"] == pytest.approx(2 * 1.96 * (0.7 * 0.3 / 200) ** 0.5, rel=0.15)
    tied = [{"hit": float(number // 10 % 10 < 7)} for number in range(200)]
    together = summary(tied, [str(number // 10) for number in range(200)])["hit"]
    assert together["high"] - together["low"] > 2 * (alone["high"] - alone["low"])


def test_rank_correlation():
    heat = np.random.default_rng(0).random((20, 20)).astype(np.float32)
    assert rank_correlation([heat], [heat**2]) == pytest.approx(1)
    assert rank_correlation([heat], [1 - heat]) == pytest.approx(-1)


def test_maps_of_a_model_on_phantoms_with_boxes(tmp_path, capsys):
    pytest.importorskip("pytorch_grad_cam")
    written = phantoms.write("brain", tmp_path / "phantoms", 24, seed=9, size=48)
    with_box = [item for item in datalist.read(written)["training"] if item.get("tumor_box")]
    model = tiny_bundle(tmp_path / "tiny", weights=True).root
    words = ["explain", str(model), "--boxes", str(written), "-o", str(tmp_path / "out"), "--json"]
    assert main(words) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["images"], found["failed"]) == (len(with_box), 0)
    for name in ("model", "random weights"):
        for figure in found[name].values():
            assert 0 <= figure["value"] <= 1
    assert found["grid ceiling"]["pointing"]["value"] >= found["image centre"]["pointing"]["value"]
    assert found["rank_correlation"] < 0.999
    assert (tmp_path / "out" / "localisation.json").is_file()
