"""The page of a report in a real browser, with names that would like to be markup."""

import pytest

pytest.importorskip("jinja2")
pytest.importorskip("matplotlib")
pytest.importorskip("sklearn")
np = pytest.importorskip("numpy")

from crossentropy import report  # noqa: E402

pytestmark = pytest.mark.browser

CLASSES = ["<script>alert(1)</script>", '"><img src=x onerror=alert(2)>', "../../etc & $x$ {{ 7 }}"]


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    rng = np.random.default_rng(0)
    logits = 6 * rng.standard_normal((400, 3))
    y = (logits / 3 + rng.gumbel(size=logits.shape)).argmax(axis=1)
    found = report(
        np.array(CLASSES)[y],
        logits,
        input="logits",
        labels=CLASSES,
        groups=np.where(y, "a</td>", "b"),
        baseline=logits / 2,
        name="<b>evil</b>.csv",
    )
    path = tmp_path_factory.mktemp("page") / "report.html"
    found.save(path, command="crossentropy report '<b>evil</b>.csv'")
    assert path.stat().st_size < 500_000
    return path.as_uri()


@pytest.mark.parametrize(
    ("width", "options"),
    [(390, {}), (1280, {"color_scheme": "dark"}), (1280, {"java_script_enabled": False})],
)
def test_loads_alone_and_shows_names_as_text(visit, address, width, options):
    page = visit(width, **options)
    assert page.complaints == []
    assert [url for url in page.requests if not url.startswith("data:")] == [address]
    assert "calibration would win back" in page.locator("h1").inner_text()
    assert page.get_by_role("rowheader", name=CLASSES[0]).first.is_visible()
    assert page.locator("img, script, b").count() == 0
    assert page.locator("svg[role=img]").count() >= 7


@pytest.mark.parametrize("width", [320, 1280])
def test_only_tables_and_code_scroll_sideways(visit, width):
    page = visit(width)
    page.locator("details").evaluate_all("all => all.forEach(one => one.open = true)")
    assert page.evaluate("document.documentElement.scrollWidth") == width


@pytest.mark.parametrize(("width", "scheme"), [(390, "light"), (1280, "dark")])
def test_axe_finds_nothing(visit, violations, width, scheme):
    page = visit(width, color_scheme=scheme)
    page.locator("details").evaluate_all("all => all.forEach(one => one.open = true)")
    assert violations(page) == []


def test_the_keyboard_opens_what_is_one_click_away(visit):
    page = visit()
    summary = page.locator("summary", has_text="Definitions")
    summary.focus()
    page.keyboard.press("Enter")
    assert page.get_by_text("Half the probability given to the truth").is_visible()
