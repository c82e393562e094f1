"""Evaluations beside the scores of whole arrays: the same numbers, whatever the parts."""

from __future__ import annotations

import json
import math
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import softmax
from sklearn.metrics import confusion_matrix, precision_recall_fscore_support

from crossentropy import rows
from crossentropy.scores import (
    Evaluation,
    _bins,
    _evaluation,
    _smooth,
    brier_score,
    expected_calibration_error,
    log_loss,
)

CLASSES = 5


def sample(count, classes=CLASSES, seed=0, dtype=np.float64, sharpness=1.5):
    """Labels drawn from less confident predictions than those that are given."""
    rng = np.random.default_rng(seed)
    logits = 2 * rng.normal(size=(count, classes))
    share = softmax(logits, axis=1).cumsum(axis=1)
    y = (share > rng.random((count, 1)) * share[:, -1:]).argmax(axis=1)
    return y, (sharpness * logits).astype(dtype), rng.uniform(0, 2, count)


def evaluated(y, values, weight=None, **options):
    evaluation = Evaluation(values.shape[1], **({"input": "logits"} | options))
    evaluation.update(y, values, weight)
    return evaluation


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("kind", ["logits", "proba"])
def test_scores_are_those_of_whole_arrays(kind, weighted):
    y, logits, weight = sample(3000)
    values = logits if kind == "logits" else softmax(logits, axis=1)
    weight = weight if weighted else None
    result = evaluated(y, values, weight, input=kind, classwise=True).result()
    options = {"input": kind, "sample_weight": weight}
    assert result.log_loss == pytest.approx(log_loss(y, values, **options), rel=1e-12)
    assert result.brier == pytest.approx(brier_score(y, values, **options), rel=1e-12)
    error = expected_calibration_error(y, values, **options)
    assert result.calibration["ece"] == pytest.approx(error, rel=1e-10)
    predicted = values.argmax(axis=1)
    matrix = confusion_matrix(y, predicted, sample_weight=weight)
    np.testing.assert_allclose(result.confusion, matrix, rtol=1e-12)
    names = ("precision", "recall", "f1", "support")
    expected = precision_recall_fscore_support(y, predicted, sample_weight=weight)
    for name, values_by_class in zip(names, expected, strict=True):
        np.testing.assert_allclose(getattr(result.classes, name), values_by_class, rtol=1e-12)
    assert result.accuracy == pytest.approx(np.average(predicted == y, weights=weight))
    proba = softmax(logits, axis=1)
    classwise = _bins.mean_over_classes(_bins.classwise(proba, y, weight, 15))
    assert result.calibration["classwise"] == pytest.approx(float(classwise), rel=1e-10)
    for k in range(CLASSES):
        of_class = np.where(y == k, 1.0 if weight is None else weight, 0.0)
        mine = log_loss(y, logits, input="logits", sample_weight=of_class)
        assert result.classes.log_loss[k] == pytest.approx(mine, rel=1e-12)


@settings(deadline=None, max_examples=12)
@given(
    cuts=st.lists(st.integers(0, 400), max_size=6),
    order=st.randoms(use_true_random=False),
    weighted=st.booleans(),
    dtype=st.sampled_from([np.float32, np.float64]),
)
def test_parts_merge_in_any_order(cuts, order, weighted, dtype):
    y, logits, weight = sample(400, dtype=dtype)
    whole = evaluated(y, logits, weight if weighted else None)
    edges = [0, *sorted(cuts), 400]
    parts = [
        evaluated(y[a:b], logits[a:b], weight[a:b] if weighted else None)
        for a, b in pairwise(edges)
    ]
    order.shuffle(parts)
    total = parts[0]
    for part in parts[1:]:
        total.merge(part)
    for name, array in whole.state_dict().items():
        np.testing.assert_allclose(total.state_dict()[name], array, rtol=1e-12, err_msg=name)


@pytest.mark.parametrize("path", rows.available_paths())
def test_every_path_and_layout_gives_the_same(path, monkeypatch):
    monkeypatch.setattr(_evaluation, "BLOCK", 700)
    y, logits, _ = sample(1000, dtype=np.float32)
    expected = evaluated(y, logits.astype(np.float64)).result()
    with rows.using(path):
        for values in (logits, np.asfortranarray(logits), logits[:, ::-1][:, ::-1]):
            result = evaluated(y, values).result()
            assert result.log_loss == pytest.approx(expected.log_loss, rel=1e-6)
            assert result.brier == pytest.approx(expected.brier, rel=1e-6)
            np.testing.assert_array_equal(result.confusion, expected.confusion)


