"""The binary loss and its variants, beside torch's and beside the formulas that others run."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from crossentropy.losses import Asymmetric, SigmoidFocal
from crossentropy.torch import binary_cross_entropy_with_logits

from ._cases import MIDDLE, Loss, compiled, size, training
from ._effort import Effort
from ._harness import interleaved
from ._tables import Figure, Table, at_least

SMALL = (256, 10)
_TITLE = "Binary and multi-label losses, float32, forward + backward"


class _Variant(NamedTuple):
    """A loss of ours, what others run for it, and how many times faster ours should be."""

    name: str
    ours: Loss
    theirs: Loss
    middle: float | None
    small: float | None = 1.0


def tables(effort: Effort) -> Iterator[Table]:
    """One table."""
    shapes = (MIDDLE, SMALL)
    rows = [
        (f"{variant.name}, {size(shape)}", _figures(variant, shape, effort))
        for variant in _variants()
        for shape in shapes
    ]
    yield Table(
        _TITLE,
        ["loss", "eager / ours", "compiled / ours"],
        rows,
        "Above 1: as many times faster than F.binary_cross_entropy_with_logits, or than the plain "
        "formula, and than the same under torch.compile.",
    )


def _figures(variant: _Variant, shape: tuple[int, ...], effort: Effort) -> list[Figure]:
    logits, target = _batch(shape)
    runs = {
        "ours": training(variant.ours, logits, target),
        "eager": training(variant.theirs, logits, target),
        "compiled": training(compiled(variant.theirs), logits, target),
    }
    median = interleaved(runs, effort)
    bound = variant.middle if shape == MIDDLE else variant.small
    return [
        Figure(median["eager"] / median["ours"], None if bound is None else at_least(bound)),
        Figure(median["compiled"] / median["ours"]),
    ]


def _batch(shape: tuple[int, ...]) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(shape, generator=generator).mul_(3).requires_grad_()
    return logits, torch.randint(0, 2, shape, generator=generator).float()


def _variants() -> list[_Variant]:
    ours, torchs = binary_cross_entropy_with_logits, functional.binary_cross_entropy_with_logits
    weight = torch.rand(MIDDLE[1], generator=torch.Generator().manual_seed(1))

    def with_pos_weight(loss: Loss) -> Loss:
        return lambda z, y: loss(z, y, pos_weight=weight[: z.shape[1]])

    def with_loss(loss: SigmoidFocal | Asymmetric) -> Loss:
        return lambda z, y: ours(z, y, loss=loss)

    return [
        _Variant("binary cross entropy", ours, torchs, 4),
        _Variant("pos_weight by class", with_pos_weight(ours), with_pos_weight(torchs), 4, None),
        _Variant("sigmoid focal", with_loss(SigmoidFocal()), _focal, 15),
        _Variant("asymmetric", with_loss(Asymmetric()), _asymmetric, None),
    ]


# The formulas, by their definitions, with the parameters of ours.


def _focal(logits: Tensor, target: Tensor) -> Tensor:
    """As `torchvision.ops.sigmoid_focal_loss` computes it."""
    given = SigmoidFocal()
    assert given.alpha is not None
    p = torch.sigmoid(logits)
    ce = functional.binary_cross_entropy_with_logits(logits, target, reduction="none")
    p_t = p * target + (1 - p) * (1 - target)
    loss = ce * ((1 - p_t) ** given.gamma)
    alpha_t = given.alpha * target + (1 - given.alpha) * (1 - target)
    return (alpha_t * loss).mean()


def _asymmetric(logits: Tensor, target: Tensor) -> Tensor:
    """As its authors compute it."""
    given = Asymmetric()
    p = torch.sigmoid(logits)
    kept = (1 - p + given.clip).clamp(max=1)
    ce = target * p.clamp(min=1e-8).log() + (1 - target) * kept.clamp(min=1e-8).log()
    p_t = p * target + kept * (1 - target)
    gamma = given.gamma_pos * target + given.gamma_neg * (1 - target)
    return -(ce * (1 - p_t) ** gamma).mean()
