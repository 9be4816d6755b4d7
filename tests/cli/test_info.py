"""info shows what a model is without importing what a listing must not wait for."""

import json
import subprocess
import sys

from monai_brain import cli

MODEL = "brain_tumor_resnet34"


def test_the_page_shows_size_work_input_labels_licence_and_paper(capsys):
    assert cli.main(["info", MODEL]) == 0
    lines = dict(line.strip().split("  ", 1) for line in capsys.readouterr().out.splitlines())
    assert lines["parameters"] == "17,331,224"
    assert lines["flops"] == "7.58 G an image, a multiply-add being two"
    assert lines["input"] == "1 x 224 x 224"
    assert lines["labels"] == "glioma, meningioma, pituitary, no_tumor"
    assert lines["licence"] == "Apache-2.0"
    assert lines["paper"].endswith("2025. arXiv 2512.03751")
    assert "None" not in lines.values()


def test_json_gives_the_figures_as_numbers(capsys):
    assert cli.main(["info", MODEL, "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert (shown["parameters"], shown["flops"]) == (17331224, 7575604224)
    assert shown["input"] == "1 x 224 x 224"
    assert shown["paper"].endswith("arXiv 2512.03751")


def test_a_model_without_figures_is_shown_without_them(tmp_path, capsys):
    import monai_brain as mb

    bundle = mb.bundle(MODEL).copy(tmp_path / "copy")
    path = bundle.root / "configs" / "metadata.json"
    metadata = json.loads(path.read_text(encoding="utf-8"))
    for key in ("parameters", "flops"):
        del metadata["monai_brain"][key]
    path.write_text(json.dumps(metadata), encoding="utf-8")
    assert cli.main(["info", str(bundle.root)]) == 0
    assert "flops" not in capsys.readouterr().out
    assert cli.main(["info", str(bundle.root), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["flops"] is None


def test_info_imports_neither_torch_nor_numpy():
    program = (
        "import sys; from monai_brain import cli; "
        f"status = cli.main(['info', '{MODEL}']); "
        "heavy = {'torch', 'numpy', 'monai'} & set(sys.modules); "
        "sys.exit(f'imported {heavy}' if heavy else status)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
