"""The same function with fewer layers: BatchNorm folded into the convolution before it."""

from __future__ import annotations

import copy
from collections import Counter
from typing import Any, TypeVar

import torch
from torch import fx, nn
from torch.nn.modules.conv import _ConvNd

Convolution = TypeVar("Convolution", bound=_ConvNd)

_FOLDABLE_CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d)
_FOLDABLE_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d, nn.SyncBatchNorm)


def fuse(network: nn.Module) -> nn.Module:
    """A new network for inference that computes what `network` computes in eval mode, faster.

    A network that has a method `fuse` knows best and is asked. In any other, each BatchNorm that alone
    reads a convolution's output is folded into it and leaves an identity in its place, so names of
    layers stay. A network that torch.fx cannot trace comes back as a copy in eval mode, unchanged.
    The given network is never altered.
    """
    own = getattr(network, "fuse", None)
    if callable(own):
        fused: nn.Module = own()
        return fused
    copied = copy.deepcopy(network).eval()
    for name, norm_name in _pairs(copied):
        convolution = copied.get_submodule(name)
        if isinstance(convolution, _ConvNd):
            copied.set_submodule(name, fold_batch_norm(convolution, copied.get_submodule(norm_name)))
            copied.set_submodule(norm_name, nn.Identity())
    return copied


def fold_batch_norm(convolution: Convolution, norm: nn.Module) -> Convolution:
    """A new convolution that equals `norm(convolution(x))` with the norm's running statistics.

    The product is taken in double precision, so that nothing but the last rounding is lost.
    An identity in the place of the norm gives a copy of the convolution.
    """
    folded = copy.deepcopy(convolution).eval()
    if isinstance(norm, nn.Identity):
        return folded
    with torch.no_grad():
        scale, shift = _scale_and_shift(norm)
        weight, bias = convolution.weight, convolution.bias
        kernel = _double(weight) * scale.reshape(-1, *[1] * (weight.ndim - 1))
        offset = shift if bias is None else _double(bias) * scale + shift
        folded.weight = nn.Parameter(kernel.to(weight), requires_grad=weight.requires_grad)
        folded.bias = nn.Parameter(offset.to(weight), requires_grad=weight.requires_grad)
    return folded


def _scale_and_shift(norm: Any) -> tuple[torch.Tensor, torch.Tensor]:
    variance, mean = _double(norm.running_var), _double(norm.running_mean)
    scale = torch.rsqrt(variance + norm.eps)
    if norm.weight is not None:
        scale = scale * _double(norm.weight)
    shift = -mean * scale
    if norm.bias is not None:
        shift = shift + _double(norm.bias)
    return scale, shift


def _double(tensor: torch.Tensor) -> torch.Tensor:
    # On the CPU, because not every accelerator knows double precision.
    return tensor.detach().to("cpu", torch.float64)


def _pairs(network: nn.Module) -> list[tuple[str, str]]:
    """Names of each convolution and the BatchNorm that may be folded into it."""
    try:
        graph = fx.Tracer().trace(network)
    except Exception:  # noqa: BLE001 - tracing runs the network's own code, which may raise anything
        return []
    modules = dict(network.named_modules())
    calls = Counter(id(modules[str(node.target)]) for node in graph.nodes if node.op == "call_module")
    uses = Counter(id(parameter) for _, parameter in network.named_parameters(remove_duplicate=False))
    read_directly = {str(node.target) for node in graph.nodes if node.op == "get_attr"}
    pairs = []
    for node in graph.nodes:
        before = node.args[0] if node.op == "call_module" and len(node.args) == 1 else None
        if not isinstance(before, fx.Node) or before.op != "call_module" or len(before.users) != 1:
            continue
        convolution, norm = modules[str(before.target)], modules[str(node.target)]
        if not (_is_plain_convolution(convolution) and _is_plain_norm(norm)):
            continue
        once = calls[id(convolution)] == calls[id(norm)] == 1
        shared = any(uses[id(p)] > 1 for p in (*convolution.parameters(), *norm.parameters()))
        own = (f"{before.target}.", f"{node.target}.")
        if once and not shared and not any(name.startswith(own) for name in read_directly):
            pairs.append((str(before.target), str(node.target)))
    return pairs


def _is_plain_convolution(module: nn.Module) -> bool:
    # By exact type: a subclass may standardise its weights, a parametrised one computes them.
    return type(module) in _FOLDABLE_CONVOLUTIONS and not _is_hooked(module)


def _is_plain_norm(module: nn.Module) -> bool:
    return (
        type(module) in _FOLDABLE_NORMS
        and getattr(module, "running_mean", None) is not None
        and not _is_hooked(module)
    )


def _is_hooked(module: nn.Module) -> bool:
    return bool(module._forward_hooks or module._forward_pre_hooks)
