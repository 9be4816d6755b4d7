"""A real archive, Orthanc with its DICOMweb plugin, takes every object once and gives it back unchanged.

Orthanc listens on all addresses whatever it is told, so it runs in a network namespace of its own.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

pytest.importorskip("pynetdicom")
pytest.importorskip("dicomweb_client")

import pydicom

from monai_brain.dicom_out.settings import Settings
from monai_brain.dicom_out.write import write_reports

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

DICOM, HTTP, STUDIES = 4242, 8042, 500
NODE, WEB = f"dicom://ORTHANC@127.0.0.1:{DICOM}", f"http://127.0.0.1:{HTTP}/dicom-web"
PLUGIN = Path("/usr/share/orthanc/plugins/libOrthancDicomWeb.so")
ASK = f"""
import sys, urllib.request
sys.stdout.buffer.write(urllib.request.urlopen("http://127.0.0.1:{HTTP}" + sys.argv[1], timeout=30).read())
"""
# Waiting for a number of instances happens in there too: a process for each question would be slow.
AWAIT = f"""
import json, sys, time, urllib.request
deadline, least = time.monotonic() + 60, int(sys.argv[1])
while time.monotonic() < deadline:
    try:
        address = "http://127.0.0.1:{HTTP}/statistics"
        count = json.load(urllib.request.urlopen(address, timeout=30))["CountInstances"]
        if count >= least:
            sys.exit(0)
    except OSError:
        pass
    time.sleep(0.02)
sys.exit(1)
"""


class Orthanc:
    """Orthanc in a namespace; programs that talk to it are started within."""

    def __init__(self, folder: Path) -> None:
        self.process: subprocess.Popen | None = None
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

    def await_instances(self, least: int) -> None:
        subprocess.run(self.within(sys.executable, "-c", AWAIT, str(least)), check=True)

    def ask(self, path: str) -> bytes:
        done = subprocess.run(self.within(sys.executable, "-c", ASK, path), check=True, capture_output=True)
        return done.stdout

    def instances(self) -> dict[str, dict]:
        """SOP Instance UID to what Orthanc says of the instance."""
        found = json.loads(self.ask("/instances?expand"))
        assert len({each["MainDicomTags"]["SOPInstanceUID"] for each in found}) == len(found)
        return {each["MainDicomTags"]["SOPInstanceUID"]: each for each in found}

    def send(self, queue: Path, to: str, *files: Path, wait: int = 60) -> subprocess.Popen:
        command = [sys.executable, "-m", "monai_brain", "send", *map(str, files), "--to", to]
        command += ["--queue", str(queue), "--wait", str(wait), "--json"]
        return subprocess.Popen(
            self.within(*command), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=os.environ
        )


def told(process: subprocess.Popen) -> dict:
    out, said = process.communicate(timeout=600)
    assert process.returncode == 0, said
    assert "Doe" not in said
    return json.loads(out)


@pytest.fixture
def orthanc(tmp_path):
    for program in ("Orthanc", "unshare", "nsenter", "ip"):
        if shutil.which(program) is None:
            pytest.skip(f"{program} is not installed")
    if not PLUGIN.exists():
        pytest.skip("Orthanc's DICOMweb plugin (orthanc-dicomweb) is not installed")
    archive = Orthanc(tmp_path)
    try:
        archive.start()
        yield archive
    finally:
        archive.close()


@pytest.fixture(scope="module")
def reports(many_sources, tmp_path_factory) -> dict[str, Path]:
    """The reports of 500 studies, by SOP Instance UID."""
    from monai_brain import registry
    from monai_brain.evaluation.prediction import Prediction

    bundle = registry.bundle("mammography_quality_parb_kan")  # its report of one view is the smallest
    probs = {"complete": 0.7, "incomplete": 0.3}
    rows, paths = [], {}
    for number in range(STUDIES):
        uid = f"1.2.3.{number + 1}"
        dataset = many_sources.plain("1.2.840.10008.5.1.4.1.1.1.2", 1000 + number, shape=(2, 2))
        dataset.StudyInstanceUID, dataset.SeriesInstanceUID = uid, f"{uid}.1"
        rows.append(Prediction(f"case {number}", probs, weights_sha256="ab" * 32))
        paths[f"case {number}"] = dataset
    written = write_reports(rows, paths, bundle, tmp_path_factory.mktemp("reports"))
    assert written.failures == []
    found = {
        str(pydicom.filereader.read_file_meta_info(file).MediaStorageSOPInstanceUID): file
        for file in written.files
    }
    assert len(found) == STUDIES
    return found


@pytest.mark.parametrize("to", [NODE, WEB], ids=["C-STORE", "STOW"])
def test_all_kinds_are_taken_and_given_back_unchanged(
    to, orthanc, mr_series, mg_exam, brain, breast, make, tmp_path
):
    files = []
    for bundle, (rows, paths) in ((brain, mr_series), (breast, mg_exam)):
        maps = {row.case: make.heat(row.case, bundle.labels[0]) for row in rows}
        files += write_reports(rows, paths, bundle, tmp_path / "out", Settings(top=1), maps).files
    assert len(files) == 3 + 9
    assert told(orthanc.send(tmp_path / "queue", to, tmp_path / "out"))["delivered"] == 12
    there = orthanc.instances()
    for file in files:
        mine = pydicom.dcmread(file)
        given = tmp_path / "given.dcm"
        given.write_bytes(orthanc.ask(f"/instances/{there[mine.SOPInstanceUID]['ID']}/file"))
        assert pydicom.dcmread(given) == mine
    # the same again changes nothing
    assert told(orthanc.send(tmp_path / "queue", to, tmp_path / "out"))["delivered"] == 12
    assert orthanc.instances() == there
    # a setting that changes content makes a new object beside the old ones
    rows, paths = mr_series
    write_reports(rows, paths, brain, tmp_path / "other", Settings(rule="max"))
    assert told(orthanc.send(tmp_path / "queue", to, tmp_path / "other"))["delivered"] == 1
    after = orthanc.instances()
    assert len(after) == 13
    assert {uid: after[uid] for uid in there} == there


def test_all_arrive_once_though_the_archive_was_away(orthanc, reports, tmp_path):
    folder = next(iter(reports.values())).parent
    sender = orthanc.send(tmp_path / "queue", NODE, folder)
    orthanc.await_instances(STUDIES // 5)
    orthanc.stop()
    assert "wait" in sender.stderr.readline()  # the sender has noticed
    began = time.monotonic()
    orthanc.start()
    answer = told(sender)
    assert (answer["waiting"], answer["refused"]) == (0, [])
    assert STUDIES <= answer["delivered"] <= STUDIES + 50
    assert set(orthanc.instances()) == set(reports)
    assert time.monotonic() - began < 600


def test_all_arrive_once_though_the_sender_was_killed(orthanc, reports, tmp_path):
    folder = next(iter(reports.values())).parent
    sender = orthanc.send(tmp_path / "queue", WEB, folder)
    orthanc.await_instances(STUDIES // 5)
    sender.kill()
    sender.communicate()
    before = len(orthanc.instances())
    assert STUDIES // 5 <= before < STUDIES
    answer = told(orthanc.send(tmp_path / "queue", WEB))  # no file is named: what waits is sent
    assert answer["delivered"] >= STUDIES - before
    assert set(orthanc.instances()) == set(reports)
