"""Deployed applications as they are written, and what they do, driven here without MONAI Deploy itself."""

import json
from pathlib import Path

import numpy as np
import pytest
import yaml

import monai_brain as mb
from monai_brain.bundles import Bundle
from monai_brain.cli import main
from monai_brain.errors import ConfigurationError, DataError, ModelError, OutputError, UnknownNameError
from monai_brain.files import read_json, sha256, write_json
from monai_brain.inference.gates import NOT_APPLICABLE
from monai_brain.inference.names import Entry
from monai_brain.inference.predictor import Predictor
from monai_brain.integrations import deploy_models
from monai_brain.integrations.deploy import deploy
from monai_brain.integrations.deploy_job import Job
from monai_brain.integrations.deploy_routes import Routes
from monai_brain.integrations.deploy_settings import Settings, settings
from monai_brain.safety import trust
from monai_brain.testing.tiny import tiny_bundle

FILES = {"app.py", "app.yaml", "requirements.txt", "README.md", "Dockerfile", "wheels/README.md"}


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    return tiny_bundle(tmp_path_factory.mktemp("bundles") / "tiny", weights=True)


@pytest.fixture(scope="module")
def application(tiny, tmp_path_factory):
    folder = tmp_path_factory.mktemp("applications") / "tiny"
    assert main(["deploy", str(tiny.root), "-o", str(folder)]) == 0
    return folder


def driven(predictors, inputs, output, chosen=None):
    """What the operators do, in their order; with the lines that were told, and the exit status."""
    told = []
    job = Job(predictors, Path(inputs), Path(output), chosen or Settings(), told.append)
    for work in job.works.values():
        for portion in work.portions():
            decided = work.decide(work.classify(work.prepare(portion)))
            work.write(decided)
            if decided.last:
                work.report()
                work.draw()
                work.write_maps(work.explain())
    return job, told, job.finish()


def results(folder):
    return [json.loads(line) for line in (folder / "results.jsonl").read_text("utf-8").splitlines()]


def test_an_application_is_complete(application, tiny):
    files = {file.relative_to(application).as_posix() for file in application.rglob("*") if file.is_file()}
    assert files >= FILES
    model = application / "models" / "tiny" / "tiny_classification"
    assert sha256(model / "models" / "model.pt") == sha256(tiny.root / "models" / "model.pt")
    assert {file.stem for file in (application / "input").iterdir()} == {
        f"phantom_{name}" for name in tiny.labels
    }
    config = yaml.safe_load((application / "app.yaml").read_text("utf-8").partition("---\n")[2])
    assert settings(config["monai_brain"]) == Settings()
    assert config["application"]["inputFormats"] == ["file"]
    compile((application / "app.py").read_text("utf-8"), "app.py", "exec")
    wanted = (application / "requirements.txt").read_text("utf-8").splitlines()
    assert "holoscan-cli==4.2.0" in wanted
    assert all(line.count("==") == 1 for line in wanted)
    for name in ("app.py", "README.md"):
        assert tiny.disclaimer in (application / name).read_text("utf-8")


def test_pins_of_applications_are_those_of_the_environment(application):
    lines = Path(__file__).parents[2].joinpath("scripts/environments/deploy.txt").read_text("utf-8").split()
    pins = dict(line.split("==") for line in lines)
    wanted = dict(
        line.split("==") for line in (application / "requirements.txt").read_text("utf-8").splitlines()
    )
    for name in ("holoscan-cli", "holoscan-cu13", "monai-deploy-app-sdk"):
        assert pins[name] == wanted[name]


@pytest.mark.slow
def test_nothing_of_the_machine_goes_along(application, run, tmp_path):
    folder = deploy(run, tmp_path / "application")
    for file in folder.rglob("*.json"):
        assert str(run.parent) not in file.read_text("utf-8")
    written = Bundle.at(folder / "models" / "brain_tumor_resnet34" / "brain_tumor_resnet34_classification")
    assert written.name == "brain_tumor_resnet34"
    assert written.weights_sha256 == sha256(run / "models" / "model.pt")


