"""What is measured: batches, and the training step of ours and of every peer on them."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from crossentropy.torch import cross_entropy

from ._harness import Run

SEGMENTATION = (4, 21, 256, 256)
WIDE = (1024, 32000)
MIDDLE = (4096, 1000)
FLAT = (65536, 10)

Loss = Callable[..., Tensor]


def size(shape: tuple[int, ...]) -> str:
    """A shape as tables show it."""
    return " × ".join(map(str, shape))


def batch(shape: tuple[int, ...], dtype: torch.dtype = torch.float32) -> tuple[Tensor, Tensor]:
    """Logits that ask for their gradient, and targets."""
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(shape, generator=generator).mul_(3).to(dtype).requires_grad_()
    target = torch.randint(0, shape[1], (shape[0], *shape[2:]), generator=generator)
    return logits, target


def step(loss: Loss, logits: Tensor, target: Tensor) -> None:
    """Forward and backward, into a fresh gradient."""
    logits.grad = None
    loss(logits, target).backward()  # type: ignore[no-untyped-call] # torch's


def training(loss: Loss, logits: Tensor, target: Tensor) -> Run:
    """`step`, ready to run."""
    return functools.partial(step, loss, logits, target)


def ours(**options: Any) -> Loss:
    """`cross_entropy` with options."""
    return functools.partial(cross_entropy, **options)


def in_place(logits: Tensor, target: Tensor) -> Run:
    """Our training step with the gradient written over the logits.

    They may not be a leaf, so a copy stands for what a layer would have computed. From the
    second run on it holds the gradient of the run before, whose values cost no other time.
    """
    computed = logits * 1
    loss = ours(inplace_backward=True)

    def run() -> object:
        return torch.autograd.grad(loss(computed, target), computed)

    return run


def compiled(loss: Loss = functional.cross_entropy) -> Loss:
    """A loss by torch's compiler, for one shape; the compilations before it are forgotten.

    The compiler gives up on a function after the eighth shape.
    """
    torch.compiler.reset()
    return torch.compile(loss, dynamic=False)


def jax_training(logits: Tensor, target: Tensor) -> Run | None:
    """The loss of optax and its gradient, compiled by jax; None where they are not installed."""
    try:
        import jax
        import optax
    except ImportError:
        return None

    def loss(z: Any, y: Any) -> Any:
        return optax.softmax_cross_entropy_with_integer_labels(z, y, axis=1).mean()

    both = jax.jit(jax.value_and_grad(loss))
    z, y = jax.numpy.asarray(logits.detach().numpy()), jax.numpy.asarray(target.int().numpy())
    wait: Any = jax.block_until_ready
    return lambda: wait(both(z, y))
