"""The page: valid on its own, loads nothing, shows hostile names as text, says what it must."""

import copy
import json
from html.parser import HTMLParser
from pathlib import Path

import pytest

pytest.importorskip("jinja2")
pytest.importorskip("matplotlib")
pytest.importorskip("torch")

from crossentropy import _page as page
from crossentropy._compare._ranking import ranked
from crossentropy._compare._sections import compare_page
from crossentropy._page import charts, render
from crossentropy._page.numbers import difference, number, percent

RESULTS = json.loads((Path(__file__).parent / "compare_results.json").read_text("utf-8"))
HOSTILE = "</title></style><script>alert(1)</script><img src=//evil.example/x>\"'&$x_1$"
VOID = {"meta", "link", "br", "img", "input", "hr"}


class Document(HTMLParser):
    """What a page consists of; balanced tags are checked on the way."""

    def __init__(self, html):
        super().__init__()
        self.open, self.elements, self.text = [], [], ""
        self.feed(html)
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data

    def attributes(self, *names):
        return [attrs[name] for _, attrs in self.elements for name in names if name in attrs]


@pytest.fixture
def results():
    return copy.deepcopy(RESULTS)


def make(results):
    html = render(compare_page(results))
    return html, Document(html)


def find(results, name):
    return next(row for row in results["rows"] if row["name"] == name)


def test_one_file_that_loads_nothing(results):
    html, document = make(results)
    assert len(html.encode()) < 500_000
    assert not {tag for tag, _ in document.elements} & {"script", "img", "iframe", "object"}
    assert all(link.startswith(("#", "data:")) for link in document.attributes("href", "src"))
    assert html.count("url(") == html.count("url(#")
    assert "@import" not in html
    policy = document.attributes("content")
    assert any(content.startswith("default-src 'none'") for content in policy)


def test_the_same_results_make_the_same_page(results):
    assert make(results)[0] == make(results)[0]


def test_identifiers_are_unique_and_every_reference_is_met(results):
    html, document = make(results)
    ids = document.attributes("id")
    assert len(ids) == len(set(ids))
    wanted = " ".join(document.attributes("aria-labelledby")).split()
    wanted += [link[1:] for link in document.attributes("href") if link.startswith("#")]
    wanted += [part.split(")")[0] for part in html.split("url(#")[1:]]
    assert set(wanted) <= set(ids)


def test_tables_and_charts_name_their_parts(results):
    _, document = make(results)
    tags = [tag for tag, _ in document.elements]
    assert tags.count("h1") == tags.count("main") == 1
    assert tags.count("table") == tags.count("caption") > 0
    assert all("scope" in attrs for tag, attrs in document.elements if tag == "th")
    for tag, attrs in document.elements:
        if tag == "svg":
            assert attrs["role"] == "img"
            assert len(attrs["aria-labelledby"].split()) == 2
    assert tags.count("svg") == tags.count("desc")


def test_chart_colours_follow_the_page(results):
    html, _ = make(results)
    drawings = html.split("<svg")[1:]
    assert all("var(--" in drawing for drawing in drawings)
    assert not any("#0102" in drawing for drawing in drawings)


def test_hostile_names_are_text(results):
    results["data"]["name"] = HOSTILE
    results["data"]["classes"][0] = HOSTILE
    results["protocol"]["deploy_prior"] = [0.1] * 10
    results["command"] = results["verdict"] = results["code"] = HOSTILE
    for row in results["rows"]:
        row["label"] = HOSTILE
    _, document = make(results)
    assert not {tag for tag, _ in document.elements} & {"script", "img"}
    texts = document.text + "".join(document.attributes("aria-label"))
    assert texts.count("alert(1)") == texts.count(HOSTILE)
    assert document.text.count(HOSTILE) > 2 * len(results["rows"])


