"""Exported files, read back by the programs that they are made for."""

from __future__ import annotations

import copy
import hashlib
import json
import sys
import zipfile

import numpy as np
import pytest
import torch
from PIL import Image

import monai_brain as mb
from monai_brain.bundles import Bundle
from monai_brain.cli import main
from monai_brain.errors import (
    ConfigurationError,
    MissingExtraError,
    ModelError,
    OutputError,
    UnknownNameError,
)
from monai_brain.inference import zoo
from monai_brain.inference.export import export, export_network

FORMATS = ("state_dict", "torchscript", "pt2", "onnx")


def images(count, *shape):
    return torch.randn(count, *shape, generator=torch.Generator().manual_seed(10))


def run(form, path, network, x):
    """The output of an exported file, without a line of monai_brain."""
    if form == "onnx":
        session = pytest.importorskip("onnxruntime").InferenceSession(str(path))
        return torch.from_numpy(session.run(None, {session.get_inputs()[0].name: x.numpy()})[0])
    if form == "torchscript":
        loaded = torch.jit.load(path)
    elif form == "pt2":
        with path.open("rb") as stream:
            loaded = torch.export.load(stream).module()
    else:
        loaded = copy.deepcopy(network)
        loaded.load_state_dict(torch.load(path, weights_only=True))
    with torch.no_grad():
        return loaded(x)


def leftovers(folder):
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize("form", FORMATS)
def test_every_form_computes_what_the_network_computes_for_any_batch(form, tiny, tiny_network, tmp_path):
    if form == "onnx":
        pytest.importorskip("onnxscript")
    before = copy.deepcopy(tiny_network.state_dict())
    path = export_network(tiny_network, tiny, form, tmp_path / "out" / "model.bin")
    assert leftovers(tmp_path / "out") == ["model.bin"]
    for count in (1, 2, 5, 7):
        x = images(count, 1, 64, 64)
        with torch.no_grad():
            wanted = tiny_network(x)
        assert wanted.abs().max() > 0.1
        assert torch.allclose(run(form, path, tiny_network, x), wanted, rtol=1e-4, atol=1e-4)
    assert all(torch.equal(before[name], value) for name, value in tiny_network.state_dict().items())


@pytest.mark.parametrize("form", FORMATS[1:])
def test_forms_for_inference_hold_no_batch_norm(form, tiny, tiny_network, tmp_path):
    if form == "onnx":
        onnx = pytest.importorskip("onnx")
    path = export_network(tiny_network, tiny, form, tmp_path / "model")
    if form == "onnx":
        operators = {node.op_type for node in onnx.load(path).graph.node}
    elif form == "pt2":
        with path.open("rb") as stream:
            operators = {str(node.target) for node in torch.export.load(stream).graph.nodes}
    else:
        operators = {
            node.kind() for node in torch.jit.freeze(torch.jit.load(path).eval()).inlined_graph.nodes()
        }
    assert any("conv" in name.lower() for name in operators)
    assert not any("batch" in name.lower() for name in operators)


def test_torchscript_holds_the_json_that_monai_deploy_reads(tiny, tiny_network, tmp_path):
    from monai.data import load_net_with_metadata

    path = export_network(
        tiny_network, tiny, "torchscript", tmp_path / "model.ts", settings={"image_size": 48, "batch_size": 2}
    )
    with zipfile.ZipFile(path) as archive:
        inside = {name.split("/", 1)[1] for name in archive.namelist()}
    assert {"extra/metadata.json", "extra/inference.json"} <= inside
    _, metadata, extra = load_net_with_metadata(str(path), more_extra_files=("inference.json",))
    assert metadata["network_data_format"]["inputs"]["image"]["spatial_shape"] == [48, 48]
    wanted = copy.deepcopy(tiny.metadata)
    wanted["network_data_format"]["inputs"]["image"]["spatial_shape"] = [48, 48]
    assert metadata == wanted
    recipe = json.loads(extra["inference.json"])
    assert (recipe["image_size"], recipe["batch_size"], recipe["num_workers"]) == (48, 2, 0)


