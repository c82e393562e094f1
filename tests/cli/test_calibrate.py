"""`crossentropy calibrate`: what it fits, writes and refuses."""

import json

import numpy as np
import pytest

pytest.importorskip("click")
pytest.importorskip("sklearn")
pd = pytest.importorskip("pandas")
pytest.importorskip("pyarrow")

from crossentropy.calibration import Calibrator, TemperatureScaling  # noqa: E402
from crossentropy.cli._app import run  # noqa: E402

CLASSES = ["cat", "ape", "bee"]  # not sorted, as columns may be


@pytest.fixture
def cli(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)

    def cli(*arguments):
        status = run(["calibrate", *map(str, arguments)])
        return status, *capsys.readouterr()

    return cli


@pytest.fixture
def table(tmp_path):
    rng = np.random.default_rng(0)
    logits = 4 * rng.standard_normal((300, 3))
    y = (logits / 3 + rng.gumbel(size=logits.shape)).argmax(axis=1)
    frame = pd.DataFrame(logits, columns=[f"logit_{name}" for name in CLASSES])
    frame.insert(0, "id", [f"row {i}" for i in range(300)])
    frame["y_true"] = np.asarray(CLASSES)[y]
    frame.to_csv(tmp_path / "data.csv", index=False)
    return frame


def logits_of(table):
    return table[[f"logit_{name}" for name in CLASSES]].to_numpy()


def test_fits_writes_and_applies(cli, table, tmp_path):
    status, out, err = cli(
        *("data.csv", "--method", "temperature", "--out", "out.parquet", "--save", "c.json")
    )
    assert (status, err) == (0, "")
    assert "cross-fitted" in out
    assert "on the very rows that fitted it" in out
    fitted = TemperatureScaling(classes=CLASSES).fit(logits_of(table), table["y_true"].to_numpy())
    expected = fitted.predict_proba(logits_of(table))
    written = pd.read_parquet(tmp_path / "out.parquet")
    names = [f"p_{name}" for name in CLASSES]
    assert list(written) == ["id", "y_true", *names]
    np.testing.assert_allclose(written[names], expected, rtol=1e-6)
    assert Calibrator.load(tmp_path / "c.json").temperature_ == pytest.approx(fitted.temperature_)

    # new rows: no labels, columns in another order, another format
    new = table[["logit_bee", "logit_cat", "id", "logit_ape"]].iloc[:10]
    new.to_parquet(tmp_path / "new.parquet")
    status, out, err = cli("new.parquet", "--apply", "c.json", "--out", "new.csv")
    assert (status, err) == (0, "")
    again = pd.read_csv(tmp_path / "new.csv")
    assert list(again["id"]) == [f"row {i}" for i in range(10)]
    np.testing.assert_allclose(again[names], expected[:10], rtol=1e-6)


def test_auto_lowers_the_cross_fitted_loss(cli, table, tmp_path):
    status, out, _ = cli("data.csv", "--save", "c.json")
    assert status == 0
    before, after, flattered = (float(line.split()[0]) for line in out.splitlines()[1:4])
    assert flattered <= after + 1e-3
    assert after < before
    assert json.loads((tmp_path / "c.json").read_text("utf-8"))["class"] != "Identity"


def test_arrays(cli, table, tmp_path):
    codes = np.array([CLASSES.index(name) for name in table["y_true"]])
    rows = np.ascontiguousarray(logits_of(table))
    np.savez(tmp_path / "x.npz", y_true=codes, logits=rows, id=np.arange(300))
    assert cli("x.npz", "--method", "vector", "--out", "x.parquet")[0] == 0
    written = pd.read_parquet(tmp_path / "x.parquet")
    np.testing.assert_allclose(written[["p_0", "p_1", "p_2"]].sum(axis=1), 1)
    assert list(written["id"]) == list(range(300))


def test_what_was_calibrated_is_calibrated(cli, table, tmp_path):
    cli("data.csv", "--method", "temperature", "--out", "out.csv")
    status, _, _ = cli("out.csv", "--method", "temperature", "--save", "again.json")
    assert status == 0
    assert Calibrator.load(tmp_path / "again.json").temperature_ == pytest.approx(1, rel=1e-4)


def test_a_method_that_does_worse_says_so(cli, table):
    cli("data.csv", "--method", "temperature", "--out", "out.csv")
    status, _, err = cli("out.csv", "--method", "isotonic", "--save", "i.json")
    assert status == 0
    assert "does worse than no calibration" in err


def refused(outcome, place, before, *words):
    status, _, err = outcome
    assert status == 2
    assert err.startswith("error: ")
    assert err.count("\n") == 1
    for word in words:
        assert word in err
    assert sorted(path.name for path in place.iterdir()) == before


def test_refusals_write_nothing(cli, table, tmp_path):
    assert cli("data.csv", "--method", "temperature", "--save", "c.json")[0] == 0
    good = logits_of(table)[:3]
    bad = good.copy()
    bad[1, 2] = np.nan
    for name, values in (("good", good), ("bad", bad)):
        frame = pd.DataFrame(values, columns=[f"logit_{n}" for n in CLASSES])
        frame.to_parquet(tmp_path / f"{name}.parquet")
    (tmp_path / "fake.json").write_text("{}", encoding="utf-8")
    pd.DataFrame({"p_cat": [0.5], "p_ape": [0.5], "p_bee": [0.0]}).to_csv("p.csv", index=False)
    table.drop(columns="y_true").to_csv(tmp_path / "unlabelled.csv", index=False)
    table.drop(columns="logit_bee").to_csv(tmp_path / "narrow.csv", index=False)
    before = sorted(path.name for path in tmp_path.iterdir())

    def check(*arguments, words):
        refused(cli(*arguments), tmp_path, before, *words)

    apply = ("--apply", "c.json", "--out", "o.csv")
    check("bad.parquet", *apply, words=["row 2", "'logit_bee'"])
    check("p.csv", *apply, words=["logits", "proba"])
    check("narrow.csv", *apply, words=["no column 'logit_bee'"])
    check("none.csv", *apply, words=["no file"])
    check("good.parquet", "--apply", "fake.json", "--out", "o.csv", words=["fake.json"])
    check("good.parquet", "--apply", "none.json", "--out", "o.csv", words=["none.json"])
    check("unlabelled.csv", "--out", "o.csv", words=["no column 'y_true'"])
    check("data.csv", words=["--out"])
    check("data.csv", "--out", "o.txt", words=[".parquet"])
    check("data.csv", "--out", "data.csv", "--force", words=["one file"])
    check("data.csv", "--save", "c.json", words=["--force"])
    check("good.parquet", *apply, "--save", "d.json", words=["--save"])
