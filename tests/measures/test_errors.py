"""What cannot be measured is refused, with the row that is wrong."""

import numpy as np
import pytest
import torch

import crossentropy as ce
from crossentropy._errors import InputError

ROWS = np.full((2, 3, 2), 0.5)


def with_row(row, at=(1, 2)):
    rows = ROWS.copy()
    rows[at] = row
    return rows


@pytest.mark.parametrize("asarray", [np.asarray, torch.tensor], ids=["numpy", "torch"])
@pytest.mark.parametrize(
    ("row", "kind", "normalize", "message"),
    [
        ([0.5, 0.6], "proba", False, r"sum to one .*; row \(1, 2\) of p is \[0.5 0.6\]"),
        ([-0.5, 1.5], "proba", False, r"nonnegative .*; row \(1, 2\)"),
        ([np.nan, 0.5], "proba", False, r"row \(1, 2\)"),
        ([np.inf, 0.5], "proba", True, r"normalised .*; row \(1, 2\)"),
        ([0.0, 0.0], "proba", True, r"positive, finite sum; row \(1, 2\)"),
        ([-1.0, 2.0], "proba", True, r"nonnegative .*; row \(1, 2\)"),
        ([0.1, 0.2], "log_proba", False, r"exponentials .*; row \(0, 0\)"),
        ([np.inf, 0.0], "logits", False, r"below infinity.*; row \(1, 2\)"),
        ([-np.inf, -np.inf], "logits", False, r"minus infinity; row \(1, 2\)"),
        ([np.nan, 0.0], "log_proba", True, r"row \(1, 2\)"),
    ],
)
def test_rows_that_are_no_distribution(asarray, row, kind, normalize, message):
    for measure in (ce.entropy, lambda p, **o: ce.kl_divergence(p, p, **o)):
        with pytest.raises(InputError, match=message):
            measure(asarray(with_row(row)), input=kind, normalize=normalize)


def test_the_row_is_named_in_any_block_and_by_argument():
    p = np.full((50_000, 4), 0.25)
    q = p.copy()
    q[49_998, 3] = 0.5
    with pytest.raises(InputError, match="row 49998 of q is"):
        ce.cross_entropy(p, q)
    with pytest.raises(InputError, match="p is "):
        ce.entropy([0.5, 0.6])
    with pytest.raises(InputError, match="row 49998 of p"):
        ce.entropy(q.T, axis=0)


def test_rounding_is_no_error():
    p = np.random.default_rng(0).dirichlet(np.ones(1000), 20)
    for dtype in (np.float32, np.float16):
        ce.entropy(p.astype(dtype))
    ce.entropy(p.astype(np.float32).astype(np.float64))
    ce.entropy(torch.tensor(p).bfloat16())


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: ce.entropy([0.5, 0.5], base=1), "base must be above 1"),
        (lambda: ce.entropy([0.5, 0.5], input="probs"), 'input must be "proba"'),
        (lambda: ce.kl_divergence([1], [1], input=("proba",)), "or a pair of them"),
        (lambda: ce.entropy([0.5, 0.5], axis=1), "axis 1 does not fit"),
        (lambda: ce.entropy([[0.5, 0.5]], axis=(0, 0)), "does not fit"),
        (lambda: ce.entropy(0.5), "needs an axis"),
        (lambda: ce.entropy([1j, 0]), "real numbers"),
        (lambda: ce.entropy(["a"]), "real numbers"),
        (lambda: ce.cross_entropy([0.5, 0.5], [1, 0, 0]), "p of shape .* and q of shape"),
        (lambda: ce.entropy([0.5, 0.5], weights=[1, 2, 3]), "one number for each outcome"),
        (lambda: ce.entropy([0.5, 0.5], weights=[1, -1]), "nonnegative; entry 1 is -1"),
        (lambda: ce.js_divergence([1], [1], weights=(1, 1)), "sum to one"),
        (lambda: ce.mutual_information([[1]], axis=-1), "pair of axes"),
        (lambda: ce.renyi_entropy([1], -1), "order must be at least 0"),
        (lambda: ce.tsallis_entropy([1], np.nan), "order must be at least 0"),
        (lambda: ce.information([0.5, 1.5]), "entry 1 is 1.5"),
        (lambda: ce.binary_entropy(2.0), "it is 2"),
        (lambda: ce.binary_cross_entropy([2], [0.5]), "y must hold"),
        (lambda: ce.binary_cross_entropy([1], [0.5], clip=0), "clip must be"),
        (lambda: ce.binary_cross_entropy([1], [0.5], reduction="avg"), "reduction must be"),
        (lambda: ce.binary_cross_entropy([], []), "no examples"),
        (lambda: ce.categorical_cross_entropy([2], [[0.5, 0.5]]), "from 0 to 1; entry 0 is 2"),
        (lambda: ce.categorical_cross_entropy([0.0], [[0.5, 0.5]]), "whole class numbers"),
        (lambda: ce.categorical_cross_entropy([[0.6, 0.6]], [[0.5, 0.5]]), "row 0 of y"),
        (lambda: ce.categorical_cross_entropy([0], [[0.5, 0.6]]), "row 0 of p"),
        (lambda: ce.categorical_cross_entropy([0], [[1.0]], weights=[1, 2]), "examples' shape"),
    ],
)
def test_arguments(call, message):
    with pytest.raises(InputError, match=message):
        call()
