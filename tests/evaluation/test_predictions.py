"""predictions.csv: what is written is read again, and each fault is named in one line."""

import csv
import os
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from monai_brain.errors import ConfigurationError, DataError, OutputError, UnknownNameError
from monai_brain.evaluation import predictions as p

CLASSES = ("glioma", "meningioma", "pituitary")


def random_predictions(count, seed=0, logits=True, classes=CLASSES, **columns):
    draw = np.random.default_rng(seed)
    raw = draw.normal(size=(count, len(classes)))
    probs = np.exp(raw) / np.exp(raw).sum(1, keepdims=True)
    return p.Predictions(
        classes,
        [f"images/{i}.png" for i in range(count)],
        probs,
        logits=raw if logits else None,
        label=draw.integers(0, len(classes), count),
        **columns,
    )


def assert_equal(one, other):
    assert one.classes == other.classes
    assert one.file_columns() == other.file_columns()


def write_text(path, text):
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
@pytest.mark.parametrize("logits", [True, False])
def test_what_is_written_is_read_again_exactly(tmp_path, suffix, logits):
    if suffix == ".parquet":
        pytest.importorskip("pyarrow", reason="Parquet needs the extra: tables")
    given_ = random_predictions(
        50,
        logits=logits,
        split="test",
        fold=[None, *range(49)],
        patient_id=[f"p{i // 5}" for i in range(50)],
        plane=["axial", ""] * 25,
        abstain=[True, False] * 25,
        model="brain_tumor_resnet34",
        meta={"age": np.arange(50), "note": 'a "quoted", cell'},
    )
    path = tmp_path / f"predictions{suffix}"
    p.write(given_, path)
    found = p.read(path)
    assert_equal(found, given_)
    assert np.array_equal(found.probs, given_.probs)
    assert found[0].fold is None and found[1].fold == 0
    assert found.meta["age"][49] == "49"


@given(st.lists(st.floats(1e-9, 1), min_size=2, max_size=5), st.text(min_size=1), st.text())
@settings(max_examples=100, deadline=None)
def test_any_floats_and_any_text_survive(tmp_path_factory, weights, case, note):
    probs = np.array([weights]) / np.sum(weights)
    classes = [f"class {i}, or so" for i in range(len(weights))]
    try:
        given_ = p.Predictions(classes, [case.strip() or "x"], probs, meta={"note": [note.strip()]})
    except DataError:
        pytest.fail("text of any kind is allowed in a case's name")
    path = tmp_path_factory.mktemp("p") / "predictions.csv"
    p.write(given_, path)
    assert_equal(p.read(path), given_)
    assert len(path.read_bytes().splitlines()) == 2


