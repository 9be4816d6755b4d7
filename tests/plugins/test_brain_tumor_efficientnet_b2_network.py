"""EfficientNet for brain tumours: against MONAI's, torchvision's and timm's, with the same weights."""

from __future__ import annotations

import socket

import numpy as np
import pytest
import torch
from monai.networks.nets import EfficientNetBN
from monai_brain_plugins.brain_tumor_efficientnet_b2.network import BrainEfficientNet
from torch import nn
from torch.nn import functional
from torch.utils.flop_counter import FlopCounterMode

from monai_brain.errors import ConfigurationError, IntegrityError, ModelError, UnknownNameError


def images(batch=2, channels=3, size=96, seed=1):
    return torch.randn(batch, channels, size, size, generator=torch.Generator().manual_seed(seed))


def settled(network, size=96, channels=3):
    """The network in eval mode with the statistics of its own activations, so that nothing fades away."""
    norms = [module for module in network.modules() if isinstance(module, nn.BatchNorm2d)]
    before = [norm.momentum for norm in norms]
    for norm in norms:
        nn.init.uniform_(norm.weight, 0.7, 1.3)
        nn.init.normal_(norm.bias, 0, 0.2)
        norm.momentum = 1.0
    with torch.no_grad():
        network.train()(images(6, channels, size))
    for norm, momentum in zip(norms, before, strict=True):
        norm.momentum = momentum
    return network.eval()


@pytest.fixture(scope="module")
def settled_state():
    torch.manual_seed(0)
    return settled(BrainEfficientNet()).state_dict()


def with_state(network, state):
    network.load_state_dict(state)
    return network.eval()


def in_order(network, state):
    """A network whose layers stand in the same order under other names, with the given weights."""
    own = network.state_dict()
    assert len(own) == len(state)
    renamed = dict(zip(own, state.values(), strict=True))
    assert all(renamed[name].shape == value.shape for name, value in own.items())
    network.load_state_dict(renamed)
    return network.eval()


# The same function as its oracles'


@pytest.mark.parametrize("variant", ["b0", "b1", "b2", "b3", "b4"])
def test_parameters_are_as_many_as_torchvisions(variant):
    torchvision = pytest.importorskip("torchvision")
    with torch.device("meta"):
        theirs = getattr(torchvision.models, f"efficientnet_{variant}")(num_classes=3)
    ours = BrainEfficientNet(variant)
    assert sum(p.numel() for p in ours.parameters()) == sum(p.numel() for p in theirs.parameters())
    assert ours._dropout.p == theirs.classifier[0].p


def test_b2_has_the_papers_size():
    network = BrainEfficientNet()
    assert sum(p.numel() for p in network.parameters()) == 7_705_221
    assert sum(b.numel() for b in network.buffers()) == 67_637
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        network.eval()(images(1, size=240))
    # A multiply-add counts two here: 0.794 G multiply-adds.
    assert counter.get_total_flops() == 1_588_065_952


@pytest.mark.parametrize("variant", ["b0", "b2"])
@pytest.mark.parametrize("size", [96, 240])
def test_it_is_monais_network(variant, size):
    torch.manual_seed(0)
    ours = settled(BrainEfficientNet(variant))
    theirs = EfficientNetBN(f"efficientnet-{variant}", pretrained=False, num_classes=3)
    assert list(theirs.state_dict()) == list(ours.state_dict())
    with_state(theirs, ours.state_dict())
    x = images(size=size)
    with torch.no_grad():
        wanted = theirs(x)
        assert wanted.abs().max() > 0.05
        torch.testing.assert_close(ours(x), wanted, atol=1e-5, rtol=1e-5)


def test_its_gradients_are_monais(settled_state):
    networks = [EfficientNetBN("efficientnet-b2", pretrained=False, num_classes=3), BrainEfficientNet()]
    gradients = []
    for network in networks:
        with_state(network, settled_state)
        functional.cross_entropy(network(images()), torch.tensor([0, 2])).backward()
        gradients.append({name: p.grad for name, p in network.named_parameters()})
    for name, wanted in gradients[0].items():
        torch.testing.assert_close(gradients[1][name], wanted, atol=1e-5, rtol=1e-3)


