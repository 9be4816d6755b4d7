"""Who an object is: the same again to the last byte, another for any change; names in any character set."""

from __future__ import annotations

import logging
import warnings
from itertools import combinations

import pydicom
import pytest
from pydicom.charset import convert_encodings
from pydicom.valuerep import PersonName

import monai_brain
from monai_brain.dicom_out import author, identity
from monai_brain.dicom_out.settings import Settings
from monai_brain.dicom_out.write import write_reports


def contents(files):
    return {file.name: file.read_bytes() for file in files}


def test_the_same_again_is_the_same_to_the_last_byte(mr_series, brain, make, tmp_path):
    rows, paths = mr_series
    maps = {"c": make.heat("c", "glioma")}
    first = contents(write_reports(rows, paths, brain, tmp_path / "1", Settings(), maps).files)
    again = contents(
        write_reports(
            rows[::-1], dict(reversed(paths.items())), brain, tmp_path / "2", Settings(), maps
        ).files
    )
    assert len(first) == 3
    assert first == again


def test_whatever_changes_content_changes_the_uid(mr_series, brain, make, sources, tmp_path, monkeypatch):
    rows, paths = mr_series
    plain = {"rows": rows, "sources": paths, "settings": Settings()}
    variants = {
        "plain": {},
        "rule": {"settings": Settings(rule="max")},
        "top": {"settings": Settings(top=1)},
        "number": {"settings": Settings(series_number=77)},
        "deidentified": {"settings": Settings(deidentified=True)},
        "weights": {"rows": [type(row)(**{**vars(row), "weights_sha256": "cd" * 32}) for row in rows]},
        "value": {"rows": [make.row("a", {**rows[0].probs, "glioma": 0.71}), *rows[1:]]},
        "fewer": {"rows": rows[:2]},
        "name": {"sources": {**paths, "a": sources.mr(0, PatientName="Doe^Janet")}},
    }
    uids = {}
    for name, change in variants.items():
        call = plain | change
        (file,) = write_reports(call["rows"], call["sources"], brain, tmp_path / name, call["settings"]).files
        uids[name] = pydicom.dcmread(file).SOPInstanceUID
    for module in (identity, author):
        monkeypatch.setattr(module, "__version__", f"{monai_brain.__version__}.1")
    (file,) = write_reports(rows, paths, brain, tmp_path / "version").files
    uids["version"] = pydicom.dcmread(file).SOPInstanceUID
    assert len(uids) == 10
    assert [pair for pair in combinations(uids, 2) if uids[pair[0]] == uids[pair[1]]] == []
    assert all(len(uid) <= 64 and uid.startswith("2.25.") and uid.is_valid for uid in uids.values())


def test_parts_cannot_run_into_one_another():
    assert identity.uid("ab", "c") != identity.uid("a", "bc")
    assert identity.uid("a", "b") == identity.uid("a", "b")


# The bytes of PS3.5 annexes H to K, and what they say.
NAMES = {
    "latin": ("ISO_IR 100", b"Buc^J\xe9r\xf4me", "Buc^Jérôme"),
    "cyrillic": ("ISO_IR 144", b"\xbb\xee\xdace\xdc\xd1yp\xd3", "Люкceмбypг"),  # noqa: RUF001
    "japanese": (
        ["", "ISO 2022 IR 87"],
        b"Yamada^Tarou=\x1b$B;3ED\x1b(B^\x1b$BB@O:\x1b(B=\x1b$B$d$^$@\x1b(B^\x1b$B$?$m$&\x1b(B",
        "Yamada^Tarou=山田^太郎=やまだ^たろう",
    ),
    "korean": (
        ["", "ISO 2022 IR 149"],
        b"Hong^Gildong=\x1b$)C\xfb\xf3^\x1b$)C\xd1\xce\xd4\xd7=\x1b$)C\xc8\xab^\x1b$)C\xb1\xe6\xb5\xbf",
        "Hong^Gildong=洪^吉洞=홍^길동",
    ),
    "chinese": ("GB18030", b"Wang^XiaoDong=\xcd\xf5^\xd0\xa1\xb6\xab", "Wang^XiaoDong=王^小东"),
    "utf-8": (
        "ISO_IR 192",
        b"Wang^XiaoDong=\xe7\x8e\x8b^\xe5\xb0\x8f\xe6\x9d\xb1",
        "Wang^XiaoDong=王^小東",
    ),
}


