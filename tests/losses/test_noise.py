"""Losses for labels that are wrong in a known way, by hand, by autograd and by identities."""

import copy
import pickle

import array_api_strict
import mpmath
import numpy as np
import pytest
import torch

from crossentropy import losses, rows
from crossentropy.losses import (
    BackwardCorrection,
    Binary,
    CrossEntropy,
    Focal,
    ForwardCorrection,
    HardBootstrapping,
    MeanAbsoluteError,
    NormalizedCrossEntropy,
)
from tests.losses.test_family import some_rows

INF = np.inf
HAND = np.array([[0.9, 0.1], [0.3, 0.7]])
CORRECTIONS = [ForwardCorrection, BackwardCorrection]


def noise(classes, keep=0.6):
    """A transition matrix that is not symmetric, with a class that is never mislabelled."""
    spread = np.random.default_rng(classes).dirichlet(np.ones(classes), classes)
    matrix = keep * np.eye(classes) + (1 - keep) * spread
    matrix[0] = np.eye(classes)[0]
    return matrix


def members(classes):
    return [
        ForwardCorrection(noise(classes)),
        BackwardCorrection(noise(classes)),
        HardBootstrapping(),
        HardBootstrapping(0.3),
    ]


def literal(loss, z, target):
    """The papers' formulas, by row, in torch operations that autograd follows."""
    log_p = z.log_softmax(-1)
    every = torch.arange(len(z))
    if isinstance(loss, HardBootstrapping):
        doubted = log_p[every, log_p.detach().argmax(-1)]
        return -loss.beta * log_p[every, target] - (1 - loss.beta) * doubted
    matrix = torch.tensor(loss.transition, dtype=torch.float64)
    if isinstance(loss, BackwardCorrection):
        return (matrix.inverse()[target] * -log_p).sum(-1)
    return -(log_p.exp() @ matrix)[every, target].log()


def by_autograd(loss, logits, target):
    """Value, gradient and Hessian diagonal of the literal formula in float64."""
    z = torch.tensor(logits, dtype=torch.float64, requires_grad=True)
    value = literal(loss, z, torch.tensor(target))
    (gradient,) = torch.autograd.grad(value.sum(), z, create_graph=True)
    columns = [
        torch.autograd.grad(gradient[:, j].sum(), z, retain_graph=True)[0][:, j]
        for j in range(z.shape[1])
    ]
    return value.detach().numpy(), gradient.detach().numpy(), torch.stack(columns, 1).numpy()


