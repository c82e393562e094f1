"""What candidates are called, what they train with and what that does to the prior."""

from __future__ import annotations

import numpy as np
import pytest

from crossentropy import losses
from crossentropy._compare._candidates import DEFAULT_LOSSES, available, candidates

COUNTS = np.array([60.0, 30.0, 10.0])
PRIOR = COUNTS / COUNTS.sum()


def implied_prior(name):
    (_, candidate) = candidates([name])
    prior = PRIOR * np.exp(candidate.prior_shift(COUNTS))
    return prior / prior.sum()


def test_plain_cross_entropy_comes_first_and_once():
    assert [c.name for c in candidates(None)] == list(DEFAULT_LOSSES)
    assert [c.name for c in candidates(["focal", "cross_entropy"])] == ["cross_entropy", "focal"]
    assert [c.name for c in candidates([])] == ["cross_entropy"]


def test_every_loss_of_the_registry_is_available():
    assert set(losses.available()) < set(available())
    assert len(candidates(available())) == len(available())


def test_names_and_labels_tell_parameters():
    default, other = candidates([losses.Focal(), losses.Focal(gamma=3)])[1:]
    assert (default.name, default.label) == ("focal", "focal (gamma = 2)")
    assert (other.name, other.label) == ("focal(gamma=3)", "focal (gamma = 3)")
    assert default.arguments == 'loss="focal"'
    assert other.arguments == "loss=Focal(gamma=3)"


def test_implied_priors():
    uniform = np.full(3, 1 / 3)
    np.testing.assert_allclose(implied_prior("weighted"), uniform)
    np.testing.assert_allclose(implied_prior("logit_adjusted"), uniform)
    omega = losses.class_balanced_weights(COUNTS)
    np.testing.assert_allclose(
        implied_prior("class_balanced"), omega * PRIOR / (omega * PRIOR).sum()
    )
    for name in ("focal", "generalized_cross_entropy", "smoothed"):
        np.testing.assert_allclose(implied_prior(name), PRIOR)
    shifting = {c.name for c in candidates(available()) if c.shifts_prior}
    assert shifting == {"weighted", "class_balanced", "logit_adjusted"}


@pytest.mark.parametrize(
    ("wanted", "message"),
    [
        (["focl"], "unknown loss 'focl'; did you mean 'focal'"),
        (["xyz"], "unknown loss 'xyz'; there are .*weighted"),
        (["poly", "poly"], "'poly' is asked for twice"),
        ("focal", "must be a list of names"),
    ],
)
def test_errors(wanted, message):
    with pytest.raises(ValueError, match=message):
        candidates(wanted)
