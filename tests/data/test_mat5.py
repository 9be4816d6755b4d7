"""MATLAB files of version 5 against SciPy's writer, and damage that must end in an error."""

from __future__ import annotations

import io
import random
import zlib

import numpy as np
import pytest
from scipy.io import savemat

from monai_brain.data import mat5

RNG = np.random.default_rng(0)
TYPES = ["f8", "f4", "i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8", "?"]


def saved(path, packed=False, **content):
    savemat(path, content, do_compression=packed)
    return path


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("kind", TYPES)
def test_arrays_as_scipy_wrote_them(tmp_path, kind, packed):
    array = RNG.integers(0, 100, (7, 5)).astype(kind)
    found = mat5.variables(saved(tmp_path / "a.mat", packed, first=[1.0], a=array), "a")["a"].array()
    np.testing.assert_array_equal(found, array)
    assert found.dtype == (np.uint8 if kind == "?" else np.dtype(kind))


@pytest.mark.parametrize("packed", [False, True])
def test_a_structure_with_text_numbers_and_nothing(tmp_path, packed):
    record = {
        "label": 2.0,
        "PID": "MR040240B",
        "image": RNG.normal(size=(3, 4)),
        "tumorBorder": np.zeros((0, 0)),
    }
    record["word"] = "ü"
    path = saved(tmp_path / "a.mat", packed, cjdata=record)
    fields = mat5.variables(path, "cjdata")["cjdata"].fields()
    assert fields["PID"].array() == "MR040240B"
    assert fields["word"].array() == "ü"
    assert fields["label"].array().item() == 2
    np.testing.assert_array_equal(fields["image"].array(), record["image"])
    assert fields["tumorBorder"].array().size == 0


def test_what_is_not_read_is_an_error(tmp_path):
    path = saved(tmp_path / "a.mat", z=np.array([1j]), c=np.array([[1, "x"]], object), n=[1.0])
    found = mat5.variables(path, "none of them")
    assert set(found) == {"z", "c", "n"}
    for name in ("z", "c"):
        with pytest.raises(ValueError, match="not read"):
            found[name].array()
    with pytest.raises(ValueError, match="no structure"):
        found["n"].fields()


def test_a_bomb_is_not_unpacked(tmp_path, monkeypatch):
    monkeypatch.setattr(mat5, "_MOST_BYTES", 10_000)
    path = saved(tmp_path / "a.mat", True, a=np.zeros((300, 300)))
    with pytest.raises(ValueError, match="too large"):
        mat5.variables(path, "a")


def test_damage_never_raises_anything_but_what_readers_expect(tmp_path):
    stream = io.BytesIO()
    savemat(
        stream, {"cjdata": {"label": 1.0, "PID": "100360", "image": RNG.integers(0, 9, (9, 8)).astype("i2")}}
    )
    whole, path = stream.getvalue(), tmp_path / "a.mat"
    draw = random.Random(0)
    read = 0
    for _ in range(3000):
        data = bytearray(whole)
        for _ in range(draw.choice((1, 2, 4))):
            data[draw.randrange(100, len(data))] = draw.choice((0, 1, 0x7F, 0x80, 0xFF, draw.randrange(256)))
        path.write_bytes(bytes(data[: draw.choice((len(data), len(data), draw.randrange(len(data))))]))
        try:
            for field in mat5.variables(path, "cjdata")["cjdata"].fields().values():
                field.array()
            read += 1
        except (ValueError, KeyError, zlib.error):
            pass
    assert 100 < read < 2900
