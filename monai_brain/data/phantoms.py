"""Made-up images that a network can learn in minutes, and that belong to no patient.

The class stands in the picture's shapes alone: the grey values of every image follow a curve drawn
without looking at the class, so neither brightness nor histogram gives it away. What scores well
here has looked at the image. Nothing here resembles a patient closely enough to say anything about
a model's worth in a clinic.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from monai_brain.data import datalist
from monai_brain.data.schema import SCHEMA_VERSION
from monai_brain.errors import ConfigurationError, UnknownNameError
from monai_brain.files import sha256, whole

BRAIN_CLASSES = ("glioma", "meningioma", "no_tumor", "pituitary")
MAMMOGRAM_CLASSES = ("complete", "incomplete")
_MOST_SLICES = 5
_SKULL = 0.88
# Where on the scale of ranks the curve of grey values bends: dark, body, and a bright sixth.
_SHARES = (0.0, 0.12, 0.2, 0.8, 0.87, 1.0)


@dataclass(frozen=True)
class Phantom:
    """One image with its class, its made-up patient and, if there is one, its tumour's box.

    Attributes:
        image: (H, W), uint8.
        class_name: What it shows.
        patient_id: The same for all images of one made-up patient.
        tumor_box: Centre, width and height as "x y w h" in fractions of the image, or "".
    """

    image: np.ndarray
    class_name: str
    patient_id: str
    tumor_box: str = ""


def brain(n: int, seed: int = 0, size: int = 128, classes: Sequence[str] = BRAIN_CLASSES) -> list[Phantom]:
    """`n` axial brain slices, the classes in equal shares, several slices a patient.

    Glioma: an irregular ring with a dark core inside the brain. Meningioma: a round, even spot at
    the brain's edge. Pituitary: a small spot in the middle, low. All heads hold small bright vessels.
    """
    return _made(classes, BRAIN_CLASSES, _head, n, seed, size)


def mammogram(
    n: int, seed: int = 0, size: int = 128, classes: Sequence[str] = MAMMOGRAM_CLASSES
) -> list[Phantom]:
    """`n` breasts at the left or right border: outline whole ("complete") or cut ("incomplete").

    Both classes show equally much breast, so that the covered area tells nothing.
    """
    return _made(classes, MAMMOGRAM_CLASSES, _breast, n, seed, size)


def write(
    kind: str,
    folder: str | Path,
    n: int,
    seed: int = 0,
    size: int = 128,
    classes: Sequence[str] | None = None,
) -> Path:
    """The path of the datalist.json written beside `n` PNG images of "brain" or "mammogram".

    `classes` names those wanted, in the order that the datalist gives them; by default all.

    Raises:
        ConfigurationError: The kind or a class is unknown, or there are too few images for the classes.
    """
    makers = {"brain": (brain, BRAIN_CLASSES), "mammogram": (mammogram, MAMMOGRAM_CLASSES)}
    if kind not in makers:
        raise ConfigurationError(f"No phantom is named {kind!r}. Expected: {', '.join(makers)}.")
    make, every = makers[kind]
    labels = list(classes or every)
    place = Path(folder).resolve()
    items = []
    for number, phantom in enumerate(make(n, seed, size, labels)):
        path = place / "images" / f"{phantom.patient_id}_{number:04d}.png"
        save(phantom, path)
        ids = {"patient_id": phantom.patient_id, "group": phantom.patient_id}
        item = {
            "image": str(path),
            "label": labels.index(phantom.class_name),
            "class_name": phantom.class_name,
        }
        items.append(
            item | ids | {"source": "phantom", "sha256": sha256(path), "tumor_box": phantom.tumor_box}
        )
    head = {"schema_version": SCHEMA_VERSION, "name": f"phantom {kind}", "labels": labels}
    return datalist.write(head | {"training": items, "testing": []}, place / "datalist.json")


def save(phantom: Phantom, path: Path) -> None:
    """Write a phantom's image as PNG."""
    content = cv2.imencode(".png", phantom.image)[1].tobytes()
    with whole(path, "wb") as stream:
        stream.write(content)


Draw = Callable[[str, np.random.Generator, np.random.Generator, int], tuple[np.ndarray, str]]


