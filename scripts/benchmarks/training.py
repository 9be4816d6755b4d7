"""A model's training at work: its own trainer, fed in three ways, and what the device could do at best."""

from __future__ import annotations

import argparse
import contextlib
import tempfile
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from monai.data.meta_obj import set_track_meta
from monai.engines import SupervisedTrainer
from torch import nn

from benchmarks import harness
from benchmarks.harness import Contest, Way
from monai_brain import recipe as recipes
from monai_brain.data import datalist, phantoms, splits
from monai_brain.inference.cost import cost
from monai_brain.registry import bundle
from monai_brain.training import memory

MODELS = ("brain_tumor_resnet34", "brain_tumor_efficientnet_b2", "mammography_quality_parb_kan")
TARGET = 0.9  # of the rate with synthetic tensors
PASSES = 3  # forward, and backward for inputs and for weights


@dataclass(frozen=True)
class Settings:
    """What is measured; two files with equal settings may be put together."""

    device: str
    image_size: int | None
    batch_size: int | None
    images: int
    batches: int
    workers: int
    network: bool
    overrides: tuple[tuple[str, Any], ...]

    @classmethod
    def of(cls, options: argparse.Namespace) -> Settings:
        """The settings that a command line asks for."""
        found = options.device or ("cuda" if torch.cuda.is_available() else "cpu")
        overrides = tuple(recipes.override(text) for text in options.overrides)
        sizes = (options.image_size, options.batch_size, options.images, options.batches, options.workers)
        return cls(found, *sizes, not options.no_network, overrides)

    def told(self) -> dict[str, Any]:
        """The settings as they are written, with what the device is."""
        return {**asdict(self), "overrides": dict(self.overrides), "name": device(self.device)["device"]}


def device(name: str) -> dict[str, Any]:
    """What the device is."""
    if torch.device(name).type != "cuda":
        return {"device": name, "threads": torch.get_num_threads()}
    about = torch.cuda.get_device_properties(name)
    return {
        "device": about.name,
        "memory": about.total_memory,
        "cuda": torch.version.cuda,
        "capability": list(torch.cuda.get_device_capability(name)),
    }


def measured(name: str, model: str, recipe: str, settings: Settings, repeats: int) -> dict[str, Any]:
    """The entry of one model and recipe: rates of the three ways, memory, and the least time possible."""
    with tempfile.TemporaryDirectory(prefix="gpu-bench-") as folder:
        before = time.perf_counter()
        work = Work(model, recipe, settings, Path(folder))
        case = harness.Benchmark(name, work.what, work.prepare)
        entry = harness.run(case, repeats)
        entry["images_per_second"] = {
            entry["ours"]: 1 / _median(entry["seconds"]),
            **{one["beside"]: 1 / _median(one["seconds_beside"]) for one in (entry, *entry["further"])},
        }
        if settings.network:
            entry["alone"] = {way: work.pipeline(way) for way in ("device cache", "MONAI")}
            entry["memory"] = work.memory
            entry["floor"] = work.floor()
        entry["wall_seconds"] = time.perf_counter() - before
    return entry


def lines(entry: dict[str, Any]) -> Iterator[str]:
    """What a person reads of one entry."""
    yield from harness.lines(entry)
    rates = ", ".join(f"{name} {rate:.0f}" for name, rate in entry["images_per_second"].items())
    yield f"    img/s: {rates}"
    if "floor" not in entry:
        return
    alone = ", ".join(f"{name} {rate:.0f}" for name, rate in entry["alone"].items())
    yield f"    without the network: {alone}"
    floor = entry["floor"]
    yield (
        f"    least: {floor['images_per_second']:.0f} img/s by {floor['bound']} "
        f"({floor['flops'] / 1e9:.1f} GFLOP, {floor['bytes'] / 1e6:.0f} MB an image)"
    )


