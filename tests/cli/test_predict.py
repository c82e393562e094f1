"""`crossentropy predict`: from a saved model to columns of probabilities."""

import numpy as np
import pytest

pytest.importorskip("click")
pytest.importorskip("torch")
pd = pytest.importorskip("pandas")

from crossentropy.cli._app import run  # noqa: E402

QUICK = ["--losses", "focal", "--head", "linear", "--folds", "2", "--repeats", "1", "--jobs", "1"]


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A directory with a table, a model of it, and a model of an array."""
    place = tmp_path_factory.mktemp("place")
    rng = np.random.default_rng(0)
    y = rng.integers(0, 2, 60)
    x = y + 0.5 * rng.standard_normal(60)
    code = np.where(y, "7", rng.choice(["a", "b"], 60))
    frame = pd.DataFrame({"x": x, "code": code, "y": np.where(y, "yes", "no")})
    frame.to_csv(place / "train.csv", index=False)
    np.savez(place / "train.npz", X=x[:, None], y=y)
    assert (
        run(["compare", f"{place}/train.csv", "--target", "y", "--out", f"{place}/a", *QUICK]) == 0
    )
    assert run(["compare", f"{place}/train.npz", "--out", f"{place}/b", *QUICK]) == 0
    return place


@pytest.fixture
def cli(place, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)

    def cli(*arguments):
        status = run(["predict", *map(str, arguments)])
        return status, *capsys.readouterr()

    return cli


def assert_refused(outcome, word):
    status, out, err = outcome
    assert status == 2
    assert out == ""
    assert err.startswith("error: ")
    assert err.count("\n") == 1
    assert word in err


def test_csv_on_standard_output(cli, place):
    status, out, err = cli(place / "a" / "model", place / "train.csv")
    assert (status, err) == (0, "")
    lines = out.splitlines()
    assert lines[0] == "p_no,p_yes"
    assert len(lines) == 61
    p = np.array([line.split(",") for line in lines[1:]], float)
    np.testing.assert_allclose(p.sum(axis=1), 1)


def test_text_stays_text_where_a_file_holds_only_digits(cli, place, tmp_path):
    """Code 7 is a category of training, though a file of sevens alone looks like numbers."""
    (tmp_path / "new.csv").write_text("code,x\n7,0.5\n")
    (tmp_path / "mixed.csv").write_text("code,x\n7,0.5\na,0.5\n")
    alone = cli(place / "a", "new.csv")[1].splitlines()[1]
    mixed = cli(place / "a", "mixed.csv")[1].splitlines()[1]
    assert alone == mixed


@pytest.mark.parametrize("name", ["p.csv", "p.parquet"])
def test_files(cli, place, tmp_path, name):
    assert cli(place / "b" / "model", place / "train.npz", "--out", f"new/{name}") == (0, "", "")
    path = tmp_path / "new" / name
    read = pd.read_csv if name.endswith("csv") else pd.read_parquet
    assert read(path).columns.tolist() == ["p_0", "p_1"]
    assert [other.name for other in path.parent.iterdir()] == [name]
    refused = cli(place / "b" / "model", place / "train.npz", "--out", f"new/{name}")
    assert_refused(refused, "--force")
    assert cli(place / "b", place / "train.npz", "--out", f"new/{name}", "--force")[0] == 0


def test_bad_input(cli, place, tmp_path):
    (tmp_path / "lacking.csv").write_text("code\na\n")
    (tmp_path / "wordy.csv").write_text("code,x\na,tall\n")
    np.savez(tmp_path / "wide.npz", X=np.ones((2, 5)))
    model = place / "a" / "model"
    assert_refused(cli(model, "lacking.csv"), "no feature 'x'")
    assert_refused(cli(model, "wordy.csv"), "text such as 'tall'")
    assert_refused(cli(model, "absent.csv"), "no file")
    assert_refused(cli(model, place / "train.npz"), "the training data was a table")
    assert_refused(cli(place / "b", "wide.npz"), "(2, 5)")
    assert_refused(cli(tmp_path, place / "train.csv"), "no model")
    assert_refused(cli(model, place / "train.csv", "--out", "p.txt"), ".parquet")
    assert_refused(cli(model, place / "train.csv", "--out", "."), "wanted a name")
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "lacking.csv",
        "wide.npz",
        "wordy.csv",
    ]
