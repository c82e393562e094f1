"""The linear layer of a fused loss: its blocks of logits, and the products of their gradient."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor

from crossentropy.rows import _memory
from crossentropy.rows._linear_blocks import Blocks, Shape, blocks_of

from ._linear_options import LinearOptions

_GROUP = 256  # classes that are left out together


class Wants(NamedTuple):
    """Which gradients are asked for."""

    input: bool
    weight: bool
    bias: bool


class Gradients(NamedTuple):
    """Of a layer's operands; None where nobody asked."""

    input: Tensor | None
    weight: Tensor | None
    bias: Tensor | None

    def with_those_of(self, other: Gradients) -> Gradients:
        """These, and of another where these are None."""
        pairs = zip(self, other, strict=True)
        return Gradients(*(theirs if mine is None else mine for mine, theirs in pairs))


class Layer(NamedTuple):
    """Operands without history.

    Attributes
    ----------
    input
        (N, D).
    weight
        (C, P, D).
    bias
        (C, P), or None.
    options
        How to work.
    """

    input: Tensor
    weight: Tensor
    bias: Tensor | None
    options: LinearOptions

    @property
    def shape(self) -> Shape:
        """N, D, C and P."""
        classes, positions, features = self.weight.shape
        return Shape(self.input.shape[0], features, classes, positions)

    @property
    def is_short(self) -> bool:
        """Whether operands have 16 bits."""
        return self.input.dtype.itemsize < 4

    @property
    def dtype(self) -> torch.dtype:
        """Of the blocks."""
        return block_dtype(self.input)

    @property
    def sum_dtype(self) -> torch.dtype:
        """Of the sums that become gradients."""
        return torch.promote_types(self.input.dtype, torch.float32)

    def blocks(self) -> Blocks:
        """The blocks that the budget allows."""
        itemsize, most = self.dtype.itemsize, self.options.max_bytes
        return blocks_of(self.shape, itemsize, self.is_short, most)

    def stand_in(self, samples: int) -> Tensor:
        """Logits (1, C, P·n) of so many samples, by shape and type only."""
        _, _, classes, positions = self.shape
        return self.input.new_empty((), dtype=self.dtype).expand(1, classes, positions * samples)


def block_dtype(input: Tensor) -> torch.dtype:
    """Of logits: the operands' type, or float32 for 16 bits that the machine cannot multiply.

    Without instructions for it torch emulates such products, at a tenth of float32's speed or less.
    """
    if input.dtype.itemsize >= 4 or input.device.type != "cpu":
        return input.dtype
    multiplies = input.dtype == torch.bfloat16 and torch.cpu._is_avx512_bf16_supported()
    return input.dtype if multiplies else torch.float32


class Workshop:
    """The memory in which the blocks of one pass are computed, one after the other.

    Parameters
    ----------
    layer
        The layer.
    blocks
        Its blocks.
    """

    def __init__(self, layer: Layer, blocks: Blocks) -> None:
        self.layer = layer
        count = blocks.samples * blocks.classes * layer.shape.positions
        self._logits = _room((count,), layer.dtype, layer.input)
        self._input = _InType(layer.input, layer.dtype)
        self._weight = _InType(layer.weight, layer.dtype)

    def input(self, samples: slice) -> Tensor:
        """(n, D), in the blocks' type."""
        return self._input.at(samples)

    def weight(self, classes: slice) -> Tensor:
        """(v·P, D), in the blocks' type."""
        return self._weight.at(classes).flatten(0, 1)

    def rows(self, samples: slice) -> Tensor:
        """The logits of some samples and all classes by row, (n·P, C), likewise."""
        shape = self.layer.shape
        everything = slice(0, shape.classes)
        if shape.positions > 1:
            z = self.logits(samples, everything).view(shape.classes, shape.positions, -1)
            return z.permute(2, 1, 0).reshape(-1, shape.classes).contiguous()
        input, weight = self.input(samples), self.weight(everything)
        out = self._logits[: input.shape[0] * shape.classes].view(-1, shape.classes)
        if self.layer.bias is None:
            return torch.mm(input, weight.t(), out=out)
        bias = self.layer.bias.reshape(1, -1).to(self.layer.dtype)
        return torch.addmm(bias, input, weight.t(), out=out)

    def logits(self, samples: slice, classes: slice) -> Tensor:
        """A block, (v·P, n), which is the next one's memory too."""
        input, weight = self.input(samples).t(), self.weight(classes)
        shape = weight.shape[0], input.shape[1]
        out = self._logits[: math.prod(shape)].view(shape)
        bias = self.layer.bias
        if bias is not None:
            bias = bias[classes].reshape(-1, 1).to(self.layer.dtype)
        for part in _parts(weight, input.shape[1]):
            if bias is None:
                torch.mm(weight[part], input, out=out[part])
            else:
                torch.addmm(bias[part], weight[part], input, out=out[part])
        return out


