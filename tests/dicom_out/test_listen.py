"""The receiver: known callers, whole files, limits."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
from types import SimpleNamespace

import pytest

pytest.importorskip("pynetdicom")

import pydicom
from pynetdicom import AE

from monai_brain.cli import main
from monai_brain.dicom_out.listen import Limits, Receiver
from monai_brain.errors import ConfigurationError
from monai_brain.testing.tiny import tiny_bundle

MR = "1.2.840.10008.5.1.4.1.1.4"


def sent(receiver, datasets, title="KNOWN", called="HERE"):
    """The status of each object, or None where there was no association or no answer."""
    entity = AE(title)
    entity.add_requested_context(MR)
    association = entity.associate("127.0.0.1", receiver.port, ae_title=called)
    if not association.is_established:
        return [None] * len(datasets)
    statuses = []
    for dataset in datasets:
        answer = association.send_c_store(dataset)
        statuses.append(int(answer.Status) if "Status" in answer else None)
        if statuses[-1] is None:
            break
    if association.is_established:
        association.release()
    return statuses


def test_known_callers_leave_whole_files_under_hashed_names(sources, tmp_path):
    paths = [sources.mr(number) for number in range(3)]
    datasets = [pydicom.dcmread(path) for path in paths]
    with Receiver("HERE@127.0.0.1:0", tmp_path / "in", ["KNOWN"]) as receiver:
        assert sent(receiver, [*datasets, datasets[0]]) == [0, 0, 0, 0]
    files = list((tmp_path / "in").iterdir())
    assert len(files) == 3
    assert all(len(file.stem) == 16 and set(file.stem) <= set("0123456789abcdef") for file in files)
    assert {pydicom.dcmread(file).PixelData for file in files} == {each.PixelData for each in datasets}


def test_each_study_gets_a_folder_of_its_own_where_they_are_watched(sources, tmp_path):
    datasets = [pydicom.dcmread(sources.mr(number)) for number in range(3)]
    datasets[2].StudyInstanceUID = "1.2.3.4"
    with Receiver("HERE@127.0.0.1:0", tmp_path / "in", ["KNOWN"], by_study=True) as receiver:
        assert sent(receiver, [*datasets, datasets[0]]) == [0, 0, 0, 0]
    folders = sorted((tmp_path / "in").iterdir())
    assert sorted(len(list(folder.iterdir())) for folder in folders) == [1, 2]
    assert not any("1.2.3.4" in folder.name for folder in folders)


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="needs SIGTERM")
def test_what_is_sent_to_a_watch_is_answered(sources, tmp_path):
    model = tiny_bundle(tmp_path / "tiny", weights=True).root
    words = ["predict", str(model), "--watch", str(tmp_path / "in"), "-o", str(tmp_path / "out")]
    words += ["--quiet", "0", "--poll", "0.2", "--listen", "HERE@127.0.0.1:0", "--from", "KNOWN", "--dicom"]
    process = subprocess.Popen(
        [sys.executable, "-m", "monai_brain", *words], stdout=subprocess.PIPE, text=True
    )
    try:
        said = process.stdout.readline()
        port = int(said.partition("@127.0.0.1:")[2].partition(" ")[0])
        datasets = [pydicom.dcmread(sources.mr(number)) for number in range(2)]
        assert sent(SimpleNamespace(port=port), datasets) == [0, 0]
        answered, reports = [], []
        while process.poll() is None and (len(answered) < 2 or not reports):
            reports = list((tmp_path / "out").glob("*/dicom/*.dcm"))
            files = (tmp_path / "out").glob("*/results.jsonl")
            answered = [json.loads(line) for file in files for line in file.read_text("utf-8").splitlines()]
    finally:
        process.send_signal(signal.SIGTERM)
        process.communicate()
    assert [line["status"] for line in answered] == ["done", "done"]
    assert pydicom.dcmread(reports[0]).Modality == "SR"
    assert process.returncode == 143


def test_a_watch_is_needed_to_listen(sources, tmp_path, capsys):
    model = tiny_bundle(tmp_path / "tiny", weights=True).root
    assert main(["predict", str(model), str(sources.mr(0)), "--listen", "HERE@127.0.0.1:0"]) == 2
    assert "--watch" in capsys.readouterr().err


def test_strangers_are_refused(sources, tmp_path):
    dataset, said = pydicom.dcmread(sources.mr(0)), []
    with Receiver("HERE@127.0.0.1:0", tmp_path / "in", ["KNOWN"], tell=said.append) as receiver:
        assert sent(receiver, [dataset], title="STRANGER") == [None]
        assert sent(receiver, [dataset], called="ELSEWHERE") == [None]
    assert list((tmp_path / "in").iterdir()) == []
    assert len(said) == 2
    assert all("AE title" in line for line in said)


def test_another_content_under_a_known_uid_is_refused(sources, tmp_path):
    first, second = pydicom.dcmread(sources.mr(0)), pydicom.dcmread(sources.mr(0, PatientID="OTHER"))
    with Receiver("HERE@127.0.0.1:0", tmp_path / "in", ["KNOWN"]) as receiver:
        assert sent(receiver, [first, second]) == [0, 0x0111]
    (file,) = (tmp_path / "in").iterdir()
    assert pydicom.dcmread(file).PatientID == "SECRET42"


def test_limits_hold(sources, tmp_path):
    small, large = pydicom.dcmread(sources.mr(0)), pydicom.dcmread(sources.mr(1))
    large.PixelData = bytes(4_000_000)
    with Receiver("HERE@127.0.0.1:0", tmp_path / "in", ["KNOWN"], Limits(item=100_000)) as receiver:
        assert sent(receiver, [small, large, small]) == [0, None]
        assert sent(receiver, [small]) == [0]
        assert (receiver.received, receiver.refused) == (2, 1)
    large.PixelData = bytes(150_000)
    with Receiver("HERE@127.0.0.1:0", tmp_path / "in", ["KNOWN"], Limits(item=100_000)) as receiver:
        assert sent(receiver, [large]) == [0xA700]
    with Receiver("HERE@127.0.0.1:0", tmp_path / "in", ["KNOWN"], Limits(folder=100_000)) as receiver:
        assert sent(receiver, [large]) == [0xA700]
    assert len(list((tmp_path / "in").iterdir())) == 1


@pytest.mark.parametrize(
    "address", ["HERE@127.0.0.1", "127.0.0.1:104", "HERE@:104", "@127.0.0.1:104", "HERE@h:99999"]
)
def test_what_is_no_place_to_listen_is_refused(address, tmp_path):
    with pytest.raises(ConfigurationError):
        Receiver(address, tmp_path, ["KNOWN"])


def test_nobody_known_is_refused(tmp_path):
    with pytest.raises(ConfigurationError, match="Nobody may send"):
        Receiver("HERE@127.0.0.1:0", tmp_path, [])


@pytest.mark.slow
def test_storescu_s_files_become_results_and_failures(many_sources, tmp_path, capsys):
    """200 files, 10 of them broken in ways that a sender does not see, and a stranger."""
    if shutil.which("storescu") is None:
        pytest.skip("storescu (Debian's dcmtk) is not installed")
    breaks = [
        lambda each: setattr(each, "PixelData", each.PixelData[: len(each.PixelData) // 2]),
        lambda each: delattr(each, "PixelData"),
        lambda each: setattr(each, "PixelData", bytes(len(each.PixelData))),
        lambda each: setattr(each, "Rows", 0),
        lambda each: delattr(each, "PhotometricInterpretation"),
    ]
    for number in range(200):
        path = many_sources.mr(number)
        if number % 20 == 0:
            dataset = pydicom.dcmread(path)
            breaks[number // 20 % 5](dataset)
            dataset.save_as(path)
    listening = subprocess.Popen(
        [sys.executable, "-m", "monai_brain", "listen", "HERE@127.0.0.1:0", "--from", "KNOWN",
         "-o", str(tmp_path / "in"), "--json"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        port = listening.stdout.readline().split("127.0.0.1:")[1].split()[0]
        storescu = ["storescu", "-aec", "HERE", "127.0.0.1", port, "+sd", str(many_sources.folder)]
        stranger = subprocess.run([*storescu, "-aet", "STRANGER"], capture_output=True, text=True)
        assert stranger.returncode != 0
        assert "Calling AE Title Not Recognized" in stranger.stdout + stranger.stderr
        subprocess.run([*storescu, "-aet", "KNOWN"], check=True, capture_output=True)
        listening.send_signal(signal.SIGTERM)
        told, warned = listening.communicate(timeout=30)
    finally:
        listening.kill()
        listening.wait()
    assert json.loads(told)["received"] == 200
    assert "refused a caller" in warned
    bundle = tiny_bundle(tmp_path / "tiny", weights=True)
    out = tmp_path / "out"
    assert main(["predict", str(bundle.root), str(tmp_path / "in"), "-o", str(out)]) == 3
    lines = [json.loads(line) for line in (out / "results.jsonl").read_text("utf-8").splitlines()]
    assert sum(line["status"] == "done" for line in lines) == 190
    failed = {line["case"] for line in lines if line["status"] == "failed"}
    said = [line.partition(": ")[0] for line in capsys.readouterr().err.splitlines()]
    assert len(failed) == 10
    assert failed <= set(said)
    assert "Doe" not in warned + "".join(said)
