"""Weights, smoothing and z-loss around every loss, and derivatives that follow its value."""

import numpy as np
import pytest
import torch

from crossentropy import losses, rows
from crossentropy.losses import Objective, _check
from crossentropy.rows import _pure
from tests.table import ROWS, every_loss

N, C = 12, 5
RNG = np.random.default_rng(0)
LOGITS = RNG.normal(size=(N, C)) * 2
TARGET = RNG.integers(0, C, N)
TARGET[::4] = -100
OMEGA = torch.linspace(0.5, 2, C, dtype=torch.float64)
PRIOR = torch.tensor([0.1, 0.2, 0.3, 0.15, 0.25], dtype=torch.float64)
SAMPLE_WEIGHT = torch.linspace(0, 1, N, dtype=torch.float64)

OPTIONS = {
    "plain": {},
    "class weights": {"class_weight": OMEGA},
    "smoothing": {"label_smoothing": 0.1},
    "z-loss": {"z_loss": 0.01, "class_weight": OMEGA},
    "weighted smoothing": {"label_smoothing": 0.1, "class_weight": OMEGA, "z_loss": 0.01},
    "prior": {"label_smoothing": 0.2, "smoothing_prior": PRIOR},
    "weighted prior": {"label_smoothing": 0.2, "smoothing_prior": PRIOR, "class_weight": OMEGA},
}


def combine(loss, options):
    """Whether a row has one w for both."""
    own_weight = "label_smoothing" in options and {"class_weight", "smoothing_prior"} & {*options}
    return not (loss.needs_weighted and own_weight)


every_combination = pytest.mark.parametrize(
    ("loss", "literal", "options"),
    [
        pytest.param(*row, options, id=f"{row.loss.label}, {name}")
        for row in ROWS
        for name, options in OPTIONS.items()
        if combine(row.loss, options)
    ],
)


def statistics(objective, logits, run=rows.statistics):
    problem = rows.make(
        logits,
        torch.tensor(TARGET[: len(logits)]),
        weight=objective.weight,
        temperature=1 / objective.scale,
        ignore_index=objective.ignore_index,
    )
    return run(problem, weighted=objective.needs_weighted)


def objective_of(loss, options):
    return Objective(loss, C, ignore_index=-100, **options)


@every_combination
def test_slopes_are_the_derivatives_of_the_value(loss, literal, options):
    """The gradient by slopes is autograd's of the value, which is also the value of the terms."""
    objective = objective_of(loss, options)
    logits = torch.tensor(LOGITS / loss.scale, requires_grad=True)
    for sample_weight in (None, SAMPLE_WEIGHT):
        value = objective.value(statistics(objective, logits, _pure.statistics), sample_weight)
        (want,) = torch.autograd.grad(value.sum(), logits)
        row = statistics(objective, logits.detach())
        terms = objective.terms(row, sample_weight)
        torch.testing.assert_close(terms.value, value.detach(), rtol=1e-11, atol=1e-14)
        got = rows.gradient(row.rows, row, terms.slopes)
        torch.testing.assert_close(got, want, rtol=1e-10, atol=1e-12 * loss.scale)
        np.testing.assert_array_equal(value.detach()[::4], 0)


