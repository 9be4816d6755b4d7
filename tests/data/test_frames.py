"""One frame of a file as an image: indexed, named by items, loaded, trained on and judged."""

from __future__ import annotations

import csv
import json
import pickle
import shutil
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
from monai.data import load_decathlon_datalist
from monai.transforms import LoadImaged

from monai_brain.data import datalist, datasets, joining, nuisance
from monai_brain.data.formats import chosen
from monai_brain.data.loading import LoadSliced
from monai_brain.data.reader import SliceReader, read_slice
from monai_brain.data.slices import UnreadableImageError
from monai_brain.errors import DataError
from monai_brain.testing.tiny import tiny_bundle
from monai_brain.training.experiments import partitions, shortcuts, transfer
from monai_brain.training.workflow import train

pydicom = pytest.importorskip("pydicom")
itk = pytest.importorskip("itk")

from pydicom.dataset import Dataset, FileMetaDataset  # noqa: E402
from pydicom.sequence import Sequence  # noqa: E402
from pydicom.uid import ExplicitVRLittleEndian, generate_uid  # noqa: E402

ENHANCED = "1.2.840.10008.5.1.4.1.1.4.1"


@pytest.fixture(autouse=True)
def own_home(tmp_path, monkeypatch):
    monkeypatch.setenv("MONAI_BRAIN_HOME", str(tmp_path / "home"))


def pictures(seed, frames):
    return np.random.default_rng(seed).integers(0, 4000, (frames, 36, 40)).astype(np.uint16)


def enhanced(path, pixels, patient="one") -> None:
    """An enhanced MR object whose frames have slopes of their own: 1, 2, 3, ..."""
    path.parent.mkdir(parents=True, exist_ok=True)
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.MediaStorageSOPClassUID = dataset.SOPClassUID = ENHANCED
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID = generate_uid()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.PatientName, dataset.PatientID, dataset.Modality = "Doe^Jane", patient, "MR"
    dataset.StudyInstanceUID, dataset.SeriesInstanceUID = generate_uid(), generate_uid()
    dataset.PhotometricInterpretation, dataset.SamplesPerPixel = "MONOCHROME2", 1
    dataset.NumberOfFrames, dataset.Rows, dataset.Columns = pixels.shape
    dataset.BitsAllocated = dataset.BitsStored = 16
    dataset.HighBit, dataset.PixelRepresentation = 15, 0
    groups = []
    for number in range(len(pixels)):
        values, group = Dataset(), Dataset()
        values.RescaleSlope, values.RescaleIntercept = str(number + 1), "0"
        group.PixelValueTransformationSequence = Sequence([values])
        groups.append(group)
    dataset.PerFrameFunctionalGroupsSequence = Sequence(groups)
    dataset.PixelData = pixels.tobytes()
    dataset["PixelData"].VR = "OW"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if int(pydicom.__version__.split(".")[0]) < 3:
            dataset.is_little_endian, dataset.is_implicit_VR = True, False
            pydicom.dcmwrite(str(path), dataset, write_like_original=False)
        else:
            pydicom.dcmwrite(str(path), dataset, enforce_file_format=True)


OPENED: list[str] | None = None


def _audit(event, arguments):
    if OPENED is not None and event == "open":
        OPENED.append(str(arguments[0]))


sys.addaudithook(_audit)


def test_each_frame_of_an_enhanced_object_is_an_image_and_a_second_run_opens_none(tmp_path):
    global OPENED
    first = pictures(1, 4)
    first[2] = 7
    enhanced(tmp_path / "in" / "glioma" / "a.dcm", first)
    enhanced(tmp_path / "in" / "notumor" / "b.dcm", pictures(2, 3), "two")
    enhanced(tmp_path / "in" / "notumor" / "single.dcm", pictures(3, 1), "three")
    done = datasets.index_dataset("dicom", tmp_path / "in", cache=tmp_path / "c.sqlite")
    found = [
        (Path(item["image"]).name, item.get("frame"), item["class_name"])
        for item in done.datalist["training"]
    ]
    assert found == [
        *(("a.dcm", number, "glioma") for number in (0, 1, 3)),
        *(("b.dcm", number, "no_tumor") for number in (0, 1, 2)),
        ("single.dcm", None, "no_tumor"),
    ]
    (bad,) = done.datalist["rejected"]
    assert bad == {"image": "glioma/a.dcm frame 2", "reason": "no contrast: every pixel is 21.0"}
    groups = {Path(item["image"]).name: item["group"] for item in done.datalist["training"]}
    assert len(set(groups.values())) == 3
    assert done.datalist["summary"]["groups"] == 3
    OPENED = []
    again = datasets.index_dataset("dicom", tmp_path / "in", cache=tmp_path / "c.sqlite")
    names, OPENED = OPENED, None
    assert {Path(name).name for name in names if name.endswith(".dcm")} == {"a.dcm"}  # the rejected frame
    assert again.opened == 1
    assert again.datalist == done.datalist


