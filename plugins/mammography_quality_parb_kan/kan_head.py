"""The KAN head: pykan's layer, evaluated by an unrolled B-spline basis and one matrix product.

Importing this module imports pykan, which takes seconds.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

import torch
from torch import nn

from monai_brain.errors import MissingExtraError

try:
    from kan.KANLayer import KANLayer
except ModuleNotFoundError as error:
    # pykan's module is kan; it imports packages that it does not declare, which the extra brings too.
    missing = (error.name or "kan").partition(".")[0]
    raise MissingExtraError("pykan" if missing == "kan" else missing, "kan") from error

GRID_INTERVALS = 5
SPLINE_ORDER = 3


class SplineLayer(KANLayer):
    """pykan's KANLayer with its parameters, initialisation and grid update, and a forward that exports.

    The forward gives only the sum of the activations, (B, in_dim) to (B, out_dim), and equals the
    first of the four tensors that KANLayer gives. It takes KANLayer's arguments.
    """

    def to(self, *args: Any, **kwargs: Any) -> SplineLayer:
        """The layer on a device or in a type, as of any module; KANLayer's own takes a device only."""
        return nn.Module.to(self, *args, **kwargs)

    @property
    def device(self) -> torch.device:
        """The device of the parameters."""
        return self.grid.device

    @property
    def dtype(self) -> torch.dtype:
        """The type in which the layer computes."""
        return self.grid.dtype

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """The layer's output (B, out_dim)."""
        return _features(x, _factors(self.grid, self.k), self.k, self.base_fun) @ self.matrix()

    def matrix(self) -> torch.Tensor:
        """The learned coefficients as one matrix ((bases + 1) * in_dim, out_dim)."""
        splines = self.coef * (self.scale_sp * self.mask)[..., None]
        return torch.cat([splines.permute(2, 0, 1), (self.scale_base * self.mask)[None]]).flatten(0, 1)


