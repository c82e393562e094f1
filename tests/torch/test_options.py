"""Our options, alone and together, against the formula of the docstring in plain torch."""

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch.nn import functional

from crossentropy import losses
from crossentropy.torch import CrossEntropyLoss, cross_entropy
from tests.torch.test_cross_entropy import batch

CLOSE = {"rtol": 1e-9, "atol": 1e-11}


def literal(logits, target, rule, options, reduction):
    """The documented formula, for a rule f(u, L) of log p and the logsumexp."""
    classes = logits.shape[1]
    z = logits.movedim(1, -1)
    cap = options.get("softcap")
    if cap is not None:
        z = cap * torch.tanh(z / cap)
    z = z / options.get("temperature", 1.0)
    if options.get("logit_bias") is not None:
        z = z + options["logit_bias"]
    kept = target != -100
    safe = torch.where(kept, target, 0)
    log_p = z.log_softmax(-1)
    u = log_p.gather(-1, safe.unsqueeze(-1)).squeeze(-1)
    weight = options.get("weight")
    weight = torch.ones(classes, dtype=z.dtype) if weight is None else weight
    prior = options.get("smoothing_prior")
    prior = torch.full_like(weight, 1 / classes) if prior is None else prior
    epsilon = options.get("label_smoothing", 0.0)
    value = (1 - epsilon) * rule(u) + options.get("z_loss", 0.0) * z.logsumexp(-1) ** 2
    value = weight[safe] * value - epsilon * (prior * weight * log_p).sum(-1)
    own = options.get("sample_weight")
    own = torch.ones_like(value) if own is None else own
    value = torch.where(kept, own * value, 0.0)
    if reduction == "none":
        return value
    if reduction == "sum":
        return value.sum()
    divisor = options.get("normalizer")
    if divisor is None:
        divisor = torch.where(kept, own * weight[safe], 0.0).sum()
    return value.sum() / divisor


def assert_literal(logits, target, rule, options, reduction, loss=None):
    got = cross_entropy(logits, target, loss=loss, reduction=reduction, **options)
    want = literal(logits, target, rule, options, reduction)
    torch.testing.assert_close(got, want, **CLOSE)
    upstream = torch.rand_like(want)
    got, want = (torch.autograd.grad(value, logits, upstream)[0] for value in (got, want))
    torch.testing.assert_close(got, want, **CLOSE)


def square(u):
    return u**2


RULES = {
    "cross_entropy": (None, lambda u: -u),
    "focal": ("focal", lambda u: -((1 - u.exp()) ** 2) * u),
    "sum": (
        losses.MeanAbsoluteError() + 2 * losses.CrossEntropy(),
        lambda u: 2 * (1 - u.exp() - u),
    ),
    "user's own": (square, square),
}


@pytest.mark.parametrize(("loss", "rule"), RULES.values(), ids=RULES)
@pytest.mark.parametrize("reduction", ["none", "sum", "mean"])
@pytest.mark.parametrize("shape", [(6, 4), (2, 4, 3), (2, 4, 3, 2)])
def test_everything_at_once(path, loss, rule, reduction, shape):
    logits, target = batch(*shape)
    options = {
        "weight": torch.linspace(0.5, 2, 4, dtype=torch.float64),
        "label_smoothing": 0.2,
        "smoothing_prior": torch.tensor([0.4, 0.3, 0.3, 0.0], dtype=torch.float64),
        "softcap": 4.0,
        "temperature": 0.7,
        "logit_bias": torch.linspace(-1, 1, 4, dtype=torch.float64),
        "z_loss": 0.1,
        "sample_weight": torch.rand(target.shape, dtype=torch.float64),
    }
    assert_literal(logits, target, rule, options, reduction, loss)


