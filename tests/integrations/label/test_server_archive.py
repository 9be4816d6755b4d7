"""Studies in an archive: Label asks Orthanc by DICOMweb, in a namespace without any network."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

import monai_brain as mb

from .conftest import Answered, Server

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1200)]

HTTP = 8042
PLUGIN = Path("/usr/share/orthanc/plugins/libOrthancDicomWeb.so")
# Everything that talks to the archive or the server runs inside the namespace.
ASK = """
import sys, urllib.error, urllib.request
address, method, kind = sys.argv[1:4]
content = sys.stdin.buffer.read() or None
request = urllib.request.Request(address, content, {"Content-Type": kind}, method=method)
try:
    with urllib.request.urlopen(request, timeout=300) as answer:
        status, found = answer.status, answer.read()
except urllib.error.HTTPError as error:
    status, found = error.code, error.read()
sys.stdout.buffer.write(str(status).encode() + b" " + found)
"""


class Within(Server):
    """A server that is asked from inside its namespace."""

    def ask(self, path: str, content=None, method=None, timeout=300, address=None, kind="application/json"):
        data = (
            content
            if isinstance(content, bytes)
            else b""
            if content is None
            else json.dumps(content).encode()
        )
        whole = (address or self.address) + path
        verb = method or ("GET" if content is None else "POST")
        done = subprocess.run(
            [*self.within, sys.executable, "-c", ASK, whole, verb, kind],
            input=data, capture_output=True, check=False,
        )  # fmt: skip
        if done.returncode:
            raise ConnectionError(done.stderr.decode()[-300:])
        status, _, found = done.stdout.partition(b" ")
        return Answered(int(status), found)


@pytest.fixture
def namespace():
    if shutil.which("unshare") is None or shutil.which("Orthanc", path="/usr/sbin:/usr/bin") is None:
        pytest.skip("unshare or Orthanc is not installed: see scripts/programs")
    if not PLUGIN.exists():
        pytest.skip("Orthanc's DICOMweb plugin is not installed: see scripts/programs")
    holder = subprocess.Popen(
        ["unshare", "-n", "sh", "-c", "ip link set lo up && echo up && exec sleep 2000"],
        stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        if holder.stdout.readline() != "up\n":
            pytest.skip("this user may not make a network namespace (unshare -n)")
        yield ["nsenter", "-t", str(holder.pid), "-n"]
    finally:
        holder.kill()
        holder.communicate()


@pytest.fixture
def archive(namespace, tmp_path):
    settings = {
        "Name": "test", "StorageDirectory": str(tmp_path / "storage"), "HttpPort": HTTP, "DicomPort": 4242,
        "IndexDirectory": str(tmp_path / "storage"), "AuthenticationEnabled": False,
        "Plugins": [str(PLUGIN)], "DicomWeb": {"Enable": True, "Root": "/dicom-web/"},
    }  # fmt: skip
    (tmp_path / "orthanc.json").write_text(json.dumps(settings), "utf-8")
    with (tmp_path / "orthanc.log").open("ab") as log:
        process = subprocess.Popen(
            [*namespace, "Orthanc", str(tmp_path / "orthanc.json")], stdout=log, stderr=log
        )
    yield f"http://127.0.0.1:{HTTP}"
    process.terminate()
    process.wait(timeout=60)


def test_a_series_of_an_archive_is_inferred_labelled_and_kept_there(
    archive, namespace, label_python, served_folder, tmp_path
):
    Within.within = namespace
    shutil.copytree(served_folder / "tiny_classification", tmp_path / "tiny_classification")
    server = Within(
        label_python, tmp_path, "--models", "tiny_classification",
        prefix=namespace, studies=f"{archive}/dicom-web",
    )  # fmt: skip
    try:
        paths = sorted((served_folder / "forms" / "series").iterdir(), reverse=True)
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            try:
                server.ask("/system", address=archive)
                break
            except ConnectionError:
                time.sleep(0.2)
        for path in paths:
            stored = server.ask("/instances", path.read_bytes(), address=archive, kind="application/dicom")
            assert stored.status == 200
        server.ready()
        chosen = server.ask("/activelearning/random", {}).json
        answer = server.ask(f"/infer/tiny?image={chosen['id']}", {})
        assert answer.status == 200, answer.content
        wanted = mb.predict(tmp_path / "tiny_classification", [str(path) for path in paths]).predictions
        assert len(answer.json["slices"]) == 24
        found = [list(one["scores"].values()) for one in answer.json["slices"]]
        assert np.allclose(found, wanted.probs, atol=1e-5)
        assert server.ask("/infer/tiny?image=1.2.3", {}).status == 404
        labelled = server.ask("/brain/label", {"image": chosen["id"], "label": "glioma"})
        assert labelled.json["label"] == "glioma"
        assert server.ask("/activelearning/random", {}).json == {}
        # The archive holds what it held: class labels stay on this side.
        assert json.loads(server.ask("/statistics", address=archive).content)["CountInstances"] == 24
    finally:
        server.close()
