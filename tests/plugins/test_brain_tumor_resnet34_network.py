import itertools
import math

import pytest
import torch
from monai_brain_plugins.brain_tumor_resnet34.blocks import (
    InceptionDownsampling,
    PairedConvolution,
    ResidualStep,
)
from monai_brain_plugins.brain_tumor_resnet34.network import ImprovedResNet34
from torch import nn
from torch.nn import functional

SWITCHES = list(itertools.product((False, True), repeat=3))
PUBLISHED = {"inception_downsampling": True, "multi_scale_stem": True, "squeeze_excitation": True}
PLAIN = dict.fromkeys(PUBLISHED, False)


def network(switches, seed=0, **arguments):
    torch.manual_seed(seed)
    return ImprovedResNet34(**dict(zip(PUBLISHED, switches, strict=True)), **arguments)


def trained_a_little(net, seed=0):
    """The network with statistics and affine parameters of BatchNorm that are not the initial ones."""
    generator = torch.Generator().manual_seed(seed)
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.normal_(0, 0.5, generator=generator)
            module.running_var.uniform_(0.5, 2, generator=generator)
            module.weight.data.uniform_(0.3, 1, generator=generator)
            module.bias.data.normal_(0, 0.3, generator=generator)
    return net.eval()


def images(*shape, seed=1, dtype=torch.float32):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def parameters(net):
    return sum(parameter.numel() for parameter in net.parameters())


@pytest.mark.parametrize(
    ("arguments", "millions"),
    [
        ({}, 17.344),
        ({"in_channels": 1}, 17.331),
        ({"figure_widths": True}, 17.414),
    ],
)
def test_size_is_the_paper_s_eighty_percent(arguments, millions):
    count = parameters(ImprovedResNet34(**arguments))
    assert round(count / 1e6, 3) == millions
    assert 0.80 <= count / 21_286_724 < 0.82


def test_size_by_hand():
    def downsampling(c):
        half, quarter = c // 2, c // 4
        kernels = 9 * c * half + c * quarter + 9 * quarter * half
        kernels += c * quarter + 9 * quarter * quarter + 9 * quarter * half + c * half
        norms = 2 * (half + quarter + half + quarter + quarter + half + half)
        return kernels + norms

    def residual(c):
        hidden = c // 16
        return 2 * (9 * c * c + 2 * c) + 2 * c * hidden + hidden + c

    stem = 32 * 3 * (9 + 25 + 49 + 121) + 32 * 32 * (9 + 25) + 2 * (32 + 32 + 64)
    stages = sum(n * residual(c) for n, c in ((3, 64), (3, 128), (5, 256), (2, 512)))
    by_hand = stem + stages + sum(map(downsampling, (64, 128, 256))) + 512 * 4 + 4
    assert parameters(ImprovedResNet34()) == by_hand


def test_without_the_parts_it_is_torchvision_s_resnet34():
    models = pytest.importorskip("torchvision.models")
    torch.manual_seed(0)
    theirs = trained_a_little(models.resnet34(num_classes=4))
    ours = ImprovedResNet34(**PLAIN).eval()
    assert parameters(ours) == parameters(theirs) == 21_286_724
    ours.load_state_dict(theirs.state_dict(), strict=True)
    x = images(2, 3, 96, 64)
    with torch.no_grad():
        assert torch.equal(ours(x), theirs(x))


def test_without_the_parts_gradients_are_torchvision_s():
    models = pytest.importorskip("torchvision.models")
    theirs = models.resnet34(num_classes=4).double()
    ours = ImprovedResNet34(**PLAIN).double()
    ours.load_state_dict(theirs.state_dict())
    x, labels = images(3, 3, 64, 64, dtype=torch.float64), torch.tensor([0, 1, 3])
    for net in (ours, theirs):
        functional.cross_entropy(net(x), labels).backward()
    wanted = dict(theirs.named_parameters())
    for name, parameter in ours.named_parameters():
        torch.testing.assert_close(parameter.grad, wanted[name].grad, rtol=1e-9, atol=1e-12)
    for name, buffer in ours.named_buffers():
        torch.testing.assert_close(buffer, dict(theirs.named_buffers())[name])


def test_initial_weights_spread_as_torchvision_s():
    models = pytest.importorskip("torchvision.models")
    torch.manual_seed(0)
    ours, theirs = ImprovedResNet34(**PLAIN), models.resnet34(num_classes=4)
    for name, weight in theirs.state_dict().items():
        if weight.ndim == 4:
            assert math.isclose(ours.state_dict()[name].std(), weight.std(), rel_tol=0.05)