def test_it_is_torchvisions_network_where_both_pad_alike(settled_state):
    # torchvision pads strided convolutions by the same number on both sides, TensorFlow's rule gives the
    # second side one more where the input is even. 257 stays odd at every stride: 257, 129, 65, 33, 17.
    # torchvision's B2 has BatchNorm's eps at 1e-5, the publication's is 1e-3.
    torchvision = pytest.importorskip("torchvision")
    theirs = in_order(torchvision.models.efficientnet_b2(num_classes=3), settled_state)
    for module in theirs.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.eps = 1e-3
    ours = with_state(BrainEfficientNet(image_size=257), settled_state)
    x = images(size=257)
    with torch.no_grad():
        torch.testing.assert_close(ours(x), theirs(x), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("size", [240, 224, 97])
def test_padded_for_its_image_size_it_is_tensorflows_network(settled_state, size):
    timm = pytest.importorskip("timm")
    theirs = in_order(timm.create_model("tf_efficientnet_b2", num_classes=3), settled_state)
    ours = with_state(BrainEfficientNet(image_size=size), settled_state)
    x = images(size=size)
    with torch.no_grad():
        torch.testing.assert_close(ours(x), theirs(x), atol=1e-5, rtol=1e-5)


def test_monais_fixed_padding_is_another_at_240_pixels(settled_state):
    # MONAI pads for 260 pixels whatever comes: stage 3 reads 60 pixels, not 65.
    fixed = with_state(BrainEfficientNet(), settled_state)
    own = with_state(BrainEfficientNet(image_size=240), settled_state)
    x = images(size=240)
    with torch.no_grad():
        assert not torch.allclose(fixed(x), own(x), atol=1e-3)
        at_260 = with_state(BrainEfficientNet(image_size=260), settled_state)
        torch.testing.assert_close(at_260(x), fixed(x), rtol=0, atol=0)


# Freezing


def test_nothing_is_frozen_by_default():
    network = BrainEfficientNet()
    assert all(p.requires_grad for p in network.parameters())
    assert all(module.training for module in network.modules())


@pytest.mark.parametrize("count", [1, 3, 7])
def test_frozen_blocks_keep_weights_and_statistics(count):
    torch.manual_seed(0)
    network = BrainEfficientNet("b0", frozen_blocks=count)
    frozen = ("_conv_stem.", "_bn0.", *(f"_blocks.{index}." for index in range(count)))
    for name, parameter in network.named_parameters():
        assert parameter.requires_grad is not name.startswith(frozen), name
    for mode in (False, True):
        network.train(mode)
        for name, module in network.named_modules():
            if isinstance(module, nn.BatchNorm2d):
                assert module.training is (mode and not f"{name}.".startswith(frozen)), name

    before = {name: value.clone() for name, value in network.state_dict().items()}
    optimiser = torch.optim.Adam(network.parameters(), 1e-2, weight_decay=0.1)
    for _ in range(2):
        functional.cross_entropy(network(images(4, size=64)), torch.tensor([0, 1, 2, 0])).backward()
        optimiser.step()
        optimiser.zero_grad()
    for name, value in network.state_dict().items():
        assert torch.equal(value, before[name]) is name.startswith(frozen), name


def test_options():
    network = BrainEfficientNet("b0", num_classes=4, in_channels=1, dropout=0.55)
    assert network._dropout.p == 0.55
    assert network.eval()(images(channels=1)).shape == (2, 4)
    with pytest.raises(UnknownNameError, match="b2"):
        BrainEfficientNet("B2")
    for count in (-1, 8):
        with pytest.raises(ConfigurationError, match="0 to 7"):
            BrainEfficientNet("b0", frozen_blocks=count)


# Weights


def as_published(state, classes=1000):
    """The state under the names of the publication's PyTorch port, with ImageNet's head."""
    renamed = {}
    for name, value in state.items():
        head, _, rest = name.partition(".")
        renamed[f"{head}.{rest.partition('.')[2]}" if head == "_blocks" else name] = value
    width = state["_fc.weight"].shape[1]
    return {**renamed, "_fc.weight": torch.ones(classes, width), "_fc.bias": torch.ones(classes)}


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))

    def refused(*args, **kwargs):
        raise OSError("no network in this test")

    monkeypatch.setattr(socket, "getaddrinfo", refused)
    return tmp_path / "hub" / "checkpoints"


@pytest.fixture(scope="module")
def b0_state():
    torch.manual_seed(5)
    return settled(BrainEfficientNet("b0")).state_dict()


def test_imagenet_weights_come_from_the_cache(cache, b0_state):
    cache.mkdir(parents=True)
    torch.save(as_published(b0_state), cache / "efficientnet-b0-355c32eb.pth")
    network = BrainEfficientNet("b0", weights="imagenet", frozen_blocks=2)
    for name, value in network.state_dict().items():
        if name.startswith("_fc."):
            assert value.shape[0] == 3 and not (value == 1).any()
        else:
            assert torch.equal(value, b0_state[name]), name