def test_tensors_of_any_type_are_taken():
    torch = pytest.importorskip("torch")
    y, logits, weight = sample(200)
    expected = evaluated(y, logits, weight).result().log_loss
    for dtype, rel in ((torch.float64, 1e-14), (torch.bfloat16, 2e-2), (torch.float16, 2e-3)):
        values = torch.tensor(logits, dtype=dtype, requires_grad=True)
        evaluation = Evaluation(CLASSES, input="logits")
        evaluation.update(torch.tensor(y), values, torch.tensor(weight))
        assert evaluation.result().log_loss == pytest.approx(expected, rel=rel)


def test_infinite_rows_are_counted_and_left_out_of_the_finite_mean():
    proba = np.array([[0.0, 1.0], [0.25, 0.75], [0.0, 1.0], [1.0, 0.0]])
    evaluation = evaluated(np.array([0, 1, 0, 1]), proba, [1, 1, 0, 2], input="proba")
    result = evaluation.result()
    assert math.isinf(result.log_loss)
    assert result.infinite_rows == 2  # the third row has no weight
    assert result.finite_log_loss == pytest.approx(-math.log(0.75))
    np.testing.assert_array_equal(result.classes.infinite_rows, [1, 1])
    assert "log_loss" not in result.intervals
    logits = np.array([[-np.inf, 0.0], [0.0, 0.0]], np.float32)
    assert evaluated(np.array([0, 0]), logits).result().infinite_rows == 1


@pytest.mark.parametrize("scale", [1.0, 1e-3, 30.0])
def test_brier_keeps_the_digits_of_confident_rows(scale):
    y, logits, _ = sample(500, sharpness=10 * scale)
    y = logits.argmax(axis=1)
    others = softmax(logits, axis=1)
    others[np.arange(500), y] = 0
    exact = (others.sum(axis=1) ** 2 + (others**2).sum(axis=1)).mean()
    assert evaluated(y, logits).result().brier == pytest.approx(exact, rel=1e-12)


def test_perplexity_is_no_power_of_what_underflowed():
    # ten tokens, one of which costs 110 nats: float32 probabilities would make it infinite
    logits = np.zeros((10, 2), np.float32)
    logits[0] = [-110, 0]
    logits[1:] = [200, 0]
    result = evaluated(np.zeros(10, np.int64), logits).result()
    assert result.perplexity == pytest.approx(59874.1417, rel=1e-6)


def test_twenty_million_calibrated_rows_do_not_drift():
    # each block is exactly calibrated; float32 counters stop at 2^24
    share, block = 0.75, 2_000
    y = (np.arange(block) >= share * block).astype(np.int64)
    proba = np.tile(np.array([share, 1 - share]), (block, 1))
    part = evaluated(y, proba, input="proba")
    state = part.state_dict()
    scaled = {k: v if k == "version" else v * 10_000 for k, v in state.items()}
    part.load_state_dict(scaled)
    for _ in range(5):
        part.update(y, proba)
    result = part.result()
    assert result.rows == 20_010_000
    assert result.calibration["ece"] < 1e-12
    assert result.tests["ks"].statistic < 1e-12
    assert result.accuracy == pytest.approx(share, rel=1e-14)


def test_a_long_stream_has_the_mean_of_its_rows():
    y, logits, _ = sample(2**16, classes=2)
    evaluation = Evaluation(2, input="logits")
    for _ in range(40):
        evaluation.update(y, logits)
    once = evaluated(y, logits).result()
    assert evaluation.result().log_loss == pytest.approx(once.log_loss, rel=1e-12)
    assert evaluation.rows == 40 * 2**16


@settings(deadline=None, max_examples=10)
@given(
    seed=st.integers(0, 2**32 - 1),
    count=st.integers(50, 3000),
    sharpness=st.sampled_from([0.3, 1.0, 4.0]),
)
def test_what_comes_from_the_grid_is_within_the_stated_error(seed, count, sharpness):
    y, logits, _ = sample(count, seed=seed, sharpness=sharpness)
    proba = softmax(logits, axis=1)
    confidence, correct = proba.max(axis=1), proba.argmax(axis=1) == y
    result = evaluated(y, logits).result()
    calibration, tests = result.calibration, result.tests
    cells = _bins.equal_width(confidence, correct, None, 15 * 1024)
    greatest = cells.weight.max() / count
    # cumulated residuals, row by row
    order = np.argsort(confidence, kind="stable")
    walk = np.concatenate([[0], (correct - confidence)[order].cumsum()]) / count
    ks, kuiper = np.abs(walk).max(), walk.max() - walk.min()
    assert ks - greatest - 1e-12 <= tests["ks"].statistic <= ks + 1e-12
    assert kuiper - 2 * greatest - 1e-12 <= tests["kuiper"].statistic <= kuiper + 1e-12
    # equal mass, from the distinct confidences
    exact = _bins.equal_mass(_bins.distinct(confidence, correct, None), 15)
    error = float(_bins.expected_error(exact))
    assert abs(calibration["ace"] - error) <= 2 * 14 * greatest + 1e-12
    # the smooth error sees the cells: beside a grid four times as fine
    fine = float(_smooth.smooth_error(_bins.equal_width(confidence, correct, None, 4 * 15 * 1024)))
    assert calibration["smooth"] == pytest.approx(fine, rel=1e-2, abs=1e-4)


