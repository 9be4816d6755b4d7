"""A real archive, Orthanc with its DICOMweb plugin, takes every object once and gives it back unchanged."""

from __future__ import annotations

import os
import subprocess
import time
from pathlib import Path

import pytest

pytest.importorskip("pynetdicom")
pytest.importorskip("dicomweb_client")

import pydicom

from monai_brain.dicom_out.settings import Settings
from monai_brain.dicom_out.write import write_reports

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

STUDIES = 500
NODE, WEB = "node", "web"  # the two doors of the archive
# How many seconds the archive stays away; a minute by MONAI_BRAIN_TEST_PAUSE=60.
PAUSE = float(os.environ.get("MONAI_BRAIN_TEST_PAUSE", "1"))


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
    assert (
        orthanc.told(orthanc.send(tmp_path / "queue", getattr(orthanc, to), tmp_path / "out"))["delivered"]
        == 12
    )
    there = orthanc.instances()
    for file in files:
        mine = pydicom.dcmread(file)
        given = tmp_path / "given.dcm"
        given.write_bytes(orthanc.ask(f"/instances/{there[mine.SOPInstanceUID]['ID']}/file"))
        assert pydicom.dcmread(given) == mine
    # the same again changes nothing
    assert (
        orthanc.told(orthanc.send(tmp_path / "queue", getattr(orthanc, to), tmp_path / "out"))["delivered"]
        == 12
    )
    assert orthanc.instances() == there
    # a setting that changes content makes a new object beside the old ones
    rows, paths = mr_series
    write_reports(rows, paths, brain, tmp_path / "other", Settings(rule="max"))
    assert (
        orthanc.told(orthanc.send(tmp_path / "queue", getattr(orthanc, to), tmp_path / "other"))["delivered"]
        == 1
    )
    after = orthanc.instances()
    assert len(after) == 13
    assert {uid: after[uid] for uid in there} == there


def test_all_arrive_once_though_the_archive_was_away(orthanc, reports, tmp_path):
    folder = next(iter(reports.values())).parent
    sender = orthanc.send(tmp_path / "queue", orthanc.node, folder, wait=int(PAUSE) + 60)
    orthanc.await_instances(STUDIES // 5)
    orthanc.stop()
    stopped = time.monotonic()
    assert "wait" in sender.stderr.readline()  # the sender has noticed
    with pytest.raises(subprocess.TimeoutExpired):  # it goes on waiting, for all the time
        sender.wait(timeout=max(0.1, PAUSE - (time.monotonic() - stopped)))
    began = time.monotonic()
    assert began - stopped >= PAUSE
    orthanc.start()
    answer = orthanc.told(sender)
    assert (answer["waiting"], answer["refused"]) == (0, [])
    assert STUDIES <= answer["delivered"] <= STUDIES + 50
    assert set(orthanc.instances()) == set(reports)
    assert time.monotonic() - began < 600


def test_all_arrive_once_though_the_sender_was_killed(orthanc, reports, tmp_path):
    folder = next(iter(reports.values())).parent
    sender = orthanc.send(tmp_path / "queue", orthanc.web, folder)
    orthanc.await_instances(STUDIES // 5)
    sender.kill()
    sender.communicate()
    before = len(orthanc.instances())
    assert STUDIES // 5 <= before < STUDIES
    answer = orthanc.told(
        orthanc.send(tmp_path / "queue", orthanc.web)
    )  # no file is named: what waits is sent
    assert answer["delivered"] >= STUDIES - before
    assert set(orthanc.instances()) == set(reports)
