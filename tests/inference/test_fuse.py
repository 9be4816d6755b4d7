import copy

import pytest
import torch
from torch import nn
from torch.nn import functional

from monai_brain.inference.fuse import fold_batch_norm, fuse


def shaken(network, seed=0):
    """The network with statistics and affine parameters of BatchNorm that are not the initial ones."""
    generator = torch.Generator().manual_seed(seed)
    for module in network.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            if module.running_mean is not None:
                module.running_mean.normal_(0, 0.3, generator=generator)
                module.running_var.uniform_(0.5, 2, generator=generator)
            if module.affine:
                module.weight.data.uniform_(0.5, 1, generator=generator)
                module.bias.data.normal_(0, 0.3, generator=generator)
    return network


def images(*shape):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(1))


def norms(network):
    return sum(isinstance(module, nn.modules.batchnorm._BatchNorm) for module in network.modules())


def difference(network, x):
    fused = fuse(network)
    with torch.no_grad():
        wanted = copy.deepcopy(network).eval()(x)
        assert wanted.abs().max() > 1e-2
        return fused, float((fused(x) - wanted).abs().max())


def test_resnet18_keeps_its_function_and_its_layer_names():
    models = pytest.importorskip("torchvision.models")
    torch.manual_seed(0)
    network = shaken(models.resnet18(num_classes=5)).train()
    before = copy.deepcopy(network.state_dict())
    fused, worst = difference(network, images(2, 3, 64, 64))
    assert worst < 1e-5
    assert norms(network) == 20
    assert norms(fused) == 0
    assert not fused.training
    assert network.training
    assert [name for name, _ in fused.named_modules()] == [name for name, _ in network.named_modules()]
    assert all(torch.equal(before[name], value) for name, value in network.state_dict().items())


def test_monai_efficientnet_keeps_its_function():
    from monai.networks.nets import EfficientNetBN

    torch.manual_seed(0)
    network = shaken(EfficientNetBN("efficientnet-b0", pretrained=False, num_classes=3))
    fused, worst = difference(network, images(2, 3, 64, 64))
    assert worst < 1e-5
    assert norms(fused) == 0


class WithOwnFuse(nn.Module):
    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(2, 2)

    def fuse(self):
        return nn.Sequential(copy.deepcopy(self.linear)).eval()


def test_a_network_s_own_fuse_is_asked():
    network = WithOwnFuse()
    assert list(fuse(network).state_dict()) == ["0.weight", "0.bias"]


class Untraceable(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv, self.bn = nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4)

    def forward(self, x):
        y = self.bn(self.conv(x))
        return y if y.sum() > 0 else -y


def test_an_untraceable_network_comes_back_unchanged_in_eval():
    network = shaken(Untraceable()).train()
    fused, worst = difference(network, images(2, 1, 8, 8))
    assert worst == 0
    assert norms(fused) == 1
    assert fused is not network
    assert not fused.training
    assert network.training


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("affine", [True, False])
@pytest.mark.parametrize("mode", ["zeros", "reflect"])
def test_one_fold(bias, affine, mode):
    torch.manual_seed(0)
    conv = nn.Conv2d(4, 6, 3, stride=2, padding=1, groups=2, bias=bias, padding_mode=mode).double()
    norm = shaken(nn.Sequential(nn.BatchNorm2d(6, affine=affine, eps=1e-3))).double().eval()
    x = images(2, 4, 9, 7).double()
    wanted = functional.batch_norm(
        conv(x), norm[0].running_mean, norm[0].running_var, norm[0].weight, norm[0].bias, eps=1e-3
    )
    assert (fold_batch_norm(conv, norm[0])(x) - wanted).abs().max() < 1e-12


def test_one_and_three_dimensions_fold():
    torch.manual_seed(0)
    for network, shape in (
        (nn.Sequential(nn.Conv1d(2, 3, 3), nn.BatchNorm1d(3)), (2, 2, 9)),
        (nn.Sequential(nn.Conv3d(2, 3, 3), nn.BatchNorm3d(3)), (2, 2, 5, 5, 5)),
    ):
        fused, worst = difference(shaken(network), images(*shape))
        assert worst < 1e-5
        assert norms(fused) == 0


class Tangled(nn.Module):
    """Pairs that must not be folded: each is read twice, used twice, shared or not plain."""

    def __init__(self, kind):
        super().__init__()
        self.kind = kind
        self.conv, self.other = nn.Conv2d(2, 2, 3, padding=1), nn.Conv2d(2, 2, 3, padding=1)
        self.bn = nn.BatchNorm2d(2, track_running_stats=kind != "no statistics")
        if kind == "shared weight":
            self.other.weight = self.conv.weight
        if kind == "parametrised":
            nn.utils.parametrizations.weight_norm(self.conv)
        if kind == "hooked":
            self.conv.register_forward_hook(lambda module, inputs, output: output * 2)

    def forward(self, x):
        if self.kind == "norm used twice":
            return self.bn(self.conv(x)) + self.bn(self.other(x))
        if self.kind == "convolution used twice":
            return self.bn(self.conv(self.conv(x)))
        if self.kind == "output read twice":
            y = self.conv(x)
            return self.bn(y) + y
        if self.kind == "kernel read directly":
            return self.bn(self.conv(x)) + self.conv.weight.sum()
        return self.bn(self.conv(x)) + self.other(x)


@pytest.mark.parametrize(
    "kind",
    [
        "norm used twice",
        "convolution used twice",
        "output read twice",
        "kernel read directly",
        "shared weight",
        "parametrised",
        "hooked",
        "no statistics",
    ],
)
def test_what_cannot_be_folded_is_left(kind):
    torch.manual_seed(0)
    fused, worst = difference(shaken(Tangled(kind)), images(2, 2, 8, 8))
    assert worst < 1e-6
    assert norms(fused) == 1


def test_half_precision_and_frozen_weights_stay():
    network = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2)).to(torch.bfloat16)
    network.requires_grad_(False)
    fused = fuse(network)
    assert all(p.dtype == torch.bfloat16 and not p.requires_grad for p in fused.parameters())
