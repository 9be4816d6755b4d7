"""How time and memory grow with the work: the tiny test model over 1,000, 10,000 and 100,000 images.

Each size is a process of its own, so that its peak of memory is its own; what is told is the slope between
the sizes, in which start-up does not count. `python scaling.py STEP COUNT FOLDER` is such a process.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

SIZES = (1_000, 10_000, 100_000)
LINEAR = 1 / 1.15  # an item of the larger step may take 15 % longer than one of the smaller
PIXELS, HELD_OUT, OF_A_PATIENT = 32, 50, 20
CLASSES = ("glioma", "meningioma", "pituitary", "no_tumor")


def entries(only: Sequence[str] | None = None, sizes: Sequence[int] = SIZES) -> Iterator[dict[str, Any]]:
    """The entry of each step, as the harness writes those of its benchmarks."""
    steps = list(STEPS if only is None else only)
    with tempfile.TemporaryDirectory(prefix="scaling-") as folder:
        if set(steps) - {"evaluate"}:
            write_images(Path(folder), sizes)
        for name in steps:
            yield entry(name, [(size, _measured(name, size, Path(folder))) for size in sizes])


def entry(name: str, measured: Sequence[tuple[int, dict[str, float]]]) -> dict[str, Any]:
    """What three sizes say: how seconds an item grow, and how many bytes one adds to the peak."""
    (few, a), (more, b), (most, c) = measured
    slow, slow_cpu = ((c[key] - b[key]) / (most - more) for key in ("seconds", "cpu"))
    quick, quick_cpu = ((b[key] - a[key]) / (more - few) for key in ("seconds", "cpu"))
    ratio = quick / slow
    return {
        "name": f"scale_{name}",
        "what": f"{name} of {few:,}, {more:,} and {most:,} images with the tiny model, per image",
        "ours": f"from {more:,} to {most:,}",
        "repeats": 1,
        "seconds": [slow],
        "cpu_seconds": [slow_cpu],
        "beside": f"an image from {few:,} to {more:,}",
        "ratio": ratio,
        "cpu_ratio": quick_cpu / slow_cpu if slow_cpu else None,
        "target": LINEAR,
        "met": ratio >= LINEAR,
        "spread": [ratio, ratio],
        "seconds_beside": [quick],
        "cpu_seconds_beside": [quick_cpu],
        "further": [],
        "facts": {
            "seconds": ", ".join(f"{one['seconds']:.1f}" for _, one in measured),
            "peak of memory, MB": ", ".join(f"{one['peak'] / 2**20:.0f}" for _, one in measured),
            "bytes an image adds": round((c["peak"] - b["peak"]) / (most - more)),
        },
    }


def write_images(folder: Path, sizes: Sequence[int]) -> None:
    """Distinct smooth pictures in class folders, one folder a size; the smaller ones are links."""
    import cv2
    import numpy as np

    random = np.random.default_rng(0)
    for number in range(max(sizes)):
        coarse = random.integers(0, 256, (8, 8)).astype(np.uint8)
        image = cv2.resize(coarse, (PIXELS, PIXELS), interpolation=cv2.INTER_CUBIC)
        name = f"{CLASSES[number % len(CLASSES)]}/{number // 1000:03d}-{number % 1000:03d}.png"
        first: Path | None = None
        for size in sorted(sizes, reverse=True):
            if number >= size:
                continue
            path = folder / str(size) / name
            path.parent.mkdir(parents=True, exist_ok=True)
            if first is None:
                path.write_bytes(cv2.imencode(".png", image)[1].tobytes())
                first = path
            else:
                os.link(first, path)


def _measured(name: str, size: int, folder: Path) -> dict[str, float]:
    done = subprocess.run(
        [sys.executable, __file__, name, str(size), str(folder)], check=True, capture_output=True, text=True
    )
    return dict(json.loads(done.stdout.splitlines()[-1]))


def _index(size: int, folder: Path) -> Callable[[], Any]:
    from monai_brain.data import folders, index

    root = (folder / str(size)).resolve()
    return lambda: index.index(folders.read(root), root, workers=2)


def _train(size: int, folder: Path) -> Callable[[], Any]:
    import monai_brain as mb
    from monai_brain.data import datalist, folders
    from monai_brain.testing.tiny import tiny_bundle

    place = folder / f"train-{size}"
    items = folders.read(folder / str(size))["training"]
    for number, item in enumerate(items):
        # The same few are held out at every size, so that what grows is the training.
        item["label"] = CLASSES.index(item["class_name"])
        item["patient_id"] = item["group"] = f"p{number}"
        item["fold"] = 0 if number < HELD_OUT else 1
        item["validates"] = [0] if HELD_OUT <= number < 2 * HELD_OUT else []
    content = {
        "schema_version": 1,
        "name": "scaling",
        "labels": list(CLASSES),
        "training": items,
        "testing": [],
    }
    bundle = tiny_bundle(place / "bundle")
    content |= {"testing": [], "folds": 2, "scheme": "patient", "seed": 0}
    path = datalist.write(content, place / "folds.json")
    return lambda: mb.train(bundle, path, 0, run_dir=place / "run", max_epochs=1, batch_size=64)


def _predict(size: int, folder: Path) -> Callable[[], Any]:
    from monai_brain.inference import archive
    from monai_brain.inference.predictor import Predictor
    from monai_brain.testing.tiny import tiny_bundle

    place = folder / f"predict-{size}"
    predictor = Predictor(tiny_bundle(place / "bundle", weights=True), device="cpu")
    wishes = archive.Wishes(names="plain", batch_size=64, threads=2)
    return lambda: archive.answer(predictor, folder / str(size), place / "out", wishes)


def _evaluate(size: int, folder: Path) -> Callable[[], Any]:
    import numpy as np

    from monai_brain.evaluation import predictions
    from monai_brain.evaluation.judge import evaluate
    from monai_brain.inference import rows

    random = np.random.default_rng(0)
    labels = random.integers(0, len(CLASSES), size)
    logits = random.normal(size=(size, len(CLASSES))) + 2 * np.eye(len(CLASSES))[labels]
    items = [
        {"case": f"c{n}", "image": f"c{n}.png", "patient_id": f"p{n // OF_A_PATIENT}", "label": int(label),
         "class_name": CLASSES[label], "split": "test", "fold": 0}
        for n, label in enumerate(labels)
    ]  # fmt: skip
    path = folder / f"predictions-{size}.csv"
    predictions.write(rows.predictions(items, logits, list(CLASSES), model="tiny"), path)
    return lambda: evaluate(path)


STEPS = {"index": _index, "train": _train, "predict": _predict, "evaluate": _evaluate}


def main(name: str, size: str, folder: str) -> None:
    """Prepare a step, do it, and print what it took."""
    import resource

    os.environ["MONAI_BRAIN_HOME"] = str(Path(folder) / "home")
    with contextlib.redirect_stdout(sys.stderr):
        run = STEPS[name](int(size), Path(folder))
        begin, worked = time.perf_counter(), time.process_time()
        run()
        taken, worked = time.perf_counter() - begin, time.process_time() - worked
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    print(json.dumps({"seconds": taken, "cpu": worked, "peak": peak}))


if __name__ == "__main__":
    main(*sys.argv[1:])
