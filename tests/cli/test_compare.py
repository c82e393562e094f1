"""`crossentropy compare`, from the outside: what it writes, what it refuses, how it ends."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("click")
pytest.importorskip("torch")
pd = pytest.importorskip("pandas")

import crossentropy._compare  # noqa: E402
from crossentropy.cli._app import run  # noqa: E402

PROGRAM = [sys.executable, "-m", "crossentropy.cli"]
QUICK = ["--losses", "focal", "--head", "linear", "--folds", "2", "--repeats", "1", "--jobs", "1"]


@pytest.fixture
def cli(tmp_path, monkeypatch, capsys):
    """Run the command line in an empty directory: status, standard output and error."""
    monkeypatch.chdir(tmp_path)

    def cli(*arguments):
        status = run(list(map(str, arguments)))
        return status, *capsys.readouterr()

    return cli


@pytest.fixture
def table(tmp_path):
    """A CSV file with numbers, text and gaps, two classes and a few more columns."""
    rng = np.random.default_rng(0)
    y = rng.integers(0, 2, 60)
    frame = pd.DataFrame(
        {
            "x": y + rng.standard_normal(60),
            "city": rng.choice(["Ghent", "Bruges"], 60),
            "w": rng.uniform(0.5, 2, 60),
            "g": np.arange(60) // 3,
            "y": np.where(y, "<b>yes</b>", "no"),
        }
    )
    frame.loc[[3, 7], ["x", "city"]] = None
    frame.to_csv(tmp_path / "data.csv", index=False)
    return "data.csv"


def assert_refused(outcome, *words):
    status, out, err = outcome
    assert status == 2
    assert out == ""
    assert err.startswith("error: ")
    assert err.count("\n") == 1
    for word in words:
        assert word in err


# What it does


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    """One small study that several tests look at."""
    out = tmp_path_factory.mktemp("study")
    process = subprocess.run(
        [*PROGRAM, "compare", "--sample", "iris", *QUICK, "--out", out / "deep" / "results"],
        capture_output=True,
        text=True,
        encoding="utf-8",
        check=True,
        env={"PYTHONIOENCODING": "utf-8"},
    )
    return out / "deep" / "results", process.stdout, process.stderr


def test_what_is_written(study):
    out, _, err = study
    names = sorted(path.name for path in out.iterdir())
    assert names == ["model", "predictions.parquet", "report.html", "results.json"]
    results = json.loads((out / "results.json").read_text())
    assert results["command"].startswith("crossentropy compare --sample iris --losses focal")
    assert err == ""


def test_the_terminal_shows_table_verdict_and_page(study):
    out, stdout, _ = study
    results = json.loads((out / "results.json").read_text())
    assert all(row["label"] in stdout for row in results["rows"])
    assert "bits" in stdout
    assert results["verdict"] in " ".join(stdout.split())
    assert str(out / "report.html") in stdout


def test_the_page_holds_the_results(study):
    out, _, _ = study
    results = json.loads((out / "results.json").read_text())
    html = (out / "report.html").read_text("utf-8")
    assert "crossentropy compare --sample iris" in html
    assert all(row["label"].split(" (")[0] in html for row in results["rows"])


def test_the_page_is_developed_on_results_of_this_shape(study):
    """The results that the tests of the page keep have the fields of real ones."""
    out, _, _ = study
    real = json.loads((out / "results.json").read_text())
    kept = json.loads((Path(__file__).parents[1] / "compare_results.json").read_text("utf-8"))

    def fields(results):
        for row in results["rows"]:
            yield row["kind"], sorted(set(row) - {"difference"}), sorted(row["reliability"])
            for change in row.get("difference", {}).values():
                yield "difference", sorted(change)
        yield sorted(results), sorted(results["data"]), sorted(results["protocol"])

    def shape(results):
        return {repr(field) for field in fields(results)}

    assert shape(real) == shape(kept)


def test_json_alone_on_standard_output(cli, table, tmp_path):
    options = ["--target", "y", "--weights", "w", "--groups", "g", "--deploy-prior"]
    status, out, _ = cli("compare", table, *QUICK, *options, "<b>yes</b>=0.2,no=0.8", "--json")
    assert status == 0
    results = json.loads(out)
    assert results["data"]["features"] == 2
    assert results["protocol"]["deploy_prior"] == [0.2, 0.8]
    html = (tmp_path / "crossentropy-compare" / "report.html").read_text("utf-8")
    assert "<b>yes" not in html
    assert "&lt;b&gt;yes" in html


def test_a_test_file(cli, table):
    options = ["--target", "y", "--drop", "w,g", "--test", table, "--deploy-prior", "uniform"]
    status, out, _ = cli("compare", table, *QUICK, *options, "--json")
    assert status == 0
    assert json.loads(out)["protocol"]["test_rows"] == 60


def test_force_writes_over_earlier_results(cli, monkeypatch, tmp_path):
    (tmp_path / "old").mkdir()
    (tmp_path / "old" / "report.html").write_text("old")
    assert cli("compare", "--sample", "iris", *QUICK, "--out", "old", "--force")[0] == 0
    assert (tmp_path / "old" / "report.html").read_text("utf-8").startswith("<!doctype html>")


def test_ctrl_c_keeps_what_is_finished(cli, monkeypatch, tmp_path):
    real = crossentropy._compare.compare

    def interrupted(*args, progress, **kwargs):
        def stop(done, total):
            progress(done, total)
            if done:
                raise KeyboardInterrupt

        return real(*args, progress=stop, **kwargs)

    monkeypatch.setattr(crossentropy._compare, "compare", interrupted)
    status, out, err = cli("compare", "--sample", "iris", *QUICK)
    assert status == 130
    assert "report.html" in out
    assert "interrupted" in err
    html = (tmp_path / "crossentropy-compare" / "report.html").read_text("utf-8")
    assert "interrupted after 1 of 2 splits" in html


def test_ctrl_c_before_anything_is_finished(cli, monkeypatch, tmp_path):
    def interrupted(*args, **kwargs):
        raise KeyboardInterrupt

    monkeypatch.setattr(crossentropy._compare, "compare", interrupted)
    status, _, err = cli("compare", "--sample", "iris")
    assert status == 130
    assert "interrupted" in err
    assert list(tmp_path.iterdir()) == []


def test_defects_keep_their_traceback(cli, monkeypatch):
    def broken(*args, **kwargs):
        raise ZeroDivisionError

    monkeypatch.setattr(crossentropy._compare, "compare", broken)
    with pytest.raises(ZeroDivisionError):
        cli("compare", "--sample", "iris")


# What it refuses

BAD_ARGUMENTS = {
    "no data": ([], "--sample"),
    "two sources": (["data.csv", "--sample", "iris"], "either DATA"),
    "sample with target": (["--sample", "iris", "--target", "y"], "its own columns"),
    "unknown sample": (["--sample", "irish"], "'iris'"),
    "unknown option": (["--sample", "iris", "--fold", "3"], "--folds"),
    "one fold": (["--sample", "iris", "--folds", "1"], "--folds"),
    "bad head": (["--sample", "iris", "--head", "resnet"], "linear"),
    "unknown loss": (["--sample", "iris", "--losses", "focall"], "focal"),
    "missing file": (["absent.csv", "--target", "y"], "no file 'absent.csv'"),
    "directory": ([".", "--target", "y"], "is a directory"),
    "no target": (["data.csv"], "--target"),
    "absent target": (["data.csv", "--target", "Y"], "no column 'Y'"),
    "absent drop": (["data.csv", "--target", "y", "--drop", "zip"], "no column 'zip'"),
    "text weights": (["data.csv", "--target", "y", "--weights", "city"], "holds text"),
    "target twice": (["data.csv", "--target", "y", "--groups", "y"], "two uses"),
    "prior without a class": (["data.csv", "--target", "y", "--deploy-prior", "no=1"], "yes"),
    "prior that is none": (["data.csv", "--target", "y", "--deploy-prior", "even"], "uniform"),
    "prior not summing to 1": (["--sample", "wine", "--deploy-prior", "class_0=2"], "class_1"),
    "absent test file": (["data.csv", "--target", "y", "--test", "t.csv"], "no file 't.csv'"),
    "too many folds": (["--sample", "iris", "--folds", "51"], "50"),
    "noise of one": (["--sample", "iris", "--label-noise", "1"], "--label-noise"),
}


@pytest.mark.parametrize(("arguments", "word"), BAD_ARGUMENTS.values(), ids=BAD_ARGUMENTS)
def test_bad_arguments(cli, table, tmp_path, arguments, word):
    assert_refused(cli("compare", *arguments), word)
    assert [path.name for path in tmp_path.iterdir()] == ["data.csv"]


BAD_DATA = {
    "one class only": ("a,y\n1,0\n2,0\n3,0\n", "two classes"),
    "a class of one row": ("a,y\n" + "1,0\n" * 9 + "2,1\n", "1 row"),
    "missing label": ("a,y\n1,0\n2,\n", "empty in row 2"),
    "infinite": ("a,y\n1,0\ninf,1\n", "holds inf in row 2"),
    "ragged": ("a,y\n1,0\n2,1,3\n", "line 3"),
    "empty": ("", "holds no table"),
}


@pytest.mark.parametrize(("content", "word"), BAD_DATA.values(), ids=BAD_DATA)
def test_bad_data(cli, tmp_path, content, word):
    (tmp_path / "bad.csv").write_text(content)
    assert_refused(cli("compare", "bad.csv", "--target", "y"), word)
    assert [path.name for path in tmp_path.iterdir()] == ["bad.csv"]


def test_an_unreadable_format(cli, tmp_path):
    (tmp_path / "data.xlsx").write_text("")
    assert_refused(cli("compare", "data.xlsx", "--target", "y"), "data.xlsx", ".csv")


def test_a_file_name_cannot_break_the_line(cli, tmp_path):
    assert_refused(cli("compare", "a\nerror: b.csv", "--target", "y"))


def test_earlier_results_are_refused_before_the_study(cli, monkeypatch, tmp_path):
    monkeypatch.setattr(crossentropy._compare, "compare", None)
    (tmp_path / "old").mkdir()
    (tmp_path / "old" / "results.json").write_text("{}")
    refused = cli("compare", "--sample", "iris", "--out", "old")
    assert_refused(refused, "old", "results.json", "--force")
    assert (tmp_path / "old" / "results.json").read_text() == "{}"


def test_a_place_where_no_directory_can_be(cli, monkeypatch, tmp_path):
    monkeypatch.setattr(crossentropy._compare, "compare", None)
    (tmp_path / "file").write_text("")
    assert_refused(cli("compare", "--sample", "iris", "--out", "file/results"), "file")
    assert_refused(cli("compare", "--sample", "iris", "--out", "file"), "file")
