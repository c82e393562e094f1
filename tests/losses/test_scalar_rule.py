"""A user's rule is a loss like any other."""

import numpy as np
import pytest
import torch

from crossentropy import losses, rows
from crossentropy.losses import Objective, ScalarRule, as_loss
from crossentropy.rows import RowStatistics, _pure
from tests.losses.test_family import some_rows

LOGITS, TARGET = some_rows(5, n=20)
TENSORS = torch.tensor(TARGET), torch.tensor(LOGITS)


def focal(u):
    return -((1 - u.exp()) ** 2) * u


def focal_derivative(u):
    p = np.exp(u)
    return 2 * (1 - p) * p * u - (1 - p) ** 2


def cosface(margin):
    return torch.nn.functional.softplus(2.0 - margin)


def normalized(u, lse, weighted_sum):
    return -u / (5 * lse - weighted_sum)


def literal_z_loss(z, y):
    return torch.nn.functional.cross_entropy(z, y, reduction="none") + 0.1 * z.logsumexp(-1) ** 2


def literal_spread(z, y):
    return (z.logsumexp(-1) - z.mean(-1)) ** 2


BUILT_IN = [
    (ScalarRule(focal), losses.Focal(2.0)),
    (ScalarRule(cosface, of=("margin",)), losses.CosFace(margin=2.0, scale=1.0)),
    (
        ScalarRule(normalized, of=("log_prob", "lse", "weighted_sum")),
        losses.NormalizedCrossEntropy(),
    ),
    (ScalarRule(lambda u, margin: -u, of=("log_prob", "margin")), losses.CrossEntropy()),
]


