"""Inputs of every layout: read where they lie, their gradients in the same shape."""

import pytest
import torch
from torch.nn import functional

from crossentropy.torch import cross_entropy
from crossentropy.torch._layout import rows_of
from tests.torch.test_cross_entropy import batch

LAYOUTS = {
    "contiguous": lambda z: z.contiguous(),
    "channels_last": lambda z: z.contiguous(memory_format=torch.channels_last),
    "classes first": lambda z: z.transpose(0, 1).contiguous().transpose(0, 1),
    "every other position": lambda z: z.repeat_interleave(2, 3)[..., ::2],
    "every other class": lambda z: z.repeat_interleave(2, 1)[:, ::2],
    "one row for all": lambda z: z[:1].expand(z.shape),
    "transposed positions": lambda z: z.transpose(2, 3).contiguous().transpose(2, 3),
}
COPIED = {"classes first", "every other position", "every other class", "one row for all"}
COPIED |= {"transposed positions"}


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("options", [{}, {"label_smoothing": 0.1, "reduction": "none"}], ids=str)
def test_every_layout_of_images(path, layout, options):
    logits, target = batch(3, 5, 4, 2)
    logits = LAYOUTS[layout](logits.detach()).requires_grad_()
    got = cross_entropy(logits, target, **options)
    want = functional.cross_entropy(logits, target, **options)
    torch.testing.assert_close(got, want)
    got, want = (torch.autograd.grad(value.sum(), logits)[0] for value in (got, want))
    torch.testing.assert_close(got, want)
    assert (rows_of(logits).data_ptr() == logits.data_ptr()) == (layout not in COPIED)


@pytest.mark.parametrize("transposed", [False, True])
@pytest.mark.parametrize("shape", [(7, 5), (1, 5), (7, 1), (300, 40)])
def test_matrices_are_never_copied(path, shape, transposed):
    logits, target = batch(*shape)
    if transposed:
        logits = logits.detach().t().contiguous().t().requires_grad_()
    assert rows_of(logits).data_ptr() == logits.data_ptr()
    got, want = cross_entropy(logits, target), functional.cross_entropy(logits, target)
    torch.testing.assert_close(got, want, equal_nan=True)
    got, want = (torch.autograd.grad(value, logits)[0] for value in (got, want))
    torch.testing.assert_close(got, want)
    assert got.shape == logits.shape


@pytest.mark.parametrize(
    "shape", [(2, 5, 1, 1), (2, 5, 1), (1, 5, 3, 4), (2, 1, 3), (2, 5, 2, 2, 2)]
)
def test_single_positions_classes_and_three_dimensions(path, shape):
    logits, target = batch(*shape)
    got, want = cross_entropy(logits, target), functional.cross_entropy(logits, target)
    torch.testing.assert_close(got, want, equal_nan=True)


@pytest.mark.parametrize("shape", [(0, 5, 3), (2, 5, 0), (0, 0), (2, 0), (2, 0, 3)])
def test_nothing_to_do(path, shape):
    logits = torch.zeros(shape, requires_grad=True)
    target = torch.full((*shape[:1], *shape[2:]), -100 if shape[1] == 0 else 0)
    got = cross_entropy(logits, target, reduction="sum")
    got.backward()
    assert got == 0
    assert logits.grad.shape == shape


def test_read_only_memory(path):
    logits, target = batch(6, 5)
    logits = logits.detach()
    with torch.inference_mode():
        frozen = logits.clone()
        got = cross_entropy(frozen, target)
    torch.testing.assert_close(got.clone(), functional.cross_entropy(logits, target))