def test_a_table_labels_single_frames(tmp_path):
    enhanced(tmp_path / "in" / "a.dcm", pictures(1, 4))
    table = tmp_path / "labels.csv"
    table.write_text("file,frame,label\na.dcm,1,glioma\na.dcm,3,no\n", encoding="utf-8")
    content = datasets.read_dataset("dicom", tmp_path / "in", labels=table)
    assert [(item["frame"], item["class_name"]) for item in content["training"]] == [
        (1, "glioma"),
        (3, "no_tumor"),
    ]
    table.write_text("file,frame,label\na.dcm,first,glioma\n", encoding="utf-8")
    with pytest.raises(DataError, match="line 2: frame is 'first'"):
        datasets.read_dataset("dicom", tmp_path / "in", labels=table)


def volume(path, seed=0, slices=5):
    array = np.random.default_rng(seed).integers(0, 900, (slices, 36, 40)).astype(np.int16)
    itk.imwrite(itk.image_from_array(array), str(path))
    return array


def test_a_manifest_names_slices_of_volumes(tmp_path):
    array = volume(tmp_path / "v.nii.gz")
    rows = ["v.nii.gz,0,glioma", "v.nii.gz,4,no", "v.nii.gz,5,no", "v.nii.gz,x,no", "v.nii.gz,0,no"]
    table = tmp_path / "t.csv"
    table.write_text("\n".join(["file,frame,label", *rows[:3], rows[4]]), encoding="utf-8")
    content = datasets.read_dataset("manifest", table)
    assert [item["frame"] for item in content["training"]] == [0, 4]
    reasons = {entry["image"]: entry["reason"] for entry in content["rejected"]}
    assert reasons["v.nii.gz frame 5"].startswith("no such frame: frame 6 of 5")
    assert reasons["v.nii.gz frame 0"].startswith("named twice")
    # Nobody says whose volume it is, but its slices are never torn apart.
    assert len({item["group"] for item in content["training"]}) == 1
    assert content["training"][0]["group"] is not None
    loaded = LoadSliced("image", dtype=None)(content["training"][1])["image"]
    np.testing.assert_array_equal(np.asarray(loaded), read_slice(tmp_path / "v.nii.gz", 5)[0])
    assert np.array_equal(np.sort(np.asarray(loaded).ravel()), np.sort(array[4].ravel()))
    table.write_text("\n".join(["file,frame,label", *rows]), encoding="utf-8")
    with pytest.raises(DataError, match="line 5: frame is 'x'"):
        datasets.read_dataset("manifest", table)


@pytest.mark.parametrize("frame", [1, "1", "1.0", None, ""])
def test_the_frame_that_is_chosen(frame):
    if frame == "1.0":
        with pytest.raises(DataError, match=r"frame is '1\.0'"):
            chosen({"frame": frame})
        return
    assert chosen({"frame": frame}) == (2 if frame else None)
    assert chosen({}) is None


@pytest.mark.parametrize("frame", [-1, 1.5, True, "two", []])
def test_a_frame_that_is_none(frame):
    with pytest.raises(DataError, match="frame is"):
        chosen({"frame": frame})


def test_loading_heeds_the_frame_and_is_loadimaged_without_one(tmp_path):
    pixels = pictures(1, 3)
    enhanced(tmp_path / "a.dcm", pixels)
    load = pickle.loads(pickle.dumps(LoadSliced("image", SliceReader(), dtype=None)))
    for number in range(3):
        image = load({"image": str(tmp_path / "a.dcm"), "frame": number})["image"]
        np.testing.assert_array_equal(np.asarray(image), pixels[number] * float(number + 1))
        assert image.meta["frame"] == number + 1
    with pytest.raises(UnreadableImageError, match="several frames"):
        load({"image": str(tmp_path / "a.dcm")})
    with pytest.raises(UnreadableImageError, match="no such frame"):
        load({"image": str(tmp_path / "a.dcm"), "frame": 3})
    volume(tmp_path / "flat.nii", slices=1)
    ours, theirs = (kind("image", SliceReader()) for kind in (LoadSliced, LoadImaged))
    one, other = (each({"image": str(tmp_path / "flat.nii")})["image"] for each in (ours, theirs))
    np.testing.assert_array_equal(np.asarray(one), np.asarray(other))
    assert one.dtype == other.dtype
    assert one.meta.keys() == other.meta.keys()


def test_the_readers_own_options_stay(tmp_path):
    enhanced(tmp_path / "a.dcm", pictures(1, 2))
    load = LoadSliced("image", SliceReader(force=True), frame_key="slice")
    bare = (tmp_path / "a.dcm").read_bytes()[132:]
    (tmp_path / "bare.dcm").write_bytes(bare)
    assert load({"image": str(tmp_path / "bare.dcm"), "slice": 1})["image"].shape == (36, 40)