@every_combination
def test_the_formula(loss, literal, options):
    """ω_y·((1 − ε)·f + λ·L²) + ε·Σ_j π_j ω_j (−log p_j), times the row's own weight."""
    objective = objective_of(loss, options)
    logits, keep = torch.tensor(LOGITS / loss.scale), torch.tensor(TARGET != -100)
    target = torch.tensor(TARGET)
    omega = options.get("class_weight", torch.ones(C, dtype=torch.float64))
    prior = options.get("smoothing_prior", torch.ones(C, dtype=torch.float64) / C)
    epsilon, z_loss = options.get("label_smoothing", 0), options.get("z_loss", 0)
    plain = torch.zeros(N, dtype=torch.float64)
    plain[keep] = torch.tensor(loss.loss(TARGET[TARGET != -100], logits[keep].numpy()))
    scaled = logits * loss.scale
    of_row = omega[target.clamp(min=0)] * (
        (1 - epsilon) * plain + z_loss * scaled.logsumexp(-1) ** 2
    )
    smooth = epsilon * -(prior * omega * scaled.log_softmax(-1)).sum(-1)
    want = torch.where(keep, of_row + smooth, 0) * SAMPLE_WEIGHT
    got = objective.terms(statistics(objective, logits), SAMPLE_WEIGHT).value
    torch.testing.assert_close(got, want, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("weight", [None, OMEGA], ids=["ones", "omega"])
def test_smoothed_cross_entropy_is_torchs(path, weight):
    objective = Objective(losses.CrossEntropy(), C, weight, 0.1, ignore_index=-100)
    logits, target = torch.tensor(LOGITS), torch.tensor(TARGET)
    row = statistics(objective, logits)
    value = objective.value(row).sum() / objective.normalizer(row)
    want = torch.nn.functional.cross_entropy(logits, target, weight, label_smoothing=0.1)
    torch.testing.assert_close(value, want)


EDGES = torch.tensor(
    [
        [-np.inf, 0.0, 1.0],
        [-np.inf, 0.0, -np.inf],
        [0.0, -np.inf, -np.inf],
        [-1e4, 0.0, 1.0],
        [1e4, 0.0, 1.0],
        [0.0, 0.0, 0.0],
    ],
    dtype=torch.float64,
)


@every_loss
@pytest.mark.parametrize("ignored", [False, True])
@pytest.mark.parametrize("weight", [None, 0.0, 1.0])
def test_derivatives_of_the_value_are_finite_at_the_edges(loss, literal, ignored, weight):
    """At p = 0 and p = 1, in ignored rows and in rows that weigh nothing."""
    target = torch.full((len(EDGES),), -100 if ignored else 0)
    logits = (EDGES / loss.scale).requires_grad_()
    objective = Objective(loss, 3, ignore_index=-100)
    problem = rows.make(logits, target, temperature=1 / loss.scale, ignore_index=-100)
    row = _pure.statistics(problem, weighted=loss.needs_weighted)
    sample_weight = None if weight is None else torch.full((len(EDGES),), weight).double()
    value = objective.value(row, sample_weight)
    derivatives = torch.autograd.grad(value.sum(), (row.table, logits), materialize_grads=True)
    assert all(derivative.isfinite().all() for derivative in derivatives)
    if ignored or weight == 0:
        np.testing.assert_array_equal(value.detach(), 0)


@every_loss
def test_a_graph_without_breaks(loss, literal):
    """Terms and value as a compiler traces them."""
    objective = objective_of(loss, {"class_weight": OMEGA})
    row = statistics(objective, torch.tensor(LOGITS / loss.scale))

    def both(table):
        statistics = rows.RowStatistics(row.rows, table)
        terms = objective.terms(statistics, SAMPLE_WEIGHT)
        return terms.value, terms.slopes, objective.value(statistics)

    torch.compiler.reset()
    compiled = torch.compile(both, backend="aot_eager", fullgraph=True)(row.table)
    value, slopes, alone = both(row.table)
    torch.testing.assert_close(compiled[0], value)
    torch.testing.assert_close(tuple(compiled[1]), tuple(slopes))
    torch.testing.assert_close(compiled[2], alone)


@every_loss
def test_function_transforms_follow_the_value(loss, literal):
    objective = objective_of(loss, {})
    logits = torch.tensor(LOGITS[:4] / loss.scale)

    def value(logits):
        return objective.value(statistics(objective, logits, _pure.statistics)).sum()

    row = statistics(objective, logits)
    gradient = rows.gradient(row.rows, row, objective.terms(row).slopes)
    torch.testing.assert_close(torch.func.grad(value)(logits), gradient, rtol=1e-9, atol=1e-11)
    forward = torch.func.jacfwd(value)(logits)
    torch.testing.assert_close(forward, gradient, rtol=1e-9, atol=1e-11)
    diagonal = torch.func.hessian(value)(logits).reshape(4 * C, 4 * C).diagonal().reshape(4, C)
    keep = TARGET[:4] != -100
    want = loss.gradient_hessian(TARGET[:4][keep], logits[keep].numpy())[1]
    np.testing.assert_allclose(diagonal[keep], want, rtol=1e-8, atol=1e-10 * loss.scale**2)


def test_what_the_statistics_must_hold():
    plain, normalized = losses.CrossEntropy(), losses.NormalizedCrossEntropy()
    assert not Objective(plain, C).needs_weighted
    assert Objective(plain, C, label_smoothing=0.1).needs_weighted
    assert Objective(normalized, C).needs_weighted
    assert Objective(plain, C, OMEGA).weight is None
    assert Objective(plain, C, OMEGA, 0.1).weight is OMEGA
    assert Objective(plain, C, None, 0.1, smoothing_prior=PRIOR).weight is PRIOR
    both = Objective(plain, C, OMEGA, 0.1, smoothing_prior=PRIOR).weight
    torch.testing.assert_close(both, OMEGA * PRIOR)
    assert Objective(normalized, C, OMEGA).weight is None
    assert Objective(normalized, C, label_smoothing=0.1).weight is None
    assert Objective(losses.CosFace(scale=7.0), C).scale == 7.0


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"class_weight": OMEGA}, "does not combine with label smoothing by class weights"),
        ({"smoothing_prior": PRIOR}, "does not combine with label smoothing by a prior"),
    ],
)
def test_two_weighted_sums_do_not_combine(options, says):
    loss = losses.active_passive()
    with pytest.raises(ValueError, match=says):
        _ = Objective(loss, C, label_smoothing=0.1, **options).weight


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ([0.5, 0.5, 0.0], None),
        ([0.5, 0.5], r"a probability for each of the 3 classes, got shape \(2,\)"),
        ([0.5, 0.6, 0.1], "sum to 1.2, the least 0.1; divide counts by their sum"),
        ([1.5, -0.5, 0.0], "the least -0.5"),
        ([np.nan, 0.5, 0.5], "sum to nan"),
    ],
)
@pytest.mark.parametrize("convert", [np.array, torch.tensor])
def test_distributions(values, says, convert):
    if says is None:
        _check.distribution(convert(values), 3, "smoothing_prior")
    else:
        with pytest.raises(ValueError, match=says):
            _check.distribution(convert(values), 3, "smoothing_prior")


def test_every_kind_of_row_is_in_the_table():
    """Else the tests above have lost their point."""
    kinds = [(row.loss.needs_weighted, row.loss.scale == 1) for row in ROWS]
    assert {(False, True), (True, True), (False, False)} <= set(kinds)
