"""How soon a command answers, as a process of its own."""

import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from benchmarks.archives import MODEL, own_home
from benchmarks.harness import Contest, Way, benchmark
from benchmarks.images import slices

_SCAN = "import pluggy, importlib.metadata as m; m.entry_points()"
_BY_HAND = """
import sys
import cv2, monai, numpy as np, torch
from monai_brain_plugins.brain_tumor_resnet34.network import ImprovedResNet34
image = cv2.imread(sys.argv[1], cv2.IMREAD_GRAYSCALE).astype(np.float32)
image = cv2.resize(image, (224, 224), interpolation=cv2.INTER_AREA)
image = (image - image.mean()) / image.std()
network = ImprovedResNet34(in_channels=1).eval()
network.load_state_dict(torch.load(sys.argv[2], map_location="cpu", weights_only=True))
with torch.inference_mode():
    print(network(torch.from_numpy(image)[None, None]).softmax(1).numpy())
"""


@benchmark("list", "the installed models, as a process of its own")
def listing() -> Iterator[Contest]:
    yield Contest(
        Way("monai-brain list", lambda: _python("-m", "monai_brain", "list")),
        (Way("a scan of the entry points", lambda: _python("-c", _SCAN), target=0.5),),
    )


@benchmark("predict_cold", "a JPEG file answered onto disk by the improved ResNet34, a process of its own")
def predict_cold() -> Iterator[Contest]:
    import cv2
    import torch

    from monai_brain import registry
    from monai_brain.inference import weights as network_weights

    with tempfile.TemporaryDirectory() as folder, own_home(Path(folder) / "home"):
        image, weights, out = (Path(folder) / name for name in ("image.jpg", "model.pt", "out"))
        image.write_bytes(cv2.imencode(".jpg", slices(4)[0])[1].tobytes())
        torch.manual_seed(0)
        network_weights.save(network_weights.network(registry.bundle(MODEL)), weights)
        command = ["predict", MODEL, str(image), "--weights", str(weights), "-o", str(out), "--restart"]
        yield Contest(
            Way("monai-brain predict", lambda: _python("-m", "monai_brain", *command)),
            (
                Way(
                    "a script that imports monai and the network",
                    lambda: _python("-c", _BY_HAND, str(image), str(weights)),
                    target=1 / 1.2,
                ),
            ),
        )


def _python(*arguments: str) -> None:
    subprocess.run([sys.executable, *arguments], check=True, capture_output=True)