@pytest.fixture
def framed(tmp_path):
    """Eight patients with an object of three frames each, in folds, and one image without frames."""
    items = []
    for number in range(8):
        enhanced(tmp_path / f"{number}.dcm", pictures(number, 3))
        kind = "glioma" if number % 2 else "no_tumor"
        items += [
            {"image": f"{number}.dcm", "frame": frame, "class_name": kind, "patient_id": f"p{number}",
             "fold": number // 4, "validates": [1 - number // 4] if number % 4 < 2 else []}
            for frame in range(3)
        ]  # fmt: skip
    content = {"schema_version": 1, "labels": ["glioma", "no_tumor"], "training": items}
    return datalist.write(datalist.read({**content, "training": [
        {**item, "image": str(tmp_path / item["image"])} for item in items
    ]}), tmp_path / "list.json")  # fmt: skip


def test_items_name_their_frames_and_monai_reads_the_same_list(framed):
    raw = json.loads(framed.read_text(encoding="utf-8"))["training"]
    assert {(item["image"], item["frame"]) for item in raw} == {
        (f"{number}.dcm", frame) for number in range(8) for frame in range(3)
    }
    theirs = load_decathlon_datalist(str(framed), data_list_key="training")
    assert [(Path(item["image"]).name, item["frame"]) for item in theirs] == [
        (item["image"], item["frame"]) for item in raw
    ]
    assert all(Path(item["image"]).is_file() for item in theirs)
    assert {item["frame"] for item in datalist.part(framed, 0, "train")} == {0, 1, 2}


def test_a_frame_named_twice_and_no_frame_are_refused(framed):
    content = json.loads(framed.read_text(encoding="utf-8"))
    for change, reason in (
        ({"frame": 0}, "named twice"),
        ({"frame": "2"}, "whole number"),
        ({"frame": -1}, "the first frame being 0"),
    ):
        bad = {**content, "training": [dict(item) for item in content["training"]]}
        bad["training"][1] |= change
        with pytest.raises(DataError, match=reason):
            datalist.read(bad)
    content["training"][1]["frame"] = None
    assert "frame" not in datalist.read(content)["training"][1]


def test_frames_beside_whole_images_still_make_one_batch(framed, tmp_path):
    content = datalist.read(framed)
    volume(tmp_path / "flat.nii", slices=1)
    whole = {**content["training"][0], "image": str(tmp_path / "flat.nii")}
    del whole["frame"]
    content["training"].append(whole)
    items = datalist.part(content, 0, "test")
    assert {item["frame"] for item in items} == {"0", "1", "2", ""}
    shapes = {LoadSliced("image")(item)["image"].shape for item in items}
    assert shapes == {(36, 40)}


def test_training_and_judging_by_frames(framed, tmp_path):
    run = train(
        tiny_bundle(tmp_path / "tiny"), framed, 0, run_dir=tmp_path / "run", max_epochs=1, batch_size=4,
        labels=["glioma", "no_tumor"],
    )  # fmt: skip
    with (run / "predictions.csv").open(encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    tested = {row["case"]: row for row in rows if row["split"] == "test"}
    assert tested.keys() == {f"{number}.dcm frame {frame}" for number in range(4) for frame in range(3)}
    assert tested["2.dcm frame 1"]["meta_frame"] == "1"
    assert len({row["logit_glioma"] for row in tested.values()}) > 6  # not one frame read again and again


def test_every_room_that_opens_items_sees_the_frame_and_not_the_file(framed, tmp_path):
    """Frames of one file differ; where a room forgot the number, it could not read the file at all."""
    names = {f"{number}.dcm frame {frame}" for number in range(8) for frame in range(3)}
    rows = shortcuts.predict(framed, 0, ("glioma", "no_tumor"))
    assert len(set(rows.case)) == 12
    assert {Path(case).name for case in rows.case} <= names
    features = nuisance.table(datalist.part(framed, 0, "test"), {"mean": lambda path, image: image.mean()})
    means = [[pictures(number, 3)[frame].mean() * (frame + 1)] for number in range(4) for frame in range(3)]
    np.testing.assert_allclose(features, means)
    assert set(nuisance.control(framed, 0, {"mean": lambda path, image: image.mean()})) >= {"features"}
    both = joining.join([framed, _moved(framed, tmp_path)])
    assert len({item["group"] for item in both["training"]}) == 8  # every frame met its copy
    assert {item["case"] for item in partitions.named(framed)["training"]} == names
    seen = transfer._without_copies(datalist.part(framed, 0, "test"), datalist.part(framed, None, "test"))
    assert len(seen[0]) + len(seen[1]) == 12
    assert len(seen[1]) == 12  # they are the very same pictures


def _moved(listed, tmp_path):
    """The same pictures in a second set, whose patients have other names."""
    content = datalist.read(listed)
    (tmp_path / "second").mkdir()
    items = []
    for item in content["training"]:
        place = tmp_path / "second" / Path(item["image"]).name
        shutil.copy(item["image"], place)
        items.append({**item, "image": str(place), "patient_id": f"other {item['patient_id']}"})
    return datalist.write({**content, "name": "second", "training": items}, tmp_path / "second.json")
