"""The labelling page and what it asks for: no viewer has a field for a class, so the server brings one."""

from __future__ import annotations

import io
import json
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from monai_brain.bundles import DISCLAIMER
from monai_brain.data.headers import read_header
from monai_brain.data.reader import read_slice
from monai_brain.errors import DataError, MissingExtraError, MonaiBrainError, UnknownNameError
from monai_brain.integrations.label import tasks
from monai_brain.integrations.label.answering import Wish, series_files
from monai_brain.integrations.label.stores import FINAL, refused
from monai_brain.transforms.grey import ToGrey255

PREFIX = "/brain"
PAGE = Path(__file__).with_name("page.html")
try:
    from fastapi import APIRouter, Body
    from fastapi.responses import HTMLResponse, Response
except ImportError as error:
    raise MissingExtraError(error.name or "monailabel", "label") from error

_BODY = Body()


def router(app: Any) -> Any:
    """The addresses below /brain of a server that runs the application."""
    found = APIRouter(prefix=PREFIX, tags=["monai_brain"])
    given = {"response_model": None}
    found.add_api_route("/", lambda: _html(), methods=["GET"], **given)
    found.add_api_route("/about", lambda: about(app), methods=["GET"], **given)
    found.add_api_route("/next", _next(app), methods=["GET"], **given)
    found.add_api_route("/picture", _picture(app), methods=["GET"], **given)
    found.add_api_route("/label", _label(app), methods=["POST"], **given)
    found.add_api_route("/undo", _undo(app), methods=["POST"], **given)
    found.add_api_route("/restore/{model}", _restore(app), methods=["POST"], **given)
    return found


def about(app: Any) -> dict[str, Any]:
    """The models with their classes and versions, the strategies, and how far the labelling is."""
    store = app.datastore()
    models = {
        name: {
            "classes": list(one.labels),
            "version": one.served.version,
            "versions": one.served.versions(),
            "rounds": one.served.state["rounds"],
        }
        for name, one in app.models.items()
    }
    counts = {"images": len(store.list_images()), "labelled": len(store.labelled())}
    return {"models": models, "strategies": list(app._strategies), **counts, "disclaimer": DISCLAIMER}


def _html() -> Any:
    return HTMLResponse(PAGE.read_text(encoding="utf-8"))


def _next(app: Any) -> Any:
    def following(strategy: str = "random", model: str = "", skip: str = "[]") -> dict[str, Any]:
        request = {"strategy": strategy, "skip": json.loads(skip)} | ({"model": model} if model else {})
        found = app.next_sample(request)
        found.pop("path", None)
        return {"next": found or None, **_counts(app)}

    return following


def _picture(app: Any) -> Any:
    def picture(image: str, model: str = "", slice: int | None = None) -> Any:  # noqa: A002  the query's word
        try:
            path = Path(app.datastore().get_image_uri(image))
            grey = _grey(path, slice)
            if model:
                if model not in app.models:
                    raise UnknownNameError("model", model, app.models)
                grey = _with_map(grey, path, app.models[model], slice)
        except MonaiBrainError as error:
            raise refused(error, 409 if error.exit_status == 4 else None) from None
        return Response(_png(grey), media_type="image/png")

    return picture


def _label(app: Any) -> Any:
    def label(content: dict[str, Any] = _BODY) -> dict[str, Any]:
        image, name = str(content.get("image", "")), str(content.get("label", ""))
        info: dict[str, Any] = {"label": name, "by": "page"}
        try:
            shown = _shown(Path(app.datastore().get_image_uri(image)))
        except DataError as error:
            raise refused(error) from None
        if shown is not None:
            info["slice"] = shown  # what was judged; the others may show something else
        with tempfile.TemporaryDirectory(prefix="monai_brain_") as folder:
            file = Path(folder, "label.json")
            file.write_text(json.dumps({"label": name}), encoding="utf-8")
            app.datastore().save_label(image, str(file), FINAL, info)
        app.on_save_label(image, image)
        return {"image": image, "label": app.datastore().class_of(image)["label"], **_counts(app)}

    return label


def _undo(app: Any) -> Any:
    def undo(content: dict[str, Any] = _BODY) -> dict[str, Any]:
        image = str(content.get("image", ""))
        app.datastore().remove_label(image, FINAL)
        return {"image": image, **_counts(app)}

    return undo


def _restore(app: Any) -> Any:
    def restore(model: str, version: str = "") -> dict[str, Any]:
        try:
            if model not in app.models:
                raise UnknownNameError("model", model, app.models)
            return {"model": model, "version": app.models[model].served.restore(version or None)}
        except MonaiBrainError as error:
            raise refused(error) from None

    return restore


def _counts(app: Any) -> dict[str, int]:
    return {"labelled": len(app.datastore().labelled()), "images": len(app.datastore().list_images())}


def _grey(path: Path, number: int | None) -> np.ndarray:
    """One image on 0..255; of a volume or a series the chosen slice, else the middle one."""
    chosen = _shown(path, number)
    if path.is_dir():
        image, _ = read_slice(series_files(path)[chosen or 0])
    else:
        image, _ = read_slice(path, None if chosen is None else chosen + 1)
    return np.asarray(ToGrey255()(image[None]))[0].round().astype(np.uint8)


def _shown(path: Path, number: int | None = None) -> int | None:
    """The slice that the page shows; None where the image is one."""
    count = len(series_files(path)) if path.is_dir() else read_header(path).frames
    if count == 1 and number in (None, 0):
        return None
    chosen = count // 2 if number is None else number
    if not 0 <= chosen < count:
        raise DataError(f"slice {chosen} of {count}, counting from 0")
    return chosen


def _with_map(grey: np.ndarray, path: Path, model: tasks.ServedModel, number: int | None) -> np.ndarray:
    """The image in colour, red where the evidence lies."""
    if path.is_dir() or read_header(path).frames > 1:
        raise DataError("maps of volumes are shown by viewers: ask for the model's _cam")
    heat, _ = model.answering().map(path, Wish(slice=number, force=True))
    share = np.squeeze(heat)[..., None] * 0.6
    colour = np.array([255.0, 40.0, 0.0])
    return np.asarray((grey[..., None] * (1 - share) + colour * share).round().astype(np.uint8))


def _png(image: np.ndarray) -> bytes:
    from PIL import Image

    stream = io.BytesIO()
    Image.fromarray(image).save(stream, "PNG")
    return stream.getvalue()
