"""`crossentropy bench`, from the outside: what it prints, writes and refuses."""

import importlib
import json
import sys

import pytest

pytest.importorskip("click")
pytest.importorskip("torch")

import crossentropy._bench as bench
from crossentropy._bench import _passes, _training
from crossentropy._bench._cases import jax_training
from crossentropy.cli._app import run

TINY = (4, 3)


@pytest.fixture
def cli(tmp_path, monkeypatch, capsys):
    """Run the command on one tiny size: status, standard output and error."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(_passes, "_SHAPES", (TINY,))

    def cli(*arguments):
        status = run(["bench", *map(str, arguments)])
        return status, *capsys.readouterr()

    return cli


def test_markdown_and_json_hold_the_same_figures(cli, tmp_path):
    status, out, err = cli("--quick", "--only", "passes", "--json", "new/bench.json")
    assert status == 0
    assert err == "measuring passes …\n"
    results = json.loads((tmp_path / "new" / "bench.json").read_text("utf-8"))
    assert sorted(results) == ["machine", "quick", "sections"]
    assert results["quick"] is True
    assert {"processor", "threads", "rows", "torch", "crossentropy"} <= set(results["machine"])
    assert list(results["sections"]) == ["passes"]
    (table,) = results["sections"]["passes"]
    assert sorted(table) == ["legend", "rows", "title"]
    (row,) = table["rows"]
    figure = row["figures"]["passes / floor"]
    assert row["label"] == "4 × 3"
    assert figure["target"] == "≤ 1.3"
    assert figure["missed"] is (figure["value"] > 1.3)
    assert f"| 4 × 3 | {'**' if figure['missed'] else ''}{figure['value']:.2f}" in out
    assert out.endswith(" of 1 targets met.\n")
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["bench.json"]


def test_a_peer_that_is_not_installed_is_said_to_be(cli, monkeypatch):
    monkeypatch.setitem(sys.modules, "jax", None)
    monkeypatch.setattr(_training, "_QUICK", (TINY,))
    monkeypatch.setattr(_training, "_CASES", {TINY: _training._Targets()})
    monkeypatch.setattr(_training, "compiled", lambda: _training.functional.cross_entropy)
    status, out, _ = cli("--quick", "--only", "training")
    assert status == 0
    assert "| not installed |" in out
    assert jax_training(None, None) is None


@pytest.mark.parametrize("module", bench._MODULES.values())
def test_every_section_offers_tables(module):
    assert callable(importlib.import_module(f"{bench.__name__}.{module}").tables)


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (["--only", "speed"], "'speed'"),
        (["--quickly"], "--quick"),
        (["--json", "kept.json"], "--force"),
        (["--json", "."], "is a directory"),
        (["--json", "kept.json/bench.json"], "choose another place with --json"),
    ],
)
def test_bad_arguments(cli, tmp_path, arguments, word):
    (tmp_path / "kept.json").write_text("kept")
    status, out, err = cli(*arguments)
    assert status == 2
    assert out == ""
    assert err.startswith("error: ")
    assert err.count("\n") == 1
    assert word in err
    assert (tmp_path / "kept.json").read_text() == "kept"


def test_the_file_is_written_over_when_asked(cli, tmp_path):
    (tmp_path / "kept.json").write_text("kept")
    assert cli("--quick", "--only", "passes", "--json", "kept.json", "--force")[0] == 0
    assert json.loads((tmp_path / "kept.json").read_text("utf-8"))["quick"] is True
