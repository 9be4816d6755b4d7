"""What a model says of itself: each check refuses a model broken in its one way, and says what to change."""

import re

import pytest

from monai_brain.testing.checks import CHECKS, run
from monai_brain.testing.outcome import NotApplicable
from tests.testing.conftest import refused, registered


def test_import_is_light(model, isolated_registry):
    registered(model, isolated_registry, extra="import numpy")
    assert re.search(
        "Importing plugin tiny_plugin imports numpy.*network_def", refused(model, "import_is_light")
    )


def test_import_is_light_applies_to_plugins_alone(model):
    with pytest.raises(NotApplicable, match="no plugin registers it"):
        run(CHECKS["import_is_light"], model.bundle)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        (
            {"copyright": None, "monai_brain#cam_layer": None},
            "lacks copyright, monai_brain#cam_layer. Add them",
        ),
        ({"version": "0.2.0"}, "Version 0.2.0 is not in the changelog"),
        ({"network_data_format#outputs#pred": None}, "lacks 'pred'.*outputs#pred"),
        ({"network_data_format#outputs#pred#dtype": None}, "lacks outputs#pred#dtype"),
        ({"network_data_format#outputs#pred#format": "labels"}, 'A classifier\'s are "probabilities"'),
        ({"network_data_format#outputs#pred#num_channels": 3}, "num_channels is 3, its channel_def names 4"),
        (
            {"network_data_format#outputs#pred#channel_def#3": "glioma"},
            "channel_def must name each class once",
        ),
        (
            {"network_data_format#outputs#pred#channel_def#3": None},
            "num_channels is 4, its channel_def names 3",
        ),
        ({"network_data_format#inputs#image#num_channels": 3}, "num_channels is 3, its channel_def names 1"),
        ({"network_data_format#inputs#image#spatial_shape": [32, 32, 32]}, "no 2D input"),
        ({"monai_brain#paper#url": None}, "one of arxiv, doi, journal, url"),
        ({"monai_brain#paper": "a paper"}, "monai_brain#paper needs title"),
        ({"monai_brain#parameters": "many"}, "Write the number of the network's parameters"),
        ({"monai_brain#summary": "very " * 50}, "at most 100 letters"),
        ({"monai_brain#disclaimer": "Enjoy."}, "Research use only"),
    ],
)
def test_metadata_complete(model, changes, sentence):
    assert re.search(sentence, refused(model.edit("metadata", changes), "metadata_complete"))


@pytest.mark.parametrize(
    ("name", "changes", "sentence"),
    [
        (
            "metadata",
            {"monai_brain#parameters": 7},
            r"has (\d+) parameters, monai_brain#parameters says 7. Write \1",
        ),
        ("inference", {"network_def#num_classes": 5}, r"gives \(1, 5\); the metadata name 4 classes"),
        (
            "metadata",
            {"network_data_format#inputs#image#num_channels": 3},
            "does not take images 1 x 3 x 32 x 32",
        ),
        ("metadata", {"network_data_format#inputs#image#spatial_shape": [32, 48]}, "Make them square"),
        ("inference", {"network_def#depth": 3}, "cannot be built.*depth.*Mend network_def"),
    ],
)
def test_metadata_true_to_network(model, name, changes, sentence):
    assert re.search(sentence, refused(model.edit(name, changes), "metadata_true_to_network"))


def test_zoo_rules(model):
    (model.root / "LICENSE").unlink()
    (model.root / "docs" / "README.md").unlink()
    assert "lacks LICENSE, docs/README.md. Add them" in refused(model, "zoo_rules")


def test_zoo_rules_refuse_an_empty_file(model):
    (model.root / "docs" / "data_license.txt").write_text("\n", encoding="utf-8")
    assert "docs/data_license.txt of the bundle is empty" in refused(model, "zoo_rules")


def test_zoo_rules_refuse_a_large_file_but_the_weights(model):
    for name in ("models/model.pt", "models/other.pt"):
        with (model.root / name).open("ab") as stream:
            stream.truncate(26 * 2**20)
    assert refused(model, "zoo_rules").startswith("models/other.pt: larger than 25 MB")
    (model.root / "large_files.yml").write_text("large_files:\n- path: models/other.pt\n", encoding="utf-8")
    run(CHECKS["zoo_rules"], model.bundle)
