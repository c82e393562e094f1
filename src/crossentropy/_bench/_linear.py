"""The last layer and its loss in one, beside its bare products, the plain layer and torch's."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from crossentropy.rows._linear_blocks import MAX_BYTES
from crossentropy.torch import linear_cross_entropy

from ._effort import Effort
from ._harness import Run, in_turn, peak_bytes, timed, total_peak_bytes
from ._tables import Figure, Table, at_least, at_most


class _Size(NamedTuple):
    """N samples of D features, and V classes."""

    samples: int
    features: int
    classes: int

    def __str__(self) -> str:
        return f"{self.samples} × {self.features} × {self.classes}"


Layer = Callable[[Tensor, Tensor, Tensor], Tensor]  # the loss of input, weight and target

_WIDE = (_Size(1024, 256, 32000), _Size(1024, 512, 128256))
_SHORT, _SHORT_QUICK = _Size(2048, 512, 32768), _Size(512, 256, 8192)
_MANY = (
    _Size(1024, 256, 32000),
    _Size(4096, 256, 32000),
    _Size(1024, 256, 128256),
    _Size(4096, 256, 128256),
)
_MILLION = _Size(512, 128, 1_000_000)
_SIZES = "N × D × classes"


def tables(effort: Effort) -> Iterator[Table]:
    """Speed in float32 and bfloat16, and memory."""
    rounds = 1 if effort.quick else 3
    wide = _WIDE[:1] if effort.quick else _WIDE
    yield Table(
        "Linear layer and loss, float32, forward + backward",
        [_SIZES, "time / products", "plain / ours", "chunked / ours"],
        [(str(size), _of_float32(size, rounds)) for size in wide],
        "The products are the three of the layer alone, into ready memory. Plain is F.linear and "
        "F.cross_entropy; chunked is F.linear_cross_entropy with its default options, once.",
    )
    size = _SHORT_QUICK if effort.quick else _SHORT
    yield Table(
        "Linear layer and loss, bfloat16, forward + backward, once each",
        [_SIZES, "plain / ours", "chunked / ours", "dW error, ours / plain"],
        [(str(size), _of_bfloat16(size))],
        "Errors are the greatest, against float64 on the same operands, at "
        f"{_SHORT_QUICK}. {_instructions()}",
    )
    yield _memory(_MANY[:1] if effort.quick else _MANY)
    if not effort.quick:
        peak = total_peak_bytes(functools.partial(_fresh, _ours, _MILLION, torch.float32))
        yield Table(
            f"A million classes: {_MILLION}, float32, forward + backward",
            ["", "GB"],
            [("all of the process", [Figure(peak / 1e9, at_most(1.5))])],
            "Operands, gradients and torch itself included.",
        )


def _ours(hidden: Tensor, weight: Tensor, target: Tensor) -> Tensor:
    return linear_cross_entropy(hidden, weight, target)


def _plain(hidden: Tensor, weight: Tensor, target: Tensor) -> Tensor:
    return functional.cross_entropy(functional.linear(hidden, weight), target)


def _chunked() -> Layer | None:
    """Torch's own, from 2.13 on."""
    fused: Any = getattr(functional, "linear_cross_entropy", None)
    if fused is None:
        return None
    return functools.partial(fused, options=getattr(nn, "LinearCrossEntropyOptions")())  # noqa: B009 # mypy


def _operands(size: _Size, dtype: torch.dtype) -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    hidden = torch.randn(size.samples, size.features, generator=generator).to(dtype)
    weight = torch.randn(size.classes, size.features, generator=generator).mul_(0.05).to(dtype)
    target = torch.randint(size.classes, (size.samples,), generator=generator)
    return hidden.requires_grad_(), weight.requires_grad_(), target


def _training(layer: Layer, hidden: Tensor, weight: Tensor, target: Tensor) -> Run:
    def run() -> None:
        hidden.grad = weight.grad = None
        layer(hidden, weight, target).backward()  # type: ignore[no-untyped-call] # torch's

    return run


def _products(hidden: Tensor, weight: Tensor) -> Run:
    x, w = hidden.detach(), weight.detach()
    logits, dx, dw = x.new_empty(len(w), len(x)), torch.empty_like(x), torch.empty_like(w)

    def run() -> None:
        torch.mm(w, x.t(), out=logits)
        torch.mm(logits.t(), w, out=dx)
        torch.mm(logits, x, out=dw)

    return run


def _of_float32(size: _Size, rounds: int) -> list[Figure]:
    operands = _operands(size, torch.float32)
    runs = {
        "products": _products(*operands[:2]),
        "ours": _training(_ours, *operands),
        "plain": _training(_plain, *operands),
    }
    median = in_turn(runs, rounds)
    return [
        Figure(median["ours"] / median["products"], at_most(1.15)),
        Figure(median["plain"] / median["ours"], at_least(1.3)),
        _beside_chunked(operands, median["ours"], 3),
    ]


def _of_bfloat16(size: _Size) -> list[Figure]:
    operands = _operands(size, torch.bfloat16)
    ours = in_turn({"ours": _training(_ours, *operands)}, 1)["ours"]
    plain = timed(_training(_plain, *operands))
    error, plains = (_error(layer) for layer in (_ours, _plain))
    return [
        Figure(plain / ours, at_least(1.2)),
        _beside_chunked(operands, ours, 8),
        Figure(error / plains, at_most(1.1)),
    ]


def _beside_chunked(operands: tuple[Tensor, Tensor, Tensor], ours: float, bound: float) -> Figure:
    layer = _chunked()
    if layer is None:
        return Figure(None, note="not in this torch")
    return Figure(timed(_training(layer, *operands)) / ours, at_least(bound))


def _error(layer: Layer) -> float:
    """The greatest of dW in bfloat16."""
    hidden, weight, target = _operands(_SHORT_QUICK, torch.bfloat16)
    wide = weight.detach().double().requires_grad_()
    (exact,) = torch.autograd.grad(_plain(hidden.detach().double(), wide, target), wide)
    (got,) = torch.autograd.grad(layer(hidden, weight, target), weight)
    return (got.double() - exact).abs().max().item()


def _instructions() -> str:
    has = torch.cpu._is_avx512_bf16_supported()
    return f"This processor has {'' if has else 'no '}instructions for products in bfloat16."


def _memory(sizes: tuple[_Size, ...]) -> Table:
    return Table(
        "Peak memory of the layer and its loss, forward + backward, above operands and gradients",
        [
            _SIZES,
            "float32: peak / budget",
            "bfloat16: peak / budget",
            "plain, float32: logits / budget",
        ],
        [(str(size), _peaks(size)) for size in sizes],
        f"The budget is the default, {MAX_BYTES >> 20} MB. A plain layer keeps all logits, and "
        "their gradient, of this size each.",
    )


def _peaks(size: _Size) -> list[Figure]:
    figures = []
    for dtype in (torch.float32, torch.bfloat16):
        peak = peak_bytes(functools.partial(_fresh, _ours, size, dtype))
        gradients = dtype.itemsize * size.features * (size.samples + size.classes)
        figures.append(Figure((peak - gradients) / MAX_BYTES, at_most(1.05)))
    return [*figures, Figure(4 * size.samples * size.classes / MAX_BYTES)]


def _fresh(layer: Layer, size: _Size, dtype: torch.dtype) -> Run:
    """A training step, in a process that has allocated what it allocates once."""
    _training(layer, *_operands(_Size(256, 64, 512), dtype))()
    return _training(layer, *_operands(size, dtype))
