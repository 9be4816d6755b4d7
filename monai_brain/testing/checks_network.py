"""Checks of a model's network: that it learns, that it repeats itself, that its weights travel."""

from __future__ import annotations

import tempfile
from pathlib import Path

import torch
from torch import nn
from torch.nn import functional

from monai_brain.bundles import Bundle
from monai_brain.files import read_json
from monai_brain.inference import fuse as fusing
from monai_brain.inference import weights
from monai_brain.inference.channels import COLOUR, GREY, adapt_input_channels
from monai_brain.testing import subject
from monai_brain.testing.outcome import CheckFailed, NotApplicable, listed, require

STEPS = 20
EXACT, CLOSE = 1e-5, 1e-4
WRAPPED = ("module.", "_orig_mod.")


def _targets(bundle: Bundle, count: int = subject.BATCH) -> torch.Tensor:
    return torch.arange(count) % len(bundle.labels)


def check_forward(bundle: Bundle) -> None:
    """A batch of images gives finite logits, one a class."""
    output = subject.answer(subject.network(bundle), subject.images(bundle))
    wanted = (subject.BATCH, len(bundle.labels))
    require(
        tuple(output.shape) == wanted,
        f"{subject.BATCH} images give {tuple(output.shape)}, expected {wanted}. Let the head have one "
        "output a class.",
    )
    require(
        output.dtype == torch.float32 and bool(output.isfinite().all()),
        f"The logits are {output.dtype} and not all finite. Give finite float32: look at the initialisation.",
    )
    sums = output.sum(dim=1)
    require(
        bool((output < 0).any()) or not torch.allclose(sums, torch.ones_like(sums), atol=1e-4),
        "The outputs of each image are positive and add up to 1. Take the softmax off the network: the "
        "loss and the recipe's postprocessing take logits.",
    )


def check_finite_gradients(bundle: Bundle) -> None:
    """Every parameter that asks for a gradient gets a finite one."""
    network = subject.network(bundle).train()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        functional.cross_entropy(network(subject.images(bundle)), _targets(bundle)).backward()
    asked = {name: parameter for name, parameter in network.named_parameters() if parameter.requires_grad}
    without = [name for name, parameter in asked.items() if parameter.grad is None]
    require(
        not without, f"No gradient reaches {listed(without)}. Use it in forward, freeze it, or remove it."
    )
    wild = [name for name, p in asked.items() if p.grad is not None and not bool(p.grad.isfinite().all())]
    require(
        not wild, f"The gradient of {listed(wild)} is not finite. Look for a division or a root near zero."
    )


def check_deterministic_eval(bundle: Bundle) -> None:
    """In evaluation mode the same images give the same logits, to the last bit."""
    network, batch = subject.network(bundle), subject.images(bundle)
    require(
        torch.equal(subject.answer(network, batch), subject.answer(network, batch)),
        "In evaluation mode the same images give different logits. Let dropout and other chance depend on "
        "self.training.",
    )


def check_batch_independence(bundle: Bundle) -> None:
    """In evaluation mode an image gives the same logits alone and among others."""
    batch = subject.images(bundle)
    network = subject.settled(subject.network(bundle), batch)
    together = subject.answer(network, batch)
    alone = torch.cat([subject.answer(network, image[None]) for image in batch])
    require(
        not subject.differ(together, alone, EXACT),
        f"An image's logits change by {float((together - alone).abs().max()):.2g} with the images beside "
        "it in the batch. Normalise by running statistics, or within the image.",
    )


def check_state_dict_round_trip(bundle: Bundle) -> None:
    """Weights that are saved and loaded into a new network give the same logits."""
    batch = subject.images(bundle)
    network = subject.settled(subject.network(bundle), batch)
    wrapped = [name for name in network.state_dict() if name.startswith(WRAPPED)]
    require(
        not wrapped,
        f"The weights bear the names of a wrapper: {listed(wrapped)}. Keep the network itself at the top, "
        "so that its weights load without the wrapper.",
    )
    other = subject.network(bundle, seed=1)
    with tempfile.TemporaryDirectory(prefix="monai-brain-") as folder:
        path = Path(folder) / "model.pt"
        weights.save(network, path)
        weights.load(other, path)
    require(
        torch.equal(subject.answer(network, batch), subject.answer(other, batch)),
        "After saving and loading the weights the logits are others. Register everything that is drawn or "
        "learnt as a parameter or a buffer.",
    )


