"""docs/label.md: its first commands typed as they stand give the lines that it shows."""

import os
import re
import select
import shutil
import socket
import subprocess
import time
from pathlib import Path

import pytest

PAGE = Path(__file__).parents[3] / "docs" / "label.md"


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_the_start_to_the_letter(label_python, run, tmp_path):
    """In an empty folder where runs/mine is a run; on another port only where 8000 is taken."""
    text = PAGE.read_text("utf-8").split("## Start")[1]
    typed = re.search(r"```bash\n(.*?)```", text, re.DOTALL)[1].splitlines()
    shown = re.search(r"```text\n(.*?)```", text, re.DOTALL)[1].splitlines()
    shutil.copytree(run, tmp_path / "runs" / "mine")
    path = f"{label_python.parent}{os.pathsep}{os.environ['PATH']}"
    environment = {**os.environ, "PATH": path, "MONAI_BRAIN_HOME": str(tmp_path / "home")}
    subprocess.run(["bash", "-ec", typed[0]], cwd=tmp_path, env=environment, check=True, capture_output=True)
    port = _port()
    command = typed[1] if port == 8000 else f"{typed[1]} --port {port}"
    server = subprocess.Popen(
        ["bash", "-c", f"exec {command}"], cwd=tmp_path, env=environment, stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        said = _lines(server, len(shown))
    finally:
        server.terminate()
        server.wait(60)
    plain = [line.replace(str(tmp_path.resolve()), "/home/me").replace(f":{port}", ":8000") for line in said]
    assert plain == shown


def _port():
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", 8000))
        except OSError:
            probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def _lines(server, count):
    """The first lines of the server, as soon as it has written them."""
    content, until = b"", time.monotonic() + 300
    while content.count(b"\n") < count and time.monotonic() < until and server.poll() is None:
        if select.select([server.stdout], [], [], 1)[0]:
            content += os.read(server.stdout.fileno(), 65536)
    return content.decode().splitlines()[:count]
