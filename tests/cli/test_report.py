"""`crossentropy report`, from the outside: what it says, what it refuses, how it ends."""

import json

import numpy as np
import pytest

pytest.importorskip("click")
pytest.importorskip("sklearn")
pd = pytest.importorskip("pandas")
pytest.importorskip("pyarrow")

from crossentropy.cli._app import run  # noqa: E402
from crossentropy.scores import accuracy, log_loss  # noqa: E402

CLASSES = ["ape", "bee", "cat"]


@pytest.fixture
def cli(tmp_path, monkeypatch, capsys):
    """Run the command line in an empty directory: status, standard output and error."""
    monkeypatch.chdir(tmp_path)

    def cli(*arguments):
        status = run(list(map(str, arguments)))
        return status, *capsys.readouterr()

    return cli


def predictions(rows=240, seed=0, classes=CLASSES):
    rng = np.random.default_rng(seed)
    logits = 3 * rng.standard_normal((rows, len(classes)))
    y = (logits / 2 + rng.gumbel(size=logits.shape)).argmax(axis=1)
    proba = np.exp(logits)
    proba /= proba.sum(axis=1, keepdims=True)
    return np.asarray(classes)[y], logits, proba


@pytest.fixture
def table(tmp_path):
    y, _, proba = predictions()
    frame = pd.DataFrame(proba, columns=[f"p_{name}" for name in CLASSES])
    frame.insert(0, "y_true", y)
    frame["w"] = np.arange(len(y)) % 3 + 0.5
    frame["site"] = np.where(np.arange(len(y)) % 2, "<i>north</i>", "south")
    frame.to_csv(tmp_path / "data.csv", index=False)
    return frame


def assert_refused(outcome, place, *words):
    status, out, err = outcome
    assert status == 2
    assert out == ""
    assert err.startswith("error: ")
    assert err.count("\n") == 1
    for word in words:
        assert word in err
    assert not list(place.glob("*.html"))
    assert not list(place.glob(".writing-*"))


def test_everything_at_once(cli, table, tmp_path):
    status, out, err = cli(
        *("report", "data.csv", "--weights", "w", "--group", "site", "--json", "r.json"),
        *("--max", "log_loss=9nats", "--min", "accuracy=10%"),
    )
    assert (status, err) == (0, "")
    assert "calibration" in out
    assert "crossentropy-report.html" in out
    told = json.loads((tmp_path / "r.json").read_text("utf-8"))
    proba = table[[f"p_{name}" for name in CLASSES]].to_numpy()
    given = {"input": "proba", "labels": CLASSES, "sample_weight": table["w"]}
    assert told["scores"]["log_loss"] == pytest.approx(
        log_loss(table["y_true"], proba, base=2, **given), rel=1e-9
    )
    assert told["scores"]["accuracy"] == pytest.approx(accuracy(table["y_true"], proba, **given))
    assert [group["name"] for group in told["groups"]] == ["<i>north</i>", "south"]
    assert sum(group["rows"] for group in told["groups"]) == 240
    html = (tmp_path / "crossentropy-report.html").read_text("utf-8")
    assert "<i>north" not in html
    assert "&lt;i&gt;north" in html
    assert len(html) < 500_000


def test_all_formats_and_both_kinds_tell_the_same(cli, table, tmp_path):
    y, logits, proba = predictions()
    table.to_parquet(tmp_path / "data.parquet")
    table.to_feather(tmp_path / "data.arrow")
    codes = np.array([CLASSES.index(name) for name in y])
    np.savez(tmp_path / "data.npz", y_true=codes, proba=proba)
    named = pd.DataFrame(logits, columns=["x", "y", "z"]).assign(label=y)
    named.to_csv(tmp_path / "named.csv", index=False)
    own = ["--target", "label", "--columns", "x,y,z", "--classes", "ape,bee,cat"]
    losses = []
    for file, options in (
        ("data.csv", []),
        ("data.parquet", []),
        ("data.arrow", []),
        ("data.npz", []),
        ("named.csv", [*own, "--input", "logits"]),
    ):
        status, _, err = cli("report", file, *options, "--json", "r.json", "--force")
        assert (status, err) == (0, "")
        losses.append(json.loads((tmp_path / "r.json").read_text("utf-8"))["scores"]["log_loss"])
    np.testing.assert_allclose(losses, losses[0], rtol=1e-9)


