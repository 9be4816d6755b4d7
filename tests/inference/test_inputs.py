"""Files, folders and globs, each image once, in a fixed order."""

from __future__ import annotations

from pathlib import Path

import pytest

from monai_brain.errors import ConfigurationError
from monai_brain.inference.inputs import find


@pytest.fixture
def tree(tmp_path):
    for name in ("b.png", "a.JPG", "sub/c.dcm", "notes.txt", "other/a.JPG", "x.nii.gz"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"")
    return tmp_path


def cases(found):
    return [item["case"] for item in found]


def test_a_folder_gives_images_by_their_path_in_it(tree):
    named = ["a.JPG", "b.png", "x.nii.gz", "other/a.JPG", "sub/c.dcm"]
    assert cases(find(tree, names="plain")) == named
    assert cases(find(tree))[:4] == named[:4]


def test_a_named_file_is_read_whatever_its_name(tree):
    assert find(tree / "notes.txt") == [{"image": str(tree / "notes.txt"), "case": "notes.txt"}]


def test_a_glob(tree):
    assert cases(find(str(tree / "*.[pJ]*"))) == ["a.JPG", "b.png"]


def test_each_image_once(tree):
    assert cases(find([tree / "b.png", tree / "b.png", tree])) == cases(find([tree / "b.png", tree]))


def test_two_files_of_one_name_keep_two_cases(tree):
    found = find([tree / "a.JPG", tree / "other" / "a.JPG"])
    assert len({item["case"] for item in found}) == 2
    assert {Path(item["image"]).parent.name for item in found} == {tree.name, "other"}


def test_missing_inputs(tree):
    with pytest.raises(ConfigurationError, match="1 inputs do not exist"):
        find([tree, tree / "none"])


def test_a_link_that_leads_nowhere_is_an_input_that_fails_later(tree):
    (tree / "loop.png").symlink_to(tree / "loop.png")
    assert cases(find(tree / "loop.png")) == ["loop.png"]