def check_one_and_three_channels(bundle: Bundle) -> None:
    """The network is built for grey and for colour, and the weights of each fit the other."""
    for name in ("train", "inference"):
        definition = dict(subject.walk(read_json(bundle.config(name)).get("network_def")))
        require(
            "@in_channels" in definition.values(),
            f'network_def of configs/{name}.json does not take "@in_channels". Add the argument.',
        )
    grey = subject.images(bundle, channels=GREY)
    colour = grey.expand(-1, COLOUR, -1, -1)
    one = subject.settled(subject.network(bundle, in_channels=GREY), grey)
    three = subject.settled(subject.network(bundle, in_channels=COLOUR), colour)
    for source, target, given, taken in ((three, one, colour, grey), (one, three, grey, colour)):
        wanted = subject.answer(source, given)
        target.load_state_dict(adapt_input_channels(source.state_dict(), target))
        require(
            not subject.differ(wanted, subject.answer(target, taken), CLOSE),
            f"Weights for {given.shape[1]} channels, carried over to {taken.shape[1]}, give other logits "
            "for the same grey image. Let only plain convolutions read the image.",
        )


def check_loss_falls(bundle: Bundle) -> None:
    """Twenty steps on one batch lower its loss."""
    network, batch, targets = subject.network(bundle).train(), subject.images(bundle), _targets(bundle)
    rate = read_json(bundle.config("train")).get("learning_rate")
    optimizer = torch.optim.Adam(
        [parameter for parameter in network.parameters() if parameter.requires_grad],
        lr=rate if isinstance(rate, float) else 1e-3,
    )
    losses = []
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        for _ in range(STEPS):
            optimizer.zero_grad()
            loss = functional.cross_entropy(network(batch), targets)
            loss.backward()
            optimizer.step()
            losses.append(float(loss.detach()))
    require(
        losses[-1] < losses[0],
        f"{STEPS} steps of Adam at {optimizer.param_groups[0]['lr']} on one batch took the loss from "
        f"{losses[0]:.3f} to {losses[-1]:.3f}. Look at the initialisation, the learning rate, and what is "
        "frozen.",
    )


def check_cam_layer_exists(bundle: Bundle) -> None:
    """The layer that Grad-CAM reads is there, gives maps (B, C, H, W), and gradients reach it."""
    name = str(bundle.facts.get("cam_layer", ""))
    network = subject.network(bundle)
    modules = dict(network.named_modules())
    if not name or name not in modules:
        spatial = [key for key, module in modules.items() if isinstance(module, nn.Conv2d | nn.Sequential)]
        raise CheckFailed(
            f"monai_brain#cam_layer is {name!r}, which the network has not. Name its last spatial layer; "
            f"it ends with {listed(spatial[-3:])}."
        )
    seen: list[torch.Tensor] = []
    handle = modules[name].register_forward_hook(lambda module, inputs, output: seen.append(output))
    logits = network(subject.images(bundle))
    handle.remove()
    shapes = [tuple(getattr(output, "shape", ())) for output in seen]
    require(
        shapes and len(shapes[0]) == 4 and min(shapes[0][2:]) > 1,
        f"Layer {name!r}, monai_brain#cam_layer, gives {shapes} for {subject.image_size(bundle)} px. Name "
        "a layer whose output is a map (B, C, H, W).",
    )
    reached = torch.autograd.grad(logits.sum(), seen[0], allow_unused=True)[0]
    require(
        reached is not None and bool(reached.isfinite().all()),
        f"No gradient of the logits reaches layer {name!r}, monai_brain#cam_layer. Name one that the "
        "logits pass.",
    )


def check_variants(bundle: Bundle) -> None:
    """Every variant of the ablation can be built and gives one logit a class."""
    variants = bundle.facts.get("variants")
    if not variants:
        raise NotApplicable('it names no variants (monai_brain#variants: name to overrides, for "ablate")')
    for name, overrides in variants.items():
        for recipe in ("train", "inference"):
            content = dict(subject.walk(read_json(bundle.config(recipe))))
            unknown = [
                key
                for key in overrides
                if key not in content and (recipe == "train" or key.startswith("network_def"))
            ]
            require(
                not unknown,
                f"Variant {name!r} sets {listed(unknown)}, which configs/{recipe}.json has not. Name keys "
                "that it has.",
            )
        output = subject.answer(subject.network(bundle, variant=name), subject.images(bundle))
        require(
            tuple(output.shape) == (subject.BATCH, len(bundle.labels)),
            f"Variant {name!r} gives {tuple(output.shape)} for {subject.BATCH} images and "
            f"{len(bundle.labels)} classes. Mend its overrides.",
        )


def check_fused_is_equal(bundle: Bundle) -> None:
    """The network folded for inference gives the logits of the network as trained."""
    batch = subject.images(bundle)
    network = subject.settled(subject.network(bundle), batch)
    wanted, found = subject.answer(network, batch), subject.answer(fusing.fuse(network), batch)
    require(
        not subject.differ(wanted, found, CLOSE),
        f"The fused network's logits differ by {float((wanted - found).abs().max()):.2g}. Mend the "
        "network's own fuse, or remove it: fuse() folds plain convolutions by itself.",
    )
