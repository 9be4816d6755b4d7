"""The papers' figures, the counted ones beside them, and the page's part that shows both."""

import importlib.util
import json
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
spec = importlib.util.spec_from_file_location("costs", ROOT / "scripts" / "costs.py")
costs = importlib.util.module_from_spec(spec)
spec.loader.exec_module(costs)
paper_tables = sys.modules["paper_tables"]

STATED = json.loads(paper_tables.COSTS.read_text("utf-8"))
BUNDLES = costs.bundles()
PAPERS = ["brain_tumor_efficientnet_b2", "brain_tumor_resnet34", "mammography_quality_parb_kan"]
SMALL = ["resnet34_parb_kan 3x224x224 2", "efficientnet_b0 3x240x240 3", "resnet34_a 1x224x224 4"]


def _rows(model, table):
    found = next(one for one in BUNDLES[model].facts["tables"] if one["name"] == table)
    return {row["name"]: row for row in found["rows"]}


def test_every_network_that_is_shown_is_counted_and_no_other():
    assert set(STATED) == {paper_tables.key(one) for one in costs.wanted()}


@pytest.mark.parametrize("name", SMALL)
def test_counted_figures_are_current(name):
    one = next(one for one in costs.wanted() if paper_tables.key(one).endswith(f"/{name}"))
    assert costs.count(one) == STATED[paper_tables.key(one)]


@pytest.mark.slow
@pytest.mark.parametrize("one", costs.wanted(), ids=paper_tables.key)
def test_all_counted_figures_are_current(one):
    assert costs.count(one) == STATED[paper_tables.key(one)]


def test_the_bundles_state_what_is_in_the_file():
    for bundle in BUNDLES.values():
        own = STATED[paper_tables.key(paper_tables.wanted(bundle)[0])]
        assert own == {"parameters": bundle.facts["parameters"], "flops": bundle.facts["flops"]}


def test_counted_figures_are_near_the_papers_where_the_papers_are_right():
    improved = STATED["brain_tumor_resnet34/resnet34_abc 3x224x224 4"]["parameters"]
    assert (
        round(improved / 1e6, 1)
        == _rows("brain_tumor_resnet34", "Table 2")["ResNet34 + A + B + C"]["parameters_millions"]
    )
    rows = _rows("brain_tumor_efficientnet_b2", "Table 6")
    for size in range(5):
        row = rows[f"EfficientNet-B{size}"]
        counted = STATED[f"brain_tumor_efficientnet_b2/{row['variant']} 3x240x240 3"]
        assert counted["parameters"] / 1e6 == pytest.approx(row["parameters_millions"], rel=0.02)
        assert counted["flops"] / 1e9 == pytest.approx(row["gflops"], rel=0.13)


def test_the_mean_of_the_five_folds_is_the_papers():
    rows = _rows("brain_tumor_resnet34", "Table 4")
    for figure in ("accuracy", "precision", "recall", "specificity", "f1"):
        mean = sum(rows[f"fold {fold}"][figure] for fold in range(1, 6)) / 5
        assert mean == pytest.approx(rows["mean"][figure], abs=0.011)


def test_the_mammogram_f1_follow_from_precision_and_recall_but_for_the_one_that_is_named():
    odd = []
    for name, row in _rows("mammography_quality_parb_kan", "Ablation").items():
        f1 = 2 * row["precision"] * row["recall"] / (row["precision"] + row["recall"])
        if f1 != pytest.approx(row["f1"], abs=0.1):  # the paper cuts digits off
            odd.append(name)
    assert odd == ["ResNet34 + KAN"]
    assert any(slip.startswith(odd[0]) for slip in BUNDLES["mammography_quality_parb_kan"].facts["slips"])


@pytest.mark.parametrize("model", PAPERS)
def test_the_page_shows_every_row_with_its_counts(model):
    bundle = BUNDLES[model]
    lines = paper_tables.tables(bundle).splitlines()
    for table in bundle.facts["tables"]:
        for row in table["rows"]:
            line = next(line for line in lines if line.startswith(f"| {row['name']} |"))
            assert f"`{row['variant']}`" in line
            counted = STATED[paper_tables.key(paper_tables._counted(bundle, table, row))]
            assert f"{counted['parameters']:,}" in line
    assert all(f"- {slip}" in lines for slip in bundle.facts["slips"])


def test_a_table_has_as_many_cells_in_each_line():
    for bundle in BUNDLES.values():
        for block in paper_tables.tables(bundle).split("\n\n"):
            if block.startswith("|"):
                assert len({line.count("|") for line in block.splitlines()}) == 1


def test_variants_of_the_data_alone_build_no_other_network():
    names = paper_tables.networks(BUNDLES["brain_tumor_efficientnet_b2"])
    assert "efficientnet_b0" in names
    assert not {"no_crop", "no_augmentation", "imagenet"} & set(names)
