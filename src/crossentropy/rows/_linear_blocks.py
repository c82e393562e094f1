"""The blocks of a linear layer's logits that a memory budget allows."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

MAX_BYTES = 2**26  # unless said otherwise

_TILE = 64  # rows that the kernels take at once


class Shape(NamedTuple):
    """Of a linear layer: N samples of D features, and C classes at each of P positions."""

    samples: int
    features: int
    classes: int
    positions: int


class Blocks(NamedTuple):
    """Samples and classes in a block of logits."""

    shape: Shape
    samples: int
    classes: int

    @property
    def has_whole_rows(self) -> bool:
        """Whether a block holds all classes, so that loss and gradient come from one block."""
        return self.classes >= self.shape.classes

    @property
    def has_all_samples(self) -> bool:
        """Whether a block holds all samples, so that a class's gradient comes from one block."""
        return self.samples >= self.shape.samples

    def over_samples(self) -> Iterator[slice]:
        """The blocks' samples, one after the other."""
        return _slices(self.shape.samples, self.samples)

    def over_classes(self) -> Iterator[slice]:
        """The blocks' classes, likewise."""
        return _slices(self.shape.classes, self.classes)

    def __str__(self) -> str:
        return f"{self.samples} samples × {self.classes} classes"


# A block is class-major, zᵀ = W·Xᵀ: W lies in memory as the product reads it, and so does the block
# for both products of the gradient, where row-major blocks would have all of W repacked each time.
# It holds all classes of as many samples as fit: then loss and gradient come from one look at it,
# three products in all. Where fewer than 64 samples would fit, which is too few for a product to be
# quick, or for dW to be worth going through for them, it holds some of the classes of more samples;
# the statistics are combined over the classes, and the gradient computes the block again: four
# products. So it is for 16 bits, with all samples, so that each block of dW is summed in float32
# and rounded once with no float32 array as large as W. Where the samples' float32 copy and sum
# would take half of the budget, dX and dW go through the blocks one after the other: five.
def blocks_of(shape: Shape, itemsize: int, sums_apart: bool, max_bytes: int) -> Blocks:
    """As large as a budget allows, and about even.

    Parameters
    ----------
    shape
        The layer's.
    itemsize
        Bytes of a logit in a block.
    sums_apart
        Whether gradients are summed in float32 beside their memory, as those of 16 bits are.
    max_bytes
        The budget.
    """
    samples, features, classes, positions = (max(1, n) for n in shape)
    if sums_apart:
        beside = 2 * 4 * features  # a float32 copy and a sum, of a sample or of a class
        max_bytes -= max_bytes // 8  # for what the products of such sizes take themselves
        most = max(1, max_bytes // 2 // beside)
        count = _even(samples, _down(most))
        left = max_bytes - count * beside
        return Blocks(shape, count, _even(classes, left // (positions * (count * 4 + beside))))
    fit = max_bytes // (classes * positions * itemsize)
    if fit >= min(samples, _TILE):
        return Blocks(shape, _even(samples, _down(fit)), classes)
    count = min(samples, 1024)
    return Blocks(shape, count, _even(classes, max_bytes // (count * positions * itemsize)))


def _down(count: int) -> int:
    """To whole tiles."""
    return count // _TILE * _TILE if count > _TILE else count


def _even(total: int, most: int) -> int:
    """A size of which about equal blocks make up the total, none larger than `most`."""
    most = max(1, min(most, total))
    size = -(-total // -(-total // most))
    return min(most, -(-size // _TILE) * _TILE)


def _slices(total: int, size: int) -> Iterator[slice]:
    for start in range(0, total, size):
        yield slice(start, min(start + size, total))
