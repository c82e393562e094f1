import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from crossentropy.losses import class_balanced_weights, logit_adjustment

counts_of = st.lists(st.integers(1, 10**6), min_size=1, max_size=20).map(np.array)


@given(counts_of, st.floats(0, 0.999999))
def test_class_balanced_weights_are_the_papers(counts, beta):
    weights = class_balanced_weights(counts, beta)
    np.testing.assert_allclose(weights.sum(), len(counts))
    effective = np.array([float((1 - beta ** int(n)) / (1 - beta)) for n in counts])
    np.testing.assert_allclose(weights * effective, (weights * effective)[0], rtol=1e-6)


@given(counts_of)
def test_logit_adjustment_is_the_log_prior(counts):
    np.testing.assert_allclose(np.exp(logit_adjustment(counts)).sum(), 1)
    np.testing.assert_allclose(logit_adjustment(counts, tau=0.5), logit_adjustment(counts) / 2)


def test_adjusted_logits_of_a_balanced_model_have_the_prior():
    """Trained with the offset, a model that sees no feature has equal logits."""
    prior = np.array([0.9, 0.1])
    softmax = np.exp(logit_adjustment(prior * 1000))
    np.testing.assert_allclose(softmax / softmax.sum(), prior)


@pytest.mark.parametrize("function", [class_balanced_weights, logit_adjustment])
@pytest.mark.parametrize("counts", [[3, 0], [3, -1], [np.nan, 1.0], [[1, 2]], []])
def test_counts_that_are_none(function, counts):
    with pytest.raises(ValueError, match="counts must"):
        function(np.array(counts))


def test_parameters_out_of_range():
    with pytest.raises(ValueError, match="beta"):
        class_balanced_weights(np.array([1, 2]), beta=1.0)
    with pytest.raises(ValueError, match="tau"):
        logit_adjustment(np.array([1, 2]), tau=-1)