def test_what_a_reader_must_find(results):
    _, document = make(results)
    assert results["verdict"] in document.text.replace("\n", "")
    assert results["code"] in document.text
    assert document.text.count("★ winner") == 1
    for words in (
        "bits, after temperature",
        "3.322 bits",
        "5 folds, repeated 2 times",
        "30 % of the labels of the fitting and validation rows",
        "8 candidates were compared",
        "Nadeau–Bengio",
        "Holm",
        "Intervals are approximate",
        "−0.410 ± 0.080",
    ):
        assert words in document.text.replace("\u00a0", " "), words


def test_rows_stand_in_order_of_log_loss_after_temperature(results):
    html, _ = make(results)
    table = html[html.index("<tbody>") : html.index("</tbody>")].replace("\u00a0", " ")
    heads = [row.split("</th>")[0].split(" <")[0] for row in table.split('<th scope="row">')[1:]]
    assert heads == [row["label"] for row in ranked(results)]


def test_no_winner(results):
    results["winner"] = None
    _, document = make(results)
    assert "★" not in document.text
    assert "None is measurably better" in document.text
    assert "Train with plain cross entropy" in document.text


def test_plain_cross_entropy_alone(results):
    results["rows"] = [row for row in results["rows"] if row["kind"] in ("baseline", "yardstick")]
    results["winner"] = None
    _, document = make(results)
    assert "Differences from cross entropy" not in document.text


def test_infinite_log_loss_is_shown_with_its_row(results):
    row = find(results, "poly")
    row["scores"]["log_loss_raw"] = {"mean": "inf", "sd": None}
    row["difference"]["log_loss_raw"] |= {"mean": "inf", "low": None, "high": None}
    row["infinite_row"] = 17
    _, document = make(results)
    assert "∞" in document.text
    assert "in row 18" in document.text


def test_interruption_is_the_first_thing_said(results):
    results["protocol"] |= {"interrupted": True, "splits_done": 3}
    _, document = make(results)
    notice = document.text.index("interrupted after 3 of 10 splits")
    assert notice < document.text.index("Base-rate entropy")


def test_other_protocols(results):
    results["protocol"] |= {
        "test_rows": 400,
        "long_tail": 50,
        "label_noise": 0.0,
        "deploy_prior": [0.1] * 10,
    }
    for row in results["rows"]:
        row["scores"]["roc_auc"] = {"mean": 0.9, "sd": 0.01}
    _, document = make(results)
    text = document.text.replace("\u00a0", " ")
    assert "the 400 rows of a separate file" in text
    assert "50 times the rows of the rarest" in text
    assert "0 10.0 %, 1 10.0 %" in text
    assert text.count("ROC AUC") == 2
    assert "Nadeau–Bengio variance allows" not in text


def test_forest_says_where_an_interval_leaves_the_picture():
    near = [charts.Interval(f"a{i}", 0.1, 0.0, 0.2, "undecided", "") for i in range(8)]
    far = charts.Interval("far", 50.0, 40.0, 60.0, "worse", "")

    def draw(*intervals):
        return charts.forest(intervals, axis="bits", key="k", title="t", description="d")

    arrows = [
        drawing.count("stroke-linejoin: miter") for drawing in (draw(*near), draw(*near, far))
    ]
    assert arrows[1] > arrows[0]


def test_every_block_in_details_is_shown():
    table = page.Table("c", [page.Column("x")], [page.Row("r", [page.Cell("v")])])
    details = page.Details("more", [page.Prose(["p"]), table, page.Code("code")])
    html = render(page.Page("t", "k", "h", [], [page.Section("s", [details])], []))
    assert Document(html).text.split()[-7:] == ["more", "p", "c", "x", "r", "v", "code"]


def test_figures_as_text():
    assert number(-0.0001, 2) == "0.00"
    assert number(None) == "–"
    assert number(float("-inf")) == "−∞"
    assert percent(1) == "100.0"
    assert difference(-0.41, -0.49, -0.33, 2) == "−0.41 ± 0.08"
