"""The command line as a whole: quick to start, helpful when misused."""

import subprocess
import sys

import pytest

pytest.importorskip("click")

from crossentropy import __version__
from crossentropy.cli._app import run


@pytest.mark.parametrize("arguments", [["--help"], ["compare", "-h"], ["predict", "--help"]])
def test_help(capsys, arguments):
    assert run(arguments) == 0
    assert "Usage: crossentropy" in capsys.readouterr().out


def test_version(capsys):
    assert run(["--version"]) == 0
    assert capsys.readouterr().out == f"crossentropy {__version__}\n"


@pytest.mark.parametrize("arguments", [[], ["compair"], ["--verbose"], ["predict"]])
def test_misuse_is_one_line(capsys, arguments):
    assert run(arguments) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("error: ")
    assert err.count("\n") == 1
    assert "--help" in err


def test_help_loads_nothing_heavy():
    code = (
        "import sys; from crossentropy.cli._app import run; run(['compare', '--help']);"
        "print(sorted({'torch', 'sklearn', 'pandas', 'pyarrow', 'matplotlib', 'scipy', 'rich'}"
        " & set(sys.modules)), file=sys.stderr)"
    )
    process = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert process.stderr == "[]\n"


def test_an_extra_left_out_is_one_line(monkeypatch, capsys):
    def require(module, extra):
        raise ImportError(f"needs {module}: pip install 'crossentropy[{extra}]'")

    monkeypatch.setattr("crossentropy._tables._dataset.require", require)
    assert run(["compare", "--sample", "iris"]) == 2
    assert capsys.readouterr().err.startswith("error: needs sklearn.datasets")
