"""The harness of the benchmarks: its statistics, what it writes, its exit status."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPTS = Path(__file__).resolve().parents[2] / "scripts"
sys.path.insert(0, str(SCRIPTS))

from benchmarks import harness, scaling  # noqa: E402


class Clock:
    """A clock that the work itself moves."""

    def __init__(self):
        self.now = 0.0
        self.calls = []

    def work(self, name, seconds):
        taken = iter(seconds)

        def run():
            self.calls.append(name)
            self.now += next(taken)

        return run


@pytest.fixture
def clock(monkeypatch):
    made = Clock()
    monkeypatch.setattr(harness.time, "perf_counter", lambda: made.now)
    monkeypatch.setattr(harness, "_worked", lambda: 2 * made.now)
    return made


def _case(contest, name="fake"):
    register = harness.Register()

    @register.benchmark(name, "nothing at all")
    def prepare():
        yield contest

    return register.found[name]


def test_the_ratio_is_the_median_of_each_turns_quotient(clock):
    ours = harness.Way("ours", clock.work("ours", [9, 1, 2, 4]))
    beside = harness.Way("theirs", clock.work("theirs", [9, 3, 4, 40]), target=2.5)
    entry = harness.run(_case(harness.Contest(ours, (beside,))), repeats=3)
    assert entry["seconds"] == [1, 2, 4]
    assert entry["seconds_beside"] == [3, 4, 40]
    assert entry["ratio"] == 3  # of 3, 2 and 10
    assert entry["spread"] == [2, 10]
    assert entry["met"] is True
    assert harness.met(entry)


def test_ways_are_warmed_up_and_begin_in_turn(clock):
    ours = harness.Way("ours", clock.work("ours", [1] * 4))
    beside = harness.Way("theirs", clock.work("theirs", [1] * 4))
    harness.run(_case(harness.Contest(ours, (beside,))), repeats=3)
    assert clock.calls == ["ours", "theirs", *["ours", "theirs"], *["theirs", "ours"], *["ours", "theirs"]]


def test_seconds_are_a_unit(clock):
    ours = harness.Way("ours", clock.work("ours", [0, 10]), units=10)
    beside = harness.Way("theirs", clock.work("theirs", [0, 4]), units=2)
    entry = harness.run(_case(harness.Contest(ours, (beside,))), repeats=1)
    assert (entry["seconds"], entry["seconds_beside"], entry["ratio"]) == ([1], [2], 2)


@pytest.mark.parametrize(("targets", "reached"), [((2, None), True), ((2, 3), False), ((None, None), True)])
def test_every_stated_target_must_be_met(clock, targets, reached):
    ours = harness.Way("ours", clock.work("ours", [0, 1]))
    beside = tuple(harness.Way(f"{i}", clock.work("", [0, 2]), target=t) for i, t in enumerate(targets))
    assert harness.met(harness.run(_case(harness.Contest(ours, beside)), repeats=1)) is reached


def test_a_name_is_given_once():
    register = harness.Register()
    register.benchmark("a", "")(lambda: iter(()))
    with pytest.raises(ValueError, match="'a'"):
        register.benchmark("a", "")(lambda: iter(()))


@pytest.fixture
def main(monkeypatch, clock):
    """The program with two benchmarks that take no time: one meets its target, one does not."""
    import bench

    register = harness.Register()
    for name, seconds in (("quick", 4), ("slow", 1)):

        @register.benchmark(name, f"the {name} one")
        def prepare(seconds=seconds):
            ours = harness.Way("ours", clock.work("ours", [1] * 9))
            yield harness.Contest(
                ours, (harness.Way("theirs", clock.work("theirs", [seconds] * 9), target=2),)
            )

    monkeypatch.setattr(harness, "REGISTER", register)
    monkeypatch.setattr(bench.scaling, "STEPS", {})
    return bench.main


def test_the_file_says_what_was_timed_where_and_how_it_ended(main, tmp_path, capsys):
    file = tmp_path / "bench.json"
    assert main(["--only", "quick", "--repeats", "5", "--json", str(file)]) == 0
    written = json.loads(file.read_text(encoding="utf-8"))
    assert written["command"].startswith("scripts/bench.py --only quick")
    assert written["machine"]["cores"] >= 1
    assert "torch" in written["machine"]["packages"]
    [entry] = written["benchmarks"]
    assert (entry["name"], entry["what"], entry["beside"]) == ("quick", "the quick one", "theirs")
    assert (entry["ratio"], entry["target"], entry["met"], entry["repeats"]) == (4, 2, True, 5)
    assert len(entry["seconds"]) == len(entry["seconds_beside"]) == 5
    assert entry["further"] == []
    assert "4.00 x theirs" in capsys.readouterr().out


def test_a_missed_target_is_status_1(main, capsys):
    assert main(["--repeats", "1"]) == 1
    assert "NOT met" in capsys.readouterr().out


@pytest.mark.parametrize("arguments", [["--only", "quik"], ["--repeats", "0"]])
def test_wrong_usage_is_status_2(main, arguments):
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 2


def test_two_files_are_compared_by_their_ratios(main, tmp_path, capsys):
    files = []
    for number, ratios in enumerate([{"a": 2.0, "b": 4.0, "gone": 1}, {"a": 1.9, "b": 3.0, "new": 1}]):
        files.append(tmp_path / f"{number}.json")
        entries = [{"name": name, "ratio": ratio} for name, ratio in ratios.items()]
        files[-1].write_text(json.dumps({"benchmarks": entries}), encoding="utf-8")
    assert main(["--compare", *map(str, files)]) == 1
    first, second = capsys.readouterr().out.splitlines()
    assert first.startswith("a ")
    assert first.endswith("x 0.95")
    assert second.endswith("x 0.75  WORSE")
    assert main(["--compare", str(files[0]), str(files[0])]) == 0


def test_the_program_lists_its_benchmarks():
    done = subprocess.run(
        [sys.executable, str(SCRIPTS / "bench.py"), "--list"], capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    named = {line.split()[0] for line in done.stdout.splitlines()}
    assert named == {
        *("list", "predict_cold", "brain_crop", "load_chain", "index", "predict", "resnet34"),
        *("efficientnet_b2", "train_step", "kan_head", "grad_cam", "bootstrap"),
        *("scale_index", "scale_train", "scale_predict", "scale_evaluate"),
    }


def _took(seconds, megabytes=100):
    return {"seconds": seconds, "cpu": 2 * seconds, "peak": megabytes * 1_000_000}


@pytest.mark.parametrize(("last", "linear"), [(105, True), (120, False)])
def test_growth_is_told_without_the_start(last, linear):
    """5 s of start-up, 1 ms an image between the first two; then 1 ms, or 1.17 ms."""
    entry = scaling.entry("index", [(1000, _took(6)), (10_000, _took(15)), (100_000, _took(last, 109))])
    assert entry["ratio"] == pytest.approx(90 / (last - 15))
    assert entry["met"] is linear
    assert entry["facts"]["bytes an image adds"] == 100


def test_a_step_is_measured_in_processes_of_their_own():
    (entry,) = scaling.entries(["evaluate"], (50, 100, 200))
    assert entry["name"] == "scale_evaluate"
    assert entry["seconds"][0] != entry["seconds_beside"][0]


def test_the_page_says_what_the_file_holds(main, tmp_path):
    file, written = tmp_path / "bench.json", tmp_path / "page.md"
    main(["--repeats", "3", "--json", str(file)])
    assert main(["--page", str(file), str(written)]) == 0
    text = written.read_text(encoding="utf-8")
    assert "| `quick` | theirs | 4.00 (4.00 to 4.00) | 4.00 | 2 | yes |" in text
    assert "| `slow` | theirs | 1.00 (1.00 to 1.00) | 1.00 | 2 | **no** |" in text
    assert "- `slow`: the slow one. Ours: ours." in text