class KanHead(nn.Module):
    """The classifier on pooled features: spline activations, learned products of their outputs, a sum.

    In the form "bilinear", z_m = h^T W_m h for each interaction m, where h are the outputs of the
    spline layer and W_m has a low rank; then tanh and a linear layer. The paper names no activation;
    with a bounded one the products cannot drive the logits of an unfamiliar image without limit. In the
    form "plain" the spline layer gives the logits. Always in the parameters' precision, inside autocast
    too: the basis divides by distances of knots.

    Args:
        in_features: Length of the pooled features.
        num_classes: Number of logits.
        form: "bilinear" or "plain".
        hidden: Outputs of the spline layer, form "bilinear".
        interactions: Number of bilinear forms.
        rank: Rank of each bilinear form.
        grid_range: Ends of the spline grid before any grid update.
    """

    def __init__(
        self,
        in_features: int,
        num_classes: int,
        form: str = "bilinear",
        hidden: int = 64,
        interactions: int = 32,
        rank: int = 4,
        grid_range: Sequence[float] = (-1.0, 1.0),
    ) -> None:
        super().__init__()
        self.in_features = in_features
        self.bilinear = form == "bilinear"
        self.interactions = interactions
        self.spline: SplineLayer | FixedSplineLayer = SplineLayer(
            in_features,
            hidden if self.bilinear else num_classes,
            num=GRID_INTERVALS,
            k=SPLINE_ORDER,
            grid_range=list(grid_range),
        )
        if self.bilinear:
            self.left = nn.Linear(hidden, interactions * rank, bias=False)
            self.right = nn.Linear(hidden, interactions * rank, bias=False)
            self.act = nn.Tanh()
            self.out = nn.Linear(interactions, num_classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """The logits (B, num_classes)."""
        x = x.to(self.spline.dtype)
        if not torch.is_autocast_enabled(x.device.type):
            return self._logits(x)
        with torch.autocast(x.device.type, enabled=False):
            return self._logits(x)

    def fuse(self) -> KanHead:
        """A copy for inference whose coefficients are multiplied out."""
        fused = copy.deepcopy(self).eval()
        if isinstance(fused.spline, SplineLayer):
            fused.spline = FixedSplineLayer(fused.spline)
        return fused

    def __prepare_scriptable__(self) -> torch.jit.ScriptModule:
        """What torch.jit.script takes in place of this head: the fused one, traced.

        Its recursion is over names that only Python can make; MONAI's ckpt_export scripts.
        """
        fused = self.fuse()
        example = torch.zeros(2, fused.in_features, dtype=fused.spline.dtype, device=fused.spline.device)
        return torch.jit.trace(fused, example)  # type: ignore[no-any-return]

    def _logits(self, x: torch.Tensor) -> torch.Tensor:
        h = self.spline(x)
        if not self.bilinear:
            return h
        products = self.left(h) * self.right(h)
        return self.out(self.act(products.unflatten(1, (self.interactions, -1)).sum(2)))


class FixedSplineLayer(nn.Module):
    """A spline layer for inference: its matrix and the factors of its recursion are worked out once.

    Args:
        layer: The trained layer.
    """

    matrix: torch.Tensor

    def __init__(self, layer: SplineLayer) -> None:
        super().__init__()
        self.order, self.base_fun = layer.k, layer.base_fun
        with torch.no_grad():
            self.register_buffer("matrix", layer.matrix().clone())
            for name, factor in _factors(layer.grid, layer.k).items():
                self.register_buffer(name, factor.clone())
        self.eval()

    @property
    def dtype(self) -> torch.dtype:
        """The type in which the layer computes."""
        return self.matrix.dtype

    @property
    def device(self) -> torch.device:
        """The device of the matrix."""
        return self.matrix.device

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """The layer's output (B, out_dim)."""
        return _features(x, dict(self.named_buffers()), self.order, self.base_fun) @ self.matrix


def b_spline_bases(x: torch.Tensor, grid: torch.Tensor, order: int) -> torch.Tensor:
    """The values of all B-spline bases, (bases, B, features), by the recursion of Cox and de Boor.

    Bases come first, so that every step works on contiguous memory. A basis on knots that coincide is
    zero, as pykan has it.

    Args:
        x: Inputs (B, features).
        grid: Ascending knots of each feature (features, knots).
        order: Order of the splines; knots - order - 1 bases result.
    """
    return _bases(x, _factors(grid, order), order)


def _factors(grid: torch.Tensor, order: int) -> dict[str, torch.Tensor]:
    """What the recursion needs of the knots alone."""
    knots = grid.t()[:, None, :].contiguous()  # (knots, 1, features)
    factors = {"knots": knots}
    for step in range(1, order + 1):
        span = knots[step:] - knots[:-step]
        inverse = torch.where(span > 0, 1 / span, torch.zeros_like(span))
        # Both neighbours must have a span, or the basis is none.
        factors[f"rising{step}"] = inverse[:-1] * (inverse[1:] > 0)
        factors[f"falling{step}"] = inverse[1:] * (inverse[:-1] > 0)
    return factors


def _bases(x: torch.Tensor, factors: dict[str, torch.Tensor], order: int) -> torch.Tensor:
    above = x >= factors["knots"]
    bases = (above[:-1] & ~above[1:]).to(x.dtype)
    distance = x - factors["knots"]
    for step in range(1, order + 1):
        left = distance[: -step - 1] * factors[f"rising{step}"] * bases[:-1]
        right = distance[step + 1 :] * factors[f"falling{step}"] * bases[1:]
        bases = left - right
    return bases


def _features(x: torch.Tensor, factors: dict[str, torch.Tensor], order: int, base: nn.Module) -> torch.Tensor:
    """What the matrix multiplies: every input's bases, then its residual function, basis by basis."""
    return torch.cat([_bases(x, factors, order), base(x)[None]]).permute(1, 0, 2).flatten(1)