def _parts(weight: Tensor, samples: int) -> Iterator[slice]:
    """Rows of W that a product takes at once.

    For few samples those of two megabytes, which stay in a cache while they are laid out for the
    product: a fourth quicker for 128 samples than all at once, and no quicker from 512 on.
    """
    rows, features = weight.shape
    step = rows if samples >= 512 else max(1, 2**19 // max(1, features))
    return (slice(start, min(start + step, rows)) for start in range(0, rows, step))


class _InType:
    """Parts of an operand in another type: the last one asked for, in memory for the largest."""

    def __init__(self, operand: Tensor, dtype: torch.dtype) -> None:
        self._operand, self._dtype = operand, dtype
        self._memory: Tensor | None = None
        self._part, self._copy = slice(0, 0), operand

    def at(self, part: slice) -> Tensor:
        """Some rows."""
        given = self._operand[part]
        if given.dtype is self._dtype:
            return given
        if part != self._part:
            if self._memory is None:  # the first part is the largest
                self._memory = _room(tuple(given.shape), self._dtype, given)
            self._part, self._copy = part, self._memory[: given.shape[0]].copy_(given)
        return self._copy


class Sums:
    """Gradients on their way: the products of one block after the other are added up.

    What is summed beside its memory, as what has 16 bits is, gets all that a block's samples, or
    classes, get before the next ones do.

    Parameters
    ----------
    layer
        The layer.
    wants
        Which gradients.
    """

    def __init__(self, layer: Layer, wants: Wants) -> None:
        self._layer = layer
        self._input: _Sum | None = None
        if wants.input:
            self._input = _Sum(layer.input, tuple(layer.input.shape), layer.sum_dtype)
        classes, positions, features = layer.weight.shape
        rows = classes * positions, features
        self._weight = _Sum(layer.weight, rows, layer.sum_dtype) if wants.weight else None
        self._bias: Tensor | None = None
        if wants.bias:
            self._bias = layer.input.new_zeros(layer.weight.shape[:2], dtype=layer.sum_dtype)

    def add(self, workshop: Workshop, gradient: Tensor, samples: slice, classes: slice) -> None:
        """Add what the gradient in a block of logits, (v·P, n), brings."""
        if self._bias is not None:
            own = gradient.sum(1, dtype=self._bias.dtype)
            self._bias[classes] += own.view(-1, self._layer.shape.positions)
        runs = _kept(gradient, self._layer.options.gradient_filter)
        if self._input is not None:
            weight = workshop.weight(classes)
            total = self._input.at(samples, complete=len(runs) > 0)
            for run in runs:
                total.add(gradient[run].t(), weight[run])
        if self._weight is not None:
            positions, input = self._layer.shape.positions, workshop.input(samples)
            rows = slice(classes.start * positions, classes.stop * positions)
            total = self._weight.at(rows, complete=runs == [slice(0, gradient.shape[0])])
            for run in runs:
                total.add(gradient[run], input, run)

    def result(self) -> Gradients:
        """The gradients, when all is added."""
        layer, weight, bias = self._layer, self._weight, self._bias
        return Gradients(
            None if self._input is None else self._input.result(),
            None if weight is None else weight.result().view(layer.weight.shape),
            None if bias is None or layer.bias is None else bias.to(layer.bias.dtype),
        )


class _Sum:
    """A gradient, and the sum that a part of it is, which is in its place or apart."""

    def __init__(self, operand: Tensor, shape: tuple[int, ...], dtype: torch.dtype) -> None:
        self._out = _room(shape, operand.dtype, operand)
        self._apart = operand.dtype is not dtype
        self._dtype = dtype
        self._part: slice | None = None
        self._memory: Tensor | None = None
        self._sum = self._out
        self._begun: set[int] = set()  # where the parts begin that have a sum
        self._is_new = False  # whether the current one has none: a product takes its place

    def at(self, part: slice, *, complete: bool) -> _Sum:
        """The sum of some rows, all of which the next product is of where it is `complete`."""
        if not self._apart:
            self._sum, self._is_new = self._out[part], part.start not in self._begun
            self._begun.add(part.start)
        elif part != self._part:
            self._round()
            into = self._out[part]
            if self._memory is None:  # the first part is the largest
                self._memory = _room(tuple(into.shape), self._dtype, into)
            self._part, self._sum, self._is_new = part, self._memory[: into.shape[0]], True
        if self._is_new and not complete:
            self._sum.zero_()
            self._is_new = False
        return self

    def add(self, a: Tensor, b: Tensor, rows: slice = slice(None)) -> None:
        """Add a @ b to some of its rows."""
        total, is_new, self._is_new = self._sum[rows], self._is_new, False
        if not is_new:
            _add_product(total, a, b)
        elif a.dtype is total.dtype:
            torch.mm(a, b, out=total)
        else:
            total.copy_(a @ b)

    def result(self) -> Tensor:
        """All rows."""
        self._round()
        if self._part is None and not self._begun:  # there was no block
            self._out.zero_()
        return self._out

    def _round(self) -> None:
        if self._part is not None:
            self._out[self._part] = self._sum


def _add_product(total: Tensor, a: Tensor, b: Tensor) -> None:
    if a.dtype is total.dtype:
        total.addmm_(a, b)
    else:
        total.add_(a @ b)


def _kept(gradient: Tensor, threshold: float) -> list[slice]:
    """Runs of classes that are not small beside the greatest, in groups."""
    count = gradient.shape[0]
    if not threshold:
        return [slice(0, count)]
    sizes = torch.linalg.vector_norm(gradient, torch.inf, 1)
    small = sizes <= threshold * sizes.max()  # not so where there is a NaN
    runs: list[slice] = []
    for start in range(0, count, _GROUP):
        stop = min(start + _GROUP, count)
        if bool(small[start:stop].all()):
            continue
        if runs and runs[-1].stop == start:
            runs[-1] = slice(runs[-1].start, stop)
        else:
            runs.append(slice(start, stop))
    return runs


def _room(shape: tuple[int, ...], dtype: torch.dtype, like: Tensor) -> Tensor:
    """Uninitialised: on the CPU what an earlier call left, where there is such."""
    if _memory.memory_of(like) is None or _memory.kernels is None:
        return torch.empty(shape, dtype=dtype, device=like.device)
    wanted = torch.empty(shape, dtype=dtype, device="meta")
    memory: Tensor = _memory.torch_memory().output(wanted)[0]
    return memory
