"""What `return_stats` adds: per-row statistics from the same pass, whatever the reduction."""

import pytest
import torch

from crossentropy.torch import CrossEntropyLoss, CrossEntropyResult, cross_entropy
from tests.torch.test_cross_entropy import batch

DTYPES = (torch.float32, torch.float64, torch.bfloat16, torch.float16)


def expected(seen, target, ignore_index=-100):
    """log p, logsumexp, argmax and correctness, in float64, of logits as the rule sees them."""
    seen = seen.detach().double()
    kept = target != ignore_index
    safe = torch.where(kept, target, 0)
    log_prob = seen.log_softmax(1).gather(1, safe.unsqueeze(1)).squeeze(1)
    argmax = seen.argmax(1)
    zero = torch.zeros_like(log_prob)
    return (
        torch.where(kept, log_prob, zero),
        torch.where(kept, seen.logsumexp(1), zero),
        torch.where(kept, argmax, 0),
        (argmax == target) & kept,
    )


def assert_stats(result, want, dtype):
    tolerance = {"rtol": 3e-6, "atol": 3e-6} if dtype != torch.float64 else {}
    for mine, theirs in zip(result[1:3], want[:2], strict=True):
        assert mine.dtype == torch.promote_types(dtype, torch.float32)
        assert not mine.requires_grad
        torch.testing.assert_close(mine.double(), theirs, **tolerance)
    assert torch.equal(result.argmax, want[2])
    assert torch.equal(result.correct, want[3])


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("shape", [(8, 5), (2, 5, 3), (2, 5, 3, 4), (9, 40)])
@pytest.mark.parametrize("reduction", ["none", "mean"])
def test_statistics_of_every_row(path, dtype, shape, reduction):
    logits, target = batch(*shape, dtype=dtype)
    result = cross_entropy(logits, target, reduction=reduction, return_stats=True)
    assert isinstance(result, CrossEntropyResult)
    alone = cross_entropy(logits, target, reduction=reduction)
    torch.testing.assert_close(result.loss, alone, rtol=3 * torch.finfo(dtype).eps, atol=0)
    assert_stats(result, expected(logits, target), dtype)
    result.loss.sum().backward()
    assert logits.grad is not None


def test_of_the_logits_as_the_rule_sees_them(path):
    logits, target = batch(8, 5)
    bias = torch.linspace(-2, 2, 5, dtype=torch.float64)
    options = {"softcap": 2.0, "temperature": 0.5, "logit_bias": bias, "loss": "focal"}
    result = cross_entropy(logits, target, return_stats=True, **options)
    assert_stats(result, expected(2 * torch.tanh(logits / 2) / 0.5 + bias, target), torch.float64)


def test_without_a_gradient_and_unbatched(path):
    logits = torch.tensor([0.0, 2.0, 1.0])
    result = cross_entropy(logits, torch.tensor(1), return_stats=True)
    assert [x.shape for x in result] == [torch.Size()] * 5
    assert (result.argmax, result.correct) == (1, True)
    torch.testing.assert_close(result.loss, -result.log_prob)


def test_an_ignored_class_is_not_correct(path):
    logits, target = torch.eye(3), torch.arange(3)
    result = cross_entropy(logits, target, ignore_index=2, return_stats=True)
    assert result.correct.tolist() == [True, True, False]
    assert result.argmax.tolist() == [0, 1, 0]


def test_transformed(path):
    logits, target = batch(8, 5)

    def function(z):
        result = cross_entropy(z, target, return_stats=True)
        return result.loss, result

    gradient, result = torch.func.grad(function, has_aux=True)(logits.detach())
    assert_stats(result, expected(logits, target), torch.float64)
    want = torch.autograd.grad(cross_entropy(logits, target), logits)[0]
    torch.testing.assert_close(gradient, want)


@pytest.mark.parametrize("shape", [(8, 5), (2, 5, 3)])
def test_compiled(path, shape):
    torch.compiler.reset()
    logits, target = batch(*shape)
    compiled = torch.compile(cross_entropy, fullgraph=True, backend="aot_eager")
    result = compiled(logits, target, return_stats=True)
    assert_stats(result, expected(logits, target), torch.float64)
    want = torch.autograd.grad(cross_entropy(logits, target), logits)[0]
    torch.testing.assert_close(torch.autograd.grad(result.loss, logits)[0], want)
    torch.compiler.reset()


def test_the_module_returns_them_too(path):
    logits, target = batch(8, 5)
    result = CrossEntropyLoss(return_stats=True)(logits, target)
    assert_stats(result, expected(logits, target), torch.float64)
