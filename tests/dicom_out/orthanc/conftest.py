"""Orthanc with its DICOMweb plugin, as a program of its own.

It listens on all addresses whatever it is told, so it runs in a network namespace of its own.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

DICOM, HTTP = 4242, 8042
PLUGIN = Path("/usr/share/orthanc/plugins/libOrthancDicomWeb.so")
# Asks a path; with a second argument asks again until there are so many instances. It happens in there:
# a process for each question would be slow.
ASK = """
import json, sys, time, urllib.request
path, least, deadline = sys.argv[1], int(sys.argv[2]), time.monotonic() + 60
while time.monotonic() < deadline:
    try:
        answer = urllib.request.urlopen(path, timeout=30).read()
        if least < 0 or json.loads(answer)["CountInstances"] >= least:
            sys.stdout.buffer.write(answer)
            sys.exit(0)
    except OSError:
        if least < 0:
            raise
    time.sleep(0.02)
sys.exit(1)
"""


class Orthanc:
    """Orthanc in a namespace; programs that talk to it are started within.

    Attributes:
        node: its address for C-STORE.
        web: its address for STOW-RS.
    """

    def __init__(self, folder: Path, **more: object) -> None:
        self.process: subprocess.Popen | None = None
        self.node = f"dicom://ORTHANC@127.0.0.1:{DICOM}"
        self.root = f"http://127.0.0.1:{HTTP}"
        self.web = f"{self.root}/dicom-web"
        settings = {
            "Name": "test",
            "StorageDirectory": str(folder / "storage"),
            "IndexDirectory": str(folder / "storage"),
            "DicomAet": "ORTHANC",
            "DicomCheckCalledAet": True,
            "DicomAlwaysAllowStore": True,
            "DicomPort": DICOM,
            "HttpPort": HTTP,
            "AuthenticationEnabled": False,
            "OverwriteInstances": False,
            "Plugins": [str(PLUGIN)],
            "DicomWeb": {"Enable": True, "Root": "/dicom-web/"},
            **more,
        }
        self.settings, self.log = folder / "orthanc.json", folder / "orthanc.log"
        self.settings.write_text(json.dumps(settings), encoding="utf-8")
        self.holder = subprocess.Popen(
            ["unshare", "-n", "sh", "-c", "ip link set lo up && echo up && exec sleep 1000"],
            stdout=subprocess.PIPE,
            text=True,
        )
        if self.holder.stdout.readline() != "up\n":
            self.close()
            pytest.skip("this user may not make a network namespace (unshare -n)")

    def within(self, *command: str) -> list[str]:
        return ["nsenter", "-t", str(self.holder.pid), "-n", *command]

    def start(self) -> None:
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                self.within("Orthanc", str(self.settings)), stdout=log, stderr=log
            )
        self.await_instances(0)

    def stop(self) -> None:
        if self.process is not None:
            self.process.send_signal(signal.SIGTERM)
            self.process.wait(timeout=60)
            self.process = None

    def close(self) -> None:
        self.stop()
        self.holder.kill()
        self.holder.communicate()

    def ask(self, path: str, least: int = -1) -> bytes:
        command = self.within(sys.executable, "-c", ASK, self.root + path, str(least))
        return subprocess.run(command, check=True, capture_output=True).stdout

    def await_instances(self, least: int) -> None:
        self.ask("/statistics", least)

    def instances(self) -> dict[str, dict]:
        """SOP Instance UID to what Orthanc says of the instance."""
        found = json.loads(self.ask("/instances?expand"))
        assert len({each["MainDicomTags"]["SOPInstanceUID"] for each in found}) == len(found)
        return {each["MainDicomTags"]["SOPInstanceUID"]: each for each in found}

    def send(self, queue: Path, to: str, *files: Path, wait: int = 60, **secrets: str) -> subprocess.Popen:
        command = [sys.executable, "-m", "monai_brain", "send", *map(str, files), "--to", to]
        command += ["--queue", str(queue), "--wait", str(wait), "--json"]
        environment = os.environ | {f"MONAI_BRAIN_SEND_{name}": value for name, value in secrets.items()}
        return subprocess.Popen(
            self.within(*command), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
        )

    def told(self, process: subprocess.Popen, status: int = 0) -> dict:
        """What a sender said at its end."""
        out, said = process.communicate(timeout=600)
        assert process.returncode == status, said
        assert "Doe" not in said
        return json.loads(out) | {"said": said}


@pytest.fixture
def programs():
    for program in ("Orthanc", "unshare", "nsenter", "ip"):
        if shutil.which(program) is None:
            pytest.skip(f"{program} is not installed")
    if not PLUGIN.exists():
        pytest.skip("Orthanc's DICOMweb plugin (orthanc-dicomweb) is not installed")
    return Orthanc


@pytest.fixture
def orthanc(programs, tmp_path):
    archive = programs(tmp_path)
    try:
        archive.start()
        yield archive
    finally:
        archive.close()
