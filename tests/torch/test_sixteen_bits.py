"""Sixteen bits: float32 inside, rounded once, so as accurate as the type allows."""

import pytest
import torch
from torch.nn import functional

from crossentropy.torch import cross_entropy

SHORT = [torch.bfloat16, torch.float16]
OPTIONS = {
    "plain": {},
    "smoothed": {"label_smoothing": 0.1},
    "weighted": {"weight": torch.linspace(0.5, 2, 100)},
}


def logits_of(dtype, count=256, classes=100):
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(count, classes, generator=generator).mul(4).to(dtype)
    return logits.requires_grad_(), torch.randint(0, classes, (count,), generator=generator)


def error(got, exact):
    return (got.double() - exact).abs().max().item()


@pytest.mark.parametrize("dtype", SHORT, ids=str)
@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
@pytest.mark.parametrize("planes", [False, True])
def test_within_a_tenth_of_float32_rounded_once(path, dtype, options, planes):
    logits, target = logits_of(dtype)
    exact = {k: v.double() if isinstance(v, torch.Tensor) else v for k, v in options.items()}
    wide = logits.detach().double().requires_grad_()
    want = functional.cross_entropy(wide, target, reduction="none", **exact)
    (want_gradient,) = torch.autograd.grad(want.sum(), wide)
    given = logits.t().unsqueeze(0) if planes else logits
    labels = target.unsqueeze(0) if planes else target
    got = cross_entropy(given, labels, reduction="none", **options)
    (gradient,) = torch.autograd.grad(got.sum(), logits)
    assert got.dtype == gradient.dtype == dtype
    assert error(got.flatten(), want) <= 1.1 * error(want.to(dtype), want)
    assert error(gradient, want_gradient) <= 1.1 * error(want_gradient.to(dtype), want_gradient)


@pytest.mark.parametrize("dtype", SHORT, ids=str)
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_means_of_many_rows_do_not_overflow(path, dtype, smoothing):
    """torch's is inf in float16 (pytorch#85791), with smoothing from 256 rows on."""
    logits, target = logits_of(dtype, 4096)
    got = cross_entropy(logits, target, label_smoothing=smoothing)
    want = functional.cross_entropy(logits.double(), target, label_smoothing=smoothing)
    torch.testing.assert_close(got, want.to(dtype), rtol=0, atol=0)


def test_a_mean_at_size():
    logits, target = logits_of(torch.float16, 32768, 1000)
    got = cross_entropy(logits, target)
    (gradient,) = torch.autograd.grad(got, logits)
    want = functional.cross_entropy(logits.detach().float(), target)
    torch.testing.assert_close(got, want.half())
    assert gradient.isfinite().all()


@pytest.mark.parametrize("dtype", SHORT, ids=str)
def test_every_option_at_once(path, dtype):
    logits, target = logits_of(dtype)
    options = {
        "weight": torch.linspace(0.5, 2, 100, dtype=dtype),
        "label_smoothing": 0.1,
        "logit_bias": torch.linspace(-1, 1, 100, dtype=dtype),
        "softcap": 10.0,
        "temperature": 1.5,
        "z_loss": 0.01,
        "loss": "focal",
    }
    wide = logits.detach().double().requires_grad_()
    exact = {k: v.double() if isinstance(v, torch.Tensor) else v for k, v in options.items()}
    got, want = cross_entropy(logits, target, **options), cross_entropy(wide, target, **exact)
    torch.testing.assert_close(got, want.to(dtype))
    (gradient,) = torch.autograd.grad(got, logits)
    (want_gradient,) = torch.autograd.grad(want, wide)
    torch.testing.assert_close(gradient, want_gradient.to(dtype))
