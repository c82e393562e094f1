"""Distributions for property tests: zeros, nearly certain outcomes and tiny ones among them."""

import numpy as np
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

_WEIGHT = st.one_of(
    st.floats(0.01, 1.0), st.sampled_from([0.0, 1e-300, 1e-30, 1e-12, 1e-6, 1e6]), st.just(1.0)
)


def normalised(weights):
    return weights / weights.sum()


def distributions(size, *, zeros=True):
    weight = _WEIGHT if zeros else _WEIGHT.filter(bool)
    vectors = hnp.arrays(np.float64, size, elements=weight)
    return vectors.filter(lambda w: w.sum() > 1e-3).map(normalised)


def pairs(*, zeros=True):
    return st.integers(1, 8).flatmap(
        lambda n: st.tuples(distributions(n, zeros=zeros), distributions(n, zeros=zeros))
    )


def logits(size):
    return hnp.arrays(np.float64, size, elements=st.floats(-150, 150))
