import copy
import itertools

import pytest
import torch
from monai_brain_plugins.brain_tumor_resnet34.network import ImprovedResNet34
from torch import nn

from monai_brain.errors import ModelError
from monai_brain.inference.channels import adapt_input_channels

TORCHVISION = {
    "resnet18": "conv1",
    "shufflenet_v2_x0_5": "conv1.0",
    "mobilenet_v3_small": "features.0.0",
    "squeezenet1_1": "features.0",
}


def grey(*shape):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(1))


def improved(in_channels, **switches):
    torch.manual_seed(in_channels)
    return ImprovedResNet34(in_channels=in_channels, **switches).eval()


def from_torchvision(name, in_channels):
    models = pytest.importorskip("torchvision.models")
    torch.manual_seed(in_channels)
    network = getattr(models, name)(num_classes=4).eval()
    where = TORCHVISION[name]
    if in_channels != 3:
        first = network.get_submodule(where)
        arguments = (first.out_channels, first.kernel_size, first.stride, first.padding)
        network.set_submodule(where, nn.Conv2d(in_channels, *arguments, bias=first.bias is not None))
    return network


def worst_difference(one, three, x):
    with torch.no_grad():
        wanted = three(x.expand(-1, 3, -1, -1))
        assert wanted.abs().max() > 1e-12
        return float((one(x) - wanted).abs().max() / wanted.abs().max())


@pytest.mark.parametrize("multi_scale_stem", [True, False])
def test_improved_resnet34_both_ways(multi_scale_stem):
    x = grey(2, 1, 64, 64)
    one, three = (improved(channels, multi_scale_stem=multi_scale_stem) for channels in (1, 3))
    one.load_state_dict(adapt_input_channels(three.state_dict(), one))
    assert worst_difference(one, three, x) < 1e-6
    one, three = (improved(channels, multi_scale_stem=multi_scale_stem) for channels in (1, 3))
    three.load_state_dict(adapt_input_channels(one.state_dict(), three))
    assert worst_difference(one, three, x) < 1e-6


@pytest.mark.parametrize("name", TORCHVISION)
def test_torchvision_networks_both_ways(name):
    x = grey(1, 1, 32, 32).double()
    one, three = (from_torchvision(name, channels).double() for channels in (1, 3))
    one.load_state_dict(adapt_input_channels(three.state_dict(), one))
    assert worst_difference(one, three, x) < 1e-10
    one, three = (from_torchvision(name, channels).double() for channels in (1, 3))
    three.load_state_dict(adapt_input_channels(one.state_dict(), three))
    assert worst_difference(one, three, x) < 1e-10


def test_all_four_stem_kernels_and_nothing_else_change():
    one, three = improved(1), improved(3)
    given = three.state_dict()
    before = copy.deepcopy(given)
    adapted = adapt_input_channels(given, one)
    changed = sorted(name for name in adapted if adapted[name].shape != given[name].shape)
    assert changed == [
        f"conv1.{pair}.{kernel}.weight"
        for pair, kernel in itertools.product(("coarse", "fine"), ("large", "small"))
    ]
    kernel = given["conv1.fine.small.weight"]
    torch.testing.assert_close(
        adapted["conv1.fine.small.weight"][:, 0], kernel[:, 0] + kernel[:, 1] + kernel[:, 2]
    )
    assert list(adapted) == list(given)
    assert all(torch.equal(before[name], value) for name, value in given.items())


def test_there_and_back_again():
    one, three = improved(1), improved(3)
    given = one.state_dict()
    back = adapt_input_channels(adapt_input_channels(given, three), one)
    for name, value in given.items():
        torch.testing.assert_close(back[name], value, rtol=1e-6, atol=0)


def test_fitting_weights_come_back_as_they_are():
    net = improved(3)
    given = net.state_dict()
    adapted = adapt_input_channels(given, net)
    assert all(adapted[name] is given[name] for name in given)


def test_counters_of_batches_may_be_missing():
    one = improved(1)
    given = {n: v for n, v in improved(3).state_dict().items() if not n.endswith("num_batches_tracked")}
    one.load_state_dict(adapt_input_channels(given, one))
    assert worst_difference(one, improved(3), grey(1, 1, 64, 64)) < 1e-6


def test_a_kernel_of_half_precision_stays_so():
    adapted = adapt_input_channels(improved(3).half().state_dict(), improved(1))
    assert adapted["conv1.coarse.large.weight"].dtype == torch.float16


@pytest.mark.parametrize(
    ("given", "wanted", "said"),
    [
        ({"num_classes": 3}, {}, ["'fc.weight'", "3x512", "4x512", "(and 1 more)"]),
        ({"in_channels": 4}, {}, ["'conv1.fine.small.weight'", "32x4x3x3", "32x3x3x3", "(and 3 more)"]),
        ({"in_channels": 2}, {"in_channels": 1}, ["32x2x3x3", "32x1x3x3"]),
        ({"figure_widths": True}, {}, ["'layer2.0.branch3.0.conv.weight'", "32x64x1x1", "16x64x1x1"]),
        ({"squeeze_excitation": False}, {}, ["lack", "'layer1.0.se.fc.0.bias'", "more"]),
        ({}, {"multi_scale_stem": False}, ["lack", "'conv1.weight'"]),
        ({}, {"squeeze_excitation": False}, ["add", "'layer1.0.se.fc.0.bias'"]),
    ],
)
def test_other_mismatches_are_refused_in_one_line(given, wanted, said):
    weights = ImprovedResNet34(**given).state_dict()
    with pytest.raises(ModelError) as caught:
        adapt_input_channels(weights, ImprovedResNet34(**wanted))
    message = str(caught.value)
    assert "\n" not in message
    assert len(message) < 300
    for part in said:
        assert part in message


class TwoEyes(nn.Module):
    def __init__(self, left, right):
        super().__init__()
        self.left, self.right = nn.Conv2d(left, 2, 3), nn.Conv2d(right, 2, 3)


def test_opposite_changes_are_refused():
    with pytest.raises(ModelError, match=r"'left.weight' has shape 2x1x3x3, TwoEyes takes 2x3x3x3"):
        adapt_input_channels(TwoEyes(1, 3).state_dict(), TwoEyes(3, 1))