@pytest.mark.parametrize(("rule", "loss"), BUILT_IN, ids=repr)
@pytest.mark.parametrize(
    "mode", [torch.no_grad, torch.enable_grad, torch.inference_mode], ids=lambda x: x.__name__
)
def test_built_in_losses_by_rules(path, rule, loss, mode):
    want = loss.loss_gradient(*TENSORS)
    with mode():
        got = rule.loss_gradient(*TENSORS)
        alone = rule.loss(*TENSORS)
    for mine, theirs in zip((*got, alone), (*want, want[0]), strict=True):
        assert not mine.requires_grad
        torch.testing.assert_close(mine, theirs, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize(
    ("rule", "literal"),
    [
        (ScalarRule(lambda u, lse: 0.1 * lse**2 - u, of=("log_prob", "lse")), literal_z_loss),
        (ScalarRule(lambda s, lse: (lse - s / 5) ** 2, of=("weighted_sum", "lse")), literal_spread),
    ],
    ids=["z-loss", "spread"],
)
def test_rules_by_autograd_of_the_literal_formula(path, rule, literal):
    logits = TENSORS[1].clone().requires_grad_()
    want = literal(logits, TENSORS[0])
    (gradient,) = torch.autograd.grad(want.sum(), logits)
    got = rule.loss_gradient(*TENSORS)
    torch.testing.assert_close(got[0], want.detach(), rtol=1e-12, atol=1e-13)
    torch.testing.assert_close(got[1], gradient, rtol=1e-12, atol=1e-13)


def test_derivatives_that_are_given(path):
    rule = ScalarRule(lambda u: -((1 - np.exp(u)) ** 2) * u, focal_derivative)
    want = losses.Focal().loss_gradient(TARGET, LOGITS)
    for mine, theirs in zip(rule.loss_gradient(TARGET, LOGITS), want, strict=True):
        np.testing.assert_allclose(mine, theirs, rtol=1e-12, atol=1e-14)
    both = ScalarRule(
        lambda u, lse: 0.1 * lse**2 - u,
        lambda u, lse: (-np.ones_like(u), 0.2 * lse),
        of=("log_prob", "lse"),
    )
    by_torch = ScalarRule(both.function, of=both.of).loss_gradient(*TENSORS)
    for mine, theirs in zip(both.loss_gradient(TARGET, LOGITS), by_torch, strict=True):
        np.testing.assert_allclose(mine, theirs.numpy(), rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("rule", [rule for rule, _ in BUILT_IN], ids=repr)
def test_a_graph_without_breaks(rule):
    problem = rows.make(TENSORS[1], TENSORS[0], ignore_index=-100)
    row = rows.statistics(problem, weighted=True)

    def terms(table):
        value, slopes = rule.terms(RowStatistics(problem, table))
        return value, tuple(slopes)

    torch.compiler.reset()
    compiled = torch.compile(terms, backend="aot_eager", fullgraph=True)
    for enabled in (True, False):
        with torch.set_grad_enabled(enabled):
            torch.testing.assert_close(compiled(row.table), terms(row.table))


def test_function_transforms_and_second_derivatives_follow_the_value():
    objective = Objective(ScalarRule(focal), 5, ignore_index=-100)

    def value(logits):
        problem = rows.make(logits, TENSORS[0][:3], ignore_index=-100)
        return objective.value(_pure.statistics(problem)).sum()

    logits = TENSORS[1][:3]
    gradient = losses.Focal().loss_gradient(TENSORS[0][:3], logits)[1]
    torch.testing.assert_close(torch.func.grad(value)(logits), gradient)
    assert torch.autograd.gradgradcheck(value, logits.clone().requires_grad_())


@pytest.mark.parametrize(
    ("function", "of"),
    [
        (lambda u: 1 + (-u).sqrt(), "log_prob"),
        (lambda margin: margin.exp() + 1, "margin"),
        (lambda lse: 1 / lse, "lse"),
        (lambda weighted_sum: 1 / weighted_sum, "weighted_sum"),
    ],
    ids=lambda x: x if isinstance(x, str) else "",
)
def test_ignored_rows_count_for_nothing(function, of):
    """Though their values or derivatives would be infinite."""
    rule = ScalarRule(function, of=of)
    target = torch.tensor([0, -100, -100])
    logits = TENSORS[1][:3].clone().requires_grad_()
    objective = Objective(rule, 5, ignore_index=-100)
    problem = rows.make(logits, target, ignore_index=-100)
    row = _pure.statistics(problem, weighted=rule.needs_weighted)
    terms = objective.terms(row)
    for value in (objective.value(row), terms.value):
        assert value[0] != 0
        np.testing.assert_array_equal(value.detach()[1:], 0)
    (gradient,) = torch.autograd.grad(objective.value(row).sum(), logits)
    by_slopes = rows.gradient(problem._replace(logits=logits.detach()), row, terms.slopes)
    torch.testing.assert_close(by_slopes.detach(), gradient)
    assert gradient[0].abs().min() > 0
    np.testing.assert_array_equal(gradient[1:], 0)


def test_certain_and_impossible_rows_of_a_margin(path):
    rule = ScalarRule(cosface, of=("margin",))
    logits = torch.tensor([[-np.inf, 0.0], [0.0, -np.inf]], dtype=torch.float64)
    value, gradient = rule.loss_gradient(torch.tensor([0, 0]), logits)
    np.testing.assert_array_equal(value, [np.inf, 0])
    np.testing.assert_array_equal(gradient, [[-1, 1], [0, 0]])


def test_rules_add_up():
    total = 0.5 * ScalarRule(focal) + losses.Poly()
    want = 0.5 * losses.Focal() + losses.Poly()
    got, right = total.loss_gradient(*TENSORS), want.loss_gradient(*TENSORS)
    for mine, theirs in zip(got, right, strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-12, atol=1e-14)


def test_names():
    assert ScalarRule(focal).label == "focal"
    assert ScalarRule(focal, name="my_loss").label == "my loss"
    assert repr(ScalarRule(focal)) == "ScalarRule(focal, of=('log_prob',))"
    assert ScalarRule(focal, of="margin").of == ("margin",)
    assert ScalarRule(focal) == ScalarRule(focal) != ScalarRule(cosface)
    assert len({ScalarRule(focal), ScalarRule(focal)}) == 1


@pytest.mark.parametrize(
    ("make", "error", "says"),
    [
        (
            lambda: ScalarRule(focal, of=("log_probs",)),
            ValueError,
            "unknown statistic 'log_probs'; did you mean 'log_prob'",
        ),
        (lambda: ScalarRule(focal, of=()), ValueError, "of= must name a statistic"),
        (
            lambda: ScalarRule(lambda u: u.sum()).loss(*TENSORS),
            ValueError,
            r"must return one number for each row, shape \(20,\), got torch.Size\(\[\]\)",
        ),
        (
            lambda: ScalarRule(lambda u: 1.0).loss_gradient(*TENSORS),
            ValueError,
            "must return one number for each row.*got float",
        ),
        (
            lambda: ScalarRule(focal, lambda u: 1.0).loss_gradient(*TENSORS),
            ValueError,
            "must return one number for each row.*got float",
        ),
        (
            lambda: ScalarRule(focal, lambda u: (u, u)).loss_gradient(*TENSORS),
            ValueError,
            "derivative= must return 1 arrays, got 2",
        ),
        (
            lambda: ScalarRule(lambda u: -u).loss_gradient(TARGET, LOGITS),
            TypeError,
            "derived for PyTorch tensors only; give derivative=.*ndarray",
        ),
        (
            lambda: ScalarRule(focal).gradient_hessian(*TENSORS),
            NotImplementedError,
            "no second derivatives; subclass",
        ),
        (
            lambda: as_loss(3),
            TypeError,
            "a crossentropy loss, its name or a function of the log-probability, got 3",
        ),
        (lambda: as_loss(losses.Focal), TypeError, "got <class"),
        (lambda: as_loss("focall"), ValueError, "did you mean 'focal'"),
    ],
)
def test_errors(make, error, says):
    with pytest.raises(error, match=says):
        make()


def test_what_a_loss_argument_may_be():
    assert as_loss(None) == losses.CrossEntropy()
    assert as_loss("focal") == losses.Focal()
    loss = losses.Poly()
    assert as_loss(loss) is loss
    assert as_loss(focal) == ScalarRule(focal)
