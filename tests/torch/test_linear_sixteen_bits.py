"""Operands of 16 bits: gradients summed in float32, rounded once; autocast; a model that learns."""

import argparse
import inspect

import pytest
import torch
from torch import nn
from torch.nn import functional

from crossentropy.torch import LinearOptions, _linear_layer, linear_cross_entropy

SHORT = [torch.bfloat16, torch.float16]
# all samples in a block; and fewer, where dX and dW go through the blocks apart
BLOCKS = {"all samples": 2**19, "some samples": 2**16}


@pytest.fixture(autouse=True)
def _one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)  # threads would cost more than these sizes
    yield
    torch.set_num_threads(before)


every_size = pytest.mark.parametrize("max_bytes", BLOCKS.values(), ids=BLOCKS)


def batch(dtype, samples=512, features=32, classes=300):
    generator = torch.Generator().manual_seed(0)
    hidden = torch.randn(samples, features, generator=generator)
    weight = torch.randn(classes, features, generator=generator) * 0.2
    bias = torch.randn(classes, generator=generator)
    target = torch.randint(classes, (samples,), generator=generator)
    return [x.to(dtype).requires_grad_() for x in (hidden, weight, bias)], target


def gradients_of(layer, given, target, factor=1.0):
    value = layer(given[0], given[1], given[2], target)
    return value, torch.autograd.grad(value * factor, given)


def plain(hidden, weight, bias, target):
    return functional.cross_entropy(functional.linear(hidden, weight, bias), target)


@every_size
@pytest.mark.parametrize("dtype", SHORT, ids=str)
@pytest.mark.parametrize("factor", [1.0, 3.0, 1024.0])
def test_within_one_rounding_of_float64(dtype, max_bytes, factor):
    given, target = batch(dtype)

    def ours(x, w, b, y):
        options = LinearOptions(max_bytes=max_bytes)
        return linear_cross_entropy(x, w, y, linear_bias=b, options=options)

    wide = [x.detach().double().requires_grad_() for x in given]
    exact_value, exact = gradients_of(plain, wide, target, factor)
    value, got = gradients_of(ours, given, target, factor)
    torchs = gradients_of(plain, given, target, factor)[1]
    assert value == exact_value.to(dtype)
    for mine, theirs, true in zip(got, torchs, exact, strict=True):
        error, its, least = (
            (x.double() - true).abs().max() for x in (mine, theirs, true.to(dtype))
        )
        assert error <= 1.1 * its
        assert error <= 1.02 * least


@every_size
def test_products_in_bfloat16_where_the_machine_has_them(monkeypatch, max_bytes):
    """Their rounding is torch's own; the sums over blocks are still in float32."""
    given, target = batch(torch.bfloat16)
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: True)
    assert _linear_layer.block_dtype(given[0]) == torch.bfloat16
    options = LinearOptions(max_bytes=max_bytes)
    value = linear_cross_entropy(given[0], given[1], target, linear_bias=given[2], options=options)
    got = torch.autograd.grad(value, given)
    wide = [x.detach().double().requires_grad_() for x in given]
    exact_value, exact = gradients_of(plain, wide, target)
    torchs = gradients_of(plain, given, target)[1]
    torch.testing.assert_close(value.double(), exact_value, rtol=5e-3, atol=0)
    # a sum over several blocks, each of whose products is rounded: dX always, dW for some samples
    bounds = 2.5, 1.1 if max_bytes == BLOCKS["all samples"] else 2.5, 1.1
    for mine, theirs, true, most in zip(got, torchs, exact, bounds, strict=True):
        error, its = ((x.double() - true).abs().max() for x in (mine, theirs))
        assert error <= most * its


@pytest.mark.parametrize("operands", [torch.float32, torch.bfloat16], ids=str)
def test_autocast(operands):
    given, target = batch(operands)
    with torch.autocast("cpu", torch.bfloat16):
        value = linear_cross_entropy(given[0], given[1], target, linear_bias=given[2])
        want = plain(*given, target)
    assert value.dtype == want.dtype == torch.float32
    torch.testing.assert_close(value, want, rtol=2e-3, atol=0)
    got, theirs = (torch.autograd.grad(v, given) for v in (value, want))
    for mine, other in zip(got, theirs, strict=True):
        assert mine.dtype == operands
        torch.testing.assert_close(mine, other, rtol=0.1, atol=5e-5)


class ByteModel(nn.Module):
    """Predicts a byte from the four before it."""

    def __init__(self):
        super().__init__()
        self.embedding, self.mixing = nn.Embedding(256, 16), nn.Linear(64, 32)
        self.head = nn.Linear(32, 256)

    def hidden(self, text):
        padded = functional.pad(text, (3, 0))
        context = self.embedding(padded.unfold(1, 4, 1)).flatten(2)
        return torch.tanh(self.mixing(context))


def losses_of(fused):
    text = inspect.getsource(argparse).encode()[:16384]
    text = torch.tensor(list(text)).view(-1, 128)
    torch.manual_seed(0)
    model, seen = ByteModel(), []
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    for step in range(25):
        tokens = text[torch.arange(16) + 16 * (step % 8)]
        hidden, head = model.hidden(tokens), model.head
        if fused:
            options = LinearOptions(max_bytes=2**20)
            loss = linear_cross_entropy(
                hidden, head.weight, tokens, linear_bias=head.bias, shift=True, options=options
            )
        else:
            logits = head(hidden)[:, :-1].flatten(0, 1)
            loss = functional.cross_entropy(logits, tokens[:, 1:].flatten())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        seen.append(loss.item())
    return torch.tensor(seen)


def test_a_language_model_of_bytes_learns_as_with_the_plain_layer():
    ours, theirs = losses_of(True), losses_of(False)
    assert ours[-1] < 0.7 * ours[0]
    torch.testing.assert_close(ours, theirs, rtol=2e-3, atol=2e-3)