@pytest.mark.parametrize("member", range(4))
@pytest.mark.parametrize("classes", [2, 3, 17])
def test_value_gradient_and_hessian_are_autograds(path, member, classes):
    loss = members(classes)[member]
    logits, target = some_rows(classes, n=40)
    value, gradient, hessian = by_autograd(loss, logits, target)
    np.testing.assert_allclose(loss.loss(target, logits), value, rtol=1e-11)
    got = loss.loss_gradient(target, logits)
    np.testing.assert_allclose(got[0], value, rtol=1e-11)
    np.testing.assert_allclose(got[1], gradient, rtol=1e-10, atol=1e-13)
    got = loss.gradient_hessian(target, logits)
    np.testing.assert_allclose(got[0], gradient, rtol=1e-10, atol=1e-13)
    np.testing.assert_allclose(got[1], hessian, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize(
    ("loss", "label", "want"),
    [
        (ForwardCorrection(HAND), 0, -np.log(0.8 * 0.9 + 0.2 * 0.3)),
        (ForwardCorrection(HAND), 1, -np.log(0.8 * 0.1 + 0.2 * 0.7)),
        # the inverse is [[.7, −.1], [−.3, .9]]/.6
        (BackwardCorrection(HAND), 0, (-0.7 * np.log(0.8) + 0.1 * np.log(0.2)) / 0.6),
        (BackwardCorrection(HAND), 1, (0.3 * np.log(0.8) - 0.9 * np.log(0.2)) / 0.6),
        (HardBootstrapping(), 0, -np.log(0.8)),
        (HardBootstrapping(), 1, -0.8 * np.log(0.2) - 0.2 * np.log(0.8)),
    ],
    ids=repr,
)
def test_by_hand(path, loss, label, want):
    """Of p = (.8, .2)."""
    got = loss.loss(np.array([label]), np.log([[0.8, 0.2]]))
    np.testing.assert_allclose(got, [want], rtol=1e-13)


# ---- identities -------------------------------------------------------------------------------

EDGES = np.array(
    [
        [-INF, 0.0, 1.0],
        [-INF, 0.0, -INF],
        [0.0, -INF, -INF],
        [-1e4, 0.0, 1.0],
        [1e4, 0.0, 1.0],
        [40.0, 0.0, 1.0],
    ]
)


@pytest.mark.parametrize(
    "loss",
    [ForwardCorrection(np.eye(3)), BackwardCorrection(np.eye(3)), HardBootstrapping(1.0)],
    ids=repr,
)
def test_without_noise_it_is_cross_entropy(path, loss):
    """And stays it where classes are impossible and where the model is certain."""
    logits = np.concatenate([EDGES, some_rows(3)[0]])
    for label in range(3):
        target = np.full(len(logits), label)
        got, want = (x.loss_gradient(target, logits) for x in (loss, CrossEntropy()))
        np.testing.assert_allclose(got[0], want[0], rtol=1e-13)
        np.testing.assert_allclose(got[1], want[1], rtol=1e-12, atol=1e-30)
        np.testing.assert_allclose(
            loss.gradient_hessian(target, logits)[1],
            CrossEntropy().gradient_hessian(target, logits)[1],
            atol=1e-15,
        )


def test_backward_correction_is_unbiased(path):
    """Over the labels that class i gets, loss and gradient are in the mean those of label i."""
    transition, (logits, _) = noise(5), some_rows(5)
    observed = [BackwardCorrection(transition).loss_gradient(of(j), logits) for j in range(5)]
    for i in range(5):
        for part, want in enumerate(CrossEntropy().loss_gradient(of(i), logits)):
            mean = sum(transition[i, j] * observed[j][part] for j in range(5))
            np.testing.assert_allclose(mean, want, rtol=1e-11, atol=1e-13)


def of(label, n=8):
    return np.full(n, label)


def expected_gradient(loss, logits, posterior, transition):
    """Over true labels of a posterior and the labels observed in their place."""
    each = [loss.loss_gradient(of(j, 1), logits[None])[1][0] for j in range(len(logits))]
    return (posterior @ transition) @ np.array(each)


@pytest.mark.parametrize("correction", CORRECTIONS)
def test_the_minimiser_is_the_clean_posterior(path, correction):
    """To which cross entropy, that of the noisy labels, is blind."""
    transition = noise(4)
    posterior = np.array([0.1, 0.2, 0.3, 0.4])
    logits = np.log(posterior)
    gradient = expected_gradient(correction(transition), logits, posterior, transition)
    np.testing.assert_allclose(gradient, 0, atol=1e-15)
    assert np.abs(expected_gradient(CrossEntropy(), logits, posterior, transition)).max() > 0.05


@pytest.mark.parametrize("correction", CORRECTIONS)
def test_labels_that_are_swapped_are_swapped_back(path, correction):
    """With all digits, however small the loss: labels of class k are always k + 1."""
    shifted = np.roll(np.eye(4), 1, axis=1)
    logits = np.array([[0.0, -1.0, 2.0, 1.0], [-30.0, 0.0, -40.0, -INF]])
    true = np.array([2, 1])
    want = CrossEntropy().loss_gradient(true, logits)
    got = correction(shifted).loss_gradient(true + 1, logits)
    np.testing.assert_allclose(got[0], want[0], rtol=1e-12)
    np.testing.assert_allclose(got[1], want[1], rtol=1e-12)


def test_bootstrapping_believes_the_model_alone_without_beta(path):
    logits, target = some_rows(6)
    got = HardBootstrapping(0.0).loss_gradient(target, logits)
    want = CrossEntropy().loss_gradient(logits.argmax(1), logits)
    for mine, theirs in zip(got, want, strict=True):
        np.testing.assert_allclose(mine, theirs, rtol=1e-12, atol=1e-15)


def test_of_equal_logits_the_first_is_predicted(path):
    gradient = HardBootstrapping().loss_gradient(np.array([2]), np.zeros((1, 4)))[1]
    np.testing.assert_allclose(gradient, [[0.25 - 0.2, 0.25, 0.25 - 0.8, 0.25]])


# ---- accuracy and edges -----------------------------------------------------------------------


@pytest.mark.parametrize("margin", [-1e4, -200.0, -20.0, -1.0, 0.5, 1.0, 20.0, 57.0])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_forward_value_to_sixty_digits(path, margin, dtype):
    """Whether the loss is 1e-25 or 1e4: what class 0 is never called is exact in 1 − T."""
    transition = np.array([[1.0, 0.0], [1e-3, 1 - 1e-3]])
    margin = float(dtype(margin))
    with mpmath.workdps(80):
        p = 1 / (1 + mpmath.exp(-mpmath.mpf(margin)))
        seen = [p + (1 - p) * mpmath.mpf(1e-3), (1 - p) * mpmath.mpf(1 - 1e-3)]
        want = [float(-mpmath.log(s)) for s in seen]
    logits = np.array([[margin, 0.0]] * 2, dtype=dtype)
    got = ForwardCorrection(transition).loss(np.array([0, 1]), logits)
    np.testing.assert_allclose(got, want, rtol=1e-12 if dtype is np.float64 else 4e-6)


@pytest.mark.parametrize("margin", [-50.0, -1.0, 1.0, 10.0, 25.0])
def test_gradients_of_confident_rows_keep_their_digits(path, margin):
    """The entry of the label is −p(1 − p)(T[0, 0] − T[1, 0])/s, which p − w would lose."""
    logits = np.array([[margin, 0.0]])
    with mpmath.workdps(60):
        p = 1 / (1 + mpmath.exp(-mpmath.mpf(margin)))
        s = p * mpmath.mpf(0.9) + (1 - p) * mpmath.mpf(0.3)
        want = float(-p * (1 - p) * (mpmath.mpf(0.9) - mpmath.mpf(0.3)) / s)
    gradient = ForwardCorrection(HAND).loss_gradient(np.array([0]), logits)[1]
    np.testing.assert_allclose(gradient, [[want, -want]], rtol=1e-13)


@pytest.mark.parametrize("member", range(4))
@pytest.mark.parametrize("dtype", [np.float32, np.float16])
@pytest.mark.parametrize("offset", [0.0, 1e3])
def test_shorter_types(path, member, dtype, offset):
    loss = members(17)[member]
    logits, target = some_rows(17, n=40)
    logits = (logits + offset).astype(dtype)
    value, gradient, hessian = by_autograd(loss, logits.astype(np.float64), target)
    size = np.abs(value).max()
    np.testing.assert_allclose(loss.loss(target, logits), value, rtol=4e-6, atol=4e-6 * size)
    got = loss.gradient_hessian(target, logits)
    assert got[0].dtype == got[1].dtype == dtype
    step = np.finfo(dtype).eps
    np.testing.assert_allclose(got[0], gradient, rtol=step, atol=step * np.abs(gradient).max())
    np.testing.assert_allclose(got[1], hessian, rtol=4 * step, atol=4 * step)


@pytest.mark.parametrize("member", range(4))
def test_adding_a_constant_changes_nothing(path, member):
    loss, (logits, target) = members(5)[member], some_rows(5)
    got = loss.loss_gradient(target, logits + 1000.0)
    for mine, theirs in zip(got, loss.loss_gradient(target, logits), strict=True):
        np.testing.assert_allclose(mine, theirs, rtol=1e-9, atol=1e-10)


def test_impossible_classes(path):
    """p = (0, 1/2, 1/2)."""
    logits, transition = np.array([[-INF, 0.0, 0.0]]), noise(3)
    for label in range(3):
        s = transition[1:, label].mean()
        value, gradient = ForwardCorrection(transition).loss_gradient(of(label, 1), logits)
        np.testing.assert_allclose(value, [-np.log(s)], rtol=1e-14)
        w = np.array([0, *transition[1:, label] / (2 * s)])
        np.testing.assert_allclose(gradient, [[0, 0.5, 0.5] - w], atol=1e-15)
        weight = np.linalg.inv(transition)[label]
        value, gradient = BackwardCorrection(transition).loss_gradient(of(label, 1), logits)
        np.testing.assert_array_equal(
            value, [np.sign(weight[0]) * INF if weight[0] else np.log(2) * weight.sum()]
        )
        np.testing.assert_allclose(gradient, [[0, 0.5, 0.5] - weight], atol=1e-15)
    value, gradient = HardBootstrapping().loss_gradient(np.array([0]), logits)
    np.testing.assert_array_equal(value, [INF])
    np.testing.assert_allclose(gradient, [[-0.8, 0.3, 0.5]])


def test_a_label_that_no_possible_class_gets(path):
    """The loss is infinite and the gradient pulls to the classes that are behind it, by T."""
    transition = np.array([[0.8, 0.2, 0], [0.4, 0.6, 0], [0, 0, 1.0]])
    loss = ForwardCorrection(transition)
    value, gradient = loss.loss_gradient(np.array([0]), np.array([[-INF, -INF, 1.0]]))
    np.testing.assert_array_equal(value, [INF])
    np.testing.assert_allclose(gradient, [[-2 / 3, -1 / 3, 1]])


@pytest.mark.parametrize("member", range(4))
@pytest.mark.parametrize("row", [[np.nan, 0, 1], [INF, 0, 1], [INF, INF, 1], [-INF, -INF, -INF]])
def test_rows_that_are_no_numbers_are_nan(path, member, row):
    loss = members(3)[member]
    for label in range(3):
        assert np.isnan(loss.loss(of(label, 1), np.array([row]))).all()


# ---- beside the rest of the library -----------------------------------------------------------


@pytest.mark.parametrize("member", range(4))
def test_weights(path, member):
    loss, (logits, target) = members(5)[member], some_rows(5)
    own, by_class = np.linspace(0, 1, 8), np.linspace(1, 2, 5)
    weights = own * by_class[target]
    given = {"sample_weight": own, "class_weight": by_class}
    value, gradient = loss.loss_gradient(target, logits, **given)
    plain = loss.loss_gradient(target, logits)
    np.testing.assert_allclose(value, weights * plain[0])
    np.testing.assert_allclose(gradient, weights[:, None] * plain[1])
    hessian = loss.gradient_hessian(target, logits, **given)[1]
    want = weights[:, None] * loss.gradient_hessian(target, logits)[1]
    np.testing.assert_allclose(hessian, want)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_outputs_may_be_the_logits(path, dtype):
    loss, (logits, target) = members(5)[0], some_rows(5)
    logits = logits.astype(dtype)
    want = loss.gradient_hessian(target, logits)
    value, spent, hessian = np.empty(8), logits.copy(), np.empty_like(logits)
    got = loss.loss_gradient(target, spent, loss_out=value, gradient_out=spent)
    assert got[0] is value
    assert got[1] is spent
    np.testing.assert_array_equal(value, loss.loss(target, logits))
    np.testing.assert_array_equal(spent, want[0])
    spent = logits.copy()
    got = loss.gradient_hessian(target, spent, gradient_out=spent, hessian_out=hessian)
    np.testing.assert_array_equal(spent, want[0])
    np.testing.assert_array_equal(hessian, want[1])


@pytest.mark.parametrize("member", range(4))
@pytest.mark.parametrize(
    "other", [MeanAbsoluteError(), NormalizedCrossEntropy(), HardBootstrapping(0.5)], ids=repr
)
def test_sums(path, member, other):
    loss, (logits, target) = members(5)[member], some_rows(5)
    total = 0.3 * loss + 2 * other
    assert total.needs_logits
    got = *total.loss_gradient(target, logits), total.gradient_hessian(target, logits)[1]
    mine, theirs = (
        (*x.loss_gradient(target, logits), x.gradient_hessian(target, logits)[1])
        for x in (loss, other)
    )
    for sum_of, a, b in zip(got, mine, theirs, strict=True):
        np.testing.assert_allclose(sum_of, 0.3 * a + 2 * b, rtol=1e-12, atol=1e-14)


def test_a_part_with_0_does_not_count():
    total = Focal() + 0 * HardBootstrapping()
    assert not total.needs_logits
    logits, target = some_rows(5)
    np.testing.assert_array_equal(total.loss(target, logits), Focal().loss(target, logits))


@pytest.mark.parametrize("member", range(4))
def test_other_array_libraries(member):
    loss, (logits, target) = members(5)[member], some_rows(5)
    weight = np.linspace(0, 1, 8)
    for convert in (array_api_strict.asarray, torch.tensor):
        arrays = convert(target), convert(logits)
        for method in ("loss_gradient", "gradient_hessian"):
            got = getattr(loss, method)(*arrays, sample_weight=convert(weight))
            want = getattr(loss, method)(target, logits, sample_weight=weight)
            for mine, theirs in zip(got, want, strict=True):
                assert type(mine) is type(arrays[0])
                np.testing.assert_allclose(np.asarray(mine), theirs, rtol=1e-12, atol=1e-14)


def test_no_rows(path):
    value, gradient = ForwardCorrection(HAND).loss_gradient(np.zeros(0, int), np.zeros((0, 2)))
    assert value.shape == (0,)
    assert gradient.shape == (0, 2)


@pytest.mark.parametrize("correction", CORRECTIONS)
def test_corrections_are_values(correction):
    loss = correction(HAND)
    assert loss == correction(HAND.tolist()) == correction(torch.tensor(HAND))
    assert hash(loss) == hash(correction(HAND))
    assert loss != correction(np.eye(2))
    assert eval(repr(loss), vars(losses)) == loss
    assert loss.label == loss.name.replace("_", " ")
    logits, target = some_rows(2)
    for copied in (copy.deepcopy(loss), pickle.loads(pickle.dumps(loss))):
        assert copied == loss
        np.testing.assert_array_equal(copied.loss(target, logits), loss.loss(target, logits))


def test_a_matrix_that_is_changed_later_is_not_the_losss():
    matrix = np.eye(2)
    loss = ForwardCorrection(matrix)
    matrix[:] = 0.5
    np.testing.assert_allclose(loss.loss(np.array([0]), np.log([[0.8, 0.2]])), [-np.log(0.8)])


def test_by_name():
    assert losses.get("hard_bootstrapping", beta=0.5) == HardBootstrapping(0.5)
    assert HardBootstrapping().label == "hard bootstrapping (beta = 0.8)"


# ---- errors -----------------------------------------------------------------------------------


@pytest.mark.parametrize("correction", CORRECTIONS)
@pytest.mark.parametrize(
    ("matrix", "says"),
    [
        ([[0.9, 0.1]], r"must have shape \(C, C\), got \(1, 2\)"),
        ([0.9, 0.1], r"must have shape \(C, C\), got \(2,\)"),
        (np.zeros((0, 0)), r"must have shape \(C, C\), got \(0, 0\)"),
        ([[0.9, 0.1], [1.0]], "must be a matrix of numbers, with lines of one length"),
        ([["a", "b"], ["c", "d"]], "must be a matrix of numbers"),
        ([[9, 1], [3, 7]], "in \\[0, 1\\], got numbers from 1 to 9; divide counts by the sums"),
        ([[1.1, -0.1], [0.0, 1.0]], "got numbers from -0.1 to 1.1"),
        ([[np.nan, 1], [0, 1]], "got numbers from nan to nan"),
        ([[0.9, 0.1], [0.3, 0.6]], "got 0.9 in row 1; divide rows by their sums"),
        (HAND.T, "got 0.8 in row 1; its columns do: give the transpose"),
        ([[1.0, 0.0], [1.0, 0.0]], "a column of zeros: label 1 is never observed"),
    ],
)
def test_matrices_that_are_no_transitions(correction, matrix, says):
    with pytest.raises(ValueError, match=says):
        correction(matrix)


def test_a_matrix_without_an_inverse():
    with pytest.raises(ValueError, match=r"condition number .*ForwardCorrection takes it"):
        BackwardCorrection([[0.5, 0.5], [0.5, 0.5]])
    assert ForwardCorrection([[0.5, 0.5], [0.5, 0.5]])


@pytest.mark.parametrize("correction", CORRECTIONS)
def test_matrices_of_other_classes(path, correction):
    says = "transition matrix is of 2 classes, the logits have 3; give a row and a column"
    for method in ("loss", "loss_gradient", "gradient_hessian"):
        with pytest.raises(ValueError, match=says):
            getattr(correction(HAND), method)(np.array([0]), np.zeros((1, 3)))


@pytest.mark.parametrize("beta", [-0.1, 1.1, np.nan])
def test_beta_out_of_range(beta):
    with pytest.raises(ValueError, match=r"beta must lie in \[0, 1\]"):
        HardBootstrapping(beta)


def test_labels_out_of_range(path):
    with pytest.raises(IndexError, match="Target 2 is out of bounds"):
        ForwardCorrection(HAND).loss(np.array([2]), np.zeros((1, 2)))


def test_there_are_no_slopes_and_no_binary_version():
    logits, target = some_rows(2)
    row = rows.statistics(rows.make(logits, target))
    with pytest.raises(NotImplementedError, match="no slopes in its statistics"):
        HardBootstrapping().terms(row)
    for loss in (HardBootstrapping(), Focal() + ForwardCorrection(HAND)):
        with pytest.raises(ValueError, match="no function of the target's log-probability alone"):
            Binary(loss)
