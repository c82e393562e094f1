"""The search itself: it must notice what it is there to find."""

import contextlib
import dataclasses
import signal
import subprocess
import sys

import numpy as np
import pytest

pytest.importorskip("torch")
pytest.importorskip("ml_dtypes")

from crossentropy import losses, rows
from crossentropy.torch import _fused

from . import contexts, layouts
from .__main__ import supervise
from .draw import case
from .guarded import Guarded
from .tolerance import allowed
from .verdict import WrongError, judge

ORDINARY = 5  # a seed like any other


@pytest.mark.parametrize(("at_start", "beyond"), [(False, 4), (True, -1)])
def test_an_access_beyond_the_edge_ends_the_process(at_start, beyond):
    code = (
        "import ctypes; from tests.fuzz.guarded import Guarded;"
        f"array = Guarded((4,), 'f4', at_start={at_start}).array;"
        f"ctypes.c_float.from_address(array.ctypes.data + 4 * {beyond}).value"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True)
    assert done.returncode == -signal.SIGSEGV


@pytest.mark.parametrize("at_start", [False, True])
def test_a_write_beside_the_array_is_noticed(at_start):
    memory = Guarded((3, 5), "f8", at_start=at_start)
    memory.array[...] = 1
    assert memory.intact()
    beside = memory._bytes[memory._outside][:1]
    assert beside.size
    memory._bytes[np.flatnonzero(memory._outside)[0]] ^= 1
    assert not memory.intact()


@pytest.mark.parametrize("layout", layouts.COMMON + layouts.NUMPY_ONLY)
@pytest.mark.parametrize("shape", [(0, 3), (4, 1), (2, 3, 4)])
def test_layouts_keep_the_numbers(layout, shape):
    values = np.arange(float(np.prod(shape))).reshape(shape)
    if layout is layouts.expanded:
        values = np.broadcast_to(values[:1], shape)
    np.testing.assert_array_equal(layout(values), values)


def test_a_case_is_that_of_its_seed():
    one, other = case(ORDINARY), case(ORDINARY)
    assert str(one) == str(other)
    assert one.logits.tobytes() == other.logits.tobytes()  # whatever NaN there is


@pytest.mark.parametrize("context", ["torch", "soft", "arrays", "rows"])
def test_a_wrong_answer_is_found(monkeypatch, context):
    run = contexts._RUNS[context]

    def slightly_wrong(drawn, logits, place):
        outcome = run(drawn, logits, place)
        if logits is drawn.logits:
            outcome["gradient"] = outcome["gradient"] * 1.01 + 1e-3
        return outcome

    drawn = next(drawn for drawn in map(case, range(5000)) if _is_plain(drawn, context))
    judge(drawn)
    monkeypatch.setitem(contexts._RUNS, context, slightly_wrong)
    with pytest.raises(WrongError, match="gradient"):
        judge(drawn)


def test_rounding_may_decide_on_which_side_of_a_step_a_row_lies():
    drawn = dataclasses.replace(
        next(drawn for drawn in map(case, range(5000)) if _is_plain(drawn, "arrays")),
        logits=np.zeros((1, 2), np.float32),
        target=np.zeros(1, np.int64),
        options={"loss": losses.get("truncated_generalized_cross_entropy")},
    )
    wanted = contexts.wanted(drawn)
    assert not wanted["gradient"].any()  # p = k, and one rounding from a slope of 0.6
    at_step, beyond = (allowed(drawn, "gradient", wanted) for drawn in (drawn, _apart(drawn)))
    assert at_step.min() > 0.3
    assert beyond.max() < 1e-4


def _apart(drawn):
    return dataclasses.replace(drawn, logits=np.array([[0, 0.1]], np.float32))


def _is_plain(drawn, context):
    """Whether a mistake of a hundredth must show."""
    in_range = (drawn.target >= 0) & (drawn.target < drawn.logits.shape[1])
    return (
        drawn.context == context
        and drawn.dtype == "float32"
        and drawn.logits.size > 0
        and bool(np.isfinite(drawn.logits).all() and in_range.all())
        and float(np.abs(drawn.logits).max()) < (3 if context == "soft" else 100)
        and not (context == "soft" and contexts.share(drawn) > 6)  # where terms cancel
        and not contexts.is_adjusted(drawn)
        and all(np.ndim(v) or v == 1 for k, v in drawn.options.items() if k in "abc")
    )


@pytest.mark.skipif(rows.available_paths() == ["reference"], reason="there are no kernels here")
def test_the_search_comes_by_the_one_pass_route(monkeypatch):
    """On both sides of its size, by rows and by planes, for upstreams of 1 and others."""
    seen, evaluate = set(), _fused.Call.evaluate

    def noted(call, logits, target, *, upstream=1.0, **options):
        seen.add((logits.numel() > _fused.SMALL, logits.ndim, upstream == 1))
        return evaluate(call, logits, target, upstream=upstream, **options)

    monkeypatch.setattr(_fused.Call, "evaluate", noted)
    for seed in range(5000):
        drawn = case(seed)
        large = drawn.logits.size > _fused.SMALL
        known = sum(is_large == large for is_large, *_ in seen) == 4
        if drawn.context == "torch" and drawn.options["reduction"] != "none" and not known:
            with contextlib.suppress(ValueError, IndexError):
                contexts.found(drawn)
        if len(seen) == 8:
            return
    pytest.fail(f"only {seen}")


WORKERS = {
    "crash": ("import ctypes; ctypes.string_at(0)", "killed by signal 11 at case 2"),
    "wrong": ("import sys; sys.exit(1)", "failed at case 2"),
    "hang": (
        "import faulthandler, time; faulthandler.dump_traceback_later(0.2, exit=True);"
        "time.sleep(60)",
        "failed at case 2",
    ),
    "nothing": ("", "2 cases from seed 70: nothing found"),
}


@pytest.mark.parametrize(("end", "said"), WORKERS.values(), ids=WORKERS)
def test_the_seed_of_a_finding_is_printed(capfd, end, said):
    program = f"import os, sys; os.write(int(sys.argv[-1]), b'70\\n71\\n'); {end}"
    status = supervise(70, 1, ("-c", program))
    out = capfd.readouterr().out
    assert status == (0 if "nothing" in said else 1)
    assert said in out
    assert ("--case 71" in out) is bool(status)