def test_without_network_the_error_says_which_file_goes_where(cache):
    with pytest.raises(ModelError) as caught:
        BrainEfficientNet("b2", weights="imagenet")
    message = str(caught.value)
    assert "https://" in message and "efficientnet-b2-8bb594d6.pth" in message
    assert str(cache / "efficientnet-b2-8bb594d6.pth") in message
    assert caught.value.exit_status == 4 and "\n" not in message


def test_weights_from_a_file_bring_their_head_where_it_fits(tmp_path, b0_state):
    path = tmp_path / "model.pt"
    torch.save(b0_state, path)
    same = BrainEfficientNet("b0", weights=path)
    assert all(torch.equal(value, b0_state[name]) for name, value in same.state_dict().items())
    other = BrainEfficientNet("b0", num_classes=4, weights=str(path))
    assert other._fc.weight.shape[0] == 4
    assert torch.equal(other._conv_head.weight, b0_state["_conv_head.weight"])


def test_for_grey_images_the_input_channels_are_added_up(tmp_path, b0_state):
    path = tmp_path / "model.pt"
    torch.save(b0_state, path)
    grey = BrainEfficientNet("b0", in_channels=1, weights=path).eval()
    colour = BrainEfficientNet("b0", weights=path).eval()
    x = images(channels=1)
    with torch.no_grad():
        torch.testing.assert_close(grey(x), colour(x.expand(-1, 3, -1, -1)), atol=1e-5, rtol=1e-5)


def test_unfit_files_are_refused_in_one_line(tmp_path, b0_state):
    def refused(content, kind, pattern, variant="b0"):
        path = tmp_path / "weights.pt"
        if isinstance(content, bytes):
            path.write_bytes(content)
        else:
            torch.save(content, path)
        with pytest.raises(kind, match=pattern) as caught:
            BrainEfficientNet(variant, weights=path)
        assert "\n" not in str(caught.value) and "weights.pt" in str(caught.value)

    refused(b0_state, ModelError, "EfficientNet-B3", variant="b3")
    refused({k: v for k, v in b0_state.items() if k != "_bn1.bias"}, ModelError, "_bn1.bias is missing")
    refused({**b0_state, "_fc.bias": torch.zeros(7)}, ModelError, "head")
    refused({"state": b0_state}, ModelError, "flat state dict")
    refused(b"", IntegrityError, "Fetch")
    refused(b"PK\x03\x04 cut short", IntegrityError, "Fetch")
    with pytest.raises(ModelError, match="no weights file"):
        BrainEfficientNet("b0", weights=tmp_path / "absent.pt")


# Leaving torch


@pytest.fixture(scope="module")
def exportable(settled_state):
    return with_state(BrainEfficientNet(image_size=96), settled_state)


@pytest.fixture(scope="module")
def exported(exportable):
    return torch.export.export(exportable, (images(),), dynamic_shapes=({0: torch.export.Dim("batch")},))


@pytest.mark.parametrize("batch", [1, 7])
def test_exported_and_traced(exportable, exported, batch):
    x = images(batch, seed=batch)
    with torch.no_grad():
        wanted = exportable(x)
        torch.testing.assert_close(exported.module()(x), wanted)
        torch.testing.assert_close(torch.jit.trace(exportable, images())(x), wanted)


def test_scripted(exportable):
    scripted = torch.jit.script(exportable)
    with torch.no_grad():
        torch.testing.assert_close(scripted(images()), exportable(images()))


def test_onnx_runtime(exportable, exported, tmp_path):
    runtime = pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    path = str(tmp_path / "network.onnx")
    torch.onnx.export(exported, (), path, verbose=False)
    session = runtime.InferenceSession(path, providers=["CPUExecutionProvider"])
    for batch in (1, 7):
        x = images(batch, seed=batch)
        with torch.no_grad():
            wanted = exportable(x).numpy()
        (got,) = session.run(None, {session.get_inputs()[0].name: x.numpy()})
        np.testing.assert_allclose(got, wanted, atol=1e-4, rtol=1e-4)


def test_batch_norms_fold_away(exportable):
    fuse = pytest.importorskip("monai_brain.inference.fuse", reason="folding is not built yet").fuse
    fused = fuse(exportable)
    assert not any(isinstance(module, nn.BatchNorm2d) for module in fused.modules())
    with torch.no_grad():
        torch.testing.assert_close(fused(images()), exportable(images()), atol=1e-4, rtol=1e-4)


def test_autocast(exportable):
    with torch.no_grad(), torch.autocast("cpu", dtype=torch.bfloat16):
        assert exportable(images()).isfinite().all()
