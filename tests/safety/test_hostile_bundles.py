"""Hostile and broken bundles: each is named by verify, and nothing of any runs in any door before trust."""

import contextlib
import io
import os
import pickle
import zipfile

import pytest

from monai_brain import recipe
from monai_brain.errors import ConfigurationError, MonaiBrainError
from monai_brain.safety import trust
from monai_brain.safety.verify import verify

DEEP = 100_000


class Evil:
    def __reduce__(self):
        return os.system, ("exit",)


def archive(members):
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as packed:
        for name, content in members.items():
            packed.writestr(name, content)
    return stream.getvalue()


def logging_conf(payload):
    return (
        "[loggers]\nkeys=root\n[handlers]\nkeys=h\n[formatters]\nkeys=\n[logger_root]\nhandlers=h\n"
        f"[handler_h]\nclass=({payload}, StreamHandler)[1]\nargs=()\n"
    )


def pipe(strange):
    os.mkfifo(strange.config("extra"))


# what it is -> (how the tiny bundle is changed, a part of the line that names it)
CODE = {
    "expression for the network": (
        lambda s: s.edit("inference", network_def=f"${s.payload}"),
        "inference.json network_def: $open(",
    ),
    "import of a module": (lambda s: s.edit("train", imports=["$import os"]), "imports#0: $import os"),
    "one letter changed": (
        lambda s: s.edit("inference", network="$@network_def.to (@device)"),
        "network: $@network_def.to (@device)",
    ),
    "not quite a literal": (
        lambda s: s.edit("inference", amp="$[1].__class__"),
        "amp: $[1].__class__",
    ),
    "lambda in a handler": (
        lambda s: s.add("inference", {"extra": [{"a": "$lambda x: x"}]}),
        "extra#0#a: $lambda x: x",
    ),
    "shell as a target": (
        lambda s: s.edit("inference", network_def={"_target_": "os.system", "command": "exit"}),
        "network_def#_target_: os.system",
    ),
    "process as a target": (
        lambda s: s.add("train", {"x": [[{"_target_": "subprocess.Popen", "args": "true"}]]}),
        "x#0#0#_target_: subprocess.Popen",
    ),
    "bare target": (lambda s: s.add("train", {"x": {"_target_": "exec"}}), "_target_ 'exec'"),
    "target of the library that downloads": (
        lambda s: s.add("train", {"x": {"_target_": "monai.bundle.load", "name": "evil"}}),
        "_target_ 'monai.bundle.load'",
    ),
    "target of our own that writes files": (
        lambda s: s.add("train", {"x": {"_target_": "monai_brain.files.write_json", "path": "x"}}),
        "_target_ 'monai_brain.files.write_json'",
    ),
    "target by an overlaid key": (
        lambda s: s.add("evaluate", {"network_def#_target_": "os.system"}),
        "evaluate.json network_def#_target_: os.system",
    ),
    "target by the other separator": (
        lambda s: s.add("evaluate", {"network_def::_target_": "os.system"}),
        "network_def::_target_: os.system",
    ),
    "target that is a reference": (
        lambda s: s.add("train", {"x": {"_target_": "@y"}, "y": "os.system"}),
        "y: os.system",
    ),
    "key that adds": (
        lambda s: s.add("inference", {"+imports": ["$import os"]}),
        "+imports#0: $import os",
    ),
    "reader by a dotted text": (
        lambda s: s.edit("inference", preprocessing__transforms__0__reader="os.system"),
        "reader: os.system",
    ),
    "reader that opens a file": (
        lambda s: s.edit("inference", preprocessing__transforms__0__reader="open"),
        "reader: open",
    ),
    "reader by reference": (
        lambda s: s.edit("inference", preprocessing__transforms__0__reader="@which").add(
            "inference", {"which": "shutil.rmtree"}
        ),
        "which: shutil.rmtree",
    ),
    "reader from the metadata": (
        lambda s: s.edit("inference", preprocessing__transforms__0__reader="@_meta_#description").edit(
            "metadata", description="os.system"
        ),
        "reader: @_meta_#description",
    ),
    "reader that unpickles": (
        lambda s: s.edit("inference", preprocessing__transforms__0__reader="NumpyReader"),
        "reader: NumpyReader",
    ),
    "macro from outside": (
        lambda s: s.add("inference", {"x": "%../../evil.json::network"}),
        "x: %../../evil.json#network",
    ),
    "macro from elsewhere": (lambda s: s.add("inference", {"x": "%/tmp/evil.yaml"}), "x: %/tmp/evil.yaml"),
    "condition that runs": (
        lambda s: s.add("train", {"x": {"_target_": "torch.nn.ReLU", "_disabled_": f"${s.payload}"}}),
        "x#_disabled_: $open(",
    ),
    "requirement that runs": (
        lambda s: s.add("train", {"x": {"_target_": "torch.nn.ReLU", "_requires_": [f"${s.payload}"]}}),
        "x#_requires_#0: $open(",
    ),
    "expression in the metadata": (
        lambda s: s.edit("metadata", description=f"${s.payload}"),
        "metadata.json description: $open(",
    ),
    "variant that names code": (
        lambda s: s.edit("metadata", monai_brain__variants={"v": {"network_def#x": "os.system"}}),
        "os.system",
    ),
    "further recipe": (
        lambda s: s.write("configs/extra.json", f'{{"run": "${s.payload}"}}'),
        "extra.json run: $open(",
    ),
    "expression behind a byte order mark": (
        lambda s: s.write("configs/extra.json", b"\xef\xbb\xbf" + f'{{"run": "${s.payload}"}}'.encode()),
        "extra.json run: $open(",
    ),
    "script of its own": (
        lambda s: s.write("scripts/net.py", s.payload).edit(
            "inference", network_def={"_target_": "scripts.net.Net"}
        ),
        "network_def#_target_: scripts.net.Net",
    ),
    "logging that runs": (
        lambda s: s.write("configs/logging.conf", logging_conf(s.payload)),
        "configs/logging.conf: logging.conf ",
    ),
}
BROKEN = {
    "a key twice": lambda s: s.write("configs/extra.json", '{"a": 1, "a": 2}'),
    "a trailing comma": lambda s: s.write("configs/extra.json", '{"a": 1,}'),
    "no number": lambda s: s.write("configs/extra.json", '{"lr": NaN}'),
    "nested without end": lambda s: s.write("configs/extra.json", "[" * DEEP + "]" * DEEP),
    "UTF-16": lambda s: s.write("configs/extra.json", '{"run": "$1/0"}'.encode("utf-16")),
    "a pipe": pipe,
    "a device": lambda s: s.config("extra").symlink_to("/dev/zero"),
    "17 MB of it": lambda s: s.write("configs/extra.json", b'{"a": "' + b"x" * (17 * 2**20) + b'"}'),
}
LOADS = {
    "weights that call a shell": (
        "models/model.pt",
        lambda: archive({"archive/data.pkl": pickle.dumps(Evil(), protocol=2)}),
    ),
    "a bare pickle": ("models/more.pkl", lambda: pickle.dumps(Evil())),
    "an old pickle": ("models/old.pkl", lambda: pickle.dumps(Evil(), protocol=0)),
    "an array of objects": (
        "sample_data/x.npy",
        lambda: b"\x93NUMPY\x01\x00v\x00{'descr': '|O', 'fortran_order': False, 'shape': (1,), }",
    ),
    "a program": ("models/model.ts", lambda: archive({"model/code/net.py": "x"})),
}


