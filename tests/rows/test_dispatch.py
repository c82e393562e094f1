import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from crossentropy import rows


def run(code, **environment):
    return subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize("name", rows.available_paths())
def test_the_environment_forces_a_path(name):
    done = run("from crossentropy import rows; print(rows.path())", CROSSENTROPY_ROWS=name)
    assert done.stdout.strip() == name


def test_a_path_that_is_not_there_is_an_error():
    done = run("import crossentropy", CROSSENTROPY_ROWS="v9")
    assert done.returncode == 1
    assert "no path 'v9' here; there are" in done.stderr


def test_use_takes_the_best_native_level():
    before = rows.path()
    try:
        if len(rows.available_paths()) > 1:
            rows.use("native")
            assert rows.path() == rows.available_paths()[0]
        else:
            with pytest.raises(ValueError, match="no path 'native'"):
                rows.use("native")
    finally:
        rows.use(before)


DEMANDED = os.environ.get("CROSSENTROPY_REQUIRE_NATIVE") == "1"


@pytest.mark.skipif(not DEMANDED, reason="native kernels are optional here")
def test_native_kernels_are_in_use_where_they_are_demanded():
    assert rows.path() != "reference"
    assert rows.native_error() is None


def test_a_fall_back_says_why():
    done = run(
        "from crossentropy import rows; print(rows.native_error())",
        CROSSENTROPY_ROWS="reference",
    )
    assert done.stdout.strip()
    assert done.stdout.strip() != "None"


def level_objects():
    build = Path(__file__).parents[2] / "build"
    return sorted(build.glob("*/CMakeFiles/kernels_*.dir/**/level.cpp.o"))


@pytest.mark.skipif(
    not DEMANDED and not (level_objects() and shutil.which("nm")), reason="no build tree, or no nm"
)
def test_kernel_objects_hold_no_weak_symbols():
    """Else the linker may keep one level's copy of a shared template for all CPUs."""
    assert level_objects()
    for path in level_objects():
        symbols = subprocess.run(["nm", "-C", path], capture_output=True, text=True, check=True)
        weak = [line for line in symbols.stdout.splitlines() if line[17:18] in "WwVvu"]
        assert not [line for line in weak if "DW.ref" not in line], f"{path}: {weak}"


def test_other_array_libraries_take_the_reference(path):
    torch = pytest.importorskip("torch")
    logits = np.random.default_rng(0).normal(size=(5, 7))
    target = np.arange(5)
    tensor = torch.tensor(logits, dtype=torch.bfloat16)
    got = rows.statistics(rows.make(tensor, torch.tensor(target)))
    assert isinstance(got.log_prob, torch.Tensor)
    want = rows.statistics(rows.make(tensor.double().numpy(), target))
    np.testing.assert_allclose(got.log_prob.numpy(), want.log_prob, rtol=1e-5)
