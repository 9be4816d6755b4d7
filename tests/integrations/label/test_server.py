"""MONAI Label serves the models: real server, real client, every kind of image."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import quote

import itk
import numpy as np
import pytest

import monai_brain as mb
from monai_brain import registry
from monai_brain.data.datalist import read

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1200)]

FILES = ("grey.png", "colour.png", "mr.dcm", "mg.dcm", "slice.nii.gz", "volume.nii.gz")
INFERS, CLIENTS, EASE = 1000, 8, 1e-5


@pytest.fixture(scope="module")
def predicted(served_folder):
    """What `monai-brain predict` says of each file and each slice of the series, by path."""
    folder = served_folder / "forms"
    paths = [folder / name for name in FILES] + sorted((folder / "series").iterdir(), reverse=True)
    answers = mb.predict(served_folder / "tiny_classification", [str(path) for path in paths], names="plain")
    assert not answers.failures
    found = {}
    for answer in answers.inputs:
        rows = [dict(answer.rows[row].probs) for row in range(len(answer.rows))]
        found[Path(answer.entry.path)] = answer.value["probabilities"] if answer.value else rows[0], rows
    return found


@pytest.fixture(scope="module")
def inferred(server, served_folder):
    folder = served_folder / "forms"
    places = [str(folder / name) for name in (*FILES, "series")]
    calls = [["infer", {"model": "tiny", "image_id": place, "params": {}}] for place in places]
    calls += [["infer", {"model": "tiny_cam", "image_id": place, "params": {}}] for place in places]
    told = server.client(calls)
    names = [Path(place).name for place in places]
    return dict(zip(names, told, strict=False)), dict(zip(names, told[len(names) :], strict=True))


def close(found: dict, wanted: dict) -> bool:
    assert list(found) == list(wanted)
    return all(abs(found[name] - wanted[name]) < EASE for name in wanted)


@pytest.mark.parametrize("name", FILES)
def test_scores_are_those_of_predict(inferred, predicted, served_folder, name):
    _, told = inferred[0][name]
    whole, rows = predicted[served_folder / "forms" / name]
    assert told["status"] == "done"
    assert sum(told["scores"].values()) == pytest.approx(1, abs=1e-6)
    assert close(told["scores"], whole)
    assert told["label"] == max(whole, key=whole.get) == told["prediction"][0]["label"]
    if name.startswith("volume"):
        assert all(close(one["scores"], row) for one, row in zip(told["slices"], rows, strict=True))
        assert len(rows) == 24


def test_a_series_is_answered_slice_by_slice_in_the_order_of_space(inferred, predicted, served_folder):
    _, told = inferred[0]["series"]
    # Written from 99.dcm downwards, so that the names run against space.
    paths = sorted((served_folder / "forms" / "series").iterdir(), reverse=True)
    rows = [predicted[path][0] for path in paths]
    assert len(told["slices"]) == 24
    assert all(close(one["scores"], row) for one, row in zip(told["slices"], rows, strict=True))
    assert close(told["scores"], {name: np.mean([row[name] for row in rows]) for name in rows[0]})


@pytest.mark.parametrize("name", [*FILES, "series"])
def test_a_map_has_the_geometry_of_its_input(inferred, served_folder, name):
    file, told = inferred[1][name]
    assert told["label_names"] == {"activation": 1}
    map_, source = itk.imread(file), _source(served_folder / "forms" / name)
    axes = source.GetImageDimension()
    assert list(itk.size(map_))[:axes] == list(itk.size(source))
    assert np.allclose(list(map_.GetSpacing())[:axes], list(source.GetSpacing()), atol=1e-4)
    assert np.allclose(list(map_.GetOrigin())[:axes], list(source.GetOrigin()), atol=1e-4)
    turn, wanted = (itk.array_from_matrix(image.GetDirection()) for image in (map_, source))
    assert np.allclose(turn[:axes, :axes], wanted, atol=1e-4)
    values = itk.array_view_from_image(map_)
    assert set(np.unique(values)) <= {0, 1}


def _source(path: Path):
    if path.is_dir():
        names = itk.GDCMSeriesFileNames.New()
        names.SetDirectory(str(path))
        return itk.imread(list(names.GetInputFileNames()))
    return itk.imread(str(path)) if path.name == "colour.png" else itk.imread(str(path), itk.F)


def test_the_map_s_values_stand_where_explain_puts_them(server, served_folder):
    path = served_folder / "forms" / "grey.png"
    (one,) = mb.explain(served_folder / "tiny_classification", path)
    request = {"heatmap": True, "class": one.class_name}
    ((file, _),) = server.client([["infer", {"model": "tiny", "image_id": str(path), "params": request}]])
    assert np.allclose(itk.array_from_image(itk.imread(file)), one.heat, atol=EASE)


def test_slice_and_plane_choose(server, inferred, served_folder):
    path = str(served_folder / "forms" / "volume.nii.gz")
    wishes = [{"slice": 3}, {"plane": "coronal"}, {"slice": 99}, {"plane": "oblique"}]
    calls = [["infer", {"model": "tiny", "image_id": path, "params": wish}] for wish in wishes]
    (_, third), (_, coronal), *wrong = server.client(calls)
    assert third["scores"] == inferred[0]["volume.nii.gz"][1]["slices"][3]["scores"]
    assert len(coronal["slices"]) == 40
    assert "slice 99" in wrong[0]["error"]
    assert "Status: 404" in wrong[1]["error"]
    assert all("Status: 4" in one["error"] for one in wrong)


@pytest.mark.parametrize(
    ("path", "status", "text"),
    [
        ("/infer/tiny?image=nowhere", 404, "Unknown image 'nowhere'"),
        ("/infer/tinny?image=images/x", 404, "Did you mean 'tiny'?"),
        ("/activelearning/entrop", 404, "Did you mean 'entropy'?"),
        ("/train/tinny", 404, "Did you mean 'tiny'?"),
        ("/scoring/dice?run_sync=true", 404, "held_out"),
        ("/brain/restore/tiny", 422, "no version was served before"),
    ],
)
def test_wrong_names_are_answered_by_a_sentence(server, path, status, text):
    answer = server.ask(path, {})
    assert answer.status == status
    assert text in answer.json["detail"]


def test_a_damaged_image_is_422(server, served_folder):
    bad = served_folder / "forms" / "bad.png"
    bad.write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(40))
    assert server.ask(f"/infer/tiny?image={quote(str(bad))}", {}).status == 422


def test_many_clients_at_once_get_the_single_answers(server, served_folder, record_property):
    images = sorted(
        read(served_folder / "studies" / "datalist.json")["training"], key=lambda one: one["image"]
    )
    names = [f"images/{Path(one['image']).stem}" for one in images]

    def ask(number: int):
        return server.ask(f"/infer/tiny?image={names[number % len(names)]}", {}).json["scores"]

    single = [ask(number) for number in range(len(names))]
    with ThreadPoolExecutor(CLIENTS) as pool:
        list(pool.map(ask, range(100)))
        before = server.memory()
        found = list(pool.map(ask, range(INFERS)))
    assert all(answer == single[number % len(names)] for number, answer in enumerate(found))
    grown = server.memory() - before
    record_property("KiB that the server grew by", grown)
    assert grown < 32 * 1024
    assert threading.active_count() < 10


def test_the_log_names_neither_patient_nor_image(server):
    text = server.log.read_text("utf-8")
    assert not [word for word in ("SECRET42", "Doe", "mr.dcm", "p0000") if word in text]


def test_every_registered_model_is_listed_a_stranger_s_too(label_python, served_folder, tmp_path):
    from .conftest import Server

    stranger = tmp_path / "stranger-0.1.dist-info"
    stranger.mkdir()
    (stranger / "METADATA").write_text("Metadata-Version: 2.1\nName: stranger\nVersion: 0.1\n", "utf-8")
    (stranger / "entry_points.txt").write_text("[monai_brain]\nstranger = stranger\n", "utf-8")
    bundle = served_folder / "tiny_classification"
    (tmp_path / "stranger.py").write_text(
        "import monai_brain as mb\n\n@mb.hookimpl\ndef register_bundles(register):\n"
        f"    register(mb.Bundle.at({str(bundle)!r}))\n",
        "utf-8",
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(tmp_path))
        (tmp_path / "studies").mkdir()
        started = Server(label_python, tmp_path)
    try:
        models = started.ready().ask("/info/").json["models"]
        assert sorted(models) == sorted(
            name + end for name in (*registry.models(), "tiny") for end in ("", "_cam")
        )
        for name in registry.models():
            assert models[name]["type"] == "classification"
            assert models[name]["dimension"] == 2
            assert tuple(models[name]["labels"]) == registry.bundle(name).labels
            assert models[f"{name}_cam"]["type"] == "segmentation"
        answer = started.ask("/infer/baseline?image=" + quote(str(served_folder / "forms" / "grey.png")), {})
        assert answer.status == 409
        assert "has no weights" in answer.json["detail"]
    finally:
        started.close()