@pytest.mark.parametrize("name", NAMES)
def test_a_name_keeps_its_bytes_and_its_meaning(name, sources, mr_series, brain, make, tmp_path, dciodvfy):
    declared, data, meaning = NAMES[name]
    encodings = convert_encodings(declared)
    path = sources.mr(0, SpecificCharacterSet=declared, PatientName=PersonName(data, encodings))
    assert data in path.read_bytes()
    maps = {"a": make.heat("a", "glioma")}
    written = write_reports(mr_series[0][:1], {"a": path}, brain, tmp_path / "out", Settings(), maps)
    assert len(written.files) == 3
    for file in written.files:
        assert data in file.read_bytes()
        assert str(pydicom.dcmread(file).PatientName) == meaning
        assert dciodvfy(file) == []


def test_an_unknown_set_is_a_warning(sources, mr_series, brain, tmp_path, caplog, dciodvfy):
    dataset = pydicom.dcmread(sources.mr(0))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        dataset.PatientName = PersonName(b"M\xfcller^J\xf6rg", ["latin_1"])
        dataset.SpecificCharacterSet = "ISO_IR 100"
        path = sources.save(dataset)
    path.write_bytes(path.read_bytes().replace(b"ISO_IR 100", b"ISO_IR 999"))
    with caplog.at_level(logging.WARNING), warnings.catch_warnings():
        warnings.simplefilter("error")
        written = write_reports(mr_series[0][:1], {"a": path}, brain, tmp_path / "out")
    assert written.failures == []
    (file,) = written.files
    assert b"M\xfcller^J\xf6rg" in file.read_bytes()
    assert dciodvfy(file) == []
    assert [record.getMessage() for record in caplog.records] == [
        "a: its character set is unknown; its bytes are kept, as ISO_IR 100"
    ]


def test_damaged_headers_leave_no_name_in_messages(sources, mr_series, brain, tmp_path, caplog, capfd):
    path = sources.mr(0, PatientName="Geheim^Anna", StudyDescription="Geheim " * 12, PatientSex="GEHEIM")
    with caplog.at_level(logging.DEBUG):
        written = write_reports(mr_series[0][:1], {"a": path}, brain, tmp_path / "out")
    assert len(written.files) == 1
    told = capfd.readouterr()
    assert "geheim" not in (caplog.text + told.out + told.err + str(written.failures)).lower()


def test_a_copy_for_research_names_nobody_and_claims_no_more(mr_series, brain, make, tmp_path):
    rows, paths = mr_series
    maps = {"c": make.heat("c", "glioma")}
    written = write_reports(rows, paths, brain, tmp_path / "out", Settings(deidentified=True), maps)
    assert len(written.files) == 3
    source = pydicom.dcmread(paths["a"])
    hidden = [b"Doe", b"SECRET42", b"19700101", b"20240229", b"A-17", b"Roe", b"HEAD"]
    hidden += [
        str(source[keyword].value).encode()
        for keyword in ("SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID")
    ]
    studies = set()
    for file in written.files:
        data, dataset = file.read_bytes(), pydicom.dcmread(file)
        assert not [text for text in hidden if text in data]
        assert dataset.PatientIdentityRemoved == "NO"
        assert "pixels not inspected" in str(dataset.DeidentificationMethod)
        studies.add((dataset.PatientID, dataset.StudyInstanceUID))
    assert len(studies) == 1


@pytest.mark.parametrize(("burned_in", "kept"), [("NO", True), ("YES", False), (None, False)])
def test_a_copy_for_research_shows_no_pixels_that_may_hold_a_name(
    burned_in, kept, sources, mr_series, brain, make, tmp_path, by_kind
):
    from monai_brain.inference import overlays

    path = sources.mr(0) if burned_in is None else sources.mr(0, BurnedInAnnotation=burned_in)
    map_ = make.heat("a", "glioma")
    written = write_reports(
        mr_series[0][:1], {"a": path}, brain, tmp_path, Settings(deidentified=True), {"a": map_}
    )
    pixels = by_kind(written.files)["SC"][0].pixel_array
    assert bool((pixels == overlays.picture(map_, brain.disclaimer)).all()) is kept
