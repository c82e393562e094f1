import subprocess
import sys

import pytest

import crossentropy


def run(code):
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return done.stdout


def test_import_needs_numpy_and_array_api_compat_only():
    code = (
        "import sys; before = set(sys.modules); import crossentropy;"
        "print(*{m.split('.')[0] for m in set(sys.modules) - before})"
    )
    loaded = set(run(code).split()) - set(sys.stdlib_module_names)
    assert {m for m in loaded if not m.startswith(("_", "numpy", "cython"))} <= {
        "array_api_compat",
        "crossentropy",
    }


def test_import_is_quick_because_it_leaves_the_rest_of_numpy_alone():
    """numpy.f2py and numpy.testing, which array-API look-ups pull in, cost more than NumPy."""
    code = "import sys; import crossentropy; print('numpy.f2py' in sys.modules)"
    assert run(code).strip() == "False"


def test_public_names_are_there_and_no_others():
    public = {name for name in dir(crossentropy) if not name.startswith("_")}
    assert public == {name for name in crossentropy.__all__ if not name.startswith("_")}
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        _ = crossentropy.nonsense


@pytest.mark.parametrize("name", crossentropy.__all__)
def test_public_names_resolve_and_are_documented(name):
    thing = getattr(crossentropy, name)
    assert isinstance(thing, str) or thing.__doc__


def test_show_config_says_which_path_and_why(capsys):
    crossentropy.show_config()
    text = capsys.readouterr().out
    assert crossentropy.__version__ in text
    assert "native kernels" in text
    assert "CROSSENTROPY_ROWS" in text
