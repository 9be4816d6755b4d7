"""From labels to a better model: the page's keys, the client, next samples, training, the way back."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import time
from pathlib import Path

import pytest

from monai_brain.data.datalist import read
from monai_brain.files import read_json
from monai_brain.integrations.label.served import Score, better

from .conftest import ROOT

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1200)]

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
CLASSES = ("glioma", "meningioma", "pituitary", "no_tumor")
BY_PAGE, EPOCHS = 10, 20


@pytest.fixture(scope="module")
def truth(served_folder) -> dict[str, str]:
    """The class of each image of the studies, by its name in the store."""
    root = served_folder / "studies"
    return {
        Path(item["image"]).relative_to(root.resolve()).with_suffix("").as_posix(): item["class_name"]
        for item in read(root / "datalist.json")["training"]
    }


@pytest.fixture(scope="module")
def by_page(server, truth):
    """Ten images labelled by keys in a browser; the first label was wrong, taken back, and given again."""
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    path = next(filter(None, map(shutil.which, BROWSERS)), None)
    if path is None:
        pytest.skip("no Chromium is installed")
    complaints, addresses, seen, told = [], [], [], []
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=path, args=["--no-sandbox"])
        page = browser.new_page()
        page.set_default_timeout(120_000)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on(
            "request", lambda asked: complaints.append(asked.url) if server.address not in asked.url else None
        )
        page.goto(f"{server.address}/brain/")

        def current(but: str = "") -> str:
            page.wait_for_function(
                "but => document.body.dataset.image && document.body.dataset.image != but", arg=but
            )
            return page.evaluate("document.body.dataset.image")

        def counted(text: str) -> None:
            page.wait_for_function(
                "text => document.getElementById('state').textContent.startsWith(text)", arg=text
            )

        first = current()
        page.keyboard.press(str((CLASSES.index(truth[first]) + 1) % 4 + 1))
        counted("1 of")
        current(but=first)
        page.keyboard.press("u")
        counted("0 of")
        assert current() == first
        page.keyboard.press("m")
        page.wait_for_function("document.getElementById('image').src.includes('model=')")
        page.wait_for_function("document.getElementById('image').complete")
        assert page.evaluate("document.getElementById('image').naturalWidth") == 48
        page.keyboard.press("m")
        skipped = current()
        page.keyboard.press("s")
        image = current(but=skipped)
        for number in range(BY_PAGE):
            page.keyboard.press(str(CLASSES.index(truth[image]) + 1))
            counted(f"{number + 1} of")
            seen.append(image)
            image = current(but=image)
        told.append(page.text_content("#note"))
        browser.close()
    assert complaints == []
    assert all(address.startswith(server.address) for address in addresses)
    assert "not for diagnosis" in told[0]
    assert skipped not in seen
    return seen


def labels(server) -> dict[str, dict]:
    objects = server.ask("/datastore/?output=all").json["objects"]
    found = {name: one["labels"].get("final", {}).get("info", {}) for name, one in objects.items()}
    return {name: info for name, info in found.items() if info.get("label")}


def test_labels_by_keys_are_in_the_store_and_undo_takes_one_back(by_page, server, truth):
    found = labels(server)
    assert {name: found[name]["label"] for name in by_page} == {name: truth[name] for name in by_page}
    assert len(set(by_page)) == BY_PAGE


def test_entropy_and_margin_lead_to_what_the_model_is_least_sure_of(by_page, server, truth):
    left = sorted(set(truth) - set(labels(server)))
    scores = {name: server.ask(f"/infer/tiny?image={name}", {}).json["scores"].values() for name in left}
    best = {name: sorted(found, reverse=True)[:2] for name, found in scores.items()}
    ((margin,), (random,)) = (
        server.client([["next_sample", {"strategy": s, "params": {}}]]) for s in ("margin", "random")
    )
    assert margin["id"] == min(best, key=lambda name: best[name][0] - best[name][1])
    assert random["id"] in left


@pytest.fixture(scope="module")
def by_client(by_page, server, served_folder, truth):
    """All other images, labelled by the client: by params, by the segment's name, by CVAT's tags."""
    left = sorted(set(truth) - set(by_page))
    mask, tags = served_folder / "mask.json", served_folder / "tags.xml"
    mask.write_text("{}", "utf-8")
    tags.write_text(
        "<annotations>"
        + "".join(f'<image name="{name}.png"><tag label="{truth[name]}"/></image>' for name in left)
        + "</annotations>",
        "utf-8",
    )
    calls = []
    for number, name in enumerate(left):
        ways = [
            (mask, {"label": truth[name]}),
            (mask, {"label_info": [{"name": truth[name].replace("_", " "), "idx": 1}]}),
            (tags, {}),
        ]
        file, params = ways[number % 3]
        calls.append(["save_label", {"image_id": name, "label_in": str(file), "params": params}])
    calls += [
        ["save_label", {"image_id": left[0], "label_in": str(mask), "params": {"label": "gliom"}}],
        ["save_label", {"image_id": "nowhere", "label_in": str(mask), "params": {"label": "glioma"}}],
    ]
    return server.client(calls)


def test_labels_arrive_in_every_way(by_client, server, truth):
    assert {name: info["label"] for name, info in labels(server).items()} == truth
    *_, wrong, nowhere = by_client
    assert "Status: 404" in wrong["error"] and "Did you mean" in wrong["error"]
    assert "Status: 404" in nowhere["error"]


@pytest.fixture(scope="module")
def trained(by_client, server):
    """A round of training in the background, as viewers start it."""
    (before,) = (server.ask("/scoring/held_out?run_sync=true", {}).json["tiny"],)
    started = server.ask("/train/tiny", {"max_epochs": EPOCHS, "batch_size": 8})
    assert started.status == 200
    deadline = time.monotonic() + 600
    while (task := server.ask("/train/").json)["status"] not in (
        "DONE",
        "ERROR",
    ) and time.monotonic() < deadline:
        time.sleep(1)
    assert task["status"] == "DONE", task["details"]
    return before, server.ask("/scoring/held_out?run_sync=true", {}).json["tiny"]


def test_the_trained_model_is_served_and_better_on_patients_never_trained_on(trained, server, served_folder):
    before, after = trained
    assert after["version"] == "001"
    assert after["held_out"]["balanced_accuracy"] > before["held_out"]["balanced_accuracy"]
    assert after["held_out"]["log_loss"] < before["held_out"]["log_loss"]
    (found,) = server.ask("/info/").json["train_stats"]["tiny"]["rounds"]
    assert found["served"] is True
    assert found["score"]["balanced_accuracy"] == after["held_out"]["balanced_accuracy"]
    split = read_json(served_folder / "app" / "models" / "tiny" / "split.json")["sides"]
    patients = {item["patient_id"] for item in read(served_folder / "studies" / "datalist.json")["training"]}
    assert set(split) == patients
    used = read(served_folder / "app" / "models" / "tiny" / "datalist.json")["training"]
    assert len(used) == 40


def test_answers_are_the_new_model_s_until_the_old_one_is_restored(trained, server, truth):
    name = next(iter(truth))
    new = server.ask(f"/infer/tiny?image={name}", {}).json
    assert new["version"] == "001"
    assert server.ask("/brain/restore/tiny", {}).json["version"] == "000"
    old = server.ask(f"/infer/tiny?image={name}", {}).json
    assert old["version"] == "000"
    assert old["scores"] != new["scores"]
    assert server.ask("/brain/restore/tiny?version=001", {}).json["version"] == "001"
    assert server.ask(f"/infer/tiny?image={name}", {}).json["scores"] == new["scores"]


def test_a_round_that_is_no_better_is_not_served(trained, server, served_folder):
    answer = server.ask("/train/tiny?run_sync=true", {"max_epochs": 1, "learning_rate": 1e-12})
    assert answer.status == 200, answer.content
    found = answer.json
    assert found["served"] is better(Score(**found["score"]), Score(**found["score_before"]))
    state = read_json(served_folder / "app" / "models" / "tiny" / "served.json")
    assert state["rounds"][-1]["version"] == found["version"] == "002"
    assert json.dumps(state["rounds"][-1]["score_against"]) == json.dumps(found["score_before"])
    assert state["version"] == ("002" if found["served"] else "001")


def test_batch_infer_answers_for_every_image(server, truth):
    answer = server.ask("/batch/infer/tiny?images=all&run_sync=true", {"multi_gpu": False, "device": "cpu"})
    assert answer.status == 200, answer.content
    assert sorted(answer.json) == sorted(truth)
    assert all(one["params"]["status"] == "done" for one in answer.json.values())


def test_the_page_s_requests_are_answered(trained, server, label_python):
    text = (ROOT / "docs" / "label.md").read_text("utf-8")
    blocks = [block for block in re.findall(r"```bash\n(.*?)```", text, re.DOTALL) if "curl" in block]
    lines = [line for block in blocks for line in block.splitlines() if line.startswith("curl")]
    assert len(lines) == 6
    for line in lines:
        command = line.replace("http://127.0.0.1:8000", server.address).replace(
            "brain_tumor_resnet34", "tiny"
        )
        done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=True)
        answer = json.loads(done.stdout)
        assert "detail" not in answer or "details" in answer, (line, answer)
        if "infer" in line:
            shown = re.search(r'```text\n(\{"prediction".*?)```', text, re.DOTALL)[1]
            assert set(re.findall(r'"(\w+)":', shown)) - {"idx"} <= set(answer) | set(CLASSES) | {"score"}
            assert answer["disclaimer"] in shown
