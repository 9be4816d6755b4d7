"""A watched folder: whole examinations, one folder in and one out, a trail of what was asked."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import cv2
import numpy as np
import pytest

from monai_brain.errors import ConfigurationError
from monai_brain.files import read_json
from monai_brain.inference.audit import Audit
from monai_brain.inference.predictor import Predictor
from monai_brain.inference.watch import Watch
from monai_brain.testing.tiny import tiny_bundle


def put(path, seed=0):
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), np.random.default_rng(seed).integers(0, 256, (40, 40)).astype(np.uint8))
    return path


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return tiny_bundle(tmp_path_factory.mktemp("models") / "tiny", weights=True)


@pytest.fixture
def places(tmp_path):
    (tmp_path / "in").mkdir()
    return tmp_path / "in", tmp_path / "out"


def trail(out):
    return [json.loads(line) for line in (out / "audit.jsonl").read_text("utf-8").splitlines()]


def test_an_examination_is_answered_when_it_has_come_to_rest(model, places):
    folder, out = places
    watch = Watch(Predictor(model), folder, out, quiet=30)
    put(folder / "one" / "a.png")
    assert [watch.once(now) for now in (0, 29)] == [0, 0]
    put(folder / "one" / "b.png", 1)  # it changes: the time begins again
    assert [watch.once(now) for now in (31, 60)] == [0, 0]
    assert [watch.once(now) for now in (61, 62, 100)] == [1, 0, 0]
    lines = (out / "one" / "results.jsonl").read_text("utf-8").splitlines()
    assert [json.loads(line)["case"] for line in lines] == ["a.png", "b.png"]
    put(folder / "one" / "late.png", 2)
    assert [watch.once(now) for now in (200, 240)] == [0, 1]
    assert [line["case"] for line in trail(out)] == ["a.png", "b.png", "late.png"]


def test_what_shall_be_done_afterwards_is_done_for_each_examination(model, places):
    folder, out = places
    for name in ("one", "two"):
        put(folder / name / "a.png")
    called, said = [], []

    def then(path, summary):
        called.append((path.name, summary.folder, dict(summary.counts)))
        return ["one: no report"] if path.name == "one" else []

    watch = Watch(Predictor(model), folder, out, quiet=0, say=said.append, then=then)
    watch.once(0)
    watch.once(1)
    assert called == [(name, out / name, {"done": 1}) for name in ("one", "two")]
    assert said == ["one: no report", "one: 1 done", "two: 1 done"]


def test_partial_files_are_waited_for(model, places):
    folder, out = places
    watch = Watch(Predictor(model), folder, out, quiet=5)
    put(folder / "one" / "a.png")
    (folder / "one" / "b.png.part").write_bytes(b"half")
    assert [watch.once(now) for now in (0, 50, 100)] == [0, 0, 0]
    (folder / "one" / "b.png.part").unlink()
    assert [watch.once(now) for now in (101, 107)] == [0, 1]


def test_the_trail_says_what_was_asked_and_names_nobody(model, places, dicom, tmp_path):
    folder, out = places
    dicom("in/DOE^JANE/a.dcm", PatientName="DOE^JANE", PatientID="4711")
    (folder / "DOE^JANE" / "b.dcm").write_bytes(b"")
    watch = Watch(Predictor(model), folder, out, quiet=0)
    assert [watch.once(now) for now in (0, 1)] == [0, 1]
    [done, failed] = trail(out)
    assert (done["outcome"], failed["outcome"], failed["reason"]) == (
        "done",
        "failed",
        "empty: it has 0 bytes",
    )
    for key in ("time", "case", "model", "version", "weights_sha256", "settings", "predicted"):
        assert done[key]
    assert {path.name for path in out.iterdir() if path.is_dir()}.isdisjoint({"DOE^JANE"})
    written = [path.read_bytes() for path in out.rglob("*") if path.is_file()]
    assert not any(b"DOE" in content or b"4711" in content for content in written)


def test_results_may_not_lie_in_the_watched_folder(model, places):
    folder, _ = places
    with pytest.raises(ConfigurationError, match="lie in one another"):
        Watch(Predictor(model), folder, folder / "out")


def test_a_long_trail_is_begun_anew_and_nothing_is_lost(tmp_path):
    audit = Audit(tmp_path / "audit.jsonl", greatest=400)
    for number in range(50):
        audit.write({"number": number, "text": "x" * 40})
    files = [*sorted(tmp_path.glob("audit-*.jsonl")), tmp_path / "audit.jsonl"]
    assert len(files) > 5
    assert all(path.stat().st_size <= 400 for path in files)
    numbers = [json.loads(line)["number"] for path in files for line in path.read_text("utf-8").splitlines()]
    assert numbers == list(range(50))


@pytest.mark.skipif(os.name != "posix", reason="needs SIGTERM")
def test_the_command_stops_cleanly(model, places):
    folder, out = places
    put(folder / "one" / "a.png")
    words = [
        "predict",
        str(model.root),
        "--watch",
        str(folder),
        "-o",
        str(out),
        "--quiet",
        "0",
        "--poll",
        "0.1",
    ]
    process = subprocess.Popen(
        [sys.executable, "-m", "monai_brain", *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    begin, status = time.monotonic(), out / "status.json"
    while not (status.is_file() and read_json(status)["inputs"]) and time.monotonic() - begin < 200:
        assert process.poll() is None
        os.sched_yield()
    process.send_signal(signal.SIGTERM)
    said, complaint = process.communicate()
    assert process.returncode == 143
    assert "one: 1 done" in said
    assert "Traceback" not in complaint
    status = read_json(out / "status.json")
    assert (status["state"], status["inputs"]) == ("stopped", {"done": 1})


def test_the_image_runs_as_nobody_with_a_read_only_root():
    path = Path(__file__).resolve().parents[2] / "scripts" / "Dockerfile"
    text = path.read_text(encoding="utf-8")
    steps = re.findall(r"^([A-Z]+) (.*)$", text, re.MULTILINE)
    final = steps[[number for number, (step, _) in enumerate(steps) if step == "FROM"][-1] :]
    told = dict(final)
    assert int(told["USER"]) > 0
    assert {"/in", "/out"} <= set(json.loads(told["VOLUME"]))
    assert "HEALTHCHECK" in told
    assert "status.json" in text
    assert "--read-only" in text
    assert all(
        ":" in image and not image.split(" ")[0].endswith(":latest")
        for step, image in steps
        if step == "FROM"
    )