def test_answers_are_those_of_predict(application, tmp_path):
    inputs = tmp_path / "input"
    for source in (application / "input").iterdir():
        (inputs / source.name).parent.mkdir(exist_ok=True)
        (inputs / source.name).write_bytes(source.read_bytes())
    (inputs / "cut.png").write_bytes(source.read_bytes()[:200])
    (inputs / "notes.txt").write_text("nothing", encoding="utf-8")
    (predictor,) = deploy_models.ready(application / "models", "cpu")
    out = tmp_path / "out"
    _, told, status = driven([predictor], inputs, out)
    assert status == 3
    assert [line for line in told if line.startswith("cut.png: ")]
    assert "1 other files are not named as images and were left out." in told
    expected = mb.predict(predictor.bundle, inputs, device="cpu")
    lines = {line["case"]: line for line in results(out / "tiny")}
    assert set(lines) == {"cut.png", *expected.predictions.case}
    for row in expected.predictions:
        line = lines[row.case]
        assert line["predicted"] == max(line["probabilities"], key=line["probabilities"].get)
        assert line["probabilities"] == pytest.approx(dict(row.probs), abs=1e-5)
    summary = read_json(out / "summary.json")
    assert summary["models"]["tiny"]["counts"] == {"done": 4, "failed": 1}
    assert summary["left_out"] == 1
    assert len(list((out / "tiny" / "explanations").glob("*_overlay.png"))) == 4


def test_a_job_never_mixes_with_another(application, tmp_path):
    predictors = deploy_models.ready(application / "models", "cpu")
    (tmp_path / "tiny").mkdir()
    (tmp_path / "tiny" / "results.jsonl").write_text("", encoding="utf-8")
    with pytest.raises(OutputError, match="holds results already"):
        Job(predictors, application / "input", tmp_path, Settings(), print)
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="holds no image"):
        Job(predictors, tmp_path / "empty", tmp_path / "out", Settings(), print)


@pytest.mark.slow
def test_torchscript_answers_as_the_bundle_does(tiny, application, tmp_path):
    folder = deploy(tiny, tmp_path / "scripted", form="torchscript")
    (model,) = [file for file in (folder / "models").rglob("*") if file.is_file()]
    assert model == folder / "models" / "tiny" / "model.ts"
    predictors = deploy_models.ready(folder / "models", "cpu")
    job, told, status = driven(predictors, application / "input", tmp_path / "out")
    assert status == 0
    assert any("TorchScript, which cannot be explained" in line for line in told)
    expected = mb.predict(tiny, application / "input", device="cpu").predictions
    found = {line["case"]: line["probabilities"] for line in results(tmp_path / "out" / "tiny")}
    for row in expected:
        assert found[row.case] == pytest.approx(dict(row.probs), abs=1e-5)
    assert job.works["tiny"].predictor.weights_sha256 == sha256(model)