def test_intervals_of_means_cover_what_they_should():
    y, logits, weight = sample(60_000)
    loss = log_loss(y, logits, input="logits", reduction="none")
    truth, hits = loss.mean(), 0
    for k in range(0, 200, 3):
        part = slice(300 * k, 300 * k + 300)
        intervals = evaluated(y[part], logits[part], weight[part]).result(draws=2).intervals
        low, high = intervals["log_loss"]
        hits += low <= truth <= high
    assert 58 <= hits <= 66  # of 67, 64 expected


@pytest.mark.parametrize("multiple", [False, True])
def test_an_update_that_raises_changes_nothing(multiple, monkeypatch):
    if multiple:
        monkeypatch.setattr(_evaluation, "BLOCK", 20)
    y, logits, weight = sample(30)
    proba = softmax(logits, axis=1)
    for kind, values in (("logits", logits), ("proba", proba)):
        evaluation = evaluated(y, values, weight, input=kind)
        before = evaluation.state_dict()
        bad = values.copy()
        bad[29, 2] = np.nan
        late = y.copy()
        late[29] = CLASSES
        heavy = weight.copy()
        heavy[29] = -1
        for args in ((y, bad), (late, values), (y, values, heavy), (y[:-1], values), (y, values.T)):
            with pytest.raises(ValueError, match=r"row 29|shape"):
                evaluation.update(*args)
        for name, array in evaluation.state_dict().items():
            np.testing.assert_array_equal(array, before[name])


def test_a_row_of_probabilities_that_is_none_is_named():
    evaluation = Evaluation(2, input="proba")
    for row, match in (([0.5, 0.6], "sum to one"), ([-0.5, 1.5], "nonnegative"), ([np.nan, 1], "")):
        with pytest.raises(ValueError, match=rf"{match}.*row 1"):
            evaluation.update([0, 0], [[0.5, 0.5], row])
    with pytest.raises(ValueError, match="class indices"):
        evaluation.update(["a", "b"], [[0.5, 0.5], [0.5, 0.5]])


def test_the_state_goes_through_json_and_npz(tmp_path):
    y, logits, weight = sample(100)
    evaluation = evaluated(y, logits, weight, classwise=True)
    state = evaluation.state_dict()
    text = json.dumps(state, default=np.ndarray.tolist, allow_nan=False)
    np.savez(tmp_path / "state.npz", **state)
    with np.load(tmp_path / "state.npz") as arrays:
        for kept in (json.loads(text), dict(arrays)):
            other = Evaluation(CLASSES, input="logits", classwise=True)
            other.load_state_dict(kept)
            for name, array in other.state_dict().items():
                np.testing.assert_array_equal(array, state[name])
    added = {k: v if k == "version" else v + v for k, v in state.items()}
    doubled = Evaluation(CLASSES, input="proba", classwise=True)
    doubled.load_state_dict(added)
    assert doubled.result().log_loss == pytest.approx(evaluation.result().log_loss, rel=1e-14)
    assert doubled.rows == 2 * evaluation.rows


def test_states_that_do_not_fit_are_refused():
    y, logits, _ = sample(20)
    evaluation = evaluated(y, logits)
    state = evaluation.state_dict()
    for wrong, match in (
        (state | {"version": 2}, "version 2"),
        (state | {"other": np.zeros(1)}, "'other'"),
        ({k: v for k, v in state.items() if k != "grid"}, "'grid' has shape None"),
        (state | {"loss": np.zeros(3)}, "'loss' has shape"),
        (state | {"loss": np.full(CLASSES, np.nan)}, "no sums"),
    ):
        with pytest.raises(ValueError, match=match):
            evaluation.load_state_dict(wrong)
    with pytest.raises(ValueError, match="same sums"):
        evaluation.merge(Evaluation(CLASSES, input="logits", confusion=False))
    with pytest.raises(ValueError, match="same sums"):
        evaluation.merge(Evaluation(CLASSES + 1, input="logits"))
    with pytest.raises(ValueError, match="no rows"):
        Evaluation(2, input="logits").result()
    with pytest.raises(ValueError, match="must divide"):
        evaluation.result(bins=7)


def test_many_classes_have_no_confusion_matrix_unless_asked_for():
    assert Evaluation(1001, input="logits").state_dict().keys().isdisjoint({"confusion"})
    assert Evaluation(1001, input="logits", confusion=True).state_dict()["confusion"].size > 10**6
    y, logits, _ = sample(64, classes=1001)
    assert evaluated(y, logits).result().confusion is None