def refused_everywhere(strange):
    """Every way to a recipe refuses, before MONAI itself is imported."""
    for name in ("inference", "train"):
        with pytest.raises(trust.TrustError, match="Nothing of it was run"):
            recipe.parsed(strange.bundle, name)
    with pytest.raises(trust.TrustError, match="--trust"):
        recipe.workflow(strange.bundle, ["train"], {}, kind="train")
    assert not strange.canary.exists()


@pytest.mark.parametrize("what", CODE)
def test_code_is_named_and_does_not_run(strange, what):
    change, named = CODE[what]
    assert trust.reason(strange.bundle) is not None  # the copy itself asks nothing
    change(strange)
    account = verify(strange.root)
    target = named.partition("_target_ '")[2]
    if target:  # of an allowed package or bare: the gate names it, though verify lists foreign packages alone
        assert any(piece.text == target.strip("'") for piece in trust.outside(strange.bundle))
    else:
        assert any(named in line for line in [*account.targets, *account.expressions])
    assert account.trusted is None
    refused_everywhere(strange)


@pytest.mark.parametrize("what", BROKEN)
def test_what_cannot_be_read_is_refused(strange, what):
    BROKEN[what](strange)
    account = verify(strange.root)
    assert any("configs/extra.json" in line for line in account.refused)
    assert account.trusted is None
    for trusted in (contextlib.nullcontext, trust.given):  # whoever trusts it
        with trusted(), pytest.raises(ConfigurationError, match=r"extra\.json"):
            recipe.parsed(strange.bundle, "inference")


@pytest.mark.parametrize("what", LOADS)
def test_what_would_load_more_than_tensors_is_named(strange, what):
    name, content = LOADS[what]
    strange.write(name, content())
    account = verify(strange.root)
    assert [line for line in account.pickles if line.startswith(f"{name}: ")]


@pytest.mark.slow  # imports torch
def test_honest_weights_are_not_named(strange):
    torch = pytest.importorskip("torch")
    for number, old in enumerate((False, True)):
        torch.save(
            {"a": torch.zeros(2), "b": torch.ones(2, dtype=torch.bfloat16), "n": torch.tensor(3)},
            strange.root / f"{number}.pt",
            _use_new_zipfile_serialization=not old,
        )
    assert verify(strange.root).pickles == []


def test_a_link_out_of_the_folder_is_named(strange, tmp_path):
    (tmp_path / "secret").write_text("x")
    (strange.root / "docs" / "more").symlink_to(tmp_path / "secret")
    (strange.root / "loop").symlink_to(strange.root)
    assert verify(strange.root).escapes == [f"docs/more is a link to {tmp_path / 'secret'}"]


def test_a_path_out_of_the_folder_is_named(strange):
    strange.add("train", {"further": "../../etc/passwd", "home": "~/x", "windows": "C:\\x"})
    assert len([line for line in verify(strange.root).escapes if "train.json" in line]) == 3


def test_metadata_that_cannot_be_read_as_a_classifier_are_refused(strange):
    strange.edit("metadata", network_data_format__outputs__pred__channel_def={"0": "a", "2": "b"})
    assert "channel_def" in verify(strange.root).refused[0]


def test_one_for_another_version_is_refused_whoever_trusts_it(strange):
    strange.edit("metadata", monai_brain__requires_monai_brain=">=99")
    with trust.given(), pytest.raises(MonaiBrainError, match="requires monai_brain >=99"):
        recipe.parsed(strange.bundle, "inference")
