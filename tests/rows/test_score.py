"""The sums that scores are made of, beside their definitions in float64."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from crossentropy import rows

CELLS = 60
NATIVE = [path for path in rows.available_paths() if path != "reference"]
LAYOUTS = {
    "rows": np.ascontiguousarray,
    "columns": lambda z: [np.ascontiguousarray(column) for column in z.T],
}


@pytest.fixture(params=NATIVE)
def native(request):
    with rows.using(request.param):
        yield


def empty(classes, *, confusion=True):
    counts = [np.zeros(classes, np.int64) for _ in range(2)]
    by_class = [np.zeros(classes) for _ in range(6)]
    matrix = np.zeros((classes, classes)) if confusion else None
    return [*counts, *by_class, np.zeros(6), np.zeros((CELLS, 4)), matrix]


def wanted(z, y, weight):
    """By the definitions; classes that are masked have probability 0."""
    z = z.astype(np.float64)
    odds = np.exp(z - z.max(axis=1, keepdims=True))
    p = odds / odds.sum(axis=1, keepdims=True)
    count, classes = z.shape
    w = np.ones(count) if weight is None else weight
    own = p[np.arange(count), y]
    with np.errstate(divide="ignore"):
        loss = -np.log(own)
    brier = ((p - np.eye(classes)[y]) ** 2).sum(axis=1)
    predicted, top = z.argmax(axis=1), p.max(axis=1)
    hit, infinite = 1.0 * (predicted == y), (own == 0) & (w > 0)
    finite = np.where(own == 0, 0, loss)

    def total(of, values, size=classes):
        return np.bincount(of, values, minlength=size)

    squares = [w**2 @ each for each in (w**0, finite, finite**2, brier, brier**2, hit)]
    cell = np.clip(np.ceil(top * CELLS) - 1, 0, CELLS - 1).astype(int)
    confusion = np.zeros((classes, classes))
    np.add.at(confusion, (y, predicted), w)
    return [
        *(total(y, each).astype(np.int64) for each in (w > 0, infinite)),
        *(total(y, each) for each in (w * infinite, w)),
        total(predicted, w),
        *(total(y, w * each) for each in (hit, finite, brier)),
        np.array(squares),
        np.stack([total(cell, each, CELLS) for each in (w, w**2, w * top, w * hit)], axis=1),
        confusion,
    ]


def sample(count, classes, seed, dtype):
    rng = np.random.default_rng(seed)
    z = (3 * rng.normal(size=(count, classes))).astype(dtype)
    z[rng.random(z.shape) < 0.05] = -np.inf
    z[np.isneginf(z).all(axis=1), 0] = 0
    weight = rng.integers(0, 3, count).astype(float)
    return z, rng.integers(0, classes, count), weight


@pytest.mark.usefixtures("native")
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(("count", "classes"), [(3000, 10), (1, 2), (700, 200), (65, 3)])
def test_sums_are_those_of_the_definitions(layout, weighted, dtype, count, classes):
    z, y, weight = sample(count, classes, seed=classes, dtype=dtype)
    weight = weight if weighted else None
    expected = wanted(z, y, weight)
    for threads in (1, 3):
        sums = empty(classes)
        values = LAYOUTS[layout](z)
        for _ in range(2):  # they are added to what was there
            assert rows.score(values, y, weight, sums, n_threads=threads) == -1
        tolerance = 1e-12 if dtype is np.float64 else 1e-6
        for own, right in zip(sums, expected, strict=True):
            np.testing.assert_allclose(own, 2 * right, rtol=tolerance, atol=1e-13)


@given(st.data())
def test_the_first_row_that_is_no_prediction_is_named(data):
    count = data.draw(st.integers(1, 3000))
    classes = data.draw(st.sampled_from([2, 7, 300]))
    z, y, _ = sample(count, classes, seed=count, dtype=np.float32)
    bad = data.draw(st.sets(st.integers(0, count - 1), min_size=1, max_size=3))
    for row in bad:
        z[row] = -np.inf
        z[row, row % classes] = data.draw(st.sampled_from([np.nan, np.inf, -np.inf]))
    layout = data.draw(st.sampled_from(sorted(LAYOUTS)))
    sums, before = empty(classes), empty(classes)
    at_once = rows.scored_at_once(classes, 1)
    whole = min(bad) // at_once * at_once
    for path in NATIVE:
        with rows.using(path):
            assert rows.score(LAYOUTS[layout](z), y, None, sums) == min(bad)
            rows.score(LAYOUTS[layout](z[:whole]), y[:whole], None, before)
    for own, right in zip(sums, before, strict=True):
        np.testing.assert_array_equal(own, right)


@pytest.mark.usefixtures("native")
def test_confusion_may_be_left_out_and_weights_of_zero_silence_infinity():
    z = np.array([[0, -np.inf], [0, 0]], np.float32)
    sums = empty(2, confusion=False)
    assert rows.score(z, np.array([1, 1]), np.array([0.0, 2.0]), sums) == -1
    assert [each.sum() for each in sums[:4]] == [1, 0, 0, 2]
    assert sums[6].tolist() == pytest.approx([0, 2 * np.log(2)])


def test_the_reference_path_leaves_it_to_array_code():
    with rows.using("reference"):
        assert rows.score(np.zeros((1, 2), np.float32), np.zeros(1, np.int64), None, []) is None