def test_two_classes_have_their_own_scores(cli, tmp_path):
    metrics = pytest.importorskip("sklearn.metrics")
    y, logits, _ = predictions(classes=["no", "yes"])
    frame = pd.DataFrame(logits, columns=["logit_no", "logit_yes"]).assign(y_true=y)
    frame.to_csv(tmp_path / "two.csv", index=False)
    assert cli("report", "two.csv", "--json", "r.json")[0] == 0
    scores = json.loads((tmp_path / "r.json").read_text("utf-8"))["scores"]
    expected = metrics.roc_auc_score(y == "yes", logits[:, 1] - logits[:, 0])
    assert scores["roc_auc"] == pytest.approx(expected)
    # labels were drawn at half of the log odds
    assert 0.3 < scores["calibration_slope"] < 0.75
    assert abs(scores["calibration_intercept"]) < 0.6


def test_slope_and_intercept_are_those_of_a_logistic_regression(cli, tmp_path):
    linear = pytest.importorskip("sklearn.linear_model")
    y, logits, _ = predictions(classes=["no", "yes"])
    frame = pd.DataFrame(logits, columns=["logit_no", "logit_yes"]).assign(y_true=y)
    frame.to_csv(tmp_path / "two.csv", index=False)
    cli("report", "two.csv", "--json", "r.json")
    scores = json.loads((tmp_path / "r.json").read_text("utf-8"))["scores"]
    odds = (logits[:, 1] - logits[:, 0])[:, None]
    fitted = linear.LogisticRegression(C=1e8, tol=1e-10).fit(odds, y)
    assert scores["calibration_slope"] == pytest.approx(fitted.coef_[0, 0], rel=0.02)
    assert scores["calibration_intercept"] == pytest.approx(fitted.intercept_[0], abs=0.02)


def test_thresholds_that_are_crossed_end_with_one(cli, table, tmp_path):
    status, _, err = cli(
        "report", "data.csv", "--max", "log_loss=0.01bits", "--min", "accuracy=0.999"
    )
    assert status == 1
    assert err.count("crossed: ") == 2
    assert (tmp_path / "crossentropy-report.html").exists()


@pytest.mark.parametrize(
    "option", ["log_loss=0.5", "log_los=0.5bits", "accuracy=0.5bits", "accuracy", "brier=x"]
)
def test_thresholds_that_make_no_sense(cli, table, tmp_path, option):
    assert_refused(cli("report", "data.csv", "--max", option), tmp_path, "--max")


def test_a_baseline_is_compared_row_by_row(cli, table, tmp_path):
    names = [f"p_{name}" for name in CLASSES]
    other = table.copy()
    other[names] = 0.5 * other[names] + 1 / 6
    other = other[["y_true", *reversed(names), "w", "site"]]
    other.to_parquet(tmp_path / "other.parquet")
    assert cli("report", "data.csv", "--baseline", "other.parquet", "--json", "r.json")[0] == 0
    told = json.loads((tmp_path / "r.json").read_text("utf-8"))["baseline"]
    mine = log_loss(table["y_true"], table[names].to_numpy(), input="proba", labels=CLASSES, base=2)
    theirs = told["scores"]["log_loss"]
    change = told["differences"]["log_loss"]
    assert change["mean"] == pytest.approx(mine - theirs)
    assert change["low"] < change["mean"] < change["high"]