class Work:
    """One model's training, ready to be run for some batches in three ways."""

    def __init__(self, model: str, recipe: str, settings: Settings, folder: Path) -> None:
        self.settings, self.device = settings, torch.device(settings.device)
        self.bundle = bundle(model)
        edge = settings.image_size or self.bundle.input_shape[1]
        written = phantoms.write(
            str(self.bundle.facts["phantom"]), folder, settings.images, size=edge, classes=self.bundle.labels
        )
        folds = splits.split(datalist.read(written), "patient", folds=3)
        self.folds = datalist.write(folds, folder / "folds.json")
        self.overlays = [] if recipe == "paper" else [f"recipe_{recipe}"]
        set_track_meta(False)
        parsed = self._parser(device_cache=True)
        self.batch_size = int(parsed.get_parsed_content("batch_size"))
        self.shape = (int(parsed.get_parsed_content("in_channels")), edge, edge)
        self.parts = {
            name: parsed.get_parsed_content(name)
            for name in ("network", "loss", "optimizer", "train#inferer", "labels")
        }
        self.prepare_batch = (
            parsed.get_parsed_content("train#trainer#prepare_batch")
            if "train#trainer#prepare_batch" in parsed
            else None
        )
        self.amp = bool(parsed.get_parsed_content("train#trainer#amp"))
        kind = "training" if settings.network else "batches alone"
        self.what = (
            f"{kind}, {self.batch_size} images of {'x'.join(map(str, self.shape))} a batch, "
            f"{recipe} recipe, per image"
        )
        self.loaders: dict[str, Any] = {
            "device cache": parsed.get_parsed_content("train#dataloader"),
            "MONAI": self._parser(device_cache=False).get_parsed_content("train#dataloader"),
        }
        classes = len(self.parts["labels"])
        self.loaders["synthetic"] = Synthetic(self.batch_size, self.shape, classes, self.device)
        self.memory: dict[str, int | None] = {}

    def prepare(self) -> Any:
        """The contest, as the harness runs it."""
        units = self.batch_size * self.settings.batches
        if not self.settings.network:
            pair = [
                Way(name, lambda name=name: self.pipeline(name), units) for name in ("device cache", "MONAI")
            ]
            return contextlib.nullcontext(Contest(pair[0], (pair[1],)))
        ways = {name: Way(name, lambda name=name: self.run(name), units) for name in self.loaders}
        synthetic = Way("synthetic", ways["synthetic"].run, units, TARGET)
        return contextlib.nullcontext(Contest(ways["device cache"], (synthetic, ways["MONAI"])))

    def run(self, way: str) -> None:
        """Train for some batches; the engine is MONAI's, with the recipe's parts and no handlers."""
        options = {} if self.prepare_batch is None else {"prepare_batch": self.prepare_batch}
        trainer = SupervisedTrainer(
            device=self.device,
            max_epochs=1,
            epoch_length=self.settings.batches,
            train_data_loader=self.loaders[way],
            network=self.parts["network"],
            loss_function=self.parts["loss"],
            optimizer=self.parts["optimizer"],
            inferer=self.parts["train#inferer"],
            iteration_update=memory.iteration,
            amp=self.amp,
            optim_set_to_none=True,
            decollate=False,
            **options,
        )
        if self.device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(self.device)
        trainer.run()
        self._wait()
        on_gpu = self.device.type == "cuda"
        self.memory[way] = torch.cuda.max_memory_allocated(self.device) if on_gpu else None

    def pipeline(self, way: str) -> float:
        """Images a second that a loader gives when nothing else is done."""
        loader, done = self.loaders[way], 0
        self._wait()
        begin = time.perf_counter()
        while done < self.settings.batches:
            for batch in loader:
                batch["image"].to(self.device, non_blocking=True)
                done += 1
                if done == self.settings.batches:
                    break
        self._wait()
        return self.batch_size * done / (time.perf_counter() - begin)

    def floor(self) -> dict[str, Any]:
        """The least time of an image, by what the device does best: matrix products, and copies."""
        network = self.parts["network"]
        flops = PASSES * cost(network, self.shape).flops
        kind = self.parts["train#inferer"].precision(self.device, True) or torch.float32
        size = PASSES * _moved(network, self.shape, self.device) * kind.itemsize
        products, copies = _products(self.device, kind), _copies(self.device)
        seconds = {"operations": flops / products, "bytes": size / copies}
        bound = max(seconds, key=lambda name: seconds[name])
        return {
            "flops": flops,
            "bytes": size,
            "precision": str(kind).removeprefix("torch."),
            "flops_per_second": products,
            "bytes_per_second": copies,
            "bound": bound,
            "images_per_second": 1 / seconds[bound],
        }

    def _parser(self, device_cache: bool) -> Any:
        settings: dict[str, Any] = {
            "datalist": str(self.folds),
            "device": str(self.device),
            "device_cache": device_cache,
            "num_workers": 0 if device_cache else self.settings.workers,
            **dict(self.settings.overrides),
        }
        for key in ("image_size", "batch_size"):
            value = getattr(self.settings, key)
            if value is not None:
                settings[key] = value
        workflow = recipes.workflow(self.bundle, ["train", *self.overlays], settings, kind="train")
        return workflow.parser

    def _wait(self) -> None:
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)


class Synthetic:
    """The same random batch over and over, on the device already."""

    def __init__(self, count: int, shape: tuple[int, int, int], classes: int, place: torch.device) -> None:
        generator = torch.Generator().manual_seed(0)
        self.batch = {
            "image": torch.randn(count, *shape, generator=generator).to(place),
            "label": torch.randint(classes, (count,), generator=generator).to(place),
        }

    def __len__(self) -> int:
        return 2**31

    def __iter__(self) -> Iterator[dict[str, torch.Tensor]]:
        while True:
            yield dict(self.batch)


def _moved(network: nn.Module, shape: tuple[int, int, int], place: torch.device) -> int:
    """Numbers that one image's forward pass reads and writes, layer by layer, as if nothing were fused."""
    total = 0

    def count(module: nn.Module, inputs: tuple[Any, ...], output: Any) -> None:
        nonlocal total
        for value in (*inputs, output):
            total += value.numel() if isinstance(value, torch.Tensor) else 0

    hooks = [
        module.register_forward_hook(count) for module in network.modules() if not list(module.children())
    ]
    training = network.training
    with torch.no_grad():
        network.eval()(torch.zeros(1, *shape, device=place))
    network.train(training)
    for hook in hooks:
        hook.remove()
    return total


def _products(place: torch.device, kind: torch.dtype) -> float:
    """Operations a second of one large matrix product."""
    edge = 8192 if place.type == "cuda" else 512
    left, right = (torch.randn(edge, edge, device=place, dtype=kind) for _ in range(2))
    return 2 * edge**3 / _best(lambda: left @ right, place)


def _copies(place: torch.device) -> float:
    """Bytes a second that one large copy reads and writes."""
    source = torch.zeros(2**28 if place.type == "cuda" else 2**24, device=place)
    target = torch.empty_like(source)
    return 2 * source.numel() * source.element_size() / _best(lambda: target.copy_(source), place)


def _best(run: Any, place: torch.device, times: int = 10) -> float:
    found = []
    for _ in range(times + 2):
        if place.type == "cuda":
            torch.cuda.synchronize(place)
        begin = time.perf_counter()
        run()
        if place.type == "cuda":
            torch.cuda.synchronize(place)
        found.append(time.perf_counter() - begin)
    return min(found[2:])


def _median(values: list[float]) -> float:
    return sorted(values)[len(values) // 2]
