"""Parallel attention and KAN head: against definitions written out, torchvision and pykan."""

from __future__ import annotations

import itertools
import math
import statistics
import subprocess
import sys
import textwrap
import time

import numpy as np
import pytest
import torch
from kan.KANLayer import KANLayer
from monai_brain_plugins.mammography_quality_parb_kan.kan_head import (
    FixedSplineLayer,
    KanHead,
    SplineLayer,
    b_spline_bases,
)
from monai_brain_plugins.mammography_quality_parb_kan.network import ParbKanResNet34
from monai_brain_plugins.mammography_quality_parb_kan.parb import ParallelAttention
from monai_brain_plugins.mammography_quality_parb_kan.s2_attention import S2Attention
from torch import nn
from torch.nn import functional

from monai_brain.errors import ConfigurationError, UnknownNameError

ABLATION = {
    "resnet34": {"parb": False, "kan": False},
    "parb": {"parb": True, "kan": False},
    "kan": {"parb": False, "kan": True},
    "both": {"parb": True, "kan": True},
}
FORMS = ({}, {"kan_form": "plain"}, {"parb_conv": 1}, {"in_channels": 1})


def randomised(module, seed=0):
    """The module with statistics and affine parameters that no BatchNorm is born with."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for part in module.modules():
            if isinstance(part, nn.BatchNorm2d):
                part.running_mean.normal_(0, 0.3, generator=generator)
                part.running_var.uniform_(0.5, 2, generator=generator)
                part.weight.uniform_(0.5, 1.5, generator=generator)
                part.bias.normal_(0, 0.3, generator=generator)
    return module


def settled(network, channels=3):
    """The network in eval mode with statistics of its own activations, so that no tanh is saturated."""
    norms = [module for module in randomised(network).modules() if isinstance(module, nn.BatchNorm2d)]
    for norm in norms:
        norm.momentum = 1.0
    with torch.no_grad():
        network.train()(images(6, channels))
    for norm in norms:
        norm.momentum = 0.1
    return network.eval()


def images(batch=2, channels=3, size=64, seed=1):
    return torch.randn(batch, channels, size, size, generator=torch.Generator().manual_seed(seed))


# S2-attention and PARB


def s2_by_loops(block, x):
    """S2-attention, position by position and channel by channel."""
    batch, channels, height, width = x.shape
    expand, merge = block.expand, block.merge
    first_map, second_map = block.weigh[0].weight.numpy(), block.weigh[2].weight.numpy()
    kernel, bias = expand.weight[:, :, 0, 0].numpy(), expand.bias.numpy()
    # The step from a position to the one whose value arrives there: (rows, columns).
    right, left, down, up = (0, -1), (0, 1), (-1, 0), (1, 0)
    directions = {0: (right, left, down, up), 1: (down, up, right, left)}
    image, out = x.numpy(), np.zeros(x.shape)
    for n in range(batch):
        mapped = np.zeros((3 * channels, height, width))
        for c, h, w in itertools.product(range(3 * channels), range(height), range(width)):
            mapped[c, h, w] = bias[c] + sum(kernel[c, d] * image[n, d, h, w] for d in range(channels))
        parts = np.zeros((3, channels, height, width))
        for k, c, h, w in itertools.product(range(3), range(channels), range(height), range(width)):
            rows, columns = directions[k][c // (channels // 4)] if k < 2 else (0, 0)
            source = (h + rows, w + columns)
            inside = 0 <= source[0] < height and 0 <= source[1] < width
            parts[k, c, h, w] = mapped[(k * channels + c, *(source if inside else (h, w)))]
        mean = np.zeros(channels)
        for k, c, h, w in itertools.product(range(3), range(channels), range(height), range(width)):
            mean[c] += parts[k, c, h, w] / (height * width)
        hidden = first_map @ mean
        hidden = np.array([0.5 * v * (1 + math.erf(v / math.sqrt(2))) for v in hidden])
        scores = second_map @ hidden
        mixed = np.zeros((channels, height, width))
        for c in range(channels):
            powers = [math.exp(scores[k * channels + c]) for k in range(3)]
            for k in range(3):
                mixed[c] += powers[k] / sum(powers) * parts[k, c]
        for c, h, w in itertools.product(range(channels), range(height), range(width)):
            out[n, c, h, w] = merge.bias[c] + merge.weight[c, :, 0, 0].numpy() @ mixed[:, h, w]
    return out


@pytest.mark.parametrize("size", [(4, 5), (1, 3), (2, 1), (1, 1)])
def test_s2_attention_is_its_definition(size):
    torch.manual_seed(0)
    block = S2Attention(8).double()
    with torch.no_grad():
        block.weigh[2].weight.mul_(20)  # so that the three weights differ
        x = torch.randn(2, 8, *size, dtype=torch.float64)
        np.testing.assert_allclose(block(x).numpy(), s2_by_loops(block, x), atol=1e-10)


@pytest.mark.parametrize("kernel", [3, 1])
def test_parb_is_its_definition(kernel):
    torch.manual_seed(0)
    block = randomised(ParallelAttention(16, kernel, reduction=4)).eval()
    x = torch.randn(2, 16, 6, 6)
    with torch.no_grad():
        kept = x.clone()
        features = functional.relu(block.bn(functional.conv2d(x, block.conv.weight, padding=kernel // 2)))
        squeezed = functional.relu(block.se.fc[0](features.mean((2, 3))))
        gates = torch.sigmoid(block.se.fc[2](squeezed))
        wanted = x + block.project(features * gates[:, :, None, None] + block.s2(x))
        torch.testing.assert_close(block(x), wanted)
        torch.testing.assert_close(x, kept, rtol=0, atol=0)
        torch.testing.assert_close(block.fuse()(x), wanted, atol=1e-5, rtol=1e-5)


# The spline layer beside pykan


def spline_pair(inputs=6, outputs=4, intervals=5, order=3, seed=0, dtype=torch.float32):
    torch.manual_seed(seed)
    theirs = KANLayer(inputs, outputs, num=intervals, k=order)
    with torch.no_grad():
        theirs.mask[0, 1] = 0
        theirs.scale_sp.uniform_(0.5, 2)
    ours = SplineLayer(inputs, outputs, num=intervals, k=order)
    ours.load_state_dict(theirs.state_dict())
    for layer in (theirs, ours):
        nn.Module.to(layer, dtype)
    return theirs, ours


def inputs_for(layer, where):
    generator = torch.Generator().manual_seed(3)
    features, knots = layer.grid.shape
    if where == "inside":
        return torch.rand(50, features, generator=generator) * 2 - 1
    if where == "everywhere":
        return torch.randn(50, features, generator=generator) * 3
    if where == "on the knots":
        return layer.grid.detach().t().clone()
    near = layer.grid.detach().t().repeat(2, 1)
    near[:knots] += 1e-6
    near[knots:] -= 1e-6
    return near


@pytest.mark.parametrize("where", ["inside", "everywhere", "on the knots", "beside the knots"])
@pytest.mark.parametrize(("intervals", "order"), [(5, 3), (3, 2), (8, 1)])
def test_spline_layer_is_pykans(intervals, order, where):
    theirs, ours = spline_pair(intervals=intervals, order=order)
    x = inputs_for(theirs, where)
    weight = torch.randn(len(x), 4, generator=torch.Generator().manual_seed(4))
    results = []
    for layer in (theirs, ours):
        own = x.clone().requires_grad_()
        y = layer(own)
        y = y[0] if isinstance(y, tuple) else y
        (y * weight).sum().backward()
        results.append([y, own.grad, layer.coef.grad, layer.scale_base.grad, layer.scale_sp.grad])
    for wanted, got in zip(*results, strict=True):
        torch.testing.assert_close(got, wanted, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(FixedSplineLayer(ours)(x), results[0][0], atol=1e-5, rtol=1e-5)


def test_bases_sum_to_one_on_the_grid_and_vanish_beyond():
    grid = SplineLayer(1, 1).grid.detach().double()
    inside = torch.linspace(-1, 0.999, 100, dtype=torch.float64)[:, None]
    torch.testing.assert_close(
        b_spline_bases(inside, grid, 3).sum(0), torch.ones(100, 1, dtype=torch.float64)
    )
    outside = torch.tensor([[-2.3], [2.3], [50.0]], dtype=torch.float64)
    assert not b_spline_bases(outside, grid, 3).any()


def test_grid_update_is_pykans():
    theirs, ours = spline_pair()
    samples = torch.rand(200, 6, generator=torch.Generator().manual_seed(5)) ** 2 * 3
    for layer in (theirs, ours):
        layer.update_grid_from_samples(samples)
    torch.testing.assert_close(ours.grid, theirs.grid)
    assert ours.grid[0, 3] >= 0, "the grid has not moved to the samples"
    torch.testing.assert_close(ours(samples), theirs(samples)[0], atol=1e-5, rtol=1e-5)


def test_a_feature_that_never_varies_leaves_the_layer_finite():
    theirs, ours = spline_pair()
    with torch.no_grad():
        for layer in (theirs, ours):
            layer.grid[2] = 0.0
            layer.grid[3, 5] = layer.grid[3, 6]
    x = inputs_for(theirs, "everywhere").requires_grad_()
    y = ours(x)
    torch.testing.assert_close(y, theirs(x)[0], atol=1e-5, rtol=1e-5)
    y.sum().backward()
    assert x.grad.isfinite().all()


def test_gradients_are_those_of_the_function():
    _, ours = spline_pair(3, 2, dtype=torch.float64)
    x = torch.randn(5, 3, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(ours, (x,))


def test_a_spline_layer_moves_like_any_module():
    layer = SplineLayer(3, 2)
    assert layer.to(torch.float64) is layer and layer.coef.dtype == torch.float64
    assert layer.device == torch.device("cpu")


def test_bilinear_head_is_its_definition():
    torch.manual_seed(0)
    head = KanHead(10, 3, hidden=6, interactions=5, rank=2).double()
    x = torch.randn(4, 10, dtype=torch.float64)
    with torch.no_grad():
        h = head.spline(x)
        left, right = head.left.weight.view(5, 2, 6), head.right.weight.view(5, 2, 6)
        forms = torch.einsum("mri,mrj->mij", left, right)
        z = torch.einsum("bi,mij,bj->bm", h, forms, h)
        torch.testing.assert_close(head(x), torch.tanh(z) @ head.out.weight.t() + head.out.bias)


@pytest.mark.slow
def test_spline_layer_is_three_times_as_fast_as_pykans():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        theirs, ours = spline_pair(512, 64)
        x = torch.randn(64, 512)

        def seconds(layer):
            own = x.clone().requires_grad_()
            start = time.perf_counter()
            for _ in range(5):
                y = layer(own)
                (y[0] if isinstance(y, tuple) else y).sum().backward()
            return time.perf_counter() - start

        seconds(theirs), seconds(ours)
        ratios = [seconds(theirs) / seconds(ours) for _ in range(5)]
    finally:
        torch.set_num_threads(threads)
    assert statistics.median(ratios) >= 3, ratios


# The network


def parb_count(c, kernel=3, reduction=16):
    convolution = c * c * kernel**2 + 2 * c
    squeeze = c * (c // reduction) + c // reduction + (c // reduction) * c + c
    s2 = (3 * c * c + 3 * c) + c * c + 3 * c * c + (c * c + c)
    return convolution + squeeze + s2 + c * c + c


def spline_count(inputs, outputs):
    trained = inputs * outputs * (8 + 2)
    return trained, inputs * outputs + inputs * 12  # pykan keeps mask and grid as parameters too


RESNET34 = 21_797_672 - 1000 * 513  # torchvision's, without its head
LINEAR = 2 * 513
BILINEAR = spline_count(512, 64)[0] + 2 * 64 * 128 + 2 * 33


@pytest.mark.parametrize(
    ("options", "trained", "fixed"),
    [
        (ABLATION["resnet34"], RESNET34 + LINEAR, 0),
        (ABLATION["parb"], RESNET34 + LINEAR + sum(map(parb_count, (64, 128, 256, 512))), 0),
        (ABLATION["kan"], RESNET34 + BILINEAR, spline_count(512, 64)[1]),
        (ABLATION["both"], 27_946_942, 38_912),
        ({"parb": False, "kan_form": "plain"}, RESNET34 + spline_count(512, 2)[0], spline_count(512, 2)[1]),
        (
            {"parb_conv": 1, "kan": False},
            RESNET34 + LINEAR + sum(parb_count(c, 1) for c in (64, 128, 256, 512)),
            0,
        ),
        ({"parb": False, "kan": False, "in_channels": 1}, RESNET34 + LINEAR - 2 * 64 * 49, 0),
    ],
)
def test_parameter_counts(options, trained, fixed):
    network = ParbKanResNet34(**options)
    counts = [p.numel() for p in network.parameters() if p.requires_grad]
    assert sum(counts) == trained
    assert sum(p.numel() for p in network.parameters()) == trained + fixed


def test_without_both_parts_it_is_torchvisions_resnet34():
    torchvision = pytest.importorskip("torchvision")
    torch.manual_seed(0)
    theirs = randomised(torchvision.models.resnet34(num_classes=2))
    ours = ParbKanResNet34(parb=False, kan=False)
    assert list(ours.state_dict()) == list(theirs.state_dict())
    ours.load_state_dict(theirs.state_dict())
    x = images(size=96)
    with torch.no_grad():
        torch.testing.assert_close(ours.eval()(x), theirs.eval()(x), rtol=0, atol=0)
    torch.testing.assert_close(ours.train()(x), theirs.train()(x), rtol=0, atol=0)


def test_attention_adds_only_its_own_names():
    torchvision = pytest.importorskip("torchvision")
    backbone = {name for name in torchvision.models.resnet34().state_dict() if not name.startswith("fc.")}
    names = set(ParbKanResNet34().state_dict())
    assert backbone <= names
    assert {name.split(".")[0] for name in names - backbone} == {"parb1", "parb2", "parb3", "parb4", "fc"}


@pytest.mark.parametrize("variant", ABLATION)
@pytest.mark.parametrize("options", FORMS, ids=str)
def test_every_variant_trains_and_comes_back_from_its_state(variant, options):
    options = {**options, **ABLATION[variant]}
    torch.manual_seed(0)
    network = ParbKanResNet34(**options)
    x = images(channels=options.get("in_channels", 3), size=48)
    functional.cross_entropy(network(x), torch.tensor([0, 1])).backward()
    for name, parameter in network.named_parameters():
        if parameter.requires_grad:
            assert parameter.grad is not None and parameter.grad.isfinite().all(), name
    again = ParbKanResNet34(**options)
    again.load_state_dict(network.state_dict())
    with torch.no_grad():
        first, second = network.eval()(x), again.eval()(x)
    assert first.shape == (2, 2) and first.isfinite().all()
    torch.testing.assert_close(first, second, rtol=0, atol=0)


def test_wrong_options_are_refused():
    with pytest.raises(UnknownNameError, match="bilinear"):
        ParbKanResNet34(kan_form="bilinaer")
    with pytest.raises(ConfigurationError, match="parb_conv"):
        ParbKanResNet34(parb_conv=5)
    with pytest.raises(ConfigurationError, match="kan=True"):
        ParbKanResNet34(kan=False).update_grid(images())


def test_the_grid_follows_the_networks_features():
    torch.manual_seed(0)
    network = ParbKanResNet34(kan_form="plain").eval()
    x = images(batch=12, size=32)
    before = network.state_dict()["fc.spline.grid"].clone()
    network.update_grid(x)
    features = network.features(x).detach()
    grid = network.fc.spline.grid
    assert not torch.equal(before, grid)
    torch.testing.assert_close(grid[:, 3], features.min(dim=0).values, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(grid[:, -4], features.max(dim=0).values, atol=1e-4, rtol=1e-4)


def test_inside_autocast_the_head_stays_in_full_precision():
    torch.manual_seed(0)
    network = ParbKanResNet34()
    seen = {}
    network.layer4.register_forward_hook(lambda m, i, o: seen.update(body=o.dtype))
    network.fc.spline.register_forward_hook(lambda m, i, o: seen.update(inside=i[0].dtype, out=o.dtype))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        logits = network(images())
    assert seen == {"body": torch.bfloat16, "inside": torch.float32, "out": torch.float32}
    assert logits.dtype == torch.float32 and logits.isfinite().all()
    logits.sum().backward()
    assert network.conv1.weight.grad.isfinite().all()


# Fusing and exporting


@pytest.mark.parametrize("options", [*ABLATION.values(), {"kan_form": "plain", "parb_conv": 1}], ids=str)
def test_fused_gives_the_same_and_leaves_the_original(options):
    torch.manual_seed(0)
    network = settled(ParbKanResNet34(**options)).train()
    state = {name: value.clone() for name, value in network.state_dict().items()}
    fused = network.fuse()
    assert network.training and not fused.training
    assert list(network.state_dict()) == list(state)
    assert all(torch.equal(value, state[name]) for name, value in network.state_dict().items())
    assert not any(isinstance(m, nn.BatchNorm2d) for m in fused.modules())
    x = images()
    with torch.no_grad():
        wanted = network.eval()(x)
        assert (wanted[0] - wanted[1]).abs().max() > 1e-3 and wanted.abs().max() < 10
        torch.testing.assert_close(fused(x), wanted, atol=1e-4, rtol=1e-5)
        torch.testing.assert_close(fused.fuse()(x), fused(x))
        exact = ParbKanResNet34.fuse(network.double())
        torch.testing.assert_close(exact(x.double()), network(x.double()), atol=1e-9, rtol=1e-9)


def operations(module):
    graph = torch.export.export(module, (images(),)).graph
    return sum(node.op == "call_function" for node in graph.nodes)


def test_fused_has_fewer_operations():
    network = ParbKanResNet34().eval()
    assert operations(network.fuse()) < 0.85 * operations(network)


@pytest.fixture(scope="module", params=[pytest.param("as trained", marks=pytest.mark.slow), "fused"])
def exportable(request):
    torch.manual_seed(0)
    network = settled(ParbKanResNet34())
    return network if request.param == "as trained" else network.fuse()


@pytest.mark.parametrize("batch", [1, 7])
def test_traced(exportable, batch):
    traced = torch.jit.trace(exportable, images())
    x = images(batch, seed=batch)
    with torch.no_grad():
        torch.testing.assert_close(traced(x), exportable(x))


@pytest.fixture(scope="module")
def exported(exportable):
    return torch.export.export(exportable, (images(),), dynamic_shapes=({0: torch.export.Dim("batch")},))


@pytest.mark.parametrize("batch", [1, 7])
def test_exported(exportable, exported, batch):
    x = images(batch, seed=batch)
    with torch.no_grad():
        torch.testing.assert_close(exported.module()(x), exportable(x))


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


# pykan is needed by the head alone


def test_without_pykan_only_the_kan_is_missing():
    code = """
        import sys
        from monai_brain_plugins.mammography_quality_parb_kan.network import ParbKanResNet34
        from monai_brain.errors import MissingExtraError
        assert "kan" not in sys.modules
        sys.modules["kan"] = None
        ParbKanResNet34(kan=False)
        try:
            ParbKanResNet34()
        except MissingExtraError as error:
            assert (error.module, error.extra) == ("pykan", "kan"), error
        else:
            raise SystemExit("no error")
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