def test_a_baseline_of_other_rows_is_refused(cli, table, tmp_path):
    table.iloc[:-1].to_csv(tmp_path / "short.csv", index=False)
    shuffled = table.sample(frac=1, random_state=0)
    shuffled.to_csv(tmp_path / "shuffled.csv", index=False)
    outcome = cli("report", "data.csv", "--baseline", "short.csv")
    assert_refused(outcome, tmp_path, "240", "239")
    outcome = cli("report", "data.csv", "--baseline", "shuffled.csv")
    assert_refused(outcome, tmp_path, "row ", "labelled")


def test_more_rows_than_held_are_scored_all_and_sampled(cli, table, tmp_path):
    assert (
        cli("report", "data.csv", "--max-rows", 50, "--json", "r.json", "--baseline", "data.csv")[0]
        == 0
    )
    told = json.loads((tmp_path / "r.json").read_text("utf-8"))
    names = [f"p_{name}" for name in CLASSES]
    exact = log_loss(
        table["y_true"], table[names].to_numpy(), input="proba", labels=CLASSES, base=2
    )
    assert told["scores"]["log_loss"] == pytest.approx(exact)
    assert (told["rows"], told["held_rows"]) == (240, 50)
    assert told["baseline"]["differences"]["log_loss"]["mean"] == 0
    html = (tmp_path / "crossentropy-report.html").read_text("utf-8")
    assert "random sample of 50" in html


def test_in_sample_predictions_have_no_suspicious_rows(cli, table, tmp_path):
    assert cli("report", "data.csv", "--in-sample", "--json", "r.json")[0] == 0
    told = json.loads((tmp_path / "r.json").read_text("utf-8"))
    assert told["diagnosis"]["noise"] is None
    assert "in-sample" in told["diagnosis"]["refused"][0]


def test_zeros_make_the_log_loss_infinite_and_the_page_says_so(cli, table, tmp_path):
    names = [f"p_{name}" for name in CLASSES]
    table.loc[7, names] = [0.0, 0.0, 0.0]
    wrong = next(name for name in names if name != f"p_{table.loc[7, 'y_true']}")
    table.loc[7, wrong] = 1.0
    table.to_csv(tmp_path / "zeros.csv", index=False)
    status, out, _ = cli("report", "zeros.csv", "--json", "r.json", "--max", "log_loss=9bits")
    assert status == 1
    assert "infinite" in out
    told = json.loads((tmp_path / "r.json").read_text("utf-8"))
    assert (told["scores"]["log_loss"], told["scores"]["infinite_rows"]) == ("inf", 1)
    assert told["diagnosis"]["costly"][0]["row"] == 7


# What it refuses


def lines(*rows):
    return "\n".join(["y_true,p_a,p_b", *rows]) + "\n"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (lines("a,0.5,0.5", "b,0.5,0.4"), ["row 2", "'p_a' to 'p_b'", "sum to one"]),
        (lines("a,0.5,0.5", "b,0.5,nan"), ["row 2", "column 'p_b'"]),
        (lines("a,0.5,0.5", "b,0.5,"), ["row 2", "column 'p_b'", "empty"]),
        (lines("a,0.5,0.5", "b,-0.5,1.5"), ["row 2", "column 'p_a'", "nonnegative"]),
        (lines("a,0.5,0.5", "b,0.5,high"), ["row 2", "column 'p_b'", "'high'"]),
        (lines("a,0.5,0.5", "c,0.5,0.5"), ["row 2", "column 'y_true'", "'c'"]),
        (lines("a,0.5,0.5", ",0.5,0.5"), ["row 2", "column 'y_true'"]),
        (lines("a,0.5,0.5", "b,0.5,0.5,9"), ["line 3"]),
        (lines(), ["empty"]),
        ("", ["empty"]),
        ("y_true,a,b\na,0.5,0.5\n", ["p_<class>", "--columns"]),
        ("label,p_a,p_b\na,0.5,0.5\n", ["no column 'y_true'", "'label'"]),
        ("y_true,p_a,p_a\na,0.5,0.5\n", ["two columns named 'p_a'"]),
        ("y_true,p_a,p_b,logit_a,logit_b\na,0.5,0.5,0,0\n", ["both kinds"]),
    ],
)
def test_bad_tables(cli, tmp_path, text, words):
    (tmp_path / "bad.csv").write_text(text, encoding="utf-8")
    assert_refused(cli("report", "bad.csv"), tmp_path, "bad.csv", *words)


