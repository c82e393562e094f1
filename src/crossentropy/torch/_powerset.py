"""`Powerset`: labels of which several may be active at once, as classes of one cross entropy."""

from __future__ import annotations

import itertools
import math
from typing import Any, Literal

import torch
from torch import Tensor, nn

from crossentropy._errors import InputError

from . import _check, _permutation
from ._functional import cross_entropy

_IGNORED = -100  # cross_entropy's ignore_index
_MOST_CLASSES = 1_000_000
_MOST_LABELS = 6  # whose 720 permutations are still compared one by one
_FAR = -1e30  # the log of a probability of 0, finite so that no weight of 0 makes it NaN


class Powerset(nn.Module):
    """Multilabel classification as cross entropy over the sets of labels.

    Each set of at most `max_set_size` labels is a class, so that one softmax decides which
    labels are active together and no threshold has to be tuned. In speaker diarization the
    labels are speakers: logits are (B, T, C), targets (B, T, K), and since speakers have no
    order, `align` gives the targets' labels that of the predictions first::

        powerset = Powerset(num_labels=3, max_set_size=2)  # 7 classes
        loss = powerset(logits, powerset.align(logits, multilabel))
        active = powerset.to_multilabel(logits.argmax(-1))

    Sets and logits lie along the last axis. Calling the module is calling `loss`.

    Parameters
    ----------
    num_labels
        K, the labels there are.
    max_set_size
        How many of them may be active at once.
    excess
        What becomes of a target with more active labels than that: ``"raise"`` an error, or
        ``"ignore"`` it, in the loss and in `align`.

    Attributes
    ----------
    subsets
        The set of each class, as a tuple of labels: by size, then in lexicographic order.
    num_classes
        C, their number.
    mapping
        (C, K), bool: whether the class contains the label.

    Raises
    ------
    ValueError
        If a parameter is out of range, or there were more than a million classes.

    References
    ----------
    Plaquet, Bredin, "Powerset multi-class cross entropy loss for neural speaker diarization",
    Interspeech 2023, https://arxiv.org/abs/2310.13025.

    Examples
    --------
    >>> import torch
    >>> from crossentropy.torch import Powerset
    >>> powerset = Powerset(3, 2)
    >>> powerset.subsets
    ((), (0,), (1,), (2,), (0, 1), (0, 2), (1, 2))
    >>> multilabel = torch.tensor([[0, 0, 0], [0, 1, 0], [0, 1, 1]])
    >>> powerset.to_powerset(multilabel)
    tensor([0, 2, 6])
    >>> powerset(torch.zeros(3, 7), multilabel)
    tensor(1.9459)
    """

    mapping: Tensor
    _permutations: Tensor  # (K!, K)
    _moved: Tensor  # (C, K!), the class that each one makes of a class

    def __init__(
        self, num_labels: int, max_set_size: int, *, excess: Literal["raise", "ignore"] = "raise"
    ) -> None:
        super().__init__()
        if not 1 <= max_set_size <= num_labels:
            raise InputError(
                f"max_set_size must lie in [1, num_labels={num_labels}], got {max_set_size}"
            )
        if excess not in ("raise", "ignore"):
            raise InputError(f"excess must be 'raise' or 'ignore', got {excess!r}")
        sizes = range(max_set_size + 1)
        self.num_labels, self.max_set_size, self.excess = num_labels, max_set_size, excess
        self.num_classes = sum(math.comb(num_labels, size) for size in sizes)
        if self.num_classes > _MOST_CLASSES:
            raise InputError(
                f"{num_labels} labels have {self.num_classes:,} sets of at most {max_set_size}, "
                f"more than {_MOST_CLASSES:,} classes; lower max_set_size"
            )
        labels = range(num_labels)
        self.subsets = tuple(s for size in sizes for s in itertools.combinations(labels, size))
        mapping = torch.tensor([[label in subset for label in labels] for subset in self.subsets])
        self.register_buffer("mapping", mapping, persistent=False)
        if num_labels <= _MOST_LABELS:
            permutations = torch.tensor(list(itertools.permutations(labels)))
            moved = self.to_powerset(mapping[:, permutations])
            self.register_buffer("_permutations", permutations, persistent=False)
            self.register_buffer("_moved", moved, persistent=False)

    def to_powerset(self, multilabel: Tensor) -> Tensor:
        """Class indices of sets of labels.

        Parameters
        ----------
        multilabel
            (…, K) of any type: 1 where a label is active, 0 where not.

        Returns
        -------
        Tensor
            (…), int64; −100, which `cross_entropy` ignores, for sets of more than
            `max_set_size` labels with ``excess="ignore"``.

        Raises
        ------
        ValueError
            If the last axis is not of K labels, a number neither 0 nor 1, or a set too large.
            Numbers on other devices than the CPU, or in compiled code, are not looked at:
            such a set then gets the index C, whose `cross_entropy` is an error or NaN.
        """
        self._check_axis("multilabel", multilabel, self.num_labels, "label")
        active = multilabel != 0
        binary = (multilabel == active).all(-1)
        fits = active.sum(-1) <= self.max_set_size
        if _check.at_hand(multilabel):
            self._check_sets(multilabel, binary, fits)
        # For a set y this is 2·|y ∩ s| − |s| by class s, which is highest for s = y.
        overlap = active.float() @ (2 * self.mapping.float() - 1).T
        index = torch.where(binary & fits, overlap.argmax(-1), self.num_classes)
        return torch.where(binary & ~fits, _IGNORED, index) if self.excess == "ignore" else index

    def to_multilabel(self, classes: Tensor) -> Tensor:
        """Sets of labels from class indices: what ``logits.argmax(-1)`` decides.

        Parameters
        ----------
        classes
            (…), integers in [0, C).

        Returns
        -------
        Tensor
            (…, K), bool: whether the label is active.

        Raises
        ------
        TypeError
            If they are no integers.
        IndexError
            If one is out of range.
        """
        if classes.is_floating_point() or classes.dtype == torch.bool:
            raise TypeError(
                f"classes must be integers, got {classes.dtype}; for logits, pass "
                "logits.argmax(-1), or call marginals(logits) for probabilities"
            )
        if _check.at_hand(classes) and bool(((classes < 0) | (classes >= self.num_classes)).any()):
            raise IndexError(
                f"classes must lie in [0, {self.num_classes - 1}], got numbers from "
                f"{int(classes.min())} to {int(classes.max())}"
            )
        return self.mapping[classes.long()]

    def marginals(self, logits: Tensor) -> Tensor:
        """Probability that each label is active: the sum of softmax over the sets with it.

        Parameters
        ----------
        logits
            (…, C).

        Returns
        -------
        Tensor
            (…, K), in [0, 1] and of logits' type; differentiable. Deciding by these at 0.5 is
            not deciding for the most probable set.

        Raises
        ------
        ValueError
            If the last axis is not of C classes.
        """
        self._check_axis("logits", logits, self.num_classes, "class")
        with torch.autocast(logits.device.type, enabled=False):
            prob = _log_softmax(logits).exp()
            return (prob @ self.mapping.to(prob.dtype)).clamp(max=1).to(logits.dtype)

    def loss(self, logits: Tensor, multilabel: Tensor, **options: Any) -> Any:
        """`cross_entropy` of the sets.

        Parameters
        ----------
        logits
            (…, C).
        multilabel
            (…, K), as in `to_powerset`.
        **options
            As in `cross_entropy`; what is by class is by set there, and `sample_weight`, of
            shape (…), leaves out frames where it is 0.

        Returns
        -------
        Tensor or CrossEntropyResult
            As `cross_entropy`.

        Raises
        ------
        ValueError
            If the shapes do not fit, as `to_powerset`, or as `cross_entropy`.
        """
        self._check_pair(logits, multilabel)
        target = self.to_powerset(multilabel)
        classes_second = logits.movedim(-1, 1) if logits.ndim > 2 else logits
        return cross_entropy(classes_second, target, **options)

    forward = loss

    def align(
        self,
        logits: Tensor,
        multilabel: Tensor,
        *,
        method: Literal["exact", "assignment"] = "exact",
        sample_weight: Tensor | None = None,
    ) -> Tensor:
        """The targets with their labels in the order that suits the predictions best.

        Parameters and errors are those of `permutation`; the result is of multilabel's shape
        and type, for `loss`. The gradient of a loss at its best permutation is that of the
        least loss over all of them.

        Examples
        --------
        >>> import torch
        >>> from crossentropy.torch import Powerset
        >>> logits = torch.tensor([[0.0, 0.0, 5.0, 0.0], [5.0, 0.0, 0.0, 0.0]])  # label 1, none
        >>> Powerset(2, 2).align(logits, torch.tensor([[1, 0], [0, 0]]))
        tensor([[0, 1],
                [0, 0]])
        """
        order = self.permutation(logits, multilabel, method=method, sample_weight=sample_weight)
        return multilabel.gather(-1, order.unsqueeze(-2).expand(multilabel.shape))

    @torch.no_grad()
    def permutation(
        self,
        logits: Tensor,
        multilabel: Tensor,
        *,
        method: Literal["exact", "assignment"] = "exact",
        sample_weight: Tensor | None = None,
    ) -> Tensor:
        """The order of the target's labels that suits the predictions of a recording best.

        ``"exact"`` finds the least `loss`, plain and summed over the frames, among all K!
        permutations; frames of equal sets are added up first, so that K! does not multiply T.
        ``"assignment"`` takes any K. Since cross entropy of sets is no sum over pairs of a
        predicted and a true label, it minimises one that is, the binary cross entropy of
        `marginals`, by `scipy.optimize.linear_sum_assignment`: the same permutation where
        predictions are any good, not always where they are not. It cannot be compiled.

        Parameters
        ----------
        logits
            (…, T, C) of T frames.
        multilabel
            (…, T, K), as in `to_powerset`.
        method
            How to look for it.
        sample_weight
            (…, T), a weight for each frame, as in `loss`.

        Returns
        -------
        Tensor
            (…, K), int64, such that ``multilabel[..., order]`` is the best target; the first
            of equals in lexicographic order with ``"exact"``.

        Raises
        ------
        ValueError
            If the shapes do not fit, as `to_powerset`, or if ``"exact"`` is for more than
            6 labels.
        ImportError
            If ``"assignment"`` finds no scipy.
        """
        self._check_pair(logits, multilabel)
        self._check_recording(logits, method, sample_weight)
        target = self.to_powerset(multilabel)
        with torch.autocast(logits.device.type, enabled=False):
            log_prob = _log_softmax(logits).nan_to_num(nan=_FAR, neginf=_FAR)
            weight = ((target >= 0) & (target < self.num_classes)).to(log_prob.dtype)
            if sample_weight is not None:
                weight = weight * sample_weight
            if method == "exact":
                return _permutation.best(log_prob, target, weight, self._permutations, self._moved)
            active, mapping = (x.to(log_prob.dtype) for x in (multilabel, self.mapping))
            return _permutation.assigned(log_prob.exp(), active, weight, mapping)

    def _check_axis(self, name: str, tensor: Tensor, size: int, of: str) -> None:
        if tensor.ndim == 0 or tensor.shape[-1] != size:
            raise InputError(
                f"{name} must hold a number for each {of} along the last axis, (…, {size}), "
                f"got {tuple(tensor.shape)}"
            )

    def _check_sets(self, multilabel: Tensor, binary: Tensor, fits: Tensor) -> None:
        if not bool(binary.all()):
            raise InputError(
                f"multilabel must hold 0 and 1 only, got {_first(multilabel, ~binary)}; compare "
                "probabilities with a threshold first"
            )
        if self.excess == "raise" and not bool(fits.all()):
            raise InputError(
                f"multilabel must have at most max_set_size={self.max_set_size} labels active, "
                f"got {_first(multilabel, ~fits)}; deactivate the least sure ones, raise "
                "max_set_size, or leave such sets out with excess='ignore'"
            )

    def _check_pair(self, logits: Tensor, multilabel: Tensor) -> None:
        self._check_axis("logits", logits, self.num_classes, "class")
        self._check_axis("multilabel", multilabel, self.num_labels, "label")
        if logits.shape[:-1] != multilabel.shape[:-1]:
            raise InputError(
                "logits (…, C) and multilabel (…, K) must agree up to the last axis, got "
                f"{tuple(logits.shape)} and {tuple(multilabel.shape)}"
            )

    def _check_recording(self, logits: Tensor, method: str, sample_weight: Tensor | None) -> None:
        if logits.ndim < 2:
            raise InputError(f"logits must be (…, T, C), got {tuple(logits.shape)}")
        if sample_weight is not None and sample_weight.shape != logits.shape[:-1]:
            raise InputError(
                f"sample_weight must have shape {tuple(logits.shape[:-1])}, "
                f"got {tuple(sample_weight.shape)}"
            )
        if method not in ("exact", "assignment"):
            raise InputError(f"method must be 'exact' or 'assignment', got {method!r}")
        if method == "exact" and self.num_labels > _MOST_LABELS:
            raise InputError(
                f"method='exact' compares all permutations of at most {_MOST_LABELS} labels, got "
                f"{self.num_labels}; pass method='assignment'"
            )

    def extra_repr(self) -> str:
        """The parameters."""
        excess = "" if self.excess == "raise" else f", excess={self.excess!r}"
        return f"num_labels={self.num_labels}, max_set_size={self.max_set_size}{excess}"


def _log_softmax(logits: Tensor) -> Tensor:
    """In float32 at least."""
    return logits.log_softmax(-1, dtype=torch.promote_types(logits.dtype, torch.float32))


def _first(multilabel: Tensor, bad: Tensor) -> str:
    """The first bad set, and where it is."""
    where = tuple(bad.nonzero()[0].tolist())
    return f"{multilabel[where].tolist()}" + (f" at {where}" if where else "")
