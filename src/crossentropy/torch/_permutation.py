"""Which order of a target's labels suits predictions over sets of labels best: `Powerset.align`.

Cross entropy of sets is no sum over pairs of a predicted and a true label, so that no
assignment solver finds its minimum. Few labels are permuted in every way; for more, the
binary cross entropy of the marginals, which is such a sum, is minimised in its place.
"""

from __future__ import annotations

import torch
from torch import Tensor

from crossentropy._optional import require


def best(
    log_prob: Tensor, target: Tensor, weight: Tensor, permutations: Tensor, moved: Tensor
) -> Tensor:
    """The permutation of highest likelihood, the first of equals.

    Parameters
    ----------
    log_prob
        (…, T, C), finite.
    target, weight
        (…, T), class indices; those out of range count for nothing.
    permutations, moved
        (P, K), and (C, P): the class that each of them makes of a class.
    """
    classes = torch.arange(log_prob.shape[-1], device=target.device)
    chosen = (target.unsqueeze(-1) == classes) * weight.unsqueeze(-1)
    as_class = chosen.mT @ log_prob  # (…, C, C): the frames of one class, if they were another
    likelihood = as_class[..., classes.unsqueeze(-1), moved].sum(-2)
    return permutations[likelihood.argmax(-1)]


def assigned(prob: Tensor, active: Tensor, weight: Tensor, mapping: Tensor) -> Tensor:
    """The permutation of least binary cross entropy between marginals and labels.

    Parameters
    ----------
    prob
        (…, T, C).
    active
        (…, T, K), 0 or 1.
    weight
        (…, T).
    mapping
        (C, K), 0 or 1: the classes that contain a label.
    """
    solve = require("scipy.optimize", "sklearn").linear_sum_assignment
    tiny = torch.finfo(prob.dtype).tiny
    on, off = (  # two sums, since 1 − marginal would cancel
        (prob @ sets).clamp(min=tiny).log() for sets in (mapping, 1 - mapping)
    )
    weight = weight.unsqueeze(-1)
    gain = on.mT @ (weight * active) + off.mT @ (weight * (1 - active))  # (…, K, K)
    recordings = gain.reshape(-1, *gain.shape[-2:]).cpu().numpy()
    order = [solve(recording, maximize=True)[1].tolist() for recording in recordings]
    return torch.tensor(order, dtype=torch.int64, device=prob.device).reshape(gain.shape[:-1])
