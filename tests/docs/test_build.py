"""The pages are built without a warning and without a network, and the tutorials do what they show."""

from __future__ import annotations

import html
import inspect
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import monai_brain

ROOT = Path(__file__).resolve().parents[2]
SECONDS = 60  # of one core, for both tutorials


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The pages, built without executing the tutorials."""
    pytest.importorskip("sphinx", reason="the extra docs is not installed")
    pytest.importorskip("myst_nb", reason="the extra docs is not installed")
    folder = tmp_path_factory.mktemp("site")
    # A notebook that was not executed does not know its language, and is warned of for that alone.
    build(folder, "-D", "nb_execution_mode=off", "-D", "suppress_warnings=myst-nb.lexer")
    return folder


def build(folder: Path, *options: str) -> None:
    places = ["-d", str(folder / "doctrees"), str(ROOT / "docs"), str(folder)]
    done = subprocess.run(
        [sys.executable, "-m", "sphinx", "-W", "-n", "--keep-going", "-q", *options, *places],
        env={**os.environ, "PYTHONUTF8": "1"},
        capture_output=True,
        text=True,
        encoding="utf-8",
    )
    assert done.returncode == 0, done.stderr[-5000:]


def written(site: Path, page: str) -> str:
    return (site / f"{page}.html").read_text(encoding="utf-8")


def plain(markup: str) -> str:
    return " ".join(html.unescape(re.sub(r"<[^>]+>", "", markup)).split())


@pytest.mark.parametrize("name", monai_brain.__all__)
def test_each_public_name_stands_there(site, name):
    assert f'id="monai_brain.{name}"' in written(site, "python-api")


FUNCTIONS = [name for name in monai_brain.__all__ if inspect.isfunction(getattr(monai_brain, name))]


@pytest.mark.parametrize("name", FUNCTIONS)
def test_each_public_function_stands_there_with_its_signature(site, name):
    entry = written(site, "python-api").split(f'id="monai_brain.{name}"')[1].partition("</dt>")[0]
    shown = [plain(part.partition("</em>")[0]) for part in entry.split('<em class="sig-param">')[1:]]
    wanted = list(inspect.signature(getattr(monai_brain, name)).parameters.values())
    named = [text for text in shown if text != "*"]
    assert len(named) == len(wanted)
    for text, parameter in zip(named, wanted, strict=True):
        assert text.lstrip("*").startswith(parameter.name)
        if parameter.default is not parameter.empty:
            assert text.endswith(f"= {parameter.default!r}")
    assert ("*" in shown) == any(parameter.kind is parameter.KEYWORD_ONLY for parameter in wanted)


def test_generated_pages_are_filled(site):
    for page in ("cli", "models", "errors", "data-and-splits"):
        assert "generated:" not in plain(
            written(site, page).partition("<article")[2].partition("</article>")[0]
        )
    assert 'id="brain-tumor-resnet34"' in written(site, "models")
    assert "--allow-leakage" in written(site, "cli")


def test_nothing_is_fetched_to_read_the_pages(site):
    for path in site.rglob("*.html"):
        text = path.read_text(encoding="utf-8")
        assert not re.findall(r'<(?:script|link|img)[^>]+(?:src|href)="https?://[^"]+"', text), path.name


@pytest.mark.slow
def test_the_tutorials_run_within_a_minute_of_one_core(site, tmp_path, monkeypatch):
    for variable in ("OMP_NUM_THREADS", "MKL_NUM_THREADS"):
        monkeypatch.setenv(variable, "1")
    before = os.times()
    build(tmp_path)
    after = os.times()
    spent = after.children_user + after.children_system - before.children_user - before.children_system
    assert spent < SECONDS
    assert "AUROC, macro" in plain(written(tmp_path, "tutorials/train-evaluate-predict"))
    assert "tiny_mri" in plain(written(tmp_path, "tutorials/write-a-plugin"))
    assert "Did you mean 'register_bundles'?" in plain(written(tmp_path, "tutorials/write-a-plugin"))
