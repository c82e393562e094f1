"""Rows whose classes come in blocks: a block's own rows, and the statistics of all from theirs."""

from __future__ import annotations

import torch
from torch import Tensor

from crossentropy.rows import Rows, RowStatistics, _pure

_IGNORED = -1  # the target of ignored rows in a block


def rows_of_block(rows: Rows, logits: Tensor, classes: slice) -> Rows:
    """The rows of some classes: those of another class's target have one past the last."""
    target = rows.target - classes.start
    elsewhere = (target < 0) | (target >= logits.shape[1])
    target = torch.where(elsewhere, logits.shape[1], target)
    return rows._replace(
        logits=logits,
        target=torch.where(rows.target == rows.ignore_index, _IGNORED, target),
        weight=None if rows.weight is None else rows.weight[classes],
        ignore_index=_IGNORED,
    )


class Combination:
    """Statistics on their way, block by block.

    Parameters
    ----------
    rows
        The whole rows, whose logits only say their shape and type.
    weighted, argmax
        Which statistics, as in `rows.statistics`.
    """

    def __init__(self, rows: Rows, *, weighted: bool, argmax: bool) -> None:
        self._rows = rows
        nothing = torch.full(rows.target.shape, -torch.inf, dtype=torch.float64)
        nothing = nothing.to(rows.target.device)
        self._lse_rest, self._own = nothing, nothing
        self._nll = torch.zeros_like(nothing) if weighted else None
        self._weight = 0.0
        self._best = torch.zeros_like(rows.target) if argmax else None
        self._greatest = nothing

    def add(self, row: RowStatistics, is_here: Tensor, classes: slice) -> None:
        """Add a block's statistics; rows whose target is elsewhere have some class's."""
        logits = row.rows.logits[0]
        lse, own = row.lse, row.lse + row.log_prob
        if bool(own.isnan().any()):  # where all of the block's are −inf, which others may not be
            is_masked = logits.amax(0) == -torch.inf
            lse, own = (torch.where(is_masked, -torch.inf, x) for x in (lse, own))
        own = torch.where(is_here, own, -torch.inf)
        rest = torch.where(is_here & (own != -torch.inf), own - row.margin, lse)
        self._own = torch.where(is_here, own, self._own)
        self._lse_rest = torch.logaddexp(self._lse_rest, rest)
        if self._nll is not None:
            weight = float(_pure.weight_of(row.rows, lse).sum())
            # Σ w (−log p) in the block, less W·L of the block; W·L of all is added at the end
            masked = torch.where(lse == -torch.inf, torch.inf, row.weighted_nll - weight * lse)
            self._nll = self._nll + (masked if weight else 0.0)
            self._weight += weight
        if self._best is not None and row.argmax is not None:
            top = logits.gather(0, row.argmax[None])[0].double()
            is_better = (top > self._greatest) | (top.isnan() & ~self._greatest.isnan())
            self._best = torch.where(is_better, row.argmax + classes.start, self._best)
            self._greatest = torch.where(is_better, top, self._greatest)

    def result(self) -> RowStatistics:
        """The statistics, when all blocks are added."""
        empty = self._lse_rest == -torch.inf
        shift = torch.where(empty, 0.0, self._lse_rest)
        total = torch.where(empty, 0.0, torch.ones_like(shift))
        table = _pure.table_of(self._rows, _pure.Sums(self._own, shift, total, None))
        ignored = self._rows.target == self._rows.ignore_index
        if self._nll is not None:
            nll = torch.where(ignored, 0.0, self._nll + self._weight * table[0])
            table = torch.cat([table, nll[None]])
        best = None if self._best is None else torch.where(ignored, 0, self._best)
        return RowStatistics(self._rows, table, best)