def test_bad_files(cli, table, tmp_path):
    table.to_parquet(tmp_path / "data.parquet")
    whole = (tmp_path / "data.parquet").read_bytes()
    (tmp_path / "cut.parquet").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "wrong.npz").write_bytes(whole)
    (tmp_path / "data.xlsx").write_bytes(whole)
    (tmp_path / "folder.csv").mkdir()
    for name, word in (
        ("cut.parquet", "cut short"),
        ("wrong.npz", "cut short"),
        ("data.xlsx", ".csv"),
        ("folder.csv", "directory"),
        ("none.csv", "no file"),
    ):
        assert_refused(cli("report", name), tmp_path, name, word)


def test_classes_that_do_not_fit(cli, table, tmp_path):
    assert_refused(cli("report", "data.csv", "--classes", "a,b"), tmp_path, "3 columns", "got 2")
    assert_refused(cli("report", "data.csv", "--classes", "a,b,c"), tmp_path, "y_true", "row 1")
    assert_refused(cli("report", "data.csv", "--group", "wo"), tmp_path, "no column 'wo'")
    assert_refused(cli("report", "data.csv", "--group", "p_ape"), tmp_path, "two uses")
    assert_refused(cli("report", "data.csv", "--columns", "w,site"), tmp_path, "--input")


def test_npz_labels_out_of_range(cli, tmp_path):
    np.savez(tmp_path / "x.npz", y_true=np.array([0, 2]), proba=np.full((2, 2), 0.5))
    assert_refused(cli("report", "x.npz"), tmp_path, "row 2")
    two = ("--columns", "proba,y_true", "--input", "proba")
    assert_refused(cli("report", "x.npz", *two), tmp_path, "one array")


def test_too_many_groups(cli, table, tmp_path):
    table["id"] = np.arange(len(table))
    table.to_csv(tmp_path / "ids.csv", index=False)
    assert_refused(cli("report", "ids.csv", "--group", "id"), tmp_path, "100", "coarser")


def test_never_writes_over_files_unasked(cli, table, tmp_path):
    (tmp_path / "mine.html").write_text("mine", encoding="utf-8")
    status, out, err = cli("report", "data.csv", "--out", "mine.html")
    assert (status, out) == (2, "")
    assert "--force" in err
    assert (tmp_path / "mine.html").read_text(encoding="utf-8") == "mine"
    assert cli("report", "data.csv", "--out", "mine.html", "--force")[0] == 0


def test_names_that_look_like_markup_or_paths_are_text(cli, tmp_path):
    evil = "<script>alert(1)<"
    y, _, proba = predictions(classes=[evil, "../../etc/passwd", "[red]$x$"])
    frame = pd.DataFrame(proba, columns=[f"p_{n}" for n in (evil, "../../etc/passwd", "[red]$x$")])
    frame.insert(0, "y_true", y)
    frame.to_csv(tmp_path / "<img src=x>.csv", index=False)
    status, *_ = cli("report", "<img src=x>.csv")
    assert status == 0
    html = (tmp_path / "crossentropy-report.html").read_text("utf-8")
    assert "<script" not in html
    assert "<img" not in html
    assert "&lt;img src=x&gt;.csv" in html
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "<img src=x>.csv",
        "crossentropy-report.html",
    ]
    assert "[red]" in html


def test_sample(cli, tmp_path):
    status, out, _ = cli("report", "--sample", "iris")
    assert status == 0
    assert "bits" in out
    assert_refused(
        cli("report", "--sample", "iris", "--weights", "w", "--out", "b.htm"), tmp_path / "x"
    )
    assert cli("report")[0] == 2