def test_what_cannot_be_deployed_leaves_nothing(tiny, tmp_path):
    bare = tiny_bundle(tmp_path / "bare")
    other = tiny_bundle(tmp_path / "other", weights=True)
    weights = other.root / "models" / "model.pt"
    content = bytearray(weights.read_bytes())
    content[len(content) // 2] ^= 1
    weights.write_bytes(content)
    target = tmp_path / "application"
    for models, error in (
        ([bare], ModelError),
        ([other], ModelError),
        ([tiny, tiny], ConfigurationError),
        ([], ConfigurationError),
        (["no_such_model"], UnknownNameError),
    ):
        with pytest.raises(error):
            deploy(models, target)
    with pytest.raises(UnknownNameError):
        deploy(tiny, target, form="onnx")
    assert not target.exists()
    assert not list(tmp_path.glob(".application*"))
    target.mkdir()
    (target / "mine.txt").write_text("kept", encoding="utf-8")
    with pytest.raises(OutputError):
        deploy(tiny, target)
    assert [file.name for file in target.iterdir()] == ["mine.txt"]


def test_exit_status_of_the_command(tmp_path, capsys):
    bare = tiny_bundle(tmp_path / "bare")
    assert main(["deploy", str(bare.root), "-o", str(tmp_path / "application")]) == 4
    assert "monai-brain train" in capsys.readouterr().err


def test_weights_of_a_run_bring_their_decision(tiny, application, tmp_path):
    other = tiny_bundle(tmp_path / "other", weights=True)
    path = other.root / "configs" / "metadata.json"
    metadata = read_json(path)
    metadata["monai_brain"]["decision"] = {"temperature": {"value": 2.0}}
    write_json(path, metadata)
    folder = deploy(tiny, tmp_path / "application", weights=other.root)
    (predictor,) = deploy_models.ready(folder / "models", "cpu")
    assert predictor.decision.temperature == 2.0
    wanted = Predictor(tiny, other.root, "cpu")
    image = {"image": str(next((application / "input").iterdir())), "case": "a"}
    answers = [
        each.answers([image], each.logits(each.read(image)[None])).probs for each in (predictor, wanted)
    ]
    np.testing.assert_allclose(answers[0], answers[1], atol=1e-6)


@pytest.mark.parametrize(
    ("given", "error"),
    [
        ({"heat_map": True}, UnknownNameError),
        ({"heat_maps": "yes"}, ConfigurationError),
        ({"series_rule": "median"}, ConfigurationError),
        ({"names": "secret"}, UnknownNameError),
        ({"series_number": 0}, ConfigurationError),
    ],
)
def test_settings_that_are_none_are_refused(given, error):
    with pytest.raises(error):
        settings(given)


@pytest.fixture
def sources(tmp_path):
    pydicom = pytest.importorskip("pydicom")
    from pydicom.dataset import FileDataset, FileMetaDataset
    from pydicom.uid import ExplicitVRLittleEndian

    def write(name, modality, body_part=None):
        meta = FileMetaDataset()
        meta.MediaStorageSOPClassUID, meta.TransferSyntaxUID = (
            "1.2.840.10008.5.1.4.1.1.7",
            ExplicitVRLittleEndian,
        )
        meta.MediaStorageSOPInstanceUID = "1.2.3"
        dataset = FileDataset(None, {}, file_meta=meta, preamble=b"\0" * 128)
        dataset.SOPClassUID, dataset.SOPInstanceUID = meta.MediaStorageSOPClassUID, "1.2.3"
        for keyword, value in (("Modality", modality), ("BodyPartExamined", body_part)):
            if value:
                setattr(dataset, keyword, value)
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        pydicom.dcmwrite(path, dataset)
        return Entry(str(path), name)

    return write


BRAIN, BREAST = "brain_tumor_resnet34", "mammography_quality_parb_kan"


@pytest.mark.parametrize(
    ("name", "modality", "body_part", "models"),
    [
        ("a.dcm", "MR", "BRAIN", [BRAIN]),
        ("a.dcm", "MR", None, [BRAIN]),
        ("a.dcm", "MG", "BREAST", [BREAST]),
        ("a.dcm", "MR", "KNEE", []),
        ("a.dcm", "CT", "HEAD", []),
        ("a.dcm", None, None, []),
        (f"{BREAST}/deep/a.dcm", None, None, [BREAST]),
        (f"{BREAST}.dcm", None, None, []),
    ],
)
def test_images_go_by_modality_and_body_part(sources, name, modality, body_part, models):
    routes = Routes([mb.bundle(BRAIN), mb.bundle(BREAST)])
    answer = routes.of(sources(name, modality, body_part))
    if models:
        assert answer == models
    else:
        assert answer.status == NOT_APPLICABLE
        assert answer.reason


def test_models_for_the_same_modality_are_both_asked(sources):
    pair = [BRAIN, "brain_tumor_efficientnet_b2"]
    routes = Routes([mb.bundle(name) for name in pair])
    assert routes.of(sources("a.dcm", "MR", "BRAIN")) == pair
    assert routes.of(sources("b.dcm", None)) == pair


def test_a_lone_model_judges_for_itself(sources):
    assert Routes([mb.bundle(BRAIN)]).of(sources("a.dcm", "CT")) == [BRAIN]


def test_code_from_elsewhere_runs_where_the_applications_maker_trusted_it(
    tmp_path, tmp_path_factory, monkeypatch
):
    """The digest goes with the application; on a machine that never heard of it, other code is refused."""
    foreign = tiny_bundle(tmp_path / "foreign", weights=True).root
    recipe = read_json(foreign / "configs" / "inference.json")
    write_json(foreign / "configs" / "inference.json", {**recipe, "sum": "$sum([1, 2])"})
    monkeypatch.setenv("MONAI_BRAIN_HOME", str(tmp_path_factory.mktemp("maker")))
    assert main(["deploy", str(foreign), "-o", str(tmp_path / "app")]) == 4
    assert not (tmp_path / "app").exists()
    assert main(["deploy", str(foreign), "-o", str(tmp_path / "app"), "--trust"]) == 0
    models, text = tmp_path / "app" / "models", (tmp_path / "app" / "app.yaml").read_text("utf-8")
    chosen = settings(yaml.safe_load(text.partition("---")[2])["monai_brain"])
    assert len(chosen.trusted) == 64

    monkeypatch.setenv("MONAI_BRAIN_HOME", str(tmp_path_factory.mktemp("user")))
    monkeypatch.setattr(trust, "_in_this_process", set())
    with pytest.raises(trust.TrustError, match="names code that is not installed"):
        deploy_models.ready(models)
    assert len(deploy_models.ready(models, trusted=[chosen.trusted])) == 1

    monkeypatch.setenv("MONAI_BRAIN_HOME", str(tmp_path_factory.mktemp("other user")))
    monkeypatch.setattr(trust, "_in_this_process", set())
    (copied,) = models.glob("*/*_classification/configs/inference.json")
    write_json(copied, read_json(copied) | {"sum": "$sum([1, 3])"})
    with pytest.raises(trust.TrustError):
        deploy_models.ready(models, trusted=[chosen.trusted])
