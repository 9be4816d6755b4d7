"""docs/write-a-plugin.md, followed to the letter: each of its shell blocks, in an environment of its own."""

from __future__ import annotations

import csv
import os
import re
import subprocess
from pathlib import Path

import pytest

PAGE = Path(__file__).resolve().parents[2] / "docs" / "write-a-plugin.md"
MARK = "<!-- not run: by test_write_a_plugin.py, in an environment of its own -->"


def programs() -> list[str]:
    return re.findall(
        rf"^{MARK}\n```bash\n(.*?)^```$", PAGE.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE
    )


def test_the_page_sets_no_other_block_aside_for_this_test():
    text = PAGE.read_text(encoding="utf-8")
    assert len(programs()) == text.count(MARK) == 4
    assert text.count("```bash") == 5  # the fifth installs the example, which has a test of its own


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_every_block_does_what_the_page_says(environment, tmp_path):
    path = environment.with_pip()
    told = []
    for program in programs():
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", program],
            cwd=tmp_path,
            env={**os.environ, "PATH": f"{path}{os.pathsep}{os.environ['PATH']}", "PYTHONUTF8": "1"},
            capture_output=True,
            text=True,
            encoding="utf-8",
            check=False,
        )
        assert done.returncode == 0, f"{program}\n{done.stdout[-3000:]}{done.stderr[-3000:]}"
        told.append(done.stdout)
    _, made, tried, weighed = told
    lines = made.splitlines()
    assert any(re.match(r"kidney_stones\s+no weights\s", line) for line in lines)
    assert "kidney_stones: 0 of" in lines[-1]
    states = [line.split("  ")[0] for line in lines if re.search(r" \(\d+\.\d s\)", line)]
    assert states.count("passed") >= 22
    assert set(states) == {"passed", "not applicable"}
    with (tmp_path / "answers" / "predictions.csv").open(encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert {row["case"] for row in rows} == {path.name for path in (tmp_path / "images" / "images").iterdir()}
    assert len(list((tmp_path / "answers").rglob("*_overlay.png"))) == len(rows) == 60
    assert (tmp_path / "stones.onnx").stat().st_size > 1000
    assert "done" in tried
    assert re.search(r"reference: kept as a test; the largest difference is [\d.e-]+\n", weighed)
    assert re.search(r"passed +weights ", weighed)
    assert "1 passed" in weighed