@pytest.mark.parametrize(("small", "large"), [(3, 5), (7, 11)])
def test_a_stem_pair_is_the_sum_of_two_convolutions(small, large):
    torch.manual_seed(0)
    pair = PairedConvolution(3, 32, small, large).double()
    x = images(2, 3, 33, 40, dtype=torch.float64)
    summed = pair.small(x) + pair.large(x)
    direct = functional.conv2d(x, pair.summed_kernel(), padding=large // 2)
    assert (direct - summed).abs().max() < 1e-8

    kernels = (pair.small.weight, pair.large.weight)
    weights = images(*summed.shape, seed=2, dtype=torch.float64)
    for ours, plain in zip(
        torch.autograd.grad((direct * weights).sum(), kernels),
        torch.autograd.grad((summed * weights).sum(), kernels),
        strict=True,
    ):
        assert (ours - plain).abs().max() < 1e-8
    normalised = functional.batch_norm(summed, None, None, training=True, eps=pair.bn.eps)
    assert (pair(x) - functional.relu(normalised)).abs().max() < 1e-8


def test_the_stem_follows_the_paper_s_figure():
    torch.manual_seed(0)
    net = trained_a_little(ImprovedResNet34(in_channels=1)).double()
    stem, x = net.conv1, images(2, 1, 30, 41, dtype=torch.float64)
    fine = functional.relu(stem.fine.bn(stem.fine.small(x) + stem.fine.large(x)))
    coarse = functional.relu(stem.coarse.bn(stem.coarse.small(x) + stem.coarse.large(x)))
    halves = [stem.reduce_fine(fine), stem.reduce_coarse(coarse)]
    bn = net.bn1
    wanted = [
        functional.relu(
            functional.batch_norm(
                half, bn.running_mean[part], bn.running_var[part], bn.weight[part], bn.bias[part], eps=bn.eps
            )
        )
        for half, part in zip(halves, (slice(0, 32), slice(32, 64)), strict=True)
    ]
    found = net.relu(net.bn1(stem(x)))
    assert found.shape == (2, 64, 15, 21)
    assert (found - torch.cat(wanted, dim=1)).abs().max() < 1e-8


def test_squeeze_and_excitation_is_the_paper_s_formula():
    torch.manual_seed(0)
    step = trained_a_little(ResidualStep(64, 64, reduction=16)).double()
    shapes = {name: tuple(value.shape) for name, value in step.se.state_dict().items()}
    assert shapes == {
        "fc.0.weight": (4, 64), "fc.0.bias": (4,), "fc.2.weight": (64, 4), "fc.2.bias": (64,)
    }  # fmt: skip
    weights = step.se.state_dict()
    u = images(2, 64, 7, 5, dtype=torch.float64)
    z = u.sum(dim=(2, 3)) / 35
    hidden = (z @ weights["fc.0.weight"].T + weights["fc.0.bias"]).clamp(min=0)
    s = 1 / (1 + torch.exp(-(hidden @ weights["fc.2.weight"].T + weights["fc.2.bias"])))
    assert (step.se(u) - s[:, :, None, None] * u).abs().max() < 1e-12

    branch = step.bn2(step.conv2(functional.relu(step.bn1(step.conv1(u)))))
    assert (step(u) - functional.relu(step.se(branch) + u)).abs().max() < 1e-12


@pytest.mark.parametrize("size", [224, 96, 64, 65, 1])
@pytest.mark.parametrize("figure_widths", [False, True])
def test_inception_downsampling_doubles_channels_and_halves_size(size, figure_widths):
    module = InceptionDownsampling(16, figure_widths).eval()
    found = module(images(1, 16, size, 65))
    assert found.shape == (1, 32, math.ceil(size / 2), 33)


def test_inception_downsampling_concatenates_its_four_branches():
    torch.manual_seed(0)
    module = trained_a_little(InceptionDownsampling(16)).double()
    x = images(2, 16, 9, 12, dtype=torch.float64)

    def step(x, unit, stride):
        kernel, bn = unit.conv.weight, unit.bn
        y = functional.conv2d(x, kernel, stride=stride, padding=(kernel.shape[-1] - 1) // 2)
        y = functional.batch_norm(y, bn.running_mean, bn.running_var, bn.weight, bn.bias, eps=bn.eps)
        return y.clamp(min=0)

    assert [p.shape[-1] for n, p in module.named_parameters() if n.endswith("conv.weight")] == [
        3, 1, 3, 1, 3, 3, 1
    ]  # fmt: skip
    wanted = [
        step(x, module.branch1, 2),
        step(step(x, module.branch2[0], 1), module.branch2[1], 2),
        step(step(step(x, module.branch3[0], 1), module.branch3[1], 1), module.branch3[2], 2),
        step(functional.max_pool2d(x, 3, 2, 1), module.branch4[1], 1),
    ]
    assert [branch.shape[1] for branch in wanted] == [8, 8, 8, 8]
    assert (module(x) - torch.cat(wanted, dim=1)).abs().max() < 1e-12


@pytest.mark.parametrize("size", [224, 96, 64, 65])
@pytest.mark.parametrize("channels", [1, 3])
def test_logits_and_stage_maps_at_any_size(size, channels):
    net = ImprovedResNet34(num_classes=3, in_channels=channels).eval()
    seen = {}
    for name in ("layer3", "layer4"):
        net.get_submodule(name).register_forward_hook(lambda _m, _i, out, n=name: seen.update({n: out.shape}))
    with torch.no_grad():
        assert net(images(1, channels, size, size)).shape == (1, 3)
    assert seen["layer3"] == (1, 256, *[math.ceil(size / 16)] * 2)
    assert seen["layer4"] == (1, 512, *[math.ceil(size / 32)] * 2)


@pytest.mark.parametrize("switches", SWITCHES)
def test_every_parameter_gets_a_finite_gradient(switches):
    net = network(switches).train()
    functional.cross_entropy(net(images(4, 3, 64, 64)), torch.arange(4)).backward()
    for name, parameter in net.named_parameters():
        assert parameter.grad is not None, name
        assert torch.isfinite(parameter.grad).all(), name
        assert parameter.grad.abs().max() > 0, name


@pytest.mark.parametrize("switches", SWITCHES)
def test_fused_computes_the_same(switches):
    net = trained_a_little(network(switches, in_channels=1, figure_widths=True))
    before = {name: value.clone() for name, value in net.state_dict().items()}
    net.train()
    fused = net.fuse()
    assert not fused.training
    assert net.training
    assert not any(isinstance(module, nn.BatchNorm2d) for module in fused.modules())
    x = images(2, 1, 96, 65)
    with torch.no_grad():
        wanted = net.eval()(x)
        assert wanted.abs().max() > 0.1
        assert (fused(x) - wanted).abs().max() < 1e-5
        assert (fused.fuse()(x) - wanted).abs().max() < 1e-5
    assert all(torch.equal(before[name], value) for name, value in net.state_dict().items())


def test_fused_reads_the_image_once_for_each_pair():
    fused = ImprovedResNet34(in_channels=1).fuse()
    reading = [m.kernel_size[0] for m in fused.modules() if isinstance(m, nn.Conv2d) and m.in_channels == 1]
    assert reading == [5, 11]


@pytest.mark.filterwarnings("ignore:.torch.jit")
@pytest.mark.parametrize("fused", [False, True])
def test_torchscript_and_export_compute_the_same(fused, tmp_path):
    net = trained_a_little(ImprovedResNet34())
    net = net.fuse() if fused else net
    x, more = images(2, 3, 64, 64), images(3, 3, 64, 64, seed=2)
    with torch.no_grad():
        wanted = net(more)
        for scripted in (torch.jit.script(net), torch.jit.trace(net, x)):
            torch.jit.save(scripted, tmp_path / "net.ts")
            assert (torch.jit.load(tmp_path / "net.ts")(more) - wanted).abs().max() < 1e-5
        program = torch.export.export(net, (x,), dynamic_shapes=({0: torch.export.Dim("batch")},))
        assert (program.module()(more) - wanted).abs().max() < 1e-5


@pytest.mark.parametrize("switches", SWITCHES)
def test_state_dict_comes_back_whole(switches, tmp_path):
    net = trained_a_little(network(switches))
    torch.save(net.state_dict(), tmp_path / "model.pt")
    again = network(switches, seed=1).eval()
    again.load_state_dict(torch.load(tmp_path / "model.pt", weights_only=True), strict=True)
    x = images(1, 3, 64, 64)
    with torch.no_grad():
        assert torch.equal(net(x), again(x))


def test_mixed_precision_trains():
    net = ImprovedResNet34().train()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        loss = functional.cross_entropy(net(images(2, 3, 64, 64)), torch.tensor([0, 3]))
    loss.backward()
    assert torch.isfinite(loss)
    assert all(torch.isfinite(parameter.grad).all() for parameter in net.parameters())


def test_channels_last_is_the_same_function():
    net = trained_a_little(ImprovedResNet34())
    x = images(2, 3, 64, 64)
    with torch.no_grad():
        wanted = net(x)
        last = net.to(memory_format=torch.channels_last)(x.to(memory_format=torch.channels_last))
    assert (last - wanted).abs().max() < 1e-5


@pytest.mark.parametrize("size", [64, 46])
@pytest.mark.parametrize("channels", [1, 3])
def test_the_stem_for_integers_computes_the_same_borders_included(size, channels):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = ImprovedResNet34(in_channels=channels).double().eval()
        for module in network.modules():
            if isinstance(module, torch.nn.BatchNorm2d):
                torch.nn.init.normal_(module.running_mean)
                torch.nn.init.uniform_(module.running_var, 0.5, 2)
                torch.nn.init.normal_(module.bias)
        images = torch.randn(2, channels, size, size, dtype=torch.float64)
    changed = network.for_integers()
    with torch.no_grad():
        torch.testing.assert_close(
            torch.relu(changed.conv1(images)), network.relu(network.bn1(network.conv1(images)))
        )
        torch.testing.assert_close(changed(images), network(images))