classes = st.shared(st.integers(1, 70), key="classes")
positive = st.floats(0.25, 4)
per_class = classes.map(lambda c: torch.linspace(0.5, 2, c, dtype=torch.float64))
OPTIONS = st.fixed_dictionaries(
    {},
    optional={
        "weight": per_class,
        "label_smoothing": st.floats(0, 1),
        "smoothing_prior": per_class.map(lambda values: values / values.sum()),
        "softcap": st.floats(1, 30),
        "temperature": positive,
        "logit_bias": per_class,
        "z_loss": st.floats(0, 1),
        "normalizer": positive,
    },
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(OPTIONS, classes, st.integers(1, 5), st.lists(st.integers(1, 5), max_size=2), st.booleans())
def test_any_options_and_shapes(path, options, classes, count, positions, channels_last):
    logits, target = batch(count, classes, *positions)
    if channels_last:
        logits = logits.detach().movedim(1, -1).contiguous().movedim(-1, 1).requires_grad_()
    reduction = "mean" if "normalizer" in options else "none"
    assert_literal(logits, target, lambda u: -u, options, reduction)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_uniform_prior_is_plain_smoothing(path, dtype):
    logits, target = batch(6, 5, dtype=dtype)
    prior = torch.full((5,), 0.2, dtype=dtype)
    got = cross_entropy(logits, target, label_smoothing=0.3, smoothing_prior=prior)
    torch.testing.assert_close(got, functional.cross_entropy(logits, target, label_smoothing=0.3))


def test_a_class_that_is_masked_and_has_no_prior_costs_nothing(path):
    logits = torch.tensor([[0.0, 1.0, -torch.inf]], requires_grad=True)
    prior = torch.tensor([0.5, 0.5, 0.0])
    for softcap in (None, 5.0):
        value = cross_entropy(
            logits, torch.tensor([0]), label_smoothing=0.1, smoothing_prior=prior, softcap=softcap
        )
        (gradient,) = torch.autograd.grad(value, logits)
        assert value.isfinite()
        assert gradient.isfinite().all()
        assert gradient[0, 2] == 0


MARGINS = {"cosface": losses.CosFace(0.2, 8.0), "ldam": losses.LDAM([5, 2, 9, 1], 0.4, 6.0)}


@pytest.mark.parametrize("loss", MARGINS.values(), ids=MARGINS)
def test_a_loss_with_a_scale_multiplies_the_logits(path, loss):
    logits, target = batch(6, 4, ignored=False)
    logits = (logits / 10).detach().requires_grad_()
    got = cross_entropy(logits, target, loss=loss, temperature=2.0)
    want, want_gradient = loss.loss_gradient(target.numpy(), logits.detach().numpy() / 2)
    torch.testing.assert_close(got.item(), want.mean())
    (gradient,) = torch.autograd.grad(got, logits)
    torch.testing.assert_close(gradient, torch.tensor(want_gradient) / 2 / 6)


@pytest.mark.parametrize(
    "options",
    [{}, {"sample_weight": torch.zeros(3)}, {"weight": torch.zeros(4)}, {"normalizer": 0}],
    ids=str,
)
def test_a_mean_over_nothing(path, options):
    logits = torch.randn(3, 4, requires_grad=True)
    target = torch.zeros(3).long() if "sample_weight" in options or "weight" in options else None
    target = torch.full((3,), -100) if target is None else target
    assert cross_entropy(logits, target, **options).isnan()
    value = cross_entropy(logits, target, empty="zero", **options)
    (gradient,) = torch.autograd.grad(value, logits)
    assert value == 0
    assert torch.equal(gradient, torch.zeros(3, 4))
    # and where there is something, nothing changes
    target = torch.tensor([0, -100, 2])
    assert cross_entropy(logits, target, empty="zero") == cross_entropy(logits, target)


def test_no_rows_at_all_may_be_zero(path):
    logits = torch.zeros(0, 4, requires_grad=True)
    value = cross_entropy(logits, torch.zeros(0).long(), empty="zero")
    value.backward()
    assert value == 0
    assert logits.grad.shape == (0, 4)


@pytest.mark.parametrize("normalizer", [3, 3.0, torch.tensor(3), torch.tensor(3.0)])
def test_a_normalizer_of_any_type(path, normalizer):
    logits, target = batch(6, 4)
    got = cross_entropy(logits, target, normalizer=normalizer)
    torch.testing.assert_close(got, cross_entropy(logits, target, reduction="sum") / 3)


def test_the_module_has_every_option(path):
    logits, target = batch(6, 4, dtype=torch.float32)
    options = {
        "label_smoothing": 0.1,
        "softcap": 3.0,
        "smoothing_prior": torch.tensor([0.1, 0.2, 0.3, 0.4]),
        "empty": "zero",
        "loss": square,
    }
    module = CrossEntropyLoss(**options)
    assert module(logits, target) == cross_entropy(logits, target, **options)
    assert set(dict(module.named_buffers())) == {"smoothing_prior"}
    assert "ScalarRule(square, of=('log_prob',)), label_smoothing=0.1, softcap=3.0" in repr(module)
