"""The class that a label means, in each of the ways in which it arrives."""

from __future__ import annotations

import pytest

from monai_brain.errors import DataError, UnknownNameError
from monai_brain.integrations.label.class_labels import class_label

KNOWN = ("glioma", "no_tumor")
CVAT = """<?xml version="1.0" encoding="utf-8"?>
<annotations><version>1.1</version>
<image id="0" name="a.png" width="4" height="4"><tag label="glioma" source="manual"/></image>
<image id="1" name="b.png" width="4" height="4"><tag label="no_tumor" source="manual"/></image>
</annotations>"""


@pytest.mark.parametrize("written", ["glioma", "Glioma", " glioma "])
def test_by_params(written):
    assert class_label({"label": written}, None, KNOWN) == "glioma"


def test_a_class_that_no_model_has_is_refused():
    with pytest.raises(UnknownNameError, match="Did you mean 'glioma'"):
        class_label({"label": "gliom"}, None, KNOWN)


@pytest.mark.parametrize("name", ["no_tumor", "No tumor", "no-tumor"])
def test_by_the_name_of_the_single_segment(name):
    assert class_label({"label_info": [{"name": name, "idx": 1}]}, None, KNOWN) == "no_tumor"


@pytest.mark.parametrize("segments", [["liver"], ["glioma", "edema"], []])
def test_other_segments_are_an_ordinary_mask(segments):
    assert class_label({"label_info": [{"name": name} for name in segments]}, None, KNOWN) is None


def test_two_classes_as_segments_are_refused():
    info = [{"name": "glioma"}, {"name": "no_tumor"}]
    with pytest.raises(DataError, match="2 classes: glioma, no_tumor"):
        class_label({"label_info": info}, None, KNOWN)


@pytest.mark.parametrize(("image", "name"), [("a", "glioma"), ("b.png", "no_tumor"), ("deep/b", "no_tumor")])
def test_by_the_tag_of_the_image_in_cvat_s_file(tmp_path, image, name):
    file = tmp_path / "annotations.xml"
    file.write_text(CVAT, encoding="utf-8")
    assert class_label({}, file, KNOWN, image) == name
    assert class_label({}, file, KNOWN, "c") is None


def test_folders_tell_images_of_one_name_apart(tmp_path):
    file = tmp_path / "annotations.xml"
    file.write_text(CVAT.replace("a.png", "one/c.png").replace("b.png", "two/c.png"), encoding="utf-8")
    assert class_label({}, file, KNOWN, "two/c") == "no_tumor"
    with pytest.raises(DataError, match="2 classes"):
        class_label({}, file, KNOWN, "c")


@pytest.mark.parametrize(
    "text", ["<annotations>", '<!DOCTYPE a [<!ENTITY b "c">]><annotations>&b;</annotations>']
)
def test_a_damaged_file_is_refused(tmp_path, text):
    file = tmp_path / "annotations.xml"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(DataError):
        class_label({}, file, KNOWN)
