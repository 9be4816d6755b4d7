"""DICOM folders and DICOMDIRs: hashed identities, codes that are kept, labels by folder or table."""

from __future__ import annotations

import json
import stat
import warnings
from pathlib import Path

import numpy as np
import pytest

from monai_brain.data import dicom_sets, pseudonyms
from monai_brain.data.index import index
from monai_brain.errors import ConfigurationError, DataError, OutputError

pydicom = pytest.importorskip("pydicom")

from pydicom.dataset import Dataset, FileMetaDataset  # noqa: E402
from pydicom.sequence import Sequence  # noqa: E402
from pydicom.uid import ExplicitVRLittleEndian, generate_uid  # noqa: E402

MR, ENHANCED, MG = (f"1.2.840.10008.5.1.4.1.1.{end}" for end in ("4", "4.1", "1.2.1"))
SECRETS = ("Doe", "SECRET42", "19700101", "1.2.826.0.1.3680043.8.498")


@pytest.fixture(autouse=True)
def own_home(tmp_path, monkeypatch):
    monkeypatch.setenv("MONAI_BRAIN_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


def put(path, seed, sop_class=MR, patient="SECRET42", study=None, **changes):
    path.parent.mkdir(parents=True, exist_ok=True)
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.MediaStorageSOPClassUID = dataset.SOPClassUID = sop_class
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID = generate_uid()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.PatientName, dataset.PatientID, dataset.PatientBirthDate = "Doe^Jane", patient, "19700101"
    dataset.StudyInstanceUID, dataset.SeriesInstanceUID = study or generate_uid(), generate_uid()
    dataset.Modality = "MG" if sop_class == MG else "MR"
    pixels = np.random.default_rng(seed).integers(0, 4000, (40, 40)).astype(np.uint16)
    dataset.PhotometricInterpretation, dataset.SamplesPerPixel = "MONOCHROME2", 1
    dataset.Rows, dataset.Columns = pixels.shape
    dataset.BitsAllocated = dataset.BitsStored = 16
    dataset.HighBit, dataset.PixelRepresentation = 15, 0
    dataset.PixelData = pixels.tobytes()
    dataset["PixelData"].VR = "OW"
    for keyword, value in changes.items():
        setattr(dataset, keyword, value)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if int(pydicom.__version__.split(".")[0]) < 3:
            dataset.is_little_endian, dataset.is_implicit_VR = True, False
            pydicom.dcmwrite(str(path), dataset, write_like_original=False)
        else:
            pydicom.dcmwrite(str(path), dataset, enforce_file_format=True)
    return dataset


def indexed(path, **options):
    root = path if path.is_dir() else path.parent
    return index(dicom_sets.read(path, **options), root).datalist


def test_identities_are_hashed_and_codes_are_kept(tmp_path):
    root, study = tmp_path / "in", generate_uid()
    put(root / "glioma" / "p1" / "1.dcm", 1, study=study)
    put(root / "glioma" / "p1" / "IM2", 2, study=study)
    put(root / "notumor" / "3", 3, patient="OTHER")
    shared = Dataset()
    shared.FrameAnatomySequence = Sequence([Dataset()])
    shared.FrameAnatomySequence[0].FrameLaterality = "L"
    put(
        root / "notumor" / "4.dcm", 4, ENHANCED, patient="", SharedFunctionalGroupsSequence=Sequence([shared])
    )
    put(root / "notumor" / "5.dcm", 5, MG, patient="THIRD", ImageLaterality="R", ViewPosition="MLO")
    content = indexed(root)
    assert not [secret for secret in SECRETS if secret in json.dumps(content)]
    items = {Path(item["image"]).name: item for item in content["training"]}
    assert content["labels"] == ["glioma", "no_tumor"]
    first, second, third, fourth, fifth = (items[name] for name in ("1.dcm", "IM2", "3", "4.dcm", "5.dcm"))
    assert first["patient_id"] == second["patient_id"] != third["patient_id"]
    assert len(first["patient_id"]) == 16
    assert (first["study"] == second["study"], first["series"] == second["series"]) == (True, False)
    assert first["group"] == second["group"] == f"study {first['study']}"
    assert fourth["patient_id"] is None
    assert (fourth["laterality"], fourth["modality"]) == ("L", "MR")
    assert [fifth[key] for key in ("laterality", "view_position", "modality")] == ["R", "MLO", "MG"]


def test_studies_of_one_patient_are_one_group(tmp_path):
    put(tmp_path / "in" / "a" / "1.dcm", 1)
    put(tmp_path / "in" / "a" / "2.dcm", 2)
    assert indexed(tmp_path / "in")["summary"]["groups"] == 1


def test_another_installation_gives_other_names(tmp_path, monkeypatch):
    put(tmp_path / "in" / "a" / "1.dcm", 1)
    before = indexed(tmp_path / "in")["training"][0]
    assert indexed(tmp_path / "in")["training"][0] == before
    monkeypatch.setenv("MONAI_BRAIN_HOME", str(tmp_path / "elsewhere"))
    after = indexed(tmp_path / "in")["training"][0]
    for key in ("patient_id", "study", "series", "instance"):
        assert after[key] != before[key]
    first, second = (dicom_sets.read(tmp_path / "in")["describe"][0] for _ in range(2))
    assert first == second


def test_the_key_is_only_for_its_owner(own_home):
    assert len(pseudonyms.own_key()) == 32
    assert stat.S_IMODE((own_home / "pseudonyms.key").stat().st_mode) == 0o600
    (own_home / "pseudonyms.key").write_bytes(b"short")
    with pytest.raises(ConfigurationError, match="holds 5 bytes"):
        pseudonyms.own_key()


def test_a_home_that_is_a_file(own_home):
    own_home.touch()
    with pytest.raises(OutputError, match="MONAI_BRAIN_HOME"):
        pseudonyms.own_key()


def test_one_value_has_another_name_in_each_role():
    key = bytes(32)
    assert pseudonyms.pseudonym("patient", "7", key) != pseudonyms.pseudonym("study", "7", key)


def test_labels_by_a_table_of_folders_and_files(tmp_path):
    root = tmp_path / "in"
    for seed, name in enumerate(("p1/1.dcm", "p1/2.dcm", "p2/3.dcm", "4.dcm")):
        put(root / name, seed)
    table = tmp_path / "labels.csv"
    table.write_text("folder,label\np1,glioma\np1/2.dcm,no\n4.dcm,meningioma\n", encoding="utf-8")
    content = indexed(root, labels=table)
    named = {Path(item["image"]).name: item["class_name"] for item in content["training"]}
    assert named == {"1.dcm": "glioma", "2.dcm": "no_tumor", "4.dcm": "meningioma"}
    assert [entry["image"] for entry in content["rejected"]] == ["p2/3.dcm"]
    assert content["rejected"][0]["reason"].startswith("no label")


def test_bad_files_are_named_and_the_rest_stays(tmp_path):
    root = tmp_path / "in" / "a"
    put(root / "good.dcm", 1)
    put(root / "loose.dcm", 2, NumberOfFrames=3)
    (root / "cut.dcm").write_bytes((root / "good.dcm").read_bytes()[:400])
    (root / "empty.dcm").touch()
    (root / "notes.txt").write_text("Jane Doe", encoding="utf-8")
    content = indexed(tmp_path / "in")
    assert len(content["training"]) == 1
    reasons = {entry["image"]: entry["reason"] for entry in content["rejected"]}
    claimed = {f"a/loose.dcm frame {number}" for number in range(3)}  # there is but one in the file
    assert reasons.keys() == {*claimed, "a/cut.dcm", "a/empty.dcm"}
    assert {reasons[name].split(":")[0] for name in claimed} == {"damaged"}
    assert list(content["left_out"]) == ["a/notes.txt"]


def test_an_instance_that_stands_twice_counts_once(tmp_path):
    """Exports often hold one instance in two folders, here with two labels."""
    for folder, seed in (("glioma", 1), ("notumor", 1)):
        put(tmp_path / "in" / folder / "1.dcm", seed, SOPInstanceUID="1.2.3.4")
    put(tmp_path / "in" / "notumor" / "2.dcm", 2)
    content = indexed(tmp_path / "in")
    assert [Path(item["image"]).parent.name for item in content["training"]] == ["glioma", "notumor"]
    reason = "twice: its instance is that of glioma/1.dcm"
    assert content["rejected"] == [{"image": "notumor/1.dcm", "reason": reason}]


def directory(path, *entries):
    """A DICOMDIR whose records name these files."""
    records = []
    for entry in entries:
        record = Dataset()
        record.DirectoryRecordType, record.ReferencedFileID = "IMAGE", list(entry)
        records.append(record)
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.MediaStorageSOPClassUID = "1.2.840.10008.1.3.10"
    dataset.file_meta.MediaStorageSOPInstanceUID = generate_uid()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.DirectoryRecordSequence = Sequence(records)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if int(pydicom.__version__.split(".")[0]) < 3:
            dataset.is_little_endian, dataset.is_implicit_VR = True, False
            pydicom.dcmwrite(str(path), dataset, write_like_original=False)
        else:
            pydicom.dcmwrite(str(path), dataset, enforce_file_format=True)
    return path


def test_a_dicomdir_names_files_and_never_leads_out(tmp_path):
    put(tmp_path / "outside.dcm", 1)
    put(tmp_path / "in" / "A" / "IM1", 2)
    put(tmp_path / "in" / "A" / "IM9", 3)
    path = directory(
        tmp_path / "in" / "DICOMDIR", ("A", "IM1"), ("A", "IM2"), ("..", "outside.dcm"), ("/etc", "hosts")
    )
    content = indexed(path)
    assert [item["image"] for item in content["training"]] == [str(tmp_path / "in" / "A" / "IM1")]
    reasons = {entry["image"]: entry["reason"].split(":")[0] for entry in content["rejected"]}
    assert reasons == {"A/IM2": "missing", "../outside.dcm": "unsafe", "/etc/hosts": "unsafe"}


def test_a_dicomdir_that_is_none(tmp_path):
    (tmp_path / "DICOMDIR").write_bytes(b"hello")
    with pytest.raises(DataError, match="Name its folder"):
        dicom_sets.read(tmp_path / "DICOMDIR")
    with pytest.raises(DataError, match="no DICOM file"):
        dicom_sets.read(tmp_path)
