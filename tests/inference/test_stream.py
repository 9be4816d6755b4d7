"""Archives answered onto disk: every input once, in order, whatever stops the run."""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from monai_brain.cli import main
from monai_brain.errors import ConfigurationError
from monai_brain.evaluation import predictions
from monai_brain.inference import archive
from monai_brain.inference.predict import predict
from monai_brain.inference.predictor import Predictor
from monai_brain.testing.tiny import tiny_bundle

RNG = np.random.default_rng(5)


def put(path, size=40):
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), RNG.integers(0, 256, (size, size)).astype(np.uint8))
    return path


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    return tiny_bundle(tmp_path_factory.mktemp("models") / "tiny", weights=True)


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    """30 images in three folders, 3 of them bad."""
    folder = tmp_path_factory.mktemp("pictures")
    for number in range(30):
        put(folder / f"part{number % 3}" / f"{number:03d}.png")
    for name in ("part0/000.png", "part1/010.png", "part2/029.png"):
        (folder / name).write_bytes(b"")
    (folder / "notes.txt").write_text("no image", encoding="utf-8")
    return folder


def lines(folder, name="results.jsonl"):
    return [json.loads(line) for line in (folder / name).read_text(encoding="utf-8").splitlines()]


def test_one_line_for_each_input_in_order_and_named_as_the_user_knows_it(tiny, pictures, tmp_path):
    summary = archive.answer(tiny, pictures, tmp_path / "out")
    found = lines(tmp_path / "out")
    expected = sorted(path.relative_to(pictures).as_posix() for path in pictures.rglob("*.png"))
    assert [line["case"] for line in found] == expected
    assert summary.counts == {"done": 27, "failed": 3}
    assert (summary.left_out, summary.join) == (1, None)
    rows = predictions.read(tmp_path / "out" / "predictions.csv")
    whole = predict(tiny, pictures).predictions
    assert list(rows.case) == list(whole.case)
    np.testing.assert_allclose(rows.probs, whole.probs, atol=1e-6)
    assert all(row.image.endswith(row.case) for row in rows)


def test_a_second_start_has_nothing_to_do_and_another_request_begins_anew(tiny, pictures, tmp_path):
    out = tmp_path / "out"
    archive.answer(tiny, pictures, out)
    first = (out / "results.jsonl").read_bytes()
    again = archive.answer(tiny, pictures, out)
    assert (again.before, again.counts) == (30, {"done": 27, "failed": 3})
    assert (out / "results.jsonl").read_bytes() == first
    put(pictures / "part9" / "new.png")
    more = archive.answer(tiny, pictures, out)
    (pictures / "part9" / "new.png").unlink()
    assert [line["case"] for line in lines(out)][30:] == ["part9/new.png"]
    assert more.before == 30
    other = archive.answer(tiny, [pictures / "part1"], out)
    assert (other.before, len(lines(out))) == (0, 10)


def test_an_unfinished_answer_to_another_request_is_not_thrown_away(tiny, pictures, tmp_path):
    def stop(answer):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        archive.answer(tiny, pictures, tmp_path, told=stop)
    # Nothing was committed yet, so there is nothing to lose; begin again, and stop after a commit.
    archive.answer(tiny, pictures, tmp_path, archive.Wishes(restart=True))
    journal = archive.Journal(tmp_path, archive.Names().key)
    journal.put("finished", False)
    journal.commit(journal.get("positions"))
    journal.close()
    with pytest.raises(ConfigurationError, match="unfinished answers to another request"):
        archive.answer(tiny, [pictures / "part0"], tmp_path)
    archive.answer(tiny, [pictures / "part0"], tmp_path, archive.Wishes(restart=True))
    assert len(lines(tmp_path)) == 10


