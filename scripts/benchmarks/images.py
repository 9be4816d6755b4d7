"""How fast images are read and prepared."""

import hashlib
import io
import json
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from monai.data.meta_obj import get_track_meta, set_track_meta
from PIL import Image

from benchmarks.harness import Contest, Way, benchmark

PIXELS, SIZE, MARGIN, THRESHOLD = 512, 240, 12, 50
CROPS = 50
FILES, INDEXED, THREADS = 1000, 3064, 2


@benchmark("brain_crop", "the brain's box in a 512 pixel slice, per slice")
def brain_crop() -> Iterator[Contest]:
    from monai_brain.transforms.brain_crop import brain_box

    images = slices(CROPS)
    yield Contest(
        Way("brain_box", lambda: [brain_box(image, margin=MARGIN) for image in images], CROPS),
        (Way("the bare steps in OpenCV", lambda: [_box(image) for image in images], CROPS, 0.85),),
    )


@benchmark("load_chain", "1,000 JPEG files loaded, cropped, resized, standardised; per file, two threads")
def load_chain() -> Iterator[Contest]:
    threads = torch.get_num_threads(), cv2.getNumThreads()
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    with tempfile.TemporaryDirectory() as folder:
        paths = _jpegs(Path(folder))
        ours, stock = _bundle_chain(), _stock_chain()
        yield Contest(
            # Without metadata, as a training runs them; MONAI's with it, as they come.
            Way(
                "the bundle's transforms",
                lambda: _all(lambda path: ours({"image": path}), paths, meta=False),
                FILES,
            ),
            (
                Way("a loop over OpenCV", lambda: _all(_by_hand, paths), FILES, 0.9),
                Way(
                    "MONAI's LoadImaged and transforms",
                    lambda: _all(lambda path: stock({"image": path}), paths),
                    FILES,
                    2,
                ),
            ),
        )
    torch.set_num_threads(threads[0])
    cv2.setNumThreads(threads[1])


@benchmark("index", "3,064 JPEG files of 512 pixels indexed, doubles searched; per file, two threads")
def index() -> Iterator[Contest]:
    from monai_brain.data import folders
    from monai_brain.data import index as indexing

    with tempfile.TemporaryDirectory() as place:
        folder = Path(place).resolve()
        paths = _distinct(folder)
        yield Contest(
            Way("data index", lambda: indexing.index(folders.read(folder), folder, workers=THREADS), INDEXED),
            (Way("PIL and SHA-256, one thread", lambda: _decoded(paths), INDEXED, 1.5),),
        )


def _distinct(folder: Path) -> list[Path]:
    """Files of phantoms, each turned a little, so that no two are the same."""
    drawn, paths = slices(40), []
    for number in range(INDEXED):
        image = drawn[number % len(drawn)]
        turn = cv2.getRotationMatrix2D((PIXELS / 2, PIXELS / 2), 360 * number / INDEXED, 1)
        path = folder / ("glioma", "no_tumor")[number % 2] / f"{number:04d}.jpg"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(cv2.imencode(".jpg", cv2.warpAffine(image, turn, image.shape[::-1]))[1].tobytes())
        paths.append(path)
    return paths


def _decoded(paths: list[Path]) -> list[tuple[str, np.ndarray]]:
    found = []
    for path in paths:
        content = path.read_bytes()
        with Image.open(io.BytesIO(content)) as image:
            found.append((hashlib.sha256(content).hexdigest(), np.asarray(image)[::8, ::8].copy()))
    return found


def _all(one: Callable[[Path], Any], paths: list[Path], meta: bool = True) -> None:
    before = get_track_meta()
    set_track_meta(meta)
    with ThreadPoolExecutor(THREADS) as pool:
        for _ in pool.map(one, paths):
            pass
    set_track_meta(before)


def _box(image: np.ndarray) -> tuple[int, int, int, int]:
    height, width = image.shape
    _, grey = cv2.threshold(image, THRESHOLD - 1, 0, cv2.THRESH_TOZERO)
    grey = cv2.GaussianBlur(grey, (5, 5), 0)
    grey = cv2.dilate(cv2.erode(grey, None, iterations=2), None, iterations=2)
    contours, _ = cv2.findContours(grey, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    x, y, w, h = cv2.boundingRect(max(contours, key=cv2.contourArea))
    return (
        max(y - MARGIN, 0),
        min(y + h + MARGIN, height),
        max(x - MARGIN, 0),
        min(x + w + MARGIN, width),
    )


def _by_hand(path: Path) -> np.ndarray:
    image = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)
    top, bottom, left, right = _box(image)
    cut = image[top:bottom, left:right].astype(np.float32)
    resized = cv2.resize(cut, (SIZE, SIZE), interpolation=cv2.INTER_AREA)
    mean, deviation = cv2.meanStdDev(resized)
    return np.repeat(((resized - mean[0, 0]) / deviation[0, 0])[None], 3, axis=0)


def _bundle_chain() -> Any:
    from monai.bundle import ConfigParser
    from monai_brain_bundles import __path__ as bundles

    configs = Path(bundles[0]) / "brain_tumor_efficientnet_b2_classification" / "configs"
    parser = ConfigParser(json.loads((configs / "inference.json").read_text(encoding="utf-8")))
    return parser.get_parsed_content("preprocessing")


def _stock_chain() -> Any:
    from monai import transforms

    return transforms.Compose(
        [
            transforms.LoadImaged("image", image_only=True),
            transforms.EnsureChannelFirstd("image"),
            transforms.CropForegroundd(
                "image", source_key="image", select_fn=lambda x: x >= THRESHOLD, margin=MARGIN
            ),
            transforms.Resized("image", (SIZE, SIZE), mode="area"),
            transforms.NormalizeIntensityd("image"),
            transforms.RepeatChanneld("image", 3),
        ]
    )


def _jpegs(folder: Path) -> list[Path]:
    encoded = [cv2.imencode(".jpg", image)[1].tobytes() for image in slices(20)]
    paths = [folder / f"{number:04d}.jpg" for number in range(FILES)]
    for number, path in enumerate(paths):
        path.write_bytes(encoded[number % len(encoded)])
    return paths


def slices(count: int) -> list[np.ndarray]:
    """Phantoms of brains, 8 bits, as large as the published slices."""
    from monai_brain.data import phantoms

    with tempfile.TemporaryDirectory() as folder:
        phantoms.write("brain", folder, count, size=PIXELS)
        files = sorted(Path(folder).rglob("*.png"))[:count]
        return [cv2.imread(str(path), cv2.IMREAD_GRAYSCALE) for path in files]
