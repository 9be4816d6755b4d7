"""Activation maps against Grad-CAM and Layer-CAM worked out from their definitions."""

from __future__ import annotations

import copy
import sys

import pytest
import torch
from torch import nn
from torch.nn import functional

from monai_brain.errors import ConfigurationError, MissingExtraError, UnknownNameError
from monai_brain.inference.maps import METHODS, ActivationMaps

pytest.importorskip("pytorch_grad_cam")


def images(count, size=64):
    return torch.randn(count, 1, size, size, generator=torch.Generator().manual_seed(8))


def spread(x):
    low, high = x.amin((-2, -1), keepdim=True), x.amax((-2, -1), keepdim=True)
    return (x - low) / (high - low)


def by_hand(network, layer, x, classes, method):
    """The map by its definition: activations weighted by gradients, ReLU, stretched, enlarged."""
    kept = []
    handle = network.get_submodule(layer).register_forward_hook(
        lambda module, given, output: kept.append(output)
    )
    score = network(x)[range(len(x)), classes].sum()
    handle.remove()
    (gradients,) = torch.autograd.grad(score, kept[0])
    if method == "gradcam":
        small = (gradients.mean((2, 3), keepdim=True) * kept[0]).sum(1, keepdim=True).relu()
    else:
        small = (gradients.relu() * kept[0]).sum(1, keepdim=True).relu()
    large = functional.interpolate(spread(small), x.shape[-2:], mode="bilinear", align_corners=False)
    return spread(large)[:, 0].detach()


@pytest.mark.parametrize("method", ["gradcam", "layercam"])
@pytest.mark.parametrize("layer", ["layer4", "layer3.0", "layer2.0.conv1"])
def test_maps_are_what_their_definition_says(method, layer, tiny_network):
    x, classes = images(5), [0, 3, 1, 2, 2]
    wanted = by_hand(copy.deepcopy(tiny_network), layer, x, classes, method)
    assert 0.01 < wanted.mean() < 0.99
    found = ActivationMaps(tiny_network, layer, method)(x, classes)
    assert found.shape == (5, 64, 64)
    assert abs(torch.from_numpy(found) - wanted).max() < 1e-5


def test_by_default_the_predicted_class_is_shown(tiny_network):
    x = images(6)
    with torch.no_grad():
        logits = tiny_network(x)
    maps = ActivationMaps(tiny_network, "layer4")
    found = maps(x)
    assert len(set(logits.argmax(1).tolist())) > 1
    assert torch.allclose(torch.from_numpy(maps.logits), logits, atol=1e-5)
    assert abs(found - maps(x, logits.argmax(1).tolist())).max() == 0


@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode])
def test_a_caller_without_gradients_gets_the_same(mode, tiny_network):
    wanted = ActivationMaps(tiny_network, "layer4")(images(2))
    with mode():
        found = ActivationMaps(tiny_network, "layer4")(images(2))
        assert not torch.is_grad_enabled()
    assert abs(found - wanted).max() == 0


def stack(inplace):
    layers = [nn.Conv2d(1, 6, 3), nn.ReLU(inplace), nn.Conv2d(6, 6, 3), nn.ReLU(inplace)]
    network = nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(6, 3))
    generator = torch.Generator().manual_seed(0)
    for parameter in network.parameters():
        parameter.data.normal_(0, 0.4, generator=generator)
    return network


@pytest.mark.parametrize("method", ["gradcam", "gradcam++", "layercam", "eigencam"])
def test_layers_that_work_in_place_do_not_spoil_the_map(method):
    wanted = ActivationMaps(stack(False), "2", method)(images(3, 20))
    found = ActivationMaps(stack(True), "2", method)(images(3, 20))
    assert wanted.max() > 0.5
    assert abs(found - wanted).max() < 1e-6


@pytest.mark.parametrize("method", METHODS)
def test_every_method_gives_maps_and_leaves_no_trace(method, tiny_network, capfd):
    before = copy.deepcopy(tiny_network.state_dict())
    maps = ActivationMaps(tiny_network, "layer4", method)
    x = images(min(3, maps.greatest_batch))
    found = maps(x)
    assert found.shape == (len(x), 64, 64)
    assert found.dtype == "float32"
    assert found.min() == 0
    assert 0.9 < found.max() <= 1
    assert not any(module._forward_hooks for module in tiny_network.modules())
    assert all(parameter.grad is None for parameter in tiny_network.parameters())
    assert all(torch.equal(before[name], value) for name, value in tiny_network.state_dict().items())
    assert capfd.readouterr() == ("", "")


def test_a_batch_is_explained_as_its_images_are(tiny_network):
    maps, x = ActivationMaps(tiny_network, "layer4"), images(4)
    together = maps(x)
    for index in range(4):
        assert abs(together[index] - maps(x[index : index + 1])[0]).max() < 1e-5


def test_no_evidence_gives_an_empty_map():
    network = stack(False)
    network[-1].weight.data.zero_()
    found = ActivationMaps(network, "2")(images(2, 20))
    assert not found.any()


class Odd(nn.Module):
    def __init__(self):
        super().__init__()
        self.unused, self.pair, self.fc = nn.Conv2d(1, 1, 1), Pair(), nn.Linear(400, 3)

    def forward(self, x):
        return self.fc(self.pair(x)[0].flatten(1))


class Pair(nn.Module):
    def forward(self, x):
        return x, x


@pytest.mark.parametrize(
    ("layer", "complaint"),
    [("unused", "takes no part"), ("fc", r"gives shape \(2, 3\)"), ("pair", r"gives shape \(\)")],
)
def test_a_layer_that_has_no_map_is_refused(layer, complaint):
    network = Odd()
    with pytest.raises(ConfigurationError, match=f"Layer '{layer}' {complaint}"):
        ActivationMaps(network, layer)(images(2, 20))
    assert not any(module._forward_hooks for module in network.modules())


def test_unknown_names_are_answered_with_the_nearest(tiny_network):
    with pytest.raises(UnknownNameError, match=r"Unknown layer 'layer5'\. Did you mean 'layer\d'"):
        ActivationMaps(tiny_network, "layer5")
    with pytest.raises(UnknownNameError, match="Did you mean 'gradcam'"):
        ActivationMaps(tiny_network, "layer4", "grad-cam")


def test_a_missing_package_names_its_extra(tiny_network, monkeypatch):
    for name in [name for name in sys.modules if name.startswith("pytorch_grad_cam")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "pytorch_grad_cam", None)
    with pytest.raises(MissingExtraError, match=r"pytorch_grad_cam is not installed.*monai-brain\[explain\]"):
        ActivationMaps(tiny_network, "layer4")
