"""The codes of a bundle, and what is wrong with them."""

from __future__ import annotations

import copy

import pytest

from monai_brain import registry
from monai_brain.dicom_out import codes
from monai_brain.errors import ConfigurationError
from monai_brain.files import read_json, write_json
from monai_brain.testing.tiny import tiny_bundle


@pytest.mark.parametrize("name", sorted(registry.registry().bundles))
def test_every_registered_model_has_codes(name):
    bundle = registry.bundle(name)
    found = codes.read(bundle)
    assert tuple(found.classes) == bundle.labels
    assert len(set(found.classes.values())) == len(bundle.labels)


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda found: found.pop("site"), "site .* is missing"),
        (lambda found: found["classes"].pop("glioma"), "no code for glioma"),
        (lambda found: found["classes"]["glioma"].update(meaning="x" * 65), "1 to 64"),
        (lambda found: found["classes"]["glioma"].update(value=""), "1 to 16"),
        (lambda found: found["classes"]["glioma"].update(scheme=7), "1 to 16"),
        (lambda found: found.update(scope="patient"), "series, exam"),
        (lambda found: found.update(scope="exam"), "finding .* is missing"),
        (lambda found: found.pop("schemes"), "99MONAI_BRAIN"),
    ],
)
def test_what_is_wrong_is_named(tmp_path, change, why):
    bundle = tiny_bundle(tmp_path / "tiny")
    file = bundle.root / "configs" / "metadata.json"
    metadata = read_json(file)
    before = copy.deepcopy(metadata)
    change(metadata["monai_brain"]["codes"])
    assert metadata != before
    write_json(file, metadata)
    with pytest.raises(ConfigurationError, match=why):
        codes.read(type(bundle).at(bundle.root))
