"""From DICOM images to DICOM objects by one command."""

from __future__ import annotations

import pydicom
import pytest

from monai_brain.cli import main
from monai_brain.testing.tiny import tiny_bundle


@pytest.fixture
def tiny(tmp_path):
    return tiny_bundle(tmp_path / "tiny", weights=True).root


def test_reports_and_maps_stand_beside_the_results(tiny, sources, tmp_path, by_kind, dciodvfy, capsys):
    pytest.importorskip("pytorch_grad_cam")
    for number in range(4):
        sources.mr(number)
    (sources.folder / "picture.png").write_bytes(b"")
    out = tmp_path / "out"
    command = ["predict", str(tiny), str(sources.folder), "-o", str(out), "--dicom", "--explain"]
    assert main(command) == 3  # the empty picture alone
    said = capsys.readouterr()
    assert [line.split(":")[0] for line in said.err.splitlines() if "picture.png" in line] == ["picture.png"]
    assert "no report" not in said.err
    files = sorted((out / "dicom").iterdir())
    found = by_kind(files)
    assert {kind: len(each) for kind, each in found.items()} == {"SR": 1, "SC": 3, "PM": 3}
    assert [dciodvfy(file) for file in files] == [[]] * 7
    before = {file.name: file.read_bytes() for file in files}
    assert main(command) == 3
    assert {file.name: file.read_bytes() for file in (out / "dicom").iterdir()} == before
    assert main([*command, "--series-rule", "max"]) == 3
    assert len(list((out / "dicom").iterdir())) == 14


def test_what_was_predicted_is_sent(tiny, sources, tmp_path, capsys):
    pytest.importorskip("pynetdicom")
    from monai_brain.dicom_out.listen import Receiver

    sources.mr(0)
    with Receiver("HERE@127.0.0.1:0", tmp_path / "in", ["MONAI_BRAIN"]) as receiver:
        send = ["--send", f"dicom://HERE@127.0.0.1:{receiver.port}", "--queue", str(tmp_path / "queue")]
        out = ["-o", str(tmp_path / "out")]
        assert main(["predict", str(tiny), str(sources.folder), *out, *send]) == 0
        assert "1 delivered" in capsys.readouterr().out
    (file,) = (tmp_path / "in").glob("*.dcm")
    (written,) = (tmp_path / "out" / "dicom").iterdir()
    assert pydicom.dcmread(file) == pydicom.dcmread(written)


@pytest.mark.parametrize(
    ("options", "why"),
    [
        (["--send", "http://pacs.example/dicom-web"], "unencrypted"),
        (["--deidentified"], "Add --dicom"),
        (["--dicom", "--series-number", "0"], "series_number"),
    ],
)
def test_what_could_not_be_sent_is_refused_before_anything_is_read(
    options, why, tiny, sources, tmp_path, capsys
):
    sources.mr(0)
    assert main(["predict", str(tiny), str(sources.folder), "-o", str(tmp_path / "out"), *options]) == 2
    assert why in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