def test_columns_stand_in_the_published_order(tmp_path):
    path = tmp_path / "predictions.csv"
    p.write(random_predictions(2, classes=("complete", "incomplete"), meta={"view": ["cc", "mlo"]}), path)
    with path.open(encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert ",".join(rows[0]) == (
        "schema_version,case,image,split,fold,repeat,variant,patient_id,group,source,plane,label,predicted,rule,"
        "abstain,logit_complete,logit_incomplete,prob_complete,prob_incomplete,model,weights_sha256,meta_view"
    )
    assert rows[0]["schema_version"] == "1"
    assert rows[0]["label"] in ("complete", "incomplete")
    assert rows[0]["abstain"] == "false"


def test_a_foreign_file_needs_three_columns(tmp_path):
    path = write_text(
        tmp_path / "a.csv", "\ufeffcase, prob_no,prob_yes ,label\r\na,0.333,0.667, yes\r\nb,0.5,0.5,\r\n\r\n"
    )
    found = p.read(path)
    assert found.classes == ("no", "yes")
    assert found.label.tolist() == [1, -1]
    assert found.column("predicted").tolist() == ["yes", "no"]
    assert found.logits is None and found.groups is None
    assert set(found.rule) == {"argmax"}


GOOD = "case,label,prob_no,prob_yes\na,no,0.6,0.4\n"
FAULTS = {
    "sum": (GOOD + "b,no,0.6,0.5\n", "row 3: column 'prob_*': the probabilities sum to 1.1; expected 1."),
    "nan": (GOOD + "b,no,nan,0.5\n", "row 3: column 'prob_no': nan is not finite."),
    "negative": (GOOD + "b,no,-0.2,1.2\n", "row 3: column 'prob_no': -0.2 is not a number from 0 to 1."),
    "word": (GOOD + "b,no,0.5,half\n", "row 3: column 'prob_yes': 'half' is not a number."),
    "empty number": (GOOD + "b,no,,1\n", "row 3: column 'prob_no': is empty; expected a number."),
    "label": (GOOD + "b,yess,0.5,0.5\n", "row 3: column 'label': unknown class 'yess'. Did you mean 'yes'?"),
    "duplicate": (GOOD + "a,no,0.6,0.4\n", "row 3: column 'case': 'a' stands twice in the same fold"),
    "no name": (GOOD + ",no,0.6,0.4\n", "row 3: column 'case': is empty"),
    "ragged": (GOOD + "b,no,0.6\n", "row 3: 3 cells, but the header has 4"),
    "missing label": (
        "case,lable,prob_no,prob_yes\n",
        "row 1: column 'label' is missing. Did you mean 'lable'?",
    ),
    "missing case": ("cases,label,prob_no\na,no,1\n", "column 'case' is missing. Did you mean 'cases'?"),
    "missing prob": ("case,label,probability_no\na,no,1\n", "no column prob_<class>"),
    "near miss": (
        "case,label,patient,prob_no\na,no,p,1\n",
        "unknown column 'patient'. Did you mean 'patient_id'? A column of your own is named 'meta_patient'.",
    ),
    "half logits": (
        "case,label,prob_a,prob_b,logit_a\na,a,1,0,1\n",
        "classes ['b'] have a logit or a probability",
    ),
    "split": (
        "case,label,split,prob_no\na,no,tset,1\n",
        "column 'split': unknown value 'tset'. Did you mean 'test'?",
    ),
    "rule": (
        "case,label,rule,prob_no\na,no,max,1\n",
        "column 'rule': unknown value 'max'. Did you mean 'argmax'?",
    ),
    "fold": ("case,label,fold,prob_no\na,no,1.5,1\n", "column 'fold': '1.5' is not a whole number"),
    "abstain": (
        "case,label,abstain,prob_no\na,no,maybe,1\n",
        "column 'abstain': 'maybe' is neither true nor false",
    ),
    "predicted": (
        "case,label,predicted,prob_no,prob_yes\na,no,yes,0.9,0.1\n",
        "row 2: column 'predicted': is not the most probable class. If it was chosen by a threshold",
    ),
    "newer": ("schema_version,case,label,prob_no\n2,a,no,1\n", "column 'schema_version': is 2"),
    "column twice": ("case,label,label,prob_no\na,no,no,1\n", "column 'label' stands twice"),
    "semicolons": ("case;label;prob_no\na;no;1\n", "Expected commas"),
    "nothing": ("", "is empty"),
    "quote": (GOOD + 'b,no,"0.6,0.4\n', "is no CSV file that can be read"),
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_is_one_line_with_file_row_and_column(tmp_path, name):
    text, message = FAULTS[name]
    path = write_text(tmp_path / "bad.csv", text)
    with pytest.raises(DataError) as error:
        p.read(path)
    assert str(error.value).startswith(f"{path}: ")
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_what_is_no_file_of_text_is_refused(tmp_path):
    (tmp_path / "binary.csv").write_bytes(b"\xff\xfe\x00case")
    (tmp_path / "cut.parquet").write_bytes(b"PAR1 and no more")
    fifo = tmp_path / "pipe"
    os.mkfifo(fifo)
    for path, reason in (
        (tmp_path / "binary.csv", "UTF-8"),
        (tmp_path / "absent.csv", "does not exist"),
        (tmp_path, "not a regular file"),
        (fifo, "not a regular file"),
        ("/dev/null", "not a regular file"),
    ):
        with pytest.raises(DataError, match=reason):
            p.read(path)
    pytest.importorskip("pyarrow", reason="Parquet needs the extra: tables")
    with pytest.raises(DataError, match="no Parquet file"):
        p.read(tmp_path / "cut.parquet")


def test_a_threshold_may_choose_another_class_than_the_most_probable():
    found = p.Predictions(("no", "yes"), ["a"], [[0.6, 0.4]], predicted=["yes"], rule="threshold")
    assert found[0].predicted == "yes"


def test_the_same_case_may_stand_once_a_fold_and_variant():
    one = random_predictions(4, fold=0)
    both = p.put_together([one, random_predictions(4, fold=1), random_predictions(4, fold=0, variant="A")])
    assert len(both) == 12
    with pytest.raises(DataError, match="stands twice"):
        p.put_together([one, random_predictions(4, seed=1, fold=0)])


def test_classes_meet_by_name_when_put_together():
    one = p.Predictions(("a", "b"), ["x"], [[0.9, 0.1]], logits=[[2.0, 1.0]], label=["b"], meta={"age": "7"})
    other = p.Predictions(("b", "a"), ["y"], [[0.9, 0.1]], logits=[[2.0, 1.0]], label=["b"])
    both = p.put_together([one, other])
    assert both.probs.tolist() == [[0.9, 0.1], [0.1, 0.9]]
    assert both.logits.tolist() == [[2.0, 1.0], [1.0, 2.0]]
    assert both.label.tolist() == [1, 1] and both.predicted.tolist() == [0, 1]
    assert both.meta["age"].tolist() == ["7", ""]
    with pytest.raises(DataError, match="same names"):
        p.put_together([one, p.Predictions(("a", "c"), ["y"], [[0.9, 0.1]])])


def test_where_and_subset_choose_rows():
    found = random_predictions(
        6,
        split=["train", "test"] * 3,
        fold=[0, 0, 1, 1, None, None],
        plane=["axial", "", "axial", "coronal", "", ""],
        meta={"site": list("abcabc")},
    )
    assert found.where(split="test", fold=0).case.tolist() == ["images/1.png"]
    assert len(found.where(fold=None)) == 2
    assert len(found.where(plane=("axial", "coronal"))) == 3
    assert len(found.where(site="a")) == len(found.where(meta_site="a")) == 2
    assert len(found.where(split="validation")) == 0
    assert found.subset([5, 0]).case.tolist() == ["images/5.png", "images/0.png"]
    assert found.subset(found.fold >= 0).meta["site"].tolist() == list("abca")
    with pytest.raises(UnknownNameError, match="Did you mean 'plane'"):
        found.where(plan="axial")
    with pytest.raises(DataError, match="mask"):
        found.subset([True])


def test_groups_are_group_then_patient_then_the_case_itself():
    found = random_predictions(3, group=["g", "", ""], patient_id=["p", "p", ""])
    assert found.groups.tolist() == ["g", "p", "case:images/2.png"]
    assert random_predictions(3).groups is None


def test_rows_and_columns_are_the_same_thing():
    given_ = random_predictions(7, fold=2, plane="axial", meta={"age": list("1234567")})
    assert_equal(p.Predictions.from_rows(given_), given_)
    assert_equal(p.Predictions.from_rows(list(given_)), given_)


def test_the_writer_streams_and_its_file_appears_whole(tmp_path):
    given_ = random_predictions(10, model="m", meta={"age": list("0123456789")})
    path = tmp_path / "predictions.csv"
    with p.PredictionWriter(path) as writer:
        for row in list(given_)[:4]:
            writer.write(row)
        writer.write(given_.subset(range(4, 10)))
        assert not path.exists()
    assert writer.rows == 10
    assert_equal(p.read(path), given_)
    p.write(given_, tmp_path / "other.csv")
    assert (tmp_path / "other.csv").read_bytes() == path.read_bytes()


def test_the_writer_refuses_rows_that_do_not_fit(tmp_path):
    given_ = random_predictions(3)
    with p.PredictionWriter(tmp_path / "a.csv", meta=("age",)) as writer:
        writer.write(given_)
        writer.write(p.Prediction("z", {"pituitary": 0.5, "glioma": 0.5, "meningioma": 0}, {
            "glioma": 1.0, "meningioma": 0.0, "pituitary": 1.0}, meta={"age": "3"}))  # fmt: skip
        with pytest.raises(DataError, match="stands twice"):
            writer.write(given_[0])
        with pytest.raises(ConfigurationError, match="meta_sex"):
            writer.write(random_predictions(1, meta={"sex": "f"}))
        with pytest.raises(ConfigurationError, match="logit_glioma"):
            writer.write(random_predictions(1, logits=False))
        with pytest.raises(DataError, match="expected"):
            writer.write(p.Prediction("z", {"yes": 1.0}))
    found = p.read(tmp_path / "a.csv")
    assert found.case.tolist() == [*given_.case, "z"]
    assert found[3].probs == {"glioma": 0.5, "meningioma": 0.0, "pituitary": 0.5}
    with pytest.raises(ConfigurationError, match="not open"):
        writer.write(given_)


@pytest.mark.parametrize("keep", [False, True])
def test_an_error_leaves_no_file_or_the_rows_before_it(tmp_path, keep):
    path = tmp_path / "predictions.csv"
    with pytest.raises(KeyboardInterrupt), p.PredictionWriter(path, keep_on_error=keep) as writer:
        writer.write(random_predictions(3))
        raise KeyboardInterrupt
    assert [one.name for one in tmp_path.iterdir()] == (["predictions.csv"] if keep else [])
    if keep:
        assert len(p.read(path)) == 3


def test_a_file_without_cases_can_be_written_and_read(tmp_path):
    with p.PredictionWriter(tmp_path / "a.csv", CLASSES):
        pass
    found = p.read(tmp_path / "a.csv")
    assert len(found) == 0 and found.classes == CLASSES
    assert_equal(
        p.put_together([found, random_predictions(2, logits=False)]), random_predictions(2, logits=False)
    )


def test_a_place_that_cannot_be_written_is_an_output_error(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(OutputError), p.PredictionWriter(tmp_path / "file" / "a.csv", CLASSES):
        pass
    with pytest.raises(OutputError):
        p.write(random_predictions(1), tmp_path / "file" / "a.csv")


def test_constructor_refuses_what_is_not_whole():
    for wrong in (
        {"label": [0]},
        {"label": [5, 0]},
        {"probs": [[1.0], [1.0]]},
        {"logits": [[np.inf, 0.0], [0.0, 0.0]]},
        {"fold": [-3, 0]},
        {"predicted": ["", "a"]},
        {"classes": ("a", "a")},
        {"meta": {"age": ["1"]}},
    ):
        arguments = {"classes": ("a", "b"), "case": ["x", "y"], "probs": [[0.5, 0.5], [1.0, 0.0]]} | wrong
        with pytest.raises(DataError):
            p.Predictions(**arguments)
    with pytest.raises(UnknownNameError, match="patient_id"):
        p.Predictions(("a",), ["x"], [[1.0]], patient="p")


def run_python(code):
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return found.stdout.strip()


def test_reading_predictions_imports_neither_torch_nor_monai():
    code = (
        "import sys, monai_brain.evaluation.predictions; print(*{m.partition('.')[0] for m in sys.modules})"
    )
    assert not {"torch", "monai", "pandas", "pyarrow", "sklearn"} & set(run_python(code).split())


def test_parquet_without_pyarrow_names_the_extra(tmp_path):
    code = (
        "import sys; sys.modules['pyarrow'] = None\n"
        "from monai_brain.evaluation import predictions as p\n"
        f"try: p.write(p.Predictions(('a',), ['x'], [[1.0]]), {str(tmp_path / 'a.parquet')!r})\n"
        "except ModuleNotFoundError as error: print(error)"
    )
    assert "pip install 'monai-brain[tables]'" in run_python(code)
    assert not list(tmp_path.iterdir())
