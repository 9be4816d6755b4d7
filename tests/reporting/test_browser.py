"""The page in a real browser: by mouse and keyboard, light and dark, on a phone, without a network."""

from __future__ import annotations

import base64
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from monai_brain.evaluation.predictions import write
from monai_brain.reporting import page as pages
from monai_brain.reporting.heat import SIDE, Maps
from monai_brain.reporting.page import report

from .conftest import predicted, recorded_epochs

playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
PHONE, DESK = {"width": 390, "height": 844}, {"width": 1280, "height": 900}


@pytest.fixture(scope="module")
def browser():
    path = next(filter(None, map(shutil.which, BROWSERS)), None)
    if path is None:
        pytest.skip("no Chromium is installed")
    with playwright.sync_playwright() as driver:
        opened = driver.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield opened
        opened.close()


@pytest.fixture
def opened(browser):
    """A function that opens a page in a window of its own, and afterwards what the window complained of."""
    windows, complaints = [], []

    def open_(path: Path, size=DESK, until="load", **options):
        window = browser.new_context(viewport=size, **options)
        windows.append(window)
        page = window.new_page()
        page.on("console", lambda said: complaints.append(f"console: {said.text}"))
        page.on("pageerror", lambda error: complaints.append(f"error: {error}"))
        page.on("request", lambda asked: complaints.append(asked.url) if not local(asked.url, path) else None)
        page.goto(path.as_uri(), wait_until=until)
        return page

    yield open_
    for window in windows:
        window.close()
    assert complaints == []


def local(url: str, path: Path) -> bool:
    return url == path.as_uri() or url.startswith("data:")


def with_maps(source, rows, device=None, step=None):
    """Maps as a network would give them, without one: the page's part is what is tried here."""
    cells = np.arange(SIDE * SIDE) % 256
    found = dict.fromkeys(rows[:5], base64.b64encode(cells.astype(np.uint8).tobytes()).decode())
    return Maps(found, layer="layer4")


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """The page of a run of 120 cases, 20 of them with an image and 5 of those with a map."""
    folder = tmp_path_factory.mktemp("run")
    generator = np.random.default_rng(0)
    for index in range(20):
        Image.fromarray(generator.integers(0, 255, (64, 48), np.uint8)).save(folder / f"{index}.png")
    names = [f"{index}.png" if index < 20 else "" for index in range(120)]
    write(
        predicted(120, image=names, meta={"plane_of": ["axial", "sagittal"] * 60}), folder / "predictions.csv"
    )
    recorded_epochs(folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pages, "maps", with_maps)
        return report(folder, draws=50)


def shown(page):
    return page.locator("#case-table tbody th").all_inner_texts()


def column(page, key):
    at = page.locator(f"#case-table thead th[data-key={key}]").evaluate("head => head.cellIndex")
    return page.locator(f"#case-table tbody tr > :nth-child({at + 1})").all_inner_texts()


def test_filters_by_mouse(made, opened):
    page = opened(made)
    assert len(shown(page)) == 50
    assert page.locator("#count").inner_text() == "120 of 120"
    page.locator("#wrong").check()
    verdicts = column(page, "verdict")
    assert set(verdicts) == {"wrong"}
    page.locator("#wrong").uncheck()
    page.locator("#by-label").select_option(label="meningioma")
    assert set(column(page, "label")) == {"meningioma"}
    page.locator("#by-split").select_option("test")
    assert set(column(page, "split")) == {"test"}
    page.locator("#from").fill("0.6")
    assert min(map(float, column(page, "confidence"))) >= 0.6
    page.locator("#clear").click()
    page.locator("#find").fill("P7 ")
    assert [f"images/{row:03}.png" for row in range(28, 32)] == sorted(
        name for name, patient in zip(shown(page), column(page, "patient_id"), strict=True) if patient == "p7"
    )
    assert page.locator("#place").inner_text().endswith("of 4")


def test_sorts_and_turns_pages_by_keyboard(made, opened):
    page = opened(made)
    page.locator("#case-table th[data-key=confidence] button").focus()
    page.keyboard.press("Enter")
    rising = [float(one) for one in column(page, "confidence")]
    assert rising == sorted(rising)
    assert page.locator("th[data-key=confidence]").get_attribute("aria-sort") == "ascending"
    page.locator("#next").focus()
    page.keyboard.press("Space")
    further = [float(one) for one in column(page, "confidence")]
    assert further[0] >= rising[-1]
    assert page.locator("#place").inner_text() == "51 to 100 of 120"
    page.locator("#case-table th[data-key=confidence] button").focus()
    page.keyboard.press("Enter")
    falling = [float(one) for one in column(page, "confidence")]
    assert falling == sorted(falling, reverse=True)
    assert page.locator("#place").inner_text() == "1 to 50 of 120"
    page.locator("#case-table th[data-key=case] button").click()
    assert shown(page) == sorted(shown(page))


