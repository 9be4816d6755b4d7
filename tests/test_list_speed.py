"""`monai-brain list` answers at once: it loads nothing that it does not show."""

import json
import statistics
import subprocess
import sys
import time

ROUNDS = 7
MOST = 2.5
FLOOR = "import pluggy, importlib.metadata as m; m.entry_points()"  # what any program with plugins has to do


def command(*words):
    return [sys.executable, *words]


def seconds(words):
    began = time.perf_counter()
    subprocess.run(words, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - began


def test_list_loads_nothing_heavy():
    program = (
        "import json, sys\n"
        "from monai_brain.cli import main\n"
        "status = main(['list'])\n"
        "print(json.dumps([status, sorted({name.partition('.')[0] for name in sys.modules})]))\n"
    )
    done = subprocess.run(command("-c", program), capture_output=True, text=True, check=True)
    status, loaded = json.loads(done.stdout.splitlines()[-1])
    assert status == 0
    assert not {"torch", "monai", "numpy", "ignite", "cv2", "scipy", "sklearn"} & set(loaded)
    assert "monai_brain_plugins" in loaded


def test_list_takes_little_longer_than_finding_the_plugins():
    """A ratio within one run, each of the two in turn, so that a busy machine slows both."""
    shown, floor = command("-m", "monai_brain", "list"), command("-c", FLOOR)
    seconds(shown), seconds(floor)  # bytecode and disk cache
    pairs = [(seconds(shown), seconds(floor)) for _ in range(ROUNDS)]
    assert statistics.median(shown for shown, _ in pairs) <= MOST * statistics.median(
        floor for _, floor in pairs
    )
