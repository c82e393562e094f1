"""The row passes over the logits of a linear layer, which are never there as a whole.

The rows of N samples at P positions are ordered by position, (P, N), as they lie in a block.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

import torch
from torch import Tensor

from crossentropy import rows
from crossentropy.rows import Rows, RowStatistics, Slopes
from crossentropy.rows._linear_blocks import Blocks

from ._linear_combine import Combination, rows_of_block
from ._linear_layer import Gradients, Layer, Sums, Wants, Workshop

Rule = Callable[[slice, RowStatistics], Slopes]  # the slopes of some samples' rows
Block = tuple[slice, slice]  # samples and classes


class Passes(NamedTuple):
    """A layer, and how its logits are read.

    Attributes
    ----------
    layer
        The layer.
    read
        `Rows` whose logits are `Layer.stand_in`.
    weighted, argmax
        Which statistics, as in `rows.statistics`.
    """

    layer: Layer
    read: Rows
    weighted: bool
    argmax: bool

    def statistics(self) -> RowStatistics:
        """As `rows.statistics`."""
        return self._statistics(None)

    def both(self, rule: Rule, wants: Wants) -> tuple[RowStatistics, Gradients]:
        """Statistics and gradients from one look at each block, which must hold whole rows."""
        sums = Sums(self.layer, wants)
        everything = slice(0, self.layer.shape.classes)

        def pull(workshop: Workshop, samples: slice, row: RowStatistics) -> None:
            z = rows.gradient(row.rows, row, rule(samples, row), out=row.rows.logits)
            sums.add(workshop, z.view(-1, _size(samples)), samples, everything)

        return self._statistics(pull), sums.result()

    def gradients(self, table: Tensor, rule: Rule, wants: Wants) -> Gradients:
        """From the table of statistics of all rows; the logits are computed again."""
        blocks = self.layer.blocks()
        workshop = Workshop(self.layer, blocks)
        result = Gradients(None, None, None)
        for some, order in _sweeps(self.layer, blocks, wants):
            if any(some):
                given = self._gradients(table, rule, workshop, some, order)
                result = result.with_those_of(given)
        return result

    def _gradients(
        self, table: Tensor, rule: Rule, workshop: Workshop, wants: Wants, order: Iterator[Block]
    ) -> Gradients:
        sums = Sums(self.layer, wants)
        for samples, classes in order:
            whole = self._rows_of(samples)
            row = RowStatistics(whole, self.part(table, samples))
            block = self._block(workshop, whole, samples, classes)
            slopes = rule(samples, row)
            rows.gradient(block, row, slopes, out=block.logits)
            z = block.logits.view(-1, _size(samples))
            sums.add(workshop, z, samples, classes)
        return sums.result()

    def _statistics(
        self, then: Callable[[Workshop, slice, RowStatistics], None] | None
    ) -> RowStatistics:
        blocks, target = self.layer.blocks(), self.read.target
        workshop = Workshop(self.layer, blocks)
        columns = 5 if self.weighted else 4
        table = target.new_zeros((columns, target.shape[0]), dtype=torch.float64)
        best = torch.zeros_like(target) if self.argmax else None
        for samples in blocks.over_samples():
            row = self._statistics_of(workshop, blocks, samples)
            self._put(table, samples, row.table)
            if best is not None and row.argmax is not None:
                self._put(best, samples, row.argmax)
            if then is not None:
                then(workshop, samples, row)
        return RowStatistics(self.read, table, best)

    def _statistics_of(self, workshop: Workshop, blocks: Blocks, samples: slice) -> RowStatistics:
        """Of some samples; their rows hold the block's logits if there is one."""
        whole, options = self._rows_of(samples), {"weighted": self.weighted, "argmax": self.argmax}
        if blocks.has_whole_rows:
            block = self._block(workshop, whole, samples, slice(0, blocks.classes))
            return rows.statistics(block, **options)
        total = Combination(whole, **options)
        for classes in blocks.over_classes():
            block = self._block(workshop, whole, samples, classes)
            # the passes want a target in range: some class, of which only L is taken
            is_here = (block.target >= 0) & (block.target < block.classes)
            given = block._replace(
                target=torch.where(block.target < block.classes, block.target, 0)
            )
            total.add(rows.statistics(given, **options), is_here, classes)
        return total.result()

    def _block(self, workshop: Workshop, whole: Rows, samples: slice, classes: slice) -> Rows:
        """The rows of a block of logits."""
        count = classes.stop - classes.start
        z = workshop.logits(samples, classes).view(1, count, -1)
        if count == self.layer.shape.classes:
            return whole._replace(logits=z)
        return rows_of_block(whole, z, classes)

    def _rows_of(self, samples: slice) -> Rows:
        """The whole rows of some samples, without logits."""
        target = self.part(self.read.target, samples)
        return self.read._replace(logits=self.layer.stand_in(_size(samples)), target=target)

    def part(self, values: Tensor, samples: slice) -> Tensor:
        """Of numbers for all rows, those of some samples."""
        return self._by_position(values)[..., samples].flatten(-2).contiguous()

    def _put(self, values: Tensor, samples: slice, part: Tensor) -> None:
        self._by_position(values)[..., samples] = self._by_position(part)

    def _by_position(self, values: Tensor) -> Tensor:
        return values.view(*values.shape[:-1], self.layer.shape.positions, -1)


def _size(part: slice) -> int:
    return int(part.stop - part.start)


def _sweeps(layer: Layer, blocks: Blocks, wants: Wants) -> Iterator[tuple[Wants, Iterator[Block]]]:
    """What is summed in one go through the blocks, and their order."""
    by_samples = ((n, v) for n in blocks.over_samples() for v in blocks.over_classes())
    if not layer.is_short or blocks.has_all_samples:
        yield wants, by_samples
        return
    yield wants._replace(weight=False, bias=False), by_samples
    by_classes = ((n, v) for v in blocks.over_classes() for n in blocks.over_samples())
    yield wants._replace(input=False), by_classes