def test_the_overlay_switch_lays_maps_over_images(made, opened):
    page = opened(made)
    page.locator("#case-table th[data-key=case] button").click()  # the images are those of the first cases
    assert page.locator("#case-table .picture img").count() == 20
    assert page.locator("#case-table canvas").count() == 0
    page.locator("#overlay").focus()
    page.keyboard.press("Space")
    assert page.locator("#case-table canvas").count() == 5
    assert page.locator("#case-table .picture .none").count() == 15
    assert "laid over" in page.locator("#case-table .picture:has(canvas) img").first.get_attribute("alt")
    pixels = page.locator("#case-table canvas").first.evaluate(
        "one => Array.from(one.getContext('2d').getImageData(0, 0, one.width, one.height).data)"
    )
    opacity = np.array(pixels).reshape(SIDE * SIDE, 4)[:, 3]
    assert np.abs(opacity - 0.75 * (np.arange(SIDE * SIDE) % 256)).max() <= 1.5
    page.locator("#overlay").click()
    assert page.locator("#case-table canvas").count() == 0


def test_a_case_opens_and_moves_by_keyboard(made, opened):
    page = opened(made)
    names = shown(page)
    page.locator("#case-table tbody th button").nth(1).focus()
    page.keyboard.press("Enter")
    assert page.locator("#case").is_visible()
    assert page.locator("#case-name").inner_text() == names[1]
    assert page.locator("#case .probs b").count() == 4
    page.keyboard.press("ArrowRight")
    assert page.locator("#case-name").inner_text() == names[2]
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("ArrowLeft")  # there is none before the first
    assert page.locator("#case-name").inner_text() == names[0]
    page.keyboard.press("Escape")
    assert not page.locator("#case").is_visible()


def test_a_phone_needs_no_sideways_scrolling(made, opened):
    page = opened(made, PHONE, has_touch=True, is_mobile=True)
    wide = "[document.documentElement.scrollWidth, document.documentElement.clientWidth]"
    assert page.evaluate(wide) == [390, 390]
    page.locator("#case-table tbody th button").first.tap()
    assert page.evaluate(wide) == [390, 390]
    assert page.locator("#case").bounding_box()["width"] <= 390


def test_colours_follow_the_system_and_the_switch(made, opened):
    page = opened(made, color_scheme="dark")
    paper = "getComputedStyle(document.body).backgroundColor"
    dark = page.evaluate(paper)
    page.locator("#theme").select_option("light")
    light = page.evaluate(paper)
    assert light == "rgb(255, 255, 255)" != dark
    page.reload()  # the choice is kept
    assert page.evaluate(paper) == light
    page.locator("#theme").select_option("")
    assert page.evaluate(paper) == dark
    page.emulate_media(media="print", color_scheme="dark")
    assert page.evaluate(paper) == light
    assert not page.locator(".controls").is_visible()


def test_texts_to_paste_are_copied(made, opened):
    page = opened(made)
    page.locator("[data-copy=bibtex]").click()
    assert page.locator("[data-copy=bibtex]").inner_text() == "copied"
    assert page.evaluate("String(getSelection())").startswith("@article{li2025")


@pytest.mark.slow
@pytest.mark.parametrize("colours", ["light", "dark"])
def test_nothing_stands_in_the_way_of_a_reader(colours, made, opened):
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe is not installed")
    page = opened(made, color_scheme=colours)
    page.locator("#overlay").check()
    found = axe.Axe().run(page)
    assert found.violations_count == 0, found.generate_report()
    page.locator("#case-table tbody th button").first.click()
    found = axe.Axe().run(page)
    assert found.violations_count == 0, found.generate_report()


def test_without_scripts_the_page_still_tells(made, opened):
    page = opened(made, java_script_enabled=False)
    assert len(shown(page)) == 50
    assert not page.locator(".controls").is_visible()
    assert page.locator("noscript p").is_visible()


@pytest.mark.slow
@pytest.mark.parametrize(("cases", "images"), [(1000, 1000), (10_000, 0)])
def test_a_large_page_is_small_and_soon_usable(cases, images, tmp_path, opened, record_property):
    generator = np.random.default_rng(0)
    for index in range(images):
        smooth = Image.fromarray(generator.integers(0, 255, (40, 40), np.uint8)).resize((512, 512))
        smooth.save(tmp_path / f"{index}.png", compress_level=1)
    names = [f"{index}.png" if index < images else "" for index in range(cases)]
    write(predicted(cases, image=names), tmp_path / "predictions.csv")
    path = report(tmp_path, draws=50)
    assert path.stat().st_size < 15e6
    page = opened(path, until="commit")
    watch = page.context.new_cdp_session(page)
    watch.send("Performance.enable", {"timeDomain": "threadTicks"})
    page.locator("#wrong").check()
    assert set(column(page, "verdict")) == {"wrong"}
    page.locator("#case-table th[data-key=confidence] button").click()
    assert column(page, "confidence") == sorted(column(page, "confidence"))
    told = {one["name"]: one["value"] for one in watch.send("Performance.getMetrics")["metrics"]}
    record_property("bytes", path.stat().st_size)
    record_property("seconds", told["ThreadTime"])
    assert 0 < told["ThreadTime"] < 3  # the page's own time, whatever else the machine does meanwhile
