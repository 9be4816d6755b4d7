"""Checks of a model at work: under MONAI's runners, MONAI Label and a federated client, and on phantoms."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from monai.bundle import ConfigWorkflow
from monai.transforms import Compose
from monai.utils import BundleProperty, BundlePropertyConfig
from scipy.special import softmax

from monai_brain import recipe
from monai_brain.bundles import Bundle
from monai_brain.errors import MissingExtraError
from monai_brain.evaluation import predictions
from monai_brain.files import read_json, sha256
from monai_brain.safety import trust
from monai_brain.testing import bench, subject
from monai_brain.testing.checks_metadata import plugin_of
from monai_brain.testing.checks_recipes import component
from monai_brain.testing.outcome import CheckFailed, NotApplicable, listed, require

CLOSE = 1e-3
BATCH = 8

_BUILD = """
import importlib, json, socket, sys
asked = []
def refuse(self, address, *rest):
    if self.family in (socket.AF_INET, socket.AF_INET6):
        asked.append(str(address))
    raise OSError("there is no network here")
def resolve(host, *rest, **more):
    asked.append(str(host))
    raise socket.gaierror("there is no network here")
socket.socket.connect = socket.socket.connect_ex = refuse
socket.getaddrinfo = resolve
if sys.argv[2]:
    importlib.import_module(sys.argv[2])
import monai_brain
from monai_brain.safety import trust
try:
    with trust.given():  # it was let pass before any check began
        monai_brain.network(sys.argv[1])
finally:
    print("asked for " + json.dumps(asked))
"""


def check_properties(bundle: Bundle) -> None:
    """MONAI finds in the recipes all that it asks a bundle for, to infer and to train."""
    with bench.aside() as folder:
        datalist = bench.write_datalist(bundle, folder)
        for name, kind, wanted in (
            (
                "inference",
                "infer",
                {"dataset_dir": str(folder / "images"), "output_dir": str(folder / "out")},
            ),
            ("train", "train", _training(bundle, datalist, folder / "run")),
        ):
            workflow = _workflow(bundle, name, kind, wanted)
            required = [
                asked[BundlePropertyConfig.ID].replace("::", "#")  # as recipes write it
                for asked in (workflow.properties or {}).values()
                if asked[BundleProperty.REQUIRED]
            ]
            lacking = [key for key in required if key not in workflow.parser]
            require(
                not lacking, f"configs/{name}.json lacks {listed(lacking, 20)}, which MONAI asks for. Add it."
            )
            misnamed = _guarded(f"configs/{name}.json", workflow.check_properties)
            require(
                misnamed == [],
                f"configs/{name}.json has {listed(misnamed or [], 20)} under another id than MONAI asks "
                "for. See monai.bundle.properties for the ids.",
            )


def check_monai_label(bundle: Bundle) -> None:
    """MONAI Label finds in the recipes what it reads from them: components to infer, ids to train."""
    for key in ("device", "network_def", "inferer", "postprocessing"):
        component(bundle, "inference", key)
    require(
        isinstance(component(bundle, "inference", "preprocessing"), Compose),
        "preprocessing of configs/inference.json is no monai.transforms.Compose, whose list MONAI Label "
        "takes apart. Make it one.",
    )
    content = dict(subject.walk(read_json(bundle.config("train"))))
    ids = (
        "bundle_root",
        "device",
        "network",
        "train#trainer#max_epochs",
        "train#dataset#data",
        "validate#dataset#data",
    )
    lacking = [key for key in (*ids, "train#handlers") if key not in content]
    require(not lacking, f"configs/train.json lacks {listed(lacking)}, which MONAI Label sets. Add them.")
    handlers = content["train#handlers"]
    require(
        isinstance(handlers, list) and all(isinstance(handler, dict) for handler in handlers),
        "train#handlers of configs/train.json is no list of components, to which MONAI Label adds its "
        "own. Write each with its _target_, not as a reference.",
    )
    texts = {key: value.replace("::", "#") for key, value in content.items() if isinstance(value, str)}
    counted = [key for key, text in texts.items() if "train#handlers#" in text]
    require(
        not counted,
        f"configs/train.json: {listed(counted)} counts the handlers, but MONAI Label puts its own in front. "
        "Write the component where it is used, or give it an id at the top.",
    )


def check_federated_round(bundle: Bundle) -> None:
    """MONAI's federated client trains one local epoch from weights that it is given."""
    from monai.fl.client.monai_algo import MonaiAlgo
    from monai.fl.utils.constants import ExtraItems, WeightType
    from monai.fl.utils.exchange_object import ExchangeObject

    with bench.aside() as folder:
        datalist = bench.write_datalist(bundle, folder)
        wanted = {**_training(bundle, datalist, folder / "run"), "bundle_root": str(bundle.root)}
        client = MonaiAlgo(str(bundle.root), train_kwargs=dict(wanted), eval_kwargs=dict(wanted))
        given = {name: value.numpy() for name, value in subject.network(bundle).state_dict().items()}

        def take_part() -> dict[str, Any]:
            client.initialize({ExtraItems.CLIENT_NAME: "phantom"})
            client.train(ExchangeObject(weights=dict(given), weight_type=WeightType.WEIGHTS))
            changes: dict[str, Any] = client.get_weights().weights
            client.finalize()
            return changes

        changes = _guarded("The federated client", take_part)
    require(
        changes.keys() == given.keys() and any(np.asarray(value).any() for value in changes.values()),
        "After a local epoch the federated client hands back no change of weights. Train `network` "
        "itself, in train#trainer.",
    )


