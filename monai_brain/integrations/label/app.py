"""The application that MONAI Label runs: every model of its folder, with what each needs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import monai_brain
from monai_brain.bundles import DISCLAIMER
from monai_brain.errors import (
    ConfigurationError,
    DataError,
    MissingExtraError,
    MonaiBrainError,
    UnknownNameError,
)
from monai_brain.integrations.label import app_folder, page, stores, strategies, tasks

try:
    from dicomweb_client.session_utils import create_session_from_user_pass
    from monailabel.config import settings
    from monailabel.datastore.dicom import DICOMwebClientX
    from monailabel.interfaces.app import MONAILabelApp
except ImportError as error:
    raise MissingExtraError(error.name or "monailabel", "label") from error

ARCHIVE = ("http://", "https://")


class BrainLabelApp(MONAILabelApp):
    """Each model as a classification model NAME and as a segmentation model NAME_cam that shows its map."""

    def __init__(self, app_dir: str, studies: str, conf: dict[str, str]) -> None:
        served = app_folder.read(Path(app_dir))
        self.models = {name: tasks.ServedModel(one) for name, one in served.items()}
        self.classes = tuple(dict.fromkeys(name for one in self.models.values() for name in one.labels))
        self.folder = None if studies.startswith(ARCHIVE) else Path(studies)
        super().__init__(
            app_dir,
            studies,
            conf,
            name="monai_brain",
            description=f"Image classifiers and their maps. {DISCLAIMER}",
            version=monai_brain.__version__,
        )

    def init_datastore(self) -> Any:
        """The studies: a folder, or an archive."""
        store = self._archive() if self.folder is None else self._folder()
        store.classes = self.classes
        return store

    def init_infers(self) -> dict[str, Any]:
        """Both models of each."""
        found: dict[str, Any] = {}
        for name, model in self.models.items():
            found[name] = tasks.ClassifyTask(model)
            found[name + tasks.MAP_SUFFIX] = tasks.MapTask(model)
        return found

    def init_trainers(self) -> dict[str, Any]:
        """A training for each model."""
        return {name: tasks.RoundTask(model, self.folder) for name, model in self.models.items()}

    def init_strategies(self) -> dict[str, Any]:
        """Entropy, margin and random."""
        return {name: tasks.NextSample(name, self.models) for name in strategies.STRATEGIES}

    def init_scoring_methods(self) -> dict[str, Any]:
        """One: held_out."""
        return {"held_out": tasks.HeldOutScore(self.models, self.folder)}

    def on_init_complete(self) -> None:
        """Add the labelling page to the server."""
        super().on_init_complete()
        from monailabel.app import app  # the server itself, which a training beside it must not make

        app.include_router(page.router(self))

    def infer(self, request: dict[str, Any], datastore: Any = None) -> dict[str, Any]:
        """The answer for an image; what is wrong with the request is a 4xx with one sentence.

        Raises:
            HTTPException: There is no such model or image, or the image cannot be read.
        """
        self._check("model", request.get("model"), self._infers)
        image = request.get("image")
        if isinstance(image, str) and not Path(image).exists():
            request = {**request, "image": self._known(image, datastore or self.datastore())}
            request["_image_id"] = image
        elif not isinstance(image, str):
            raise stores.refused(ConfigurationError("An image is given by its name or as a file."))
        try:
            if "_image_id" not in request:
                return dict(super().infer(request, datastore))
            return self._kept(request, datastore or self.datastore())
        except DataError as error:
            raise stores.refused(error) from None
        except MonaiBrainError as error:
            raise stores.refused(error, 409 if error.exit_status == 4 else None) from None

    def next_sample(self, request: dict[str, Any]) -> dict[str, Any]:
        """The image to label next.

        Raises:
            HTTPException: There is no such strategy or model.
        """
        self._check("strategy", request.get("strategy") or "random", self._strategies)
        return dict(super().next_sample(request))

    def scoring(self, request: dict[str, Any], datastore: Any = None) -> dict[str, Any]:
        """The scores of the served versions.

        Raises:
            HTTPException: There is no such method.
        """
        self._check("scoring method", request.get("method"), self._scoring_methods)
        return dict(super().scoring(request, datastore))

    def train(self, request: dict[str, Any]) -> dict[str, Any]:
        """A round of training.

        Raises:
            HTTPException: There is no such model, or there are too few labels.
        """
        self._check("model to train", request.get("model"), self._trainers)
        return dict(super().train(request))

    def bundle_path(self, model: str | None) -> None:
        """None; every task that runs beside the server begins here, so a wrong name is refused here.

        Raises:
            HTTPException: There is no such model.
        """
        if model is not None:
            self._check("model", model, self._infers)

    def model_file(self, model: str, validate: bool = True) -> str | None:
        """The file of the weights that are served.

        Raises:
            HTTPException: There is no such model.
        """
        name = model.removesuffix(tasks.MAP_SUFFIX)
        self._check("model", name, self.models)
        weights = self.models[name].served.bundle.weights
        return str(weights) if weights is not None else None

    def _kept(self, request: dict[str, Any], datastore: Any) -> dict[str, Any]:
        """The answer for an image of the store; its file is kept there where that is asked for."""
        name = request.pop("_image_id")
        save, tag = bool(request.get("save_label")), request.get("label_tag") or "original"
        found = dict(super().infer({**request, "save_label": False}, datastore))
        if save and found["file"]:
            info = {"model": request["model"], "params": found["params"]}
            found["label"] = stores.kept_file(datastore, name, found["file"], tag, info)
        return found

    def _check(self, kind: str, name: Any, known: Any) -> None:
        if not isinstance(name, str) or name not in known:
            raise stores.refused(UnknownNameError(kind, str(name or ""), known))

    def _known(self, image: str, datastore: Any) -> str:
        return str(datastore.get_image_uri(image))

    def _folder(self) -> stores.StudiesFolder:
        return stores.StudiesFolder(
            str(self.folder),
            extensions=settings.MONAI_LABEL_DATASTORE_FILE_EXT,
            auto_reload=settings.MONAI_LABEL_DATASTORE_AUTO_RELOAD,
        )

    def _archive(self) -> stores.StudiesArchive:
        session = None
        if settings.MONAI_LABEL_DICOMWEB_USERNAME and settings.MONAI_LABEL_DICOMWEB_PASSWORD:
            session = create_session_from_user_pass(
                settings.MONAI_LABEL_DICOMWEB_USERNAME, settings.MONAI_LABEL_DICOMWEB_PASSWORD
            )
        client = DICOMwebClientX(
            url=self.studies.rstrip("/"),
            session=session,
            qido_url_prefix=settings.MONAI_LABEL_QIDO_PREFIX,
            wado_url_prefix=settings.MONAI_LABEL_WADO_PREFIX,
            stow_url_prefix=settings.MONAI_LABEL_STOW_PREFIX,
        )
        return stores.StudiesArchive(
            client=client,
            search_filter={},
            cache_path=settings.MONAI_LABEL_DICOMWEB_CACHE_PATH or str(Path(self.app_dir, "dicomweb")),
            convert_to_nifti=False,
        )
