"""The candidates of a study: losses of the registry, and remedies that are options of training.

A candidate knows the options it hands to ``CrossEntropyLoss`` and by how much it moves the
class prior that the trained logits stand for, which is what the exact correction undoes.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from crossentropy import losses
from crossentropy._errors import InputError, closest
from crossentropy.losses import Loss, class_balanced_weights, logit_adjustment

PerClass = Callable[[NDArray[Any]], NDArray[Any]]  # of the counts of the classes, (C,) -> (C,)

BASELINE = "cross_entropy"
DEFAULT_LOSSES = (
    BASELINE,
    "focal",
    "poly",
    "generalized_cross_entropy",
    "symmetric_cross_entropy",
    "smoothed",
    "weighted",
    "logit_adjusted",
)


@dataclasses.dataclass(frozen=True)
class Candidate:
    """One way of training.

    Attributes
    ----------
    name, label
        For the machine and for the reader.
    loss
        Member of the family.
    label_smoothing
        As in ``CrossEntropyLoss``.
    class_weight, logit_bias
        From the counts of the training rows to the option of that name, or None.
    arguments, undo
        The options in Python, in which the tensor ``counts`` has the rows of each class, and
        the term that brings the logits back to the training prior.
    seed_offset
        Added to the seed of start and minibatches; for studies of chance, otherwise zero.
    """

    name: str
    label: str
    loss: Loss = dataclasses.field(default_factory=losses.CrossEntropy)
    label_smoothing: float = 0.0
    class_weight: PerClass | None = None
    logit_bias: PerClass | None = None
    arguments: str = ""
    undo: str = ""
    seed_offset: int = 0

    @property
    def shifts_prior(self) -> bool:
        """Whether the trained logits stand for another class prior than the training rows."""
        return self.class_weight is not None or self.logit_bias is not None

    def prior_shift(self, counts: NDArray[Any]) -> NDArray[Any]:
        """Return log ν - log π + constant, (C,) in nats, of the implied and training priors.

        Training with weights ω learns the posterior of ν ∝ ωπ; with z + b in the loss, z alone
        is left with ν ∝ π exp(-b), which for b = τ log π is the π^(1-τ) of Menon et al.
        """
        shift = np.zeros(len(counts))
        if self.class_weight is not None:
            shift += np.log(self.class_weight(counts))
        if self.logit_bias is not None:
            shift -= self.logit_bias(counts)
        return shift


def inverse_frequency(counts: NDArray[Any]) -> NDArray[Any]:
    """Weights n / (C n_k), scikit-learn's "balanced"."""
    weights: NDArray[Any] = counts.sum() / (len(counts) * counts)
    return weights


_REMEDIES = {
    candidate.name: candidate
    for candidate in (
        Candidate(
            "smoothed",
            "label smoothing (epsilon = 0.1)",
            label_smoothing=0.1,
            arguments="label_smoothing=0.1",
        ),
        Candidate(
            "weighted",
            "inverse-frequency weighting",
            class_weight=inverse_frequency,
            arguments="weight=(counts.sum() / (len(counts) * counts)).float()",
            undo="-loss.weight.log()",
        ),
        Candidate(
            "class_balanced",
            "class-balanced weighting (beta = 0.9999)",
            class_weight=class_balanced_weights,
            arguments="weight=class_balanced_weights(counts).float()",
            undo="-loss.weight.log()",
        ),
        Candidate(
            "logit_adjusted",
            "logit adjustment (tau = 1)",
            logit_bias=logit_adjustment,
            arguments="logit_bias=logit_adjustment(counts).float()",
            undo="loss.logit_bias",
        ),
    )
}


def available() -> list[str]:
    """Names that `candidates` takes: the registry's and the remedies'."""
    return [*losses.available(), *_REMEDIES]


def candidates(wanted: Iterable[str | Loss | Candidate] | None) -> list[Candidate]:
    """Make the candidates of a study, plain cross entropy first.

    Raises
    ------
    ValueError
        If a name is unknown, or two candidates have the same one.
    """
    if isinstance(wanted, str):
        raise InputError(f"losses must be a list of names, got the string {wanted!r}")
    made = [_candidate(item) for item in (DEFAULT_LOSSES if wanted is None else wanted)]
    made = [_candidate(BASELINE), *(item for item in made if item.name != BASELINE)]
    names = [item.name for item in made]
    for name in names:
        if names.count(name) > 1:
            raise InputError(f"the loss {name!r} is asked for twice; name each loss once")
    return made


def _candidate(item: str | Loss | Candidate) -> Candidate:
    if isinstance(item, Candidate):
        return item
    if isinstance(item, Loss):
        return _of_loss(item)
    if item in _REMEDIES:
        return _REMEDIES[item]
    if item in losses.available():
        return _of_loss(losses.get(item))
    raise InputError(f"unknown loss {item!r}; {closest(item, available())}")


def _of_loss(loss: Loss) -> Candidate:
    """Name a loss object by its registry name and, where they are not the defaults, parameters."""
    fields = ((field.name, getattr(loss, field.name)) for field in dataclasses.fields(loss))
    numbers = [(name, value) for name, value in fields if isinstance(value, (int, float))]
    listed = ",".join(f"{name}={value:g}" for name, value in numbers)
    default = loss.name in losses.available() and loss == losses.get(loss.name)
    name = loss.name if default or not listed else f"{loss.name}({listed})"
    arguments = (
        "" if loss.name == BASELINE else f"loss={loss.name!r}" if default else f"loss={loss!r}"
    )
    return Candidate(name, loss.label, loss=loss, arguments=arguments.replace("'", '"'))
