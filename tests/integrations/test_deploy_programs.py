"""Generated applications run by the real MONAI Deploy, on PNG and on DICOM studies of MR and MG."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from monai_brain import registry
from monai_brain.cli import main
from monai_brain.evaluation import predictions
from monai_brain.inference import weights
from monai_brain.testing.tiny import tiny_bundle

pytestmark = [pytest.mark.slow, pytest.mark.timeout(3000)]

ROOT = Path(__file__).parents[2]
BRAIN, BREAST = "brain_tumor_resnet34", "mammography_quality_parb_kan"
STACK = "ulimit -s 32768 && "  # what Holoscan asks for
OURS = re.compile(r"(broken\.png|brain_tumor_resnet34): ")  # among the lines of Holoscan and of MONAI
SECRETS = ("Doe", "SECRET42", "Roe")


@pytest.fixture(scope="module")
def python():
    """The Python of MONAI Deploy's environment; made once, which takes minutes."""
    done = subprocess.run([str(ROOT / "scripts" / "env"), "deploy"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    return ROOT / ".venv-deploy" / "bin" / "python"


def ran(python, application, *arguments, **environment):
    """One run of an application, in its own folder."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("PYTHON", "HOLOSCAN"))}
    words = " ".join(["exec", str(python), "app.py", *map(str, arguments)])
    return subprocess.run(
        ["bash", "-c", STACK + words],
        cwd=application,
        env=kept | {"CUDA_VISIBLE_DEVICES": ""} | environment,
        capture_output=True,
        text=True,
        timeout=500,
    )


def answered(folder):
    return {
        line["case"]: line
        for line in map(json.loads, (folder / "results.jsonl").read_text("utf-8").splitlines())
    }


def hold_against_predict(model, inputs, out):
    """Answers and probabilities as `monai-brain predict` gives them."""
    expected = out.parent.parent / f"predicted_{model.name}"
    assert main(["predict", str(model.root), str(inputs), "-o", str(expected), "--choose-series"]) in (0, 3)
    theirs, ours = answered(expected), answered(out)
    rows = {row.case: row for row in predictions.read(expected / "predictions.csv")}
    found = {row.case: row for row in predictions.read(out / "predictions.csv")}
    assert found
    for case, line in ours.items():
        assert line["status"] == theirs[case]["status"], case
        if line["status"] == "done":
            assert line["predicted"] == max(line["probabilities"], key=line["probabilities"].get)
    for case, row in found.items():
        assert dict(row.probs) == pytest.approx(dict(rows[case].probs), abs=1e-5)
        assert row.predicted == rows[case].predicted
    return ours


@pytest.fixture(scope="module")
def dicom():
    """The writer of DICOM images of the tests of dicom_out."""
    spec = importlib.util.spec_from_file_location("sources", ROOT / "tests" / "dicom_out" / "conftest.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def clinic(dicom, tmp_path_factory):
    """MR of two series, MG, CT, PNG with and without a model's folder, a damaged and a foreign file."""
    root = tmp_path_factory.mktemp("clinic") / "input"
    folders = {name: root / name for name in ("mr", "mg", "other", BRAIN)}
    for folder in folders.values():
        folder.mkdir(parents=True)
    brain = {
        "shape": (64, 60), "BodyPartExamined": "BRAIN", "ScanningSequence": "SE", "RepetitionTime": 500,
        "EchoTime": 10, "ContrastBolusAgent": "GADOLINIUM", "ImageType": ["ORIGINAL", "PRIMARY", "OTHER"],
        "SequenceVariant": "NONE", "MRAcquisitionType": "2D",
    }  # fmt: skip
    mr = dicom.Sources(folders["mr"])
    for number in range(3):
        mr.mr(number, **brain)
    for number in range(2):
        mr.mr(
            10 + number, **(brain | {"SeriesInstanceUID": "1.2.9", "RepetitionTime": 4000, "EchoTime": 100})
        )
    mg = dicom.Sources(folders["mg"])
    for side in "LR":
        for view in ("CC", "MLO"):
            mg.mg(side, view, shape=(72, 64), ImageType=["ORIGINAL", "PRIMARY"])
    other = dicom.Sources(folders["other"])
    other.mr(40, **(brain | {"Modality": "CT", "SeriesInstanceUID": "1.2.10"}))
    whole = (folders["mr"] / "0001.dcm").read_bytes()
    (folders["mr"] / "damaged.dcm").write_bytes(whole[: len(whole) // 2])
    (folders["other"] / "notes.txt").write_text("Doe^Jane was here", encoding="utf-8")
    sample = sorted((registry.bundle(BRAIN).root / "sample_data").glob("*.png"))
    shutil.copyfile(sample[0], folders[BRAIN] / "slice.png")
    shutil.copyfile(sample[1], root / "unlabelled.png")
    return root


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    """Both registered models with weights drawn at random, which is all that a form of serving needs."""
    import torch

    found = []
    for name in (BRAIN, BREAST):
        copy = registry.bundle(name).copy(tmp_path_factory.mktemp(name) / f"{name}_classification")
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(3)
            weights.save(weights.network(copy), copy.root / "models" / "model.pt")
        found.append(copy)
    return found


@pytest.fixture(scope="module")
def served(python, clinic, models, tmp_path_factory):
    """The application of both models, its output for the clinic's folder, and what it said."""
    application = tmp_path_factory.mktemp("both") / "application"
    assert main(["deploy", *[str(model.root) for model in models], "-o", str(application)]) == 0
    out = application.parent / "output"
    out.mkdir()
    return out, ran(python, application, "-i", clinic, "-o", out, "-m", "models")


def test_each_study_is_answered_by_its_model(served, clinic, models):
    out, done = served
    assert done.returncode == 3, done.stderr[-3000:]
    assert {path.name for path in out.iterdir()} == {BRAIN, BREAST, "summary.json", "unrouted.jsonl"}
    for model in models:
        ours = hold_against_predict(model, clinic, out / model.name)
        pictures = {f"{BRAIN}/slice.png"} if model.name == BRAIN else set()
        assert {case for case in ours if case.endswith(".png")} == pictures
    brain = answered(out / BRAIN).values()
    assert [line["status"] for line in brain].count("done") == 4
    assert [line["status"] for line in brain].count("outside training domain") == 2
    assert sum("its series was not chosen" in line.get("reason", "") for line in brain) == 2
    assert (out / BREAST / "exams.csv").is_file()


def test_what_cannot_be_answered_is_said(served):
    out, done = served
    unrouted = [json.loads(line) for line in (out / "unrouted.jsonl").read_text("utf-8").splitlines()]
    by_status = sorted((line["status"], line["reason"]) for line in unrouted)
    assert [status for status, _ in by_status] == ["not applicable"] * 2
    assert f"{BRAIN}: modality CT" in by_status[0][1]
    assert "folder named after its model" in by_status[1][1]
    summary = json.loads((out / "summary.json").read_text("utf-8"))
    assert summary["models"][BRAIN]["counts"] == {"done": 4, "failed": 1, "outside training domain": 2}
    assert summary["models"][BREAST]["counts"] == {"done": 4}
    assert summary["left_out"] == 1
    (failed,) = [line for line in answered(out / BRAIN).values() if line["status"] == "failed"]
    assert f"{failed['case']}: {failed['reason']}" in done.stderr
    assert "1 other files are not named as images" in done.stderr


def test_reports_and_maps_are_dicom_of_the_sources_studies(served, clinic, dicom):
    if shutil.which("dciodvfy") is None:
        pytest.skip("dciodvfy (Debian's dicom3tools) is not installed")
    import pydicom

    out, _ = served
    kinds = {"1.2.840.10008.5.1.4.1.1.88.33": "SR", "1.2.840.10008.5.1.4.1.1.7": "SC"}
    kinds["1.2.840.10008.5.1.4.1.1.30"] = "PM"
    for model, files, images in ((BRAIN, "mr", 3), (BREAST, "mg", 4)):
        source = pydicom.dcmread(clinic / files / "0001.dcm", stop_before_pixels=True)
        written = sorted((out / model / "dicom").glob("*.dcm"))
        found = [pydicom.dcmread(file) for file in written]
        counted = [kinds[dataset.SOPClassUID] for dataset in found]
        assert {kind: counted.count(kind) for kind in set(counted)} == {"SR": 1, "SC": images, "PM": images}
        assert {dataset.StudyInstanceUID for dataset in found} == {source.StudyInstanceUID}
        assert {dataset.PatientID for dataset in found} == {source.PatientID}
        errors = {file.name: dicom.said_by_dciodvfy(file) for file in written}
        assert not {name: lines for name, lines in errors.items() if lines}


def test_nothing_says_whose_images_they_are(served):
    out, done = served
    texts = [done.stdout, done.stderr]
    texts += [
        file.read_text("utf-8") for file in out.rglob("*.*") if file.suffix in (".json", ".jsonl", ".csv")
    ]
    assert not [secret for secret in SECRETS for text in texts if secret in text]
    assert str(out) not in done.stdout + done.stderr


@pytest.mark.parametrize("form", ["eager", "torchscript"])
def test_all_formats_by_the_environments_variables(python, clinic, tmp_path, form):
    """A model without gates takes PNG, a NIfTI volume, MR and MG alike."""
    itk = pytest.importorskip("itk")
    tiny = tiny_bundle(tmp_path / "tiny", weights=True)
    application, out = tmp_path / "application", tmp_path / "out"
    assert main(["deploy", str(tiny.root), "-o", str(application), "--form", form]) == 0
    volume = np.random.default_rng(0).integers(0, 255, (3, 50, 52), np.uint8)
    itk.imwrite(itk.image_from_array(volume), str(application / "input" / "volume.nii.gz"))
    for name in ("mr", "mg"):
        shutil.copytree(clinic / name, application / "input" / name)
    out.mkdir()
    places = {"INPUT": application / "input", "OUTPUT": out, "MODEL": application / "models"}
    done = ran(python, application, **{f"HOLOSCAN_{name}_PATH": str(path) for name, path in places.items()})
    assert done.returncode == 3, done.stderr[-3000:]
    ours = hold_against_predict(tiny, application / "input", out / "tiny")
    assert ours["volume.nii.gz"]["slices_counted"] == 3
    assert [line["status"] for line in ours.values()].count("failed") == 1  # damaged.dcm
    pictures = list((out / "tiny" / "explanations").glob("*_overlay.png"))
    assert len(pictures) == (7 if form == "eager" else 0)
    assert len(list((out / "tiny" / "dicom").glob("*.dcm"))) > (6 if form == "eager" else 5)


def test_foreign_errors_quote_nothing(python):
    program = "from monai_brain.integrations.deploy_operators import plainly\nplainly(int, 'Doe^Jane')\n"
    done = subprocess.run([python, "-c", program], capture_output=True, text=True, timeout=200)
    assert done.returncode == 1
    assert "The step int failed (ValueError)" in done.stderr
    assert "Doe" not in done.stderr


def test_a_model_that_is_damaged_ends_it_with_one_line(python, tmp_path):
    tiny = tiny_bundle(tmp_path / "tiny", weights=True)
    application = tmp_path / "application"
    assert main(["deploy", str(tiny.root), "-o", str(application)]) == 0
    (model,) = application.rglob("model.pt")
    content = bytearray(model.read_bytes())
    content[len(content) // 2] ^= 1
    model.write_bytes(content)
    (tmp_path / "out").mkdir()
    done = ran(python, application, "-i", "input", "-o", tmp_path / "out", "-m", "models")
    assert done.returncode == 4
    assert "has not the recorded SHA-256" in done.stderr.splitlines()[-1]
    assert not list((tmp_path / "out").iterdir())


def test_an_output_that_cannot_be_written_ends_it(python, tmp_path):
    tiny = tiny_bundle(tmp_path / "tiny", weights=True)
    application, out = tmp_path / "application", tmp_path / "out"
    assert main(["deploy", str(tiny.root), "-o", str(application)]) == 0
    out.mkdir()
    (out / "tiny").write_text("a file where a folder must go", encoding="utf-8")
    done = ran(python, application, "-i", "input", "-o", out, "-m", "models")
    assert done.returncode == 5, done.stderr[-3000:]
    assert not (out / "summary.json").exists()


def test_the_page_is_what_happens(python, run, tmp_path):
    """docs/deploy.md, typed in a fresh folder that holds a run."""
    text = (ROOT / "docs" / "deploy.md").read_text("utf-8")
    (record,) = re.findall(r"```console\n(\$ ls application.*?)```", text, re.DOTALL)
    shutil.copytree(run, tmp_path / "run")
    write = re.search(r"^monai-brain (deploy run .*)$", text, re.MULTILINE)[1]
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path)
        assert main(write.split()) == 0
    shutil.copyfile(ROOT / "README.md", tmp_path / "application" / "input" / "broken.png")
    environment = {
        **os.environ,
        "PATH": f"{python.parent}{os.pathsep}{os.environ['PATH']}",
        "CUDA_VISIBLE_DEVICES": "",
        "LC_ALL": "C",
    }
    for part in re.split(r"^\$ ", record, flags=re.MULTILINE)[1:]:
        command, _, expected = part.partition("\n")
        done = subprocess.run(
            ["bash", "-c", STACK + command],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            timeout=500,
        )
        said = done.stdout + "".join(
            line for line in done.stderr.splitlines(keepends=True) if OURS.match(line)
        )
        assert sorted(said.split("\n")) == sorted(expected.split("\n")), done.stderr[-3000:]


def test_the_packager_reads_what_it_needs(python, tmp_path):
    """Without Docker its own reader is what can be tried."""
    tiny = tiny_bundle(tmp_path / "tiny", weights=True)
    application = tmp_path / "application"
    assert main(["deploy", str(tiny.root), "-o", str(application)]) == 0
    program = (
        "import sys; from pathlib import Path\n"
        "from holoscan_cli.packager.config_reader import ApplicationConfiguration\n"
        "from holoscan_cli.packager.models import Models\n"
        "config = ApplicationConfiguration(); config.read(Path('app.yaml'))\n"
        "print(config.title(), *Models().build(Path('models')))\n"
    )
    done = subprocess.run(
        [python, "-c", program], cwd=application, capture_output=True, text=True, timeout=100
    )
    assert done.stdout.split("\n")[0] == "Tiny classifier tiny", done.stderr[-2000:]
    assert (
        "package"
        in subprocess.run([python.parent / "monai-deploy", "--help"], capture_output=True, text=True).stdout
    )
