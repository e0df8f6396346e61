"""The page in a real Chromium without a window: sorting, filtering, colours, a phone's width, no error of a script."""

from __future__ import annotations

import random
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from selenium import webdriver
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import WebDriverWait
from support.result_rows import (
    make_accuracy_row,
    make_environment,
    make_estimate_row,
    make_latency_row,
    make_subject,
    make_unmeasured_row,
)

from briges.benchmarks.report.page import render_page
from briges.benchmarks.rows import Reading

CHROMIUM, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")
FLAGS = (
    "--headless=new --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync"
)

pytestmark = pytest.mark.skipif(
    CHROMIUM is None or DRIVER is None,
    reason="chromium or chromedriver is absent (Debian's packages chromium and chromium-driver)",
)


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three presets, of which one on a GPU, and a row of every other kind."""
    chance = random.Random(0)
    subjects = {
        20.0: make_subject(preset="briges-tiny", manifest_sha256="11" * 32),
        5.0: make_subject(preset="depth-anything-v2-s", notices=()),
        90.0: make_subject(preset="briges-v2-b", engine="tensorrt", backend="TensorRT 10.9", attention="plugin"),
    }
    rows = [
        make_latency_row([base + chance.expovariate(1) for _ in range(500)], subject=subject)
        for base, subject in subjects.items()
    ]
    readings = tuple(Reading(at * 5.0, 1300.0, None, 45.0 + at, 30.0, 0.9, None) for at in range(9))
    rows.append(make_latency_row(subject=subjects[90.0], readings=readings, environment=make_environment(device="GPU")))
    path = tmp_path_factory.mktemp("report") / "report.html"
    path.write_text(render_page([*rows, make_accuracy_row(), make_estimate_row(), make_unmeasured_row()]))
    return path


@pytest.fixture(scope="module")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[webdriver.Chrome]:
    options = webdriver.ChromeOptions()
    options.binary_location = str(CHROMIUM)
    for flag in (*FLAGS.split(), f"--user-data-dir={tmp_path_factory.mktemp('profile')}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    browser = webdriver.Chrome(options, Service(DRIVER))
    yield browser
    browser.quit()


@pytest.fixture
def browser(chromium: webdriver.Chrome, page: Path) -> Iterator[webdriver.Chrome]:
    """The page, freshly loaded; whatever a test does to it, no script may fail."""
    resize(chromium, 1280, 900)
    chromium.get(page.as_uri())
    yield chromium
    assert chromium.get_log("browser") == []


def resize(browser: webdriver.Chrome, width: int, height: int) -> None:
    shape = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 500}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", shape)


def tags(browser: webdriver.Chrome) -> list[str]:
    """Of the rows of the summary that are shown, in order."""
    rows = browser.find_elements(By.CSS_SELECTOR, "#summary-table tbody tr")
    return [str(row.get_attribute("data-tag")) for row in rows if row.is_displayed()]


def header(browser: webdriver.Chrome, title: str) -> tuple[str, ...]:
    """Click the header ``title`` of the summary; gives its new order."""
    for cell in browser.find_elements(By.CSS_SELECTOR, "#summary-table thead th"):
        if cell.find_element(By.TAG_NAME, "span").text.startswith(title):
            browser.execute_script("arguments[0].scrollIntoView({inline: 'center'})", cell)
            cell.find_element(By.TAG_NAME, "button").click()
            return str(cell.get_attribute("aria-sort")), *tags(browser)
    raise LookupError(title)


def background(browser: webdriver.Chrome) -> str:
    return str(browser.execute_script("return getComputedStyle(document.body).backgroundColor"))


def test_a_click_on_a_header_sorts_and_another_turns_it_round(browser):
    assert tags(browser) == ["1", "2", "3a", "3b"]
    assert header(browser, "p50") == ("ascending", "2", "3b", "1", "3a")
    assert header(browser, "p50") == ("descending", "3a", "1", "3b", "2")
    assert header(browser, "preset") == ("ascending", "1", "3a", "3b", "2")
    assert header(browser, "row") == ("ascending", "1", "2", "3a", "3b")
    sorted_by = browser.find_elements(By.CSS_SELECTOR, "#summary-table th[aria-sort=ascending]")
    assert [cell.text.split()[0] for cell in sorted_by] == ["row"]


def test_what_has_no_figure_is_last_in_either_order(browser):
    assert header(browser, "AbsRel")[1] == "2"
    assert header(browser, "AbsRel")[1] == "2"


def test_typing_into_the_filter_hides_rows_and_dims_their_charts(browser):
    browser.find_element(By.ID, "filter").send_keys("TINY onnx")
    assert tags(browser) == ["1"]
    assert browser.find_element(By.ID, "shown").text == "1 of 4 rows"
    dimmed = browser.find_elements(By.CSS_SELECTOR, ".charts g.dimmed")
    assert {str(part.get_attribute("data-tag")) for part in dimmed} == {"2", "3a", "3b"}


def test_the_filters_of_preset_and_engine_work_together(browser):
    browser.find_element(By.CSS_SELECTOR, "#backend option:nth-child(3)").click()
    assert tags(browser) == ["3a", "3b"]
    browser.find_element(By.CSS_SELECTOR, "#preset option:nth-child(2)").click()
    assert tags(browser) == []


def test_the_button_changes_the_colours_and_back(browser):
    light = background(browser)
    assert light == "rgb(251, 251, 250)"
    browser.find_element(By.ID, "theme").click()
    assert background(browser) == "rgb(21, 23, 26)"
    browser.find_element(By.ID, "theme").click()
    assert background(browser) == light


def test_a_dark_system_has_a_dark_page_without_a_click(browser):
    feature = {"features": [{"name": "prefers-color-scheme", "value": "dark"}]}
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", feature)
    try:
        assert background(browser) == "rgb(21, 23, 26)"
    finally:
        browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})


def test_the_number_of_a_row_opens_how_it_was_measured(browser):
    browser.find_element(By.CSS_SELECTOR, "#summary-table a[href='#row-3b']").click()
    command = browser.find_element(By.CSS_SELECTOR, "#row-3b dd.code")
    WebDriverWait(browser, 10).until(lambda _: command.is_displayed())  # the page hears of it a moment later


def test_a_phone_never_scrolls_the_page_sideways(browser, tmp_path):
    resize(browser, 390, 844)
    for details in browser.find_elements(By.TAG_NAME, "details"):
        browser.execute_script("arguments[0].open = true", details)
    assert browser.execute_script("return innerWidth") == 390
    assert browser.execute_script("return document.documentElement.scrollWidth") <= 390
    table = browser.find_element(By.CSS_SELECTOR, ".scroll")
    assert browser.execute_script("return arguments[0].scrollWidth > arguments[0].clientWidth", table)
    assert browser.save_screenshot(str(tmp_path / "phone.png"))
    assert (tmp_path / "phone.png").stat().st_size > 10_000


def test_words_without_an_end_do_not_widen_a_phones_page(chromium, tmp_path):
    word = "W" * 400
    subject = make_subject(preset=word, backend=word, bundle=word, notices=(word,))
    environment = make_environment(cpu=word, versions={word: word})
    rows = [
        make_latency_row(subject=subject, environment=environment),
        make_accuracy_row(subject=subject),
        make_estimate_row(device=word, advice=(word,), sources=(word,)),
        make_unmeasured_row(case={word: word}, reason=word),
    ]
    (tmp_path / "report.html").write_text(render_page(rows))
    resize(chromium, 390, 844)
    chromium.get((tmp_path / "report.html").as_uri())
    for details in chromium.find_elements(By.TAG_NAME, "details"):
        chromium.execute_script("arguments[0].open = true", details)
    assert chromium.execute_script("return [innerWidth, document.documentElement.scrollWidth]") == [390, 390]


@pytest.mark.parametrize("dark", [False, True])
def test_texts_stand_out_from_what_is_behind_them(browser, dark):
    if dark:
        browser.find_element(By.ID, "theme").click()
    pairs = {"body": "body", ".hint": "body", ".bad": ".card", "small": ".card", "#summary-table a": ".scroll"}
    for text, behind in pairs.items():
        assert contrast(browser, text, behind) >= 4.5, text


def contrast(browser: webdriver.Chrome, text: str, behind: str) -> float:
    """WCAG's ratio of the colour of ``text`` to the background of ``behind``."""
    script = "return getComputedStyle(document.querySelector(arguments[0]))[arguments[1]]"
    front = luminance(browser.execute_script(script, text, "color"))
    back = luminance(browser.execute_script(script, behind, "backgroundColor"))
    return (max(front, back) + 0.05) / (min(front, back) + 0.05)


def luminance(colour: str) -> float:
    shares = [int(part) / 255 for part in colour.removeprefix("rgb(").removesuffix(")").split(",")]
    red, green, blue = (share / 12.92 if share <= 0.04045 else ((share + 0.055) / 1.055) ** 2.4 for share in shares)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue
