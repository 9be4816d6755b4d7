"""How long a step takes that looks back through a network: of a training, of a head, of a map."""

from collections.abc import Iterator

import numpy as np
import torch

from benchmarks.harness import Contest, Way, benchmark, threads

BATCH, PIXELS = 64, 128
FEATURES, OUTPUTS = 512, 64
MAPS, MAP_PIXELS = 32, 224


@benchmark("train_step", "a training step of 64 images of 128 pixels, fp32, per image, two threads")
def train_step() -> Iterator[Contest]:
    import torchvision

    import monai_brain as mb

    torch.manual_seed(0)
    ours = _Training(mb.network("brain_tumor_resnet34"), channels=1)
    theirs = _Training(torchvision.models.resnet34(num_classes=4), channels=3)
    with threads(2):
        yield Contest(
            Way("improved ResNet34", ours.step, BATCH),
            (
                Way("torchvision ResNet34", theirs.step, BATCH, 0.75),
                Way("improved ResNet34, bf16", ours.half_step, BATCH),
                Way("torchvision ResNet34, bf16", theirs.half_step, BATCH),
            ),
        )


class _Training:
    """A network with an optimiser and a batch, as the recipes train it on a CPU."""

    def __init__(self, network: torch.nn.Module, channels: int) -> None:
        self.network = network.train()
        self.optimizer = torch.optim.Adam(network.parameters(), lr=1e-3)
        self.images = torch.randn(BATCH, channels, PIXELS, PIXELS)
        self.labels = torch.randint(4, (BATCH,))

    def step(self, half: bool = False) -> None:
        self.optimizer.zero_grad(set_to_none=True)
        with torch.autocast("cpu", torch.bfloat16, enabled=half):
            logits = self.network(self.images)
        torch.nn.functional.cross_entropy(logits.float(), self.labels).backward()
        self.optimizer.step()

    def half_step(self) -> None:
        self.step(half=True)


@benchmark("kan_head", "forward and backward of 512 features to 64, batch 64, one thread")
def kan_head() -> Iterator[Contest]:
    from kan.KANLayer import KANLayer
    from monai_brain_plugins.mammography_quality_parb_kan.kan_head import (
        GRID_INTERVALS,
        SPLINE_ORDER,
        SplineLayer,
    )

    with torch.random.fork_rng():
        torch.manual_seed(0)
        ours = SplineLayer(FEATURES, OUTPUTS, num=GRID_INTERVALS, k=SPLINE_ORDER)
        theirs = KANLayer(FEATURES, OUTPUTS, num=GRID_INTERVALS, k=SPLINE_ORDER)
        x = torch.rand(BATCH, FEATURES) * 2 - 1
    theirs.load_state_dict(ours.state_dict())
    with threads(1):
        yield Contest(
            Way("SplineLayer", lambda: _step(ours, ours(x))),
            (Way("pykan's KANLayer", lambda: _step(theirs, theirs(x)[0]), target=3),),
        )


def _step(layer: torch.nn.Module, y: torch.Tensor) -> None:
    layer.zero_grad(set_to_none=True)
    y.square().mean().backward()


@benchmark("grad_cam", "maps of 32 images of 224 pixels by the improved ResNet34, per image, two threads")
def grad_cam() -> Iterator[Contest]:
    from pytorch_grad_cam import GradCAM
    from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget

    import monai_brain as mb
    from monai_brain.inference.maps import ActivationMaps

    torch.manual_seed(0)
    network, same = mb.network("brain_tumor_resnet34"), mb.network("brain_tumor_resnet34")
    same.load_state_dict(network.state_dict())
    maps = ActivationMaps(network, "layer4")
    library = GradCAM(same, [same.layer4])
    images = torch.randn(MAPS, 1, MAP_PIXELS, MAP_PIXELS)
    classes = [index % 4 for index in range(MAPS)]

    def by_image() -> np.ndarray:
        return np.concatenate(
            [library(images[n : n + 1], [ClassifierOutputTarget(classes[n])]) for n in range(MAPS)]
        )

    with threads(2):
        apart = float(np.abs(maps(images, classes) - by_image()).max())
        yield Contest(
            Way("ActivationMaps", lambda: maps(images, classes), MAPS),
            (Way("pytorch-grad-cam, image by image", by_image, MAPS, 3),),
            {"largest difference of a map": f"{apart:.1g}, of 1"},
        )
    library.activations_and_grads.release()
