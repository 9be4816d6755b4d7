"""Checks of what a model hands on: its weights, and the forms that other programs run."""

from __future__ import annotations

from monai_brain.bundles import Bundle
from monai_brain.errors import MissingExtraError, MonaiBrainError
from monai_brain.files import sha256
from monai_brain.inference import weights as network_weights
from monai_brain.registry import registry
from monai_brain.testing import bench, subject
from monai_brain.testing.outcome import CheckFailed, NotApplicable, listed, require


def check_weights(bundle: Bundle) -> None:
    """The weights are the recorded ones, under a stated licence, whole, finite, and this network's."""
    if bundle.weights is None:
        address = bundle.facts.get("weights", {}).get("url")
        fetch = f", or fetch {address} by `monai-brain weights get {bundle.name}`" if address else ""
        raise NotApplicable(
            f"it has no weights: train it by `monai-brain train {bundle.name} --datalist FILE`{fetch}"
        )
    found = sha256(bundle.weights)
    require(
        bundle.weights_sha256 is not None,
        f"monai_brain#weights#sha256 is missing in configs/metadata.json. Record {found}.",
    )
    require(
        found == bundle.weights_sha256,
        f"models/model.pt has SHA-256 {found}, monai_brain#weights#sha256 says {bundle.weights_sha256}. "
        "Fetch the weights again, or record the new ones.",
    )
    stated = bundle.facts["weights"].get("licence") or bundle.facts.get("licence")
    require(
        stated,
        "Nothing states the weights' licence. Add monai_brain#weights#licence to configs/metadata.json.",
    )
    try:
        state = network_weights.read(bundle.weights)
        subject.network(bundle).load_state_dict(state, strict=True)
    except MonaiBrainError as error:
        raise CheckFailed(str(error)) from None
    except RuntimeError as error:
        reason = " ".join(str(error).split())
        raise CheckFailed(f"models/model.pt is of another network: {reason[:300]}. Train it anew.") from None
    wild = [
        name
        for name, value in state.items()
        if value.is_floating_point() and not bool(value.isfinite().all())
    ]
    require(not wild, f"models/model.pt holds values that are not finite in {listed(wild)}. Train it anew.")


def check_export_parity(bundle: Bundle) -> None:
    """What is exported, in every registered format, computes what the network computes."""
    from monai_brain.inference.export import export_network

    formats = sorted(registry().exporters)
    if not formats:
        raise NotApplicable("no installed plugin registers a format")
    network = subject.settled(subject.network(bundle), subject.images(bundle))
    size = {"image_size": subject.image_size(bundle)}
    absent: list[str] = []
    with bench.aside() as folder:
        bench.write_datalist(bundle, folder)
        for name in formats:
            try:
                export_network(
                    network, bundle, name, folder / name, settings=size, calibration=folder / "images"
                )
            except MissingExtraError as error:
                absent.append(f"{name}: {error}")
            except MonaiBrainError as error:
                raise CheckFailed(f"Format {name}: {error}") from error
    if absent:
        raise NotApplicable("; ".join(absent))