# Forked, so that the packages are imported once and not at each start.
KILLED = """
import os, signal, sys, time
from pathlib import Path
from monai_brain.inference import archive

model, source, out, *moments = sys.argv[1:]

def start():
    child = os.fork()
    if child:
        return child
    summary = archive.answer(model, source, out)
    os._exit(int(summary.before > 0 and summary.counts == {"done": 5851, "failed": 150}))

def size():
    path = Path(out, "results.jsonl")
    return path.stat().st_size if path.is_file() else 0

cut = 0
for moment in moments:  # how far each start comes: so many bytes, then so many milliseconds
    child, goal = start(), size() + 1000 * float(moment)
    while size() < goal and os.waitid(os.P_PID, child, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
        time.sleep(0.001)
    time.sleep(float(moment) / 1000)
    os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    cut += os.WIFSIGNALED(status)
_, status = os.waitpid(start(), 0)
print(cut, os.waitstatus_to_exitcode(status))
"""


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_killed_at_20_random_moments_every_input_is_answered_exactly_once(tiny, tmp_path):
    source, out = tmp_path / "source", tmp_path / "out"
    content = put(source / "first.png", 512).read_bytes()
    for number in range(6000):
        (source / f"{number:05d}.png").write_bytes(b"" if number % 40 == 0 else content)
    moments = np.random.default_rng(1).uniform(0, 60, 20)
    ended = subprocess.run(
        [sys.executable, "-c", KILLED, str(tiny.root), str(source), str(out), *map(str, moments)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert ended.stdout.split() == ["20", "1"], ended.stderr[-2000:]
    found = lines(out)
    cases = [line["case"] for line in found]
    assert len(cases) == len(set(cases)) == 6001
    assert sum(line["status"] == "failed" for line in found) == 150
    rows = predictions.read(out / "predictions.csv")
    assert list(rows.case) == [line["case"] for line in found if line["status"] == "done"]


MEASURED = """
import resource, sys
from pathlib import Path
from monai_brain.inference import archive

seen, used = 0, []
def told(answer):
    global seen
    seen += 1
    if seen >= 1000 and seen % 100 == 0:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
        used.append(pages * resource.getpagesize())

summary = archive.answer(sys.argv[1], sys.argv[2], sys.argv[3], told=told)
print(summary.counts["done"], summary.counts["failed"], used[0], max(used))
"""


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="memory is read from /proc")
def test_10000_files_with_500_bad_ones_in_flat_memory(tiny, tmp_path):
    source = tmp_path / "source"
    contents = [put(tmp_path / f"{number}.png", 64).read_bytes() for number in range(50)]
    for number in range(10_000):
        folder = source / f"{number // 500:02d}"
        folder.mkdir(parents=True, exist_ok=True)
        whole = contents[number % 50]
        bad = (b"", whole[:90], b"<html>", whole[:-20] + bytes(20))[number // 20 % 4]
        (folder / f"{number:05d}.png").write_bytes(bad if number % 20 == 0 else whole)
    ended = subprocess.run(
        [sys.executable, "-c", MEASURED, str(tiny.root), str(source), str(tmp_path / "out")],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    done, failed, first, most = map(int, ended.stdout.split())
    assert (done, failed) == (9_500, 500), ended.stderr[-2000:]
    assert most <= 1.1 * first
    # The second start finds all of it answered.
    assert main(["predict", str(tiny.root), str(source), "-o", str(tmp_path / "out")]) == 3


def test_inputs_by_list_glob_and_zip(tiny, pictures, tmp_path, capsys):
    named = sorted(pictures.rglob("*.png"))[:4]
    listed = tmp_path / "list.txt"
    listed.write_text("".join(f"{path}\n" for path in named), encoding="utf-8")
    with zipfile.ZipFile(tmp_path / "some.zip", "w") as archive_file:
        archive_file.write(named[1], "inner/a.png")
        archive_file.write(named[1], "../../climbs.png")
        archive_file.writestr("readme.txt", "text")
        archive_file.writestr("broken.png", b"\x89PNG")
    for words in (["--list", str(listed)], [f"@{listed}"]):
        assert main(["predict", str(tiny.root), *words, "-o", str(tmp_path / "l"), "--restart"]) == 3
        assert {line["case"] for line in lines(tmp_path / "l")} == {str(path) for path in named}
    assert main(["predict", str(tiny.root), str(tmp_path / "some.zip"), "-o", str(tmp_path / "z")]) == 3
    found = {line["case"]: line["status"] for line in lines(tmp_path / "z")}
    inner = {"some.zip/inner/a.png": "done", "some.zip/../../climbs.png": "done"}
    assert found == inner | {"some.zip/broken.png": "failed"}
    assert not list(tmp_path.parent.glob("climbs.png"))
    same = predict(tiny, [named[1], tmp_path / "some.zip"]).predictions
    assert np.ptp(same.probs, axis=0).max() == 0
    with listed.open("a", encoding="utf-8") as stream:
        stream.write("gone 1.png\ngone 2.png\n")
    assert main(["predict", str(tiny.root), f"@{listed}", "-o", str(tmp_path / "g")]) == 2
    said = capsys.readouterr().err
    assert "2 inputs do not exist: gone 1.png, gone 2.png" in said


def test_parquet_holds_what_the_csv_holds(tiny, pictures, tmp_path):
    pytest.importorskip("pyarrow")
    archive.answer(tiny, pictures, tmp_path, archive.Wishes(parquet=True))
    a, b = (predictions.read(tmp_path / f"predictions.{kind}") for kind in ("csv", "parquet"))
    assert list(a.case) == list(b.case)
    np.testing.assert_array_equal(a.probs, b.probs)


def test_too_little_memory_on_the_gpu_halves_the_batch_and_changes_nothing(tiny, pictures, monkeypatch):
    whole = predict(tiny, pictures, batch_size=8).predictions
    asked = []
    forward = Predictor.__init__

    def small(self, *given, **named):
        forward(self, *given, **named)
        infer = self.infer

        def out_of_memory(images, network):
            asked.append(len(images))
            if len(images) > 3:
                raise torch.OutOfMemoryError("CUDA out of memory")
            return infer(images, network)

        self.infer = out_of_memory

    monkeypatch.setattr(Predictor, "__init__", small)
    halved = predict(tiny, pictures, batch_size=8).predictions
    assert asked[:4] == [8, 4, 2, 2]
    assert max(asked[2:]) == 2
    np.testing.assert_allclose(halved.probs, whole.probs, atol=1e-6)


class Collector:
    """A stranger's writer that takes answers as they come."""

    def __init__(self, bundle, folder, position):
        self.path = folder / "collected.txt"
        self.text = "" if position is None else self.path.read_text(encoding="utf-8")[:position]

    def write(self, answers):
        self.text += "".join(f"{one.case} {one.entry.place}\n" for one in answers.inputs)

    def position(self):
        self.path.write_text(self.text, encoding="utf-8")
        return len(self.text)

    def close(self):
        return self.path


def test_writers_of_both_kinds_are_served(tiny, pictures, tmp_path, monkeypatch):
    from monai_brain import registry
    from monai_brain.offers import Offer

    handed = []

    def whole(answers, bundle, folder):
        handed.append((len(answers.predictions), len(answers.failures), bundle.name, folder))

    offers = registry.registry().writers
    monkeypatch.setitem(offers, "collector", Offer("collector", Collector, "stranger"))
    monkeypatch.setitem(offers, "whole", Offer("whole", whole, "stranger"))
    archive.answer(tiny, pictures, tmp_path)
    assert handed == [(27, 3, "tiny", tmp_path)]
    collected = [line.split(" ")[0] for line in (tmp_path / "collected.txt").read_text("utf-8").splitlines()]
    assert collected == [line["case"] for line in lines(tmp_path)]


def test_hashed_names_and_a_join_file_outside_the_output(tiny, pictures, tmp_path, capsys):
    out = tmp_path / "out"
    assert main(["predict", str(tiny.root), str(pictures), "-o", str(out), "--names", "hashed"]) == 3
    said = capsys.readouterr().out
    join = next(line for line in said.splitlines() if line.startswith("Which file")).split(": ")[1]
    assert os.path.commonpath([join, out]) != str(out)
    assert Path(join).stat().st_mode & 0o777 == 0o600
    with open(join, encoding="utf-8", newline="") as stream:
        files = {row["case"]: row["file"] for row in csv.DictReader(stream)}
    assert {line["case"] for line in lines(out)} == set(files)
    assert set(files.values()) == {str(path) for path in pictures.rglob("*.png")}
    words = ["predict", str(tiny.root), str(pictures), "-o", str(out), "--names", "hashed", "--join"]
    assert main([*words, str(out / "join.csv"), "--restart"]) == 2
