"""What of the labels can be trained on, and whose it is."""

from __future__ import annotations

from pathlib import Path

import pytest

from monai_brain.data import phantoms
from monai_brain.data.datalist import read
from monai_brain.errors import UnknownNameError
from monai_brain.integrations.label import app_folder, training
from monai_brain.integrations.label.answering import series_files
from monai_brain.testing.tiny import tiny_bundle

from .conftest import forms

GLIOMA = {"label": "glioma"}


@pytest.fixture(scope="module")
def images(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("images")
    forms(folder / "forms")
    return folder / "forms"


def test_an_image_of_its_own_is_trained_on_and_a_volume_by_its_slice_alone(images):
    labels = [
        (images / "grey.png", GLIOMA),
        (images / "volume.nii.gz", GLIOMA),
        (images / "volume.nii.gz", GLIOMA | {"slice": 5}),
        (images / "series", GLIOMA),
        (images / "series", GLIOMA | {"slice": 0}),
        (images / "series", GLIOMA | {"slice": 24}),
    ]
    found, left_out = training.labelled_items(labels, None)
    assert left_out == 3
    assert [Path(item["image"]).name for item in found] == ["grey.png", "volume.nii.gz", "99.dcm"]
    assert [item.get("frame") for item in found] == [None, 5, None]


def test_a_series_is_in_the_order_of_space(images):
    assert [path.name for path in series_files(images / "series")] == [f"{99 - n}.dcm" for n in range(24)]


def test_the_patient_is_the_label_s_the_list_s_the_header_s_or_the_image(images, tmp_path):
    phantoms.write("brain", tmp_path, 4, seed=1, size=32)
    listed = read(tmp_path / "datalist.json")["training"][0]
    labels = [
        (images / "grey.png", GLIOMA | {"patient_id": "p7"}),
        (Path(listed["image"]), GLIOMA),
        (images / "mr.dcm", GLIOMA),
        (images / "mg.dcm", GLIOMA),
        (images / "grey.png", GLIOMA),
        (images / "colour.png", GLIOMA),
    ]
    found, _ = training.labelled_items(labels, tmp_path)
    stated, of_list, header, same_header, *own = [item["patient_id"] for item in found]
    assert (stated, of_list) == ("p7", listed["patient_id"])
    assert header == same_header
    assert "SECRET42" not in header
    assert len({*own, header}) == 3


def test_a_setting_that_a_round_does_not_take_is_refused(tmp_path):
    source = tiny_bundle(tmp_path / "tiny_classification", weights=True)
    served = app_folder.write(tmp_path / "app", [str(source.root)])["tiny"]
    with pytest.raises(UnknownNameError, match="Did you mean 'max_epochs'"):
        training.run_round(served, [], {"max_epoch": 3})
