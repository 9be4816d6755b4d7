"""The commands and programs in the README and in docs/ run, page by page, as a reader would type them."""

from __future__ import annotations

import ast
import importlib
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from monai_brain.cli import parser as command_line

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
PAGES = {"README": ROOT / "README.md", **{path.stem: path for path in sorted(DOCS.glob("*.md"))}}
# These train, or start programs over and over: many seconds on a quiet core, more on a busy one.
TRAINING = {"README", "quickstart", "predict", "archives", "evaluation", "experiments", "reports"}
TRAINING |= {"reproduce", "transforms", "fast-training", "deploy"}
ASIDE = re.compile(r"<!-- not run:(?P<reason>.*)-->")
CONTINUES = re.compile(r"^<!-- continues: (?P<page>\S+) -->$", re.MULTILINE)


@dataclass(frozen=True)
class Block:
    """A fenced block: its language, its text, its first line's number, and why it is set aside, or None."""

    language: str
    text: str
    line: int
    aside: str | None

    @property
    def program(self) -> str:
        """What bash runs: all of it, or of a console's record the lines after the prompt."""
        if self.language != "console":
            return self.text
        return "\n".join(line.removeprefix("$ ") for line in self.text.splitlines() if line.startswith("$ "))


def blocks(path: Path) -> list[Block]:
    found, language, begin, aside, reason = [], None, 0, None, None
    lines = path.read_text(encoding="utf-8").splitlines()
    for number, line in enumerate(lines):
        if language is None and (fence := re.match(r"```(\S*)", line)):
            language, begin, aside = fence[1], number + 1, reason
        elif language is not None and line.startswith("```"):
            found.append(Block(language, "\n".join(lines[begin:number]), begin + 1, aside))
            language = None
        if language is None and line.strip():
            comment = ASIDE.fullmatch(line.strip())
            reason = comment["reason"].strip() if comment else None
    assert language is None, f"{path} leaves a block open"
    return found


def runnable(page: str) -> list[Block]:
    return [
        block
        for block in blocks(PAGES[page])
        if block.aside is None and block.language in ("bash", "console", "python")
    ]


def marked(page: str) -> object:
    return pytest.param(page, marks=[pytest.mark.slow] if page in TRAINING else [])


def run(page: str, folder: Path) -> None:
    """Run a page's blocks in order in the folder, each in a shell or a Python of its own."""
    environment = {
        **os.environ,
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "CUDA_VISIBLE_DEVICES": "",
        "PYTHONUTF8": "1",
    }
    for block in runnable(page):
        if block.language == "python":
            command = [sys.executable, "-c", block.text]
        else:
            command = ["bash", "-euo", "pipefail", "-c", block.program]
        done = subprocess.run(
            command,
            cwd=folder,
            env=environment,
            capture_output=True,
            text=True,
            encoding="utf-8",
            timeout=280,
        )
        assert done.returncode == 0, f"{page}, line {block.line}: {done.stdout[-2000:]}{done.stderr[-2000:]}"
        assert "Traceback" not in done.stderr


@pytest.fixture(scope="module")
def folder_after(tmp_path_factory: pytest.TempPathFactory):
    """A function that gives a folder in which a page's blocks have been run, once for all who ask."""
    made: dict[str, Path] = {}

    def after(page: str) -> Path:
        if page not in made:
            made[page] = tmp_path_factory.mktemp(page)
            run(page, made[page])
        return made[page]

    return after


@pytest.mark.timeout(900)
@pytest.mark.parametrize("page", [marked(page) for page in PAGES if runnable(page)])
def test_the_blocks_of_a_page_run(page, tmp_path, folder_after):
    before = CONTINUES.search(PAGES[page].read_text(encoding="utf-8"))
    if before:
        shutil.copytree(folder_after(before["page"]), tmp_path, dirs_exist_ok=True)
        run(page, tmp_path)
    else:
        folder_after(page)


def test_the_commands_of_the_readme_leave_what_it_says(folder_after):
    text = PAGES["README"].read_text(encoding="utf-8")
    most = text.partition("## The commands used most")[2].partition("```bash\n")[2].partition("```")[0]
    assert most in [f"{block.text}\n" for block in runnable("README")]
    used = {words[0] for words in commands_in(most)}
    assert {"list", "data", "train", "predict"} <= used
    table = text.partition("## What a run leaves behind")[2].partition("\n## ")[0]
    places = re.findall(r"^\| `([^`]+)` \|", table, re.MULTILINE)
    assert len(places) > 5
    assert not [place for place in places if not (folder_after("README") / "run" / place).exists()]


@pytest.mark.parametrize("page", PAGES)
def test_a_block_is_set_aside_for_a_reason(page):
    assert all(block.aside for block in blocks(PAGES[page]) if block.aside is not None)


def commands_in(text: str) -> Iterator[list[str]]:
    """The words of each call of monai-brain in a shell program, up to a pipe or the like; variables are 0."""
    for line in text.replace("\\\n", " ").splitlines():
        for call in re.findall(r"(?:^\s*|[(&|]\s*)(monai-brain [^()]*)", line):
            words = [re.sub(r"\$\w+", "0", word) for word in shlex.split(call, comments=True)]
            ends = [
                i
                for i, word in enumerate(words)
                if re.fullmatch(r"[<>|&;]+|2>", word) or word in ("&&", "||")
            ]
            yield words[1 : ends[0] if ends else None]


@pytest.mark.parametrize("page", PAGES)
def test_each_call_of_the_program_is_one_that_it_takes(page, capsys):
    for block in blocks(PAGES[page]):
        if block.language in ("bash", "console"):
            for words in commands_in(block.program):
                if set(words) & {"--help", "--version"}:
                    continue
                try:
                    assert command_line.parse(words).run
                except SystemExit:
                    pytest.fail(f"{page}, line {block.line}: {shlex.join(words)}: {capsys.readouterr().err}")


@pytest.mark.parametrize("page", PAGES)
def test_each_python_block_names_things_that_exist(page):
    for block in blocks(PAGES[page]):
        if block.language == "python":
            tree = ast.parse(block.text)
            compile(tree, f"{page}:{block.line}", "exec")
            check_names(tree)


def check_names(tree: ast.Module) -> None:
    """Import what a program imports, and look up every attribute that it takes from there."""
    known: dict[str, object] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for name in node.names:
                module = importlib.import_module(name.name)
                known[name.asname or name.name.partition(".")[0]] = (
                    module if name.asname else sys.modules[name.name.partition(".")[0]]
                )
        elif isinstance(node, ast.ImportFrom):
            for name in node.names:
                known[name.asname or name.name] = imported(str(node.module), name.name)
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id in known:
            assert hasattr(known[node.value.id], node.attr), ast.unparse(node)


def imported(module: str, name: str) -> object:
    found = importlib.import_module(module)
    return getattr(found, name) if hasattr(found, name) else importlib.import_module(f"{module}.{name}")
