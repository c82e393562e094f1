"""The page of a comparison in a real browser, from a file, as a reader opens it."""

import json
import os
import shutil
from pathlib import Path

import pytest

pytest.importorskip("jinja2")
pytest.importorskip("matplotlib")
pytest.importorskip("torch")

from crossentropy._compare._sections import compare_page
from crossentropy._page import render

pytestmark = pytest.mark.browser

RESULTS = json.loads((Path(__file__).parents[1] / "compare_results.json").read_text("utf-8"))
NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")
QUIET = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


def give_up(reason):
    """Skip, or fail where the browser's tests are demanded."""
    if os.environ.get("CROSSENTROPY_REQUIRE_BROWSER") == "1":
        pytest.fail(reason)
    pytest.skip(f"{reason}; CROSSENTROPY_REQUIRE_BROWSER=1 makes this a failure")


@pytest.fixture(scope="module")
def browser():
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        give_up("Playwright is not installed")
    path = next(filter(None, map(shutil.which, NAMES)), None)
    if path is None:
        give_up("found no Chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=QUIET)
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    path = tmp_path_factory.mktemp("page") / "report.html"
    path.write_text(render(compare_page(RESULTS)), encoding="utf-8")
    return path.as_uri()


@pytest.fixture
def visit(browser, address):
    """Open the page in a browser set up by the test; complaints and requests are kept."""
    contexts = []

    def visit(width=1280, **options):
        context = browser.new_context(viewport={"width": width, "height": 800}, **options)
        contexts.append(context)
        page = context.new_page()
        page.complaints, page.requests = [], []
        page.on("console", lambda message: page.complaints.append(message.text))
        page.on("pageerror", lambda error: page.complaints.append(str(error)))
        page.on("request", lambda request: page.requests.append(request.url))
        page.goto(address)
        return page

    yield visit
    for context in contexts:
        context.close()


@pytest.mark.parametrize("width", [390, 1280])
@pytest.mark.parametrize("options", [{}, {"color_scheme": "dark"}, {"java_script_enabled": False}])
def test_loads_alone_and_shows_the_winner(visit, address, width, options):
    page = visit(width, **options)
    assert page.complaints == []
    assert [url for url in page.requests if not url.startswith("data:")] == [address]
    assert page.get_by_text("★ winner").is_visible()
    winner = page.locator("tr.marked th").inner_text()
    assert "generalized cross entropy" in winner
    assert page.locator("svg").first.is_visible()


@pytest.mark.parametrize("width", [320, 390, 768, 1280])
def test_only_tables_and_code_scroll_sideways(visit, width):
    page = visit(width)
    for details in page.locator("details").all():
        details.locator("summary").click()
    assert page.evaluate("document.documentElement.scrollWidth") == width


def test_the_keyboard_reaches_what_scrolls_and_what_opens(visit):
    page = visit(390)
    reached = set()
    for _ in range(12):
        page.keyboard.press("Tab")
        reached.add(
            page.evaluate("document.activeElement.tagName + document.activeElement.className")
        )
    assert {"Askip", "DIVscroll", "PRE", "SUMMARY"} <= reached


def test_dark_mode_reaches_the_charts(visit):
    def colours(scheme):
        page = visit(color_scheme=scheme)
        script = "(element) => getComputedStyle(element).fill"
        return (
            page.evaluate("getComputedStyle(document.body).backgroundColor"),
            page.locator(".chart text").first.evaluate(script),
        )

    light, dark = colours("light"), colours("dark")
    assert light[0] != dark[0]
    assert light[1] != dark[1]


def test_print_is_light(visit):
    page = visit(color_scheme="dark")
    page.emulate_media(media="print")
    paper = page.evaluate("getComputedStyle(document.documentElement).getPropertyValue('--paper')")
    assert paper.strip() == "#fcfbf8"