def test_onnx_says_what_it_is_and_nothing_of_the_machine(tiny, tiny_network, tmp_path):
    onnx = pytest.importorskip("onnx")
    pytest.importorskip("onnxscript")
    path = export_network(tiny_network, tiny, "onnx", tmp_path / "model.onnx")
    model = onnx.load(path)
    onnx.checker.check_model(model, full_check=True)
    assert [entry.version for entry in model.opset_import if not entry.domain] == [18]
    (given,), (found,) = model.graph.input, model.graph.output
    shapes = [
        [dim.dim_param or dim.dim_value for dim in value.type.tensor_type.shape.dim]
        for value in (given, found)
    ]
    assert (given.name, found.name) == ("image", "logits")
    assert shapes == [["batch", 1, 64, 64], ["batch", 4]]
    properties = {entry.key: entry.value for entry in model.metadata_props}
    assert json.loads(properties["labels"]) == ["glioma", "meningioma", "pituitary", "no_tumor"]
    assert properties["disclaimer"] == "Research use only, not for diagnosis."
    assert b"site-packages" not in path.read_bytes()


def test_overrides_and_variants_shape_the_network_and_the_configs(tiny, tmp_path):
    path = export(
        tiny, "torchscript", tmp_path / "m.ts", weights="random", variant="thin", image_size=32, in_channels=3
    )
    extra = {"metadata.json": "", "inference.json": ""}
    network = torch.jit.load(path, _extra_files=extra)
    assert network(images(2, 3, 32, 32)).shape == (2, 4)
    image = json.loads(extra["metadata.json"])["network_data_format"]["inputs"]["image"]
    assert (image["num_channels"], image["spatial_shape"]) == (3, [32, 32])
    assert image["channel_def"] == {"0": "image", "1": "image", "2": "image"}
    assert json.loads(extra["inference.json"])["network_def"]["block_inplanes"] == [2, 2, 2, 2]


class WrongWhenFused(torch.nn.Module):
    """A network whose own fused form computes something else."""

    def __init__(self, shift):
        super().__init__()
        self.fc = torch.nn.Linear(64 * 64, 4)
        self.shift = shift

    def forward(self, x):
        return self.fc(x.flatten(1))

    def fuse(self):
        other = copy.deepcopy(self)
        other.fc.bias.data += self.shift
        return other.eval()


@pytest.mark.parametrize("form", FORMATS[1:])
def test_a_form_that_differs_is_refused_and_leaves_nothing(form, tiny, tmp_path):
    if form == "onnx":
        pytest.importorskip("onnxscript")
    target = tmp_path / "out" / "model"
    export_network(WrongWhenFused(1e-6), tiny, form, target)
    kept = target.read_bytes()
    for shift in (1e-2, float("nan")):
        with pytest.raises(ModelError, match="differs from the network by"):
            export_network(WrongWhenFused(shift), tiny, form, target)
    assert leftovers(target.parent) == ["model"]
    assert target.read_bytes() == kept
    export_network(WrongWhenFused(1e-2), tiny, form, target, check=False)
    assert target.read_bytes() != kept


class LooksAtTheData(torch.nn.Module):
    def forward(self, x):
        total = x.sum().item()
        return x.mean((1, 2, 3))[:, None].repeat(1, 4) * (1 if total > 0 else -1)


def test_a_network_that_cannot_be_exported_is_one_line(tiny, tmp_path):
    with pytest.raises(ModelError, match=r"tiny cannot be exported as pt2: \w+: ") as error:
        export_network(LooksAtTheData(), tiny, "pt2", tmp_path / "out" / "model")
    assert "\n" not in str(error.value)
    assert leftovers(tmp_path / "out") == []


def test_a_bundle_without_weights_is_not_exported(tiny, tmp_path, capsys):
    with pytest.raises(ModelError, match="has no weights"):
        export(tiny, "state_dict", tmp_path / "model.pt")
    assert main(["export", str(tiny.root), "--format", "pt2", "-o", str(tmp_path / "m.pt2")]) == 4
    assert "has no weights" in capsys.readouterr().err
    assert not (tmp_path / "m.pt2").exists()


def test_the_command_exports_the_weights_that_it_is_given(tiny, tiny_network, tmp_path, capsys):
    torch.save(tiny_network.state_dict(), tmp_path / "mine.pt")
    path = tmp_path / "m.pt2"
    words = [
        "export",
        str(tiny.root),
        "--format",
        "pt2",
        "-o",
        str(path),
        "--weights",
        str(tmp_path / "mine.pt"),
    ]
    assert main([*words, "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said == {
        "schema_version": 1,
        "path": str(path),
        "format": "pt2",
        "bytes": path.stat().st_size,
        "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
    }
    x = images(3, 1, 64, 64)
    with torch.no_grad():
        assert torch.allclose(run("pt2", path, tiny_network, x), tiny_network(x), rtol=1e-4, atol=1e-4)
    assert main(words) == 0
    assert "Research use only, not for diagnosis." in capsys.readouterr().out


def test_an_unknown_format_is_named_before_anything_is_built(tmp_path):
    with pytest.raises(UnknownNameError, match=r"Unknown format 'onx'\. Did you mean 'onnx'"):
        mb.export("brain_tumor_resnet34", "onx", tmp_path / "m", weights="random")


@pytest.mark.parametrize("module", ["onnx", "onnxscript", "onnxruntime"])
def test_a_missing_package_names_its_extra(module, tiny, tiny_network, tmp_path, monkeypatch):
    for name in [name for name in sys.modules if name.partition(".")[0] == module]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(MissingExtraError, match=rf"{module} is not installed.*monai-brain\[export\]"):
        export_network(tiny_network, tiny, "onnx", tmp_path / "out" / "m.onnx")
    assert leftovers(tmp_path / "out") == []


def test_a_place_that_cannot_be_written_is_an_output_error(tiny, tiny_network, tmp_path):
    (tmp_path / "file").write_text("x", encoding="utf-8")
    with pytest.raises(OutputError, match="Cannot write"):
        export_network(tiny_network, tiny, "state_dict", tmp_path / "file" / "m.pt")
    with pytest.raises(OutputError, match="is not empty"):
        export_network(tiny_network, tiny, "state_dict", tmp_path)


@pytest.fixture
def slices(tmp_path):
    folder, generator = tmp_path / "slices", np.random.default_rng(0)
    folder.mkdir()
    for index in range(12):
        Image.fromarray(generator.integers(0, 256, (40, 50), dtype=np.uint8)).save(folder / f"{index}.png")
    return folder


def test_int8_is_smaller_and_near_on_images_like_its_own(tiny, tiny_network, slices, tmp_path):
    pytest.importorskip("onnxscript")
    sizes = {}
    for form in ("onnx", "int8"):
        path = export_network(tiny_network, tiny, form, tmp_path / "out" / form, calibration=slices)
        sizes[form] = path.stat().st_size
    assert leftovers(tmp_path / "out") == ["int8", "onnx"]
    onnx = pytest.importorskip("onnx")
    operators = [node.op_type for node in onnx.load(path).graph.node]
    assert {"QuantizeLinear", "DequantizeLinear"} <= set(operators)
    weights = [entry for entry in onnx.load(path).graph.initializer if len(entry.dims) == 4]
    assert weights
    assert all(entry.data_type == onnx.TensorProto.INT8 for entry in weights)
    # What x86 is fast at: unsigned activations; and weights of 7 bits, whose sums of two fit into 16.
    content = onnx.load(path).graph
    values = {entry.name: onnx.numpy_helper.to_array(entry) for entry in content.initializer}
    zeros = [values[node.input[2]] for node in content.node if node.op_type == "QuantizeLinear"]
    assert {str(zero.dtype) for zero in zeros} == {"uint8"}
    assert all(np.abs(values[entry.name].astype(int)).max() <= 64 for entry in weights)
    pixels = torch.stack([torch.from_numpy(np.array(Image.open(file))) for file in slices.iterdir()])
    x = torch.nn.functional.interpolate(pixels[:, None].float(), (64, 64), mode="bilinear")
    x = (x - x.mean((1, 2, 3), keepdim=True)) / x.std((1, 2, 3), keepdim=True)
    with torch.no_grad():
        wanted = tiny_network(x)
    given = run("onnx", path, tiny_network, x)
    assert not torch.allclose(given, wanted, atol=1e-4)  # else nothing was quantised
    assert (given - wanted).abs().max() < 0.1 * (wanted.max() - wanted.min())


def test_int8_needs_images_it_can_read(tiny, tiny_network, slices, tmp_path):
    pytest.importorskip("onnxscript")
    with pytest.raises(ConfigurationError, match="images to calibrate with"):
        export_network(tiny_network, tiny, "int8", tmp_path / "m")
    (slices / "0.png").write_bytes(b"no image")
    with pytest.raises(mb.MonaiBrainError, match=r"0\.png: cannot be calibrated with"):
        export_network(tiny_network, tiny, "int8", tmp_path / "m", calibration=slices)


@pytest.fixture
def documented(tiny):
    (tiny.root / "docs").mkdir(exist_ok=True)
    (tiny.root / "docs" / "README.md").write_text("# Tiny\n", encoding="utf-8")
    (tiny.root / "docs" / "data_license.txt").write_text("none\n", encoding="utf-8")
    return tiny


def test_zoo_writes_a_bundle_that_is_a_model(documented, tiny_network, tmp_path):
    for name in ("manifest.json", "predictions.csv", "checkpoints/epoch_0002.pt"):
        (documented.root / name).parent.mkdir(exist_ok=True)
        (documented.root / name).write_text("private", encoding="utf-8")
    folder = export_network(tiny_network, documented, "zoo", tmp_path / "zoo", settings={"image_size": 48})
    assert leftovers(folder) == ["LICENSE", "configs", "docs", "models"]
    bundle = Bundle.at(folder)
    assert bundle.weights_sha256 == hashlib.sha256((folder / "models" / "model.pt").read_bytes()).hexdigest()
    assert bundle.input_shape == (1, 48, 48)
    loaded = mb.network(folder, "shipped")
    assert all(torch.equal(loaded.state_dict()[k], v) for k, v in tiny_network.state_dict().items())
    train = json.loads((folder / "configs" / "train.json").read_text(encoding="utf-8"))
    assert train["image_size"] == 48
    assert (folder / "configs" / "logging.conf").is_file()


def test_zoo_lists_large_files_with_their_hash(documented, tiny_network, tmp_path, monkeypatch):
    from monai.bundle import ConfigParser

    monkeypatch.setattr(zoo, "LARGE", 20_000)
    folder = export_network(tiny_network, documented, "zoo", tmp_path / "zoo")
    (entry,) = ConfigParser.load_config_file(str(folder / "large_files.yml"))["large_files"]
    digest = hashlib.sha256((folder / "models" / "model.pt").read_bytes()).hexdigest()
    assert entry == {"path": "models/model.pt", "url": "", "hash_val": digest, "hash_type": "sha256"}


def test_zoo_takes_no_path_of_a_run_along(tiny_network, documented, tmp_path):
    configs = documented.root / "configs"
    metadata = json.loads((configs / "metadata.json").read_text(encoding="utf-8"))
    metadata["monai_brain"]["model"] = "brain_tumor_resnet34"
    (configs / "metadata.json").write_text(json.dumps(metadata), encoding="utf-8")
    train = json.loads((configs / "train.json").read_text(encoding="utf-8"))
    train |= {
        "datalist": "/home/someone/split.json",
        "run_dir": "/home/someone/r1",
        "start_weights": "/home/someone/w.pt",
    }
    (configs / "train.json").write_text(json.dumps(train), encoding="utf-8")
    folder = export_network(tiny_network, Bundle.at(documented.root), "zoo", tmp_path / "zoo")
    text = "".join(path.read_text(encoding="utf-8") for path in (folder / "configs").iterdir())
    assert "someone" not in text
    written = json.loads((folder / "configs" / "train.json").read_text(encoding="utf-8"))
    original = json.loads(mb.bundle("brain_tumor_resnet34").config("train").read_text(encoding="utf-8"))
    assert [written[key] for key in ("datalist", "run_dir")] == [
        original[key] for key in ("datalist", "run_dir")
    ]
    assert written["network_def"]["layers"] == [1, 1, 1, 1]


def test_zoo_refuses_a_bundle_that_the_zoo_would_refuse(documented, tiny_network, tmp_path):
    (documented.root / "docs" / "README.md").unlink()
    with pytest.raises(ConfigurationError, match=r"lacks docs/README\.md"):
        export_network(tiny_network, documented, "zoo", tmp_path / "zoo")
    assert not (tmp_path / "zoo").exists()


def test_the_published_network_exports(tmp_path):
    path = export("brain_tumor_resnet34", "pt2", tmp_path / "m.pt2", weights="random", image_size=64)
    with path.open("rb") as stream:
        program = torch.export.load(stream)
    assert program.module()(images(3, 1, 64, 64)).shape == (3, 4)


@pytest.mark.slow
@pytest.mark.parametrize("form", ["torchscript", "onnx"])
def test_the_published_network_exports_at_its_size(form, tmp_path):
    pytest.importorskip("onnxscript")
    path = export("brain_tumor_resnet34", form, tmp_path / "m", weights="random")
    assert run(form, path, None, images(2, 1, 224, 224)).shape == (2, 4)
