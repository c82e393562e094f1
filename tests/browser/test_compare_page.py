"""The page of a comparison in a real browser, from a file, as a reader opens it."""

import json
from pathlib import Path

import pytest

pytest.importorskip("jinja2")
pytest.importorskip("matplotlib")
pytest.importorskip("torch")

from crossentropy._compare._sections import compare_page
from crossentropy._page import render

pytestmark = pytest.mark.browser

RESULTS = json.loads((Path(__file__).parents[1] / "compare_results.json").read_text("utf-8"))


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    path = tmp_path_factory.mktemp("page") / "report.html"
    path.write_text(render(compare_page(RESULTS)), encoding="utf-8")
    return path.as_uri()


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


@pytest.mark.parametrize(("width", "scheme"), [(390, "light"), (1280, "dark")])
def test_axe_finds_nothing(visit, violations, width, scheme):
    page = visit(width, color_scheme=scheme)
    page.locator("details").evaluate_all("all => all.forEach(one => one.open = true)")
    assert violations(page) == []