def _made(
    classes: Sequence[str], known: Sequence[str], draw: Draw, n: int, seed: int, size: int
) -> list[Phantom]:
    for name in classes:
        if name not in known:
            raise UnknownNameError("class of phantoms", name, known)
    if n < len(classes) or size < 16:
        raise ConfigurationError(
            f"n is {n}, size {size}: expected at least {len(classes)} images of 16 pixels."
        )
    phantoms: list[Phantom] = []
    patient = 0
    for index, class_name in enumerate(classes):
        left = n // len(classes) + (index < n % len(classes))
        most = min(_MOST_SLICES, max(1, left // 5))
        while left:
            body = np.random.default_rng([seed, patient])
            slices = min(left, int(body.integers(min(2, most), most + 1)))
            name = f"p{patient:04d}"
            for number in range(slices):
                # The patient's own numbers begin anew for each slice, the slice's go on.
                body = np.random.default_rng([seed, patient, 0])
                view = np.random.default_rng([seed, patient, 1 + number])
                image, box = draw(class_name, body, view, size)
                phantoms.append(Phantom(image, class_name, name, box))
            left -= slices
            patient += 1
    order = np.random.default_rng([seed]).permutation(len(phantoms))
    return [phantoms[i] for i in order]


def _head(
    class_name: str, body: np.random.Generator, view: np.random.Generator, size: int
) -> tuple[np.ndarray, str]:
    width, height = body.uniform(0.62, 0.74), body.uniform(0.76, 0.9)
    ventricle, tumour = body.uniform(0.1, 0.2), body.uniform(0, 1, 8)
    x, y = _grid(size, view, turn=10, shift=0.05)
    scale = view.uniform(0.92, 1.04)
    u, v = x / (width * scale), y / (height * scale)
    r = np.hypot(u, v)
    values = 0.5 + 0.03 * _clouds(view, size, 6) + 0.06 * _clouds(view, size, 28)
    values -= 0.3 * _soft(1 - np.hypot((np.abs(u) - 0.13) / (0.5 * ventricle), (v + 0.02) / ventricle), 0.25)
    values -= 0.15 * _soft(0.012 - np.abs(u), 0.01)
    for _ in range(int(view.integers(3, 8))):
        angle, away = view.uniform(0, 2 * np.pi), view.uniform(0.2, 0.8)
        spot = np.hypot(u - away * np.cos(angle), v - away * np.sin(angle))
        values += 0.4 * _soft(view.uniform(0.02, 0.045) - spot, 0.02)
    box = ""
    if class_name != "no_tumor":
        inside, change = _tumour(class_name, tumour, view, u, v, size)
        inside &= r < _SKULL
        values = np.where(inside, change, values)
        box = _box(inside)
    values = np.where((r > _SKULL) & (r < 0.95), 0.05 + 0.05 * view.random(), values)
    values = np.where((r >= 0.95) & (r < 1), 0.75 + 0.2 * view.random(), values)
    return _on_a_random_scale(values, r < 1, view), box


def _tumour(
    class_name: str,
    tumour: np.ndarray,
    view: np.random.Generator,
    u: np.ndarray,
    v: np.ndarray,
    size: int,
) -> tuple[np.ndarray, np.ndarray]:
    """Where the tumour is, and the values there."""
    bright = 0.95 + 0.2 * tumour[0]
    side = 1 if tumour[1] < 0.5 else -1
    grain = 0.08 * _clouds(view, size, 24)
    if class_name == "pituitary":
        radius = 0.16 + 0.05 * tumour[2]
        place = (view.uniform(-0.04, 0.04), 0.44 + 0.08 * tumour[3])
        return np.hypot(u - place[0], (v - place[1]) * (0.85 + 0.3 * tumour[4])) < radius, bright + grain
    # Angles from the top down one side; the lowest sixth of the circle is left to the pituitary.
    angle = np.pi * (0.08 + 0.66 * tumour[2]) + view.uniform(-0.06, 0.06)
    if class_name == "meningioma":
        away, radius = 0.72 + 0.06 * tumour[3], 0.22 + 0.09 * tumour[4]
        du, dv = u - side * away * np.sin(angle), v + away * np.cos(angle)
        return np.hypot(du, dv) < radius * view.uniform(0.85, 1.1), bright + grain
    away, radius = 0.36 + 0.14 * tumour[3], 0.27 + 0.1 * tumour[4]
    du, dv = u - side * away * np.sin(angle), v + away * np.cos(angle)
    theta, edge = np.arctan2(dv, du), np.ones_like(u)
    for wave in (2, 3, 5):
        edge += view.uniform(0.08, 0.2) * np.cos(wave * theta + view.uniform(0, 2 * np.pi))
    depth = np.hypot(du, dv) / (radius * view.uniform(0.85, 1.1) * edge)
    return depth < 1, np.where(depth < view.uniform(0.5, 0.68), 0.22, bright) + 2 * grain


def _breast(
    class_name: str, body: np.random.Generator, view: np.random.Generator, size: int
) -> tuple[np.ndarray, str]:
    tallness, density = body.uniform(1.25, 1.9), body.uniform(0.5, 1.0)
    area, cut = view.uniform(0.22, 0.36), view.uniform(0.25, 0.55)
    side, upside = view.random() < 0.5, view.random() < 0.5
    x, y = _grid(size, view, turn=4, shift=0.0)
    x, y = (x + 1) / 2, (y + 1) / 2
    place = view.uniform(0, 1)
    low, high = 0.05, 1.0
    for _ in range(12):  # the size that shows `area` of breast, whatever is cut off
        half = (low + high) / 2
        wide, middle = half / tallness * 1.6, _middle(class_name, half, cut, place)
        inside = np.hypot(x / wide, (y - middle) / half) < 1
        low, high = (half, high) if inside.mean() < area else (low, half)
    r = np.hypot(x / wide, (y - middle) / half)
    values = 0.35 + 0.25 * density * _clouds(view, size, 9) * np.clip(1.2 - r, 0, 1)
    values += 0.2 * _clouds(view, size, 26) * np.clip(1 - r, 0, 1) + 0.15 * (1 - r)
    values += 0.45 * _soft(view.uniform(0.1, 0.3) * wide - x - 0.5 * y * wide, 0.02)
    values += 0.2 * _soft(0.03 - np.hypot(x - wide * 0.97, y - middle), 0.02)
    image = _on_a_random_scale(values, r < 1, view)
    image = image[::-1] if upside else image
    return np.ascontiguousarray(image[:, ::-1] if side else image), ""


def _middle(class_name: str, half: float, cut: float, place: float) -> float:
    """The height of the breast's middle: all of it inside, or a part below the border."""
    if class_name == "incomplete":
        return 1 - half * (1 - cut)
    room = max(0.0, 1 - 2 * half - 0.08)
    return half + 0.04 + room * place


def _on_a_random_scale(values: np.ndarray, body: np.ndarray, view: np.random.Generator) -> np.ndarray:
    """The image as uint8: ranks within the body put onto a curve drawn by chance, over a dim ground."""
    size = values.shape[0]
    values = values * (1 + view.uniform(0.01, 0.05) * _clouds(view, size, 2))
    values = values + view.normal(0, view.uniform(0.01, 0.04), values.shape)
    values = cv2.GaussianBlur(values, (0, 0), view.uniform(0.3, 0.8) * size / 128 + 0.1)
    dark, middle, bright = view.uniform(30, 60), view.uniform(80, 125), view.uniform(175, 250)
    knots = (dark, dark + 10, middle - 15, middle + view.uniform(5, 25), bright - 20, bright)
    image = np.abs(view.normal(0, view.uniform(1, 5), values.shape))
    count = int(body.sum())
    order = np.argsort(values[body], kind="stable")
    levels = np.empty(count)
    levels[order] = np.interp(np.linspace(0, 1, count), _SHARES, knots)
    image[body] = levels
    return np.clip(np.rint(image), 0, 255).astype(np.uint8)


def _grid(size: int, view: np.random.Generator, turn: float, shift: float) -> tuple[np.ndarray, np.ndarray]:
    """Column and row coordinates from -1 to 1, turned by up to `turn` degrees and shifted a little."""
    axis = (np.arange(size) + 0.5) * 2 / size - 1
    x, y = np.meshgrid(axis - view.uniform(-shift, shift), axis - view.uniform(-shift, shift))
    angle = np.deg2rad(view.uniform(-turn, turn))
    return np.cos(angle) * x + np.sin(angle) * y, np.cos(angle) * y - np.sin(angle) * x


def _clouds(view: np.random.Generator, size: int, cells: int) -> np.ndarray:
    """Smooth noise of about unit height; more cells, finer clouds."""
    return np.asarray(
        cv2.resize(view.normal(0, 1, (cells, cells)), (size, size), interpolation=cv2.INTER_CUBIC)
    )


def _soft(depth: np.ndarray, edge: float) -> np.ndarray:
    """1 where depth is well above 0, 0 well below, smooth over `edge`."""
    return np.clip(depth / edge + 0.5, 0, 1)


def _box(inside: np.ndarray) -> str:
    rows, columns = np.nonzero(inside)
    size = inside.shape[0]
    top, bottom, left, right = rows.min(), rows.max() + 1, columns.min(), columns.max() + 1
    numbers = ((left + right) / 2, (top + bottom) / 2, right - left, bottom - top)
    return " ".join(f"{number / size:.4f}" for number in numbers)
