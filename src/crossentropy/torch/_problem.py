"""One call of the loss, checked and laid out: what every autograd route evaluates."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor

from crossentropy._arrays import Array, device_of, namespace
from crossentropy.losses import Objective
from crossentropy.rows import Rows, RowStatistics, Slopes
from crossentropy.rows._contract import weight_dtype

from ._options import Options


class Evaluation(NamedTuple):
    """A reduced loss and its slopes."""

    loss: Array
    slopes: Slopes


class Problem(NamedTuple):
    """What is to be computed, for logits (N, C) or (B, C, P) and class indices (N,)."""

    objective: Objective
    weight: Tensor | None
    bias: Tensor | None
    temperature: float
    softcap: float | None
    reduction: str
    sample_weight: Tensor | None
    normalizer: Tensor | float | None
    empty: str

    @property
    def ignore_index(self) -> int:
        """The target of rows that count for nothing."""
        return self.objective.ignore_index

    def rows(self, logits: Tensor, target: Tensor, threads: int = 1) -> Rows:
        """The rows as the passes take them."""
        return Rows(
            logits=logits,
            target=target,
            weight=self.weight,
            temperature=self.temperature,
            bias=self.bias,
            softcap=self.softcap,
            ignore_index=self.objective.ignore_index,
            n_threads=threads,
        )

    def evaluate(self, row: RowStatistics) -> Evaluation:
        """Rule and reduction; the loss is rounded to the logits' type once."""
        loss, slopes = self.unrounded(row)
        return Evaluation(loss.to(row.rows.logits.dtype), slopes)

    def unrounded(self, row: RowStatistics) -> Evaluation:
        """Rule and reduction in float64, in the library of the statistics."""
        value, slopes = self.objective.terms(row, self.sample_weight)
        share = self._share(row)
        return Evaluation(
            self._reduced(value, share, row), slopes if share is None else slopes.scaled(share)
        )

    def value(self, row: RowStatistics) -> Tensor:
        """The loss alone, rounded, in operations that autograd follows."""
        value = self.objective.value(row, self.sample_weight)
        loss: Tensor = self._reduced(value, self._share(row), row)
        return loss.to(row.rows.logits.dtype)

    def weighted(self, class_weight: Tensor) -> Problem:
        """With class weights."""
        objective = self.objective._replace(class_weight=class_weight)
        return self._replace(objective=objective, weight=objective.weight)

    def tensors(self) -> list[Tensor]:
        """All tensors among the options."""
        objective, own = self.objective, (self.weight, self.bias, self.sample_weight)
        given = objective.class_weight, objective.smoothing_prior, *own, self.normalizer
        return [value for value in given if isinstance(value, Tensor)]

    def as_numpy(self) -> Problem:
        """The same problem on NumPy's views of the tensors."""
        if not self.tensors():
            return self
        objective = self.objective._replace(
            class_weight=_numpy(self.objective.class_weight),
            smoothing_prior=_numpy(self.objective.smoothing_prior),
        )
        return self._replace(
            objective=objective,
            weight=_numpy(self.weight),
            bias=_numpy(self.bias),
            sample_weight=_numpy(self.sample_weight),
            normalizer=_numpy(self.normalizer),
        )

    def _reduced(self, value: Array, share: Array | None, row: RowStatistics) -> Array:
        xp = namespace(row.table)
        if self.reduction != "none":
            value = xp.sum(value)
        if share is not None:
            value = value * share
        return value

    def _share(self, row: RowStatistics) -> Array | None:
        """What a mean multiplies the sum by."""
        if self.reduction != "mean":
            return None
        divisor = self.normalizer
        if divisor is None:
            divisor = self.objective.normalizer(row, self.sample_weight)
        xp = namespace(row.table)
        divisor = xp.asarray(divisor, dtype=row.table.dtype, device=device_of(row.table))
        share = 1 / divisor
        return share if self.empty == "nan" else xp.where(divisor == 0, 0.0, share)


def _numpy(value: Tensor | float | None) -> Array:
    return value.detach().numpy() if isinstance(value, Tensor) else value


def problem_of(logits: Tensor, options: Options) -> Problem:
    """The problem that checked options pose."""
    objective = Objective(
        loss=options.loss,
        classes=logits.shape[1],
        class_weight=options.weight,
        label_smoothing=options.label_smoothing,
        smoothing_prior=options.smoothing_prior,
        z_loss=options.z_loss,
        ignore_index=options.ignore_index,
    )
    own, normalizer = options.sample_weight, options.normalizer
    assert not isinstance(normalizer, str)  # which the checks have seen to
    return Problem(
        objective=objective,
        weight=per_class(objective.weight, logits),
        bias=per_class(options.logit_bias, logits),
        temperature=float(options.temperature) / objective.scale,
        softcap=None if options.softcap is None else float(options.softcap),
        reduction=options.reduction,
        sample_weight=None if own is None else own.reshape(-1),
        normalizer=normalizer.reshape(()) if isinstance(normalizer, Tensor) else normalizer,
        empty=options.empty,
    )


def per_class(values: Tensor | None, logits: Tensor) -> Tensor | None:
    """As the kernels read it."""
    if values is None:
        return None
    return values.to(logits.device, weight_dtype(logits)).resolve_neg().contiguous()
