"""The reference in blocks is the reference in one piece, without arrays of the logits' size."""

import tracemalloc

import numpy as np
import pytest
import torch

from crossentropy import rows
from crossentropy.rows import Slopes, _pure, _reference

SHAPES = [(1, 7), (13, 7), (40, 3), (5, 7, 1), (5, 7, 3), (3, 7, 40), (1, 4, 100)]


def problem(shape, make=torch.tensor, **options):
    random = np.random.default_rng(0)
    logits = random.normal(size=shape) * 4
    logits[:, 2] = -np.inf
    target = random.integers(0, shape[1], shape[0] * int(np.prod(shape[2:])))
    target[::4] = -1
    weight = np.linspace(0, 2, shape[1])
    bias = np.linspace(-1, 1, shape[1])
    return rows.make(
        make(logits), make(target), weight=make(weight), bias=make(bias), ignore_index=-1, **options
    )


@pytest.fixture(params=[1, 20, 90, 10**6])
def block(request, monkeypatch):
    """So many logits in a block."""
    monkeypatch.setattr(_reference, "CACHED", request.param)


@pytest.mark.usefixtures("block")
@pytest.mark.parametrize("make", [torch.tensor, np.array], ids=["torch", "numpy"])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("softcap", [None, 6.0])
def test_blocks_are_the_whole(shape, make, softcap):
    given = problem(shape, make, softcap=softcap, temperature=1.3)
    before = np.asarray(given.logits).copy()
    got = _reference.statistics(given, weighted=True, argmax=True)
    want = _pure.statistics(given, weighted=True, argmax=True)
    np.testing.assert_allclose(np.asarray(got.table), np.asarray(want.table), rtol=1e-13)
    np.testing.assert_array_equal(np.asarray(got.argmax), np.asarray(want.argmax))

    count = given.target.shape[0]
    slopes = Slopes(make(np.linspace(-1, 2, count)), make(np.linspace(0, 1, count)), 0.1)
    expected = _pure.gradient(given, want, slopes)
    gradient = _reference.gradient(given, got, slopes)
    np.testing.assert_allclose(np.asarray(gradient), np.asarray(expected), atol=1e-14)
    np.testing.assert_array_equal(np.asarray(given.logits), before)  # read, not written
    assert _reference.gradient(given, got, slopes, out=given.logits) is given.logits
    np.testing.assert_array_equal(np.asarray(given.logits), np.asarray(gradient))


@pytest.mark.usefixtures("block")
@pytest.mark.parametrize("shape", [(0, 7), (0, 7, 3), (3, 7, 0), (0, 0), (4, 0)], ids=str)
def test_nothing_to_do(shape):
    count = shape[0] * int(np.prod(shape[2:]))
    target = torch.full((count,), -1 if shape[1] == 0 else 0)
    given = rows.make(torch.zeros(shape), target, ignore_index=-1)
    got = _reference.statistics(given, weighted=True, argmax=True)
    assert got.table.shape == (5, count)
    assert got.argmax.shape == (count,)
    assert _reference.gradient(given, got, Slopes(1.0, 1.0)).shape == shape


def test_logits_that_require_a_gradient_are_read_without_one():
    logits = torch.randn(4, 3, requires_grad=True)
    got = _reference.statistics(rows.make(logits, torch.arange(4) % 3))
    assert not got.table.requires_grad
    table = _pure.statistics(rows.make(logits, torch.arange(4) % 3)).table
    assert table.requires_grad  # which is what that one is for


@pytest.mark.parametrize("dtype", [np.float32, np.float16])
@pytest.mark.parametrize("shape", [(1000, 2000), (2, 2000, 500)], ids=str)
def test_no_array_of_the_logits_size_beside_the_gradient(monkeypatch, dtype, shape):
    monkeypatch.setattr(_reference, "CACHED", 2**14)
    logits = np.zeros(shape, dtype=dtype)
    given = rows.make(logits, np.zeros(1000, dtype=np.int64), softcap=5.0, temperature=2.0)
    tracemalloc.start()
    try:
        row = _reference.statistics(given, weighted=True, argmax=True)
        assert tracemalloc.get_traced_memory()[1] < logits.nbytes / 4
        _reference.gradient(given, row, Slopes(1.0, 1.0, 0.1))
        assert tracemalloc.get_traced_memory()[1] < logits.nbytes * 1.25
    finally:
        tracemalloc.stop()


def test_a_target_that_the_maximum_dwarfs_or_that_dwarfs_it():
    """Its term goes into the sum and out again; what is left keeps its digits."""
    for gap in (0.0, 1e-3, 30.0, 200.0, 600.0):
        for sign in (1, -1):
            logits = torch.tensor([[sign * gap, 0.0, -1.0]], dtype=torch.float32)
            row = _pure.statistics(rows.make(logits, torch.tensor([0])))
            exact = np.longdouble(sign * np.float32(gap)) - np.log1p(np.exp(np.longdouble(-1)))
            np.testing.assert_allclose(row.margin.item(), float(exact), rtol=2e-7, atol=2e-7)
