"""A GPU machine may have torch, MONAI and little else: training and evaluating ask for no more."""

import json

TRAIN = """
import json
from pathlib import Path
from monai_brain.data import datalist, phantoms, splits
from monai_brain.evaluation.judge import evaluate
from monai_brain.testing.tiny import tiny_bundle
from monai_brain.training.workflow import train

written = phantoms.write("brain", "phantoms", 32, size=32)
folds = datalist.write(splits.split(datalist.read(written), "patient", folds=4), "folds.json")
run = train(tiny_bundle("tiny"), folds, 0, run_dir="run", max_epochs=1)
metrics = evaluate(run / "predictions.csv", draws=50)
print(json.dumps({"accuracy": metrics["by_case"]["overall"]["accuracy"]["value"], "used": sorted(
    {name.partition(".")[0] for name in sys.modules})}))
"""


def test_training_and_evaluating_need_little(superfluous, without):
    told = json.loads(without(superfluous, TRAIN).splitlines()[-1])
    assert 0 <= told["accuracy"] <= 1
    assert not superfluous & set(told["used"])
    assert {"torch", "monai", "sklearn", "cv2"} <= set(told["used"])


def test_what_is_hidden_is_hidden(without):
    program = "try:\n    import itk\nexcept ModuleNotFoundError as error:\n    print(error.name)\n"
    assert without({"itk"}, program) == "itk\n"
