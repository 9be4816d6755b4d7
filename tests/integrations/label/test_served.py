"""Which version is served: only a better one, and an earlier one again when it is asked for."""

from __future__ import annotations

import pytest

from monai_brain.errors import ConfigurationError, ModelError, UnknownNameError
from monai_brain.files import read_json
from monai_brain.integrations.label import app_folder
from monai_brain.integrations.label.served import Score, Served, better
from monai_brain.testing.tiny import tiny_bundle


def score(accuracy: float, loss: float) -> Score:
    return Score(accuracy, loss, 8, 4)


@pytest.mark.parametrize(
    ("new", "old", "taken"),
    [
        ((0.8, 0.9), (0.7, 0.1), True),
        ((0.7, 0.1), (0.8, 0.9), False),
        ((0.8, 0.4), (0.8, 0.5), True),
        ((0.8, 0.5), (0.8, 0.5), False),
    ],
)
def test_accuracy_decides_then_log_loss_and_never_a_draw(new, old, taken):
    assert better(score(*new), score(*old)) is taken


def test_anything_is_better_than_nothing():
    assert better(score(0.0, 9.0), None)


@pytest.fixture
def served(tmp_path) -> Served:
    source = tiny_bundle(tmp_path / "tiny_classification", weights=True)
    return app_folder.write(tmp_path / "app", [str(source.root)])["tiny"]


def grown(served: Served, version: str) -> str:
    """Another version in the folder, as a round of training leaves it."""
    served.bundle.copy(served.folder / version)
    return version


def test_a_worse_version_is_kept_but_not_served(served):
    assert not served.judged(grown(served, "001"), score(0.5, 1.0), score(0.6, 1.0))
    assert served.version == "000"
    assert served.versions() == ["000", "001"]
    assert served.state["rounds"][0]["served"] is False


def test_the_version_before_is_restored_step_by_step(served):
    for number, accuracy in (("001", 0.6), ("002", 0.7)):
        assert served.judged(grown(served, number), score(accuracy, 1.0), score(0.5, 1.0))
    assert served.next_version() == "003"
    assert served.version == "002"
    assert [served.restore(), served.restore()] == ["001", "000"]
    with pytest.raises(ConfigurationError, match="no version was served before 000"):
        served.restore()
    assert served.restore("002") == "002"
    assert served.restore() == "000"


def test_a_version_that_is_not_there_is_not_restored(served):
    with pytest.raises(UnknownNameError, match="version of tiny"):
        served.restore("007")


def test_another_process_sees_what_is_served(served):
    served.judged(grown(served, "001"), score(0.6, 1.0), score(0.5, 1.0))
    assert Served(served.folder).version == "001"
    assert Served(served.folder).bundle.root == served.folder / "001"


def test_the_application_holds_copies_and_leaves_the_installed_files_alone(tmp_path):
    source = tiny_bundle(tmp_path / "tiny_classification", weights=True)
    before = {path: path.read_bytes() for path in source.root.rglob("*") if path.is_file()}
    served = app_folder.write(tmp_path / "app", [str(source.root)])["tiny"]
    assert {path: path.read_bytes() for path in source.root.rglob("*") if path.is_file()} == before
    assert served.bundle.weights.read_bytes() == source.weights.read_bytes()
    assert served.bundle.name == "tiny"
    assert "BrainLabelApp" in (tmp_path / "app" / "main.py").read_text("utf-8")
    assert list(app_folder.read(tmp_path / "app")) == ["tiny"]


def test_what_was_trained_stays_when_the_application_is_written_again(tmp_path):
    source = tiny_bundle(tmp_path / "tiny_classification", weights=True)
    served = app_folder.write(tmp_path / "app", [str(source.root)])["tiny"]
    served.judged(grown(served, "001"), score(0.6, 1.0), score(0.5, 1.0))
    assert app_folder.write(tmp_path / "app", [str(source.root)])["tiny"].version == "001"


def test_other_weights_bring_their_own_hash(tmp_path):
    bare, full = (
        tiny_bundle(tmp_path / "bare" / "tiny_classification"),
        tiny_bundle(tmp_path / "full", weights=True),
    )
    served = app_folder.write(tmp_path / "app", [str(bare.root)], {"tiny": str(full.weights)})["tiny"]
    assert served.bundle.weights_sha256 == full.weights_sha256
    with pytest.raises(ConfigurationError, match="weights of its own"):
        app_folder.write(tmp_path / "app", [str(bare.root)], {"tiny": str(full.weights)})


def test_every_registered_model_is_served_by_default(tmp_path):
    from monai_brain import registry

    assert sorted(app_folder.write(tmp_path)) == registry.models()
    assert read_json(tmp_path / "label.json")["models"] == registry.models()


@pytest.mark.parametrize(
    ("weights", "kind", "text"),
    [
        ({"tinny": "x"}, UnknownNameError, "Did you mean 'tiny'"),
        ({"tiny": "nowhere.pt"}, ModelError, "do not exist"),
    ],
)
def test_wrong_weights_are_refused(tmp_path, weights, kind, text):
    source = tiny_bundle(tmp_path / "tiny_classification")
    with pytest.raises(kind, match=text):
        app_folder.write(tmp_path / "app", [str(source.root)], weights)