def check_no_network_at_import(bundle: Bundle) -> None:
    """Importing the plugin and building the network asks nothing of the network of computers."""
    done = bench.fresh(_BUILD, str(bundle.root), plugin_of(bundle) or "")
    asked = [
        line.removeprefix("asked for ") for line in done.stdout.splitlines() if line.startswith("asked for ")
    ]
    reason = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
    require(asked, f"The network cannot be built in a fresh process: {reason}")
    hosts = json.loads(asked[-1])
    require(
        not hosts,
        f"Building the network asks for {listed(hosts)}. Fetch weights in load_imagenet(), which is called "
        "by `--from imagenet` alone, not in __init__.",
    )
    require(not done.returncode, f"The network cannot be built in a fresh process: {reason}")


def check_phantom_run(bundle: Bundle) -> None:
    """One epoch on phantoms gives a run that is judged, and that predicts what it was judged by."""
    if not bundle.facts.get("phantom"):
        raise NotApplicable("it names no phantoms to train on (monai_brain#phantom: brain or mammogram)")
    from monai_brain.evaluation.judge import evaluate
    from monai_brain.inference.predict import predict
    from monai_brain.training.workflow import train

    with bench.aside() as folder:
        datalist = bench.write_datalist(bundle, folder)
        wanted = _training(bundle, datalist, folder)
        for key in ("datalist", "run_dir", "fold"):
            wanted.pop(key, None)
        run = train(bundle, datalist, 0, run_dir=folder / "run", **wanted)
        judged = predictions.read(run / "predictions.csv")
        metrics = evaluate(run / "predictions.csv")
        require(metrics, "No figure was computed from the run's predictions.csv. Look at its label column.")
        trained = Bundle.at(run)
        require(
            trained.weights is not None and trained.weights_sha256 == sha256(trained.weights),
            "The run records no models/model.pt with its SHA-256. Let the recipe's run end with "
            "workflow.conclude.",
        )
        answers = predict(trained, [folder / row.case for row in judged])
        require(
            not answers.failures and answers.predictions is not None,
            f"The run does not predict: {listed(failure.reason for failure in answers.failures)}.",
        )
        _check_same(judged, answers.predictions)


def _plain(rows: predictions.Predictions) -> dict[str, dict[str, float]]:
    probabilities = softmax(np.asarray(rows.logits), axis=1)
    return {
        Path(str(case)).name: dict(zip(rows.classes, row.tolist(), strict=True))
        for case, row in zip(rows.case, probabilities, strict=True)
    }


def _check_same(judged: predictions.Predictions, given: Any) -> None:
    """Refuse a run that predicts other probabilities than those it was judged by.

    Before its temperature and its threshold, which are chosen by what it was judged on.
    """
    wanted, found = _plain(judged), _plain(given)
    require(
        wanted.keys() == found.keys(),
        f"The run was judged on {len(wanted)} images and predicts {len(found)} of them. Look at the "
        "datasets of configs/train.json and configs/inference.json.",
    )
    worst = max(abs(wanted[case][name] - found[case][name]) for case in wanted for name in wanted[case])
    require(
        worst <= CLOSE,
        f"The run predicts probabilities that differ by {worst:.2g} from those it was judged by. Prepare "
        "images in test#dataset of configs/train.json as in preprocessing of configs/inference.json.",
    )


def _training(bundle: Bundle, datalist: Path, run_dir: Path) -> dict[str, Any]:
    """Overrides that make a training short: those keys of them that the recipe has."""
    wanted = {
        "datalist": str(datalist),
        "fold": 0,
        "run_dir": str(run_dir),
        "max_epochs": 1,
        "batch_size": BATCH,
        "image_size": subject.image_size(bundle),
        "num_workers": 0,
    }
    content = read_json(bundle.config("train"))
    return {key: value for key, value in wanted.items() if key in content}


def _workflow(bundle: Bundle, name: str, kind: str, wanted: dict[str, Any]) -> ConfigWorkflow:
    """An initialized workflow of a recipe, with the settings of this process left alone."""
    trust.admit(bundle)
    content = read_json(bundle.config(name))
    workflow = ConfigWorkflow(
        config_file=str(bundle.config(name)),
        meta_file=str(bundle.root / "configs" / "metadata.json"),
        logging_file=False,
        workflow_type=kind,
        **{key: value for key, value in wanted.items() if key in content},
        bundle_root=str(bundle.root),
    )
    _guarded(f"configs/{name}.json", workflow.initialize)
    return workflow


def _guarded(what: str, call: Callable[[], Any]) -> Any:
    """What the call gives; a fault of the recipe fails the check by its first cause."""
    try:
        return call()
    except Exception as error:
        cause = recipe.failure(error) or error
        if isinstance(cause, MissingExtraError):
            raise cause from error
        raise CheckFailed(f"{what}: {type(cause).__name__}: {' '.join(str(cause).split())}") from error
