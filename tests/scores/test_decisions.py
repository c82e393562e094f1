"""Shares of right decisions against scikit-learn's."""

import numpy as np
import pytest
from sklearn import metrics

from crossentropy.scores import accuracy, balanced_accuracy, top_k_accuracy


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("said", ["logits", "proba"])
def test_scikit_learns_values(classes, weighted, said):
    weight = classes.weight if weighted else None
    values = getattr(classes, said)
    top, options = values.argmax(axis=1), {"sample_weight": weight}
    for ours, theirs in (
        (accuracy, metrics.accuracy_score),
        (balanced_accuracy, metrics.balanced_accuracy_score),
    ):
        assert ours(classes.y, values, input=said, **options) == pytest.approx(
            theirs(classes.y, top, **options)
        )
    for k in (1, 2, 4, 5, 9):
        with np.errstate(all="ignore"):
            expected = metrics.top_k_accuracy_score(classes.y, values, k=min(k, 4), **options)
        found = top_k_accuracy(classes.y, values, input=said, k=k, **options)
        assert found == pytest.approx(1.0 if k > 4 else expected)


def test_of_equal_scores_the_first_columns_count():
    even = np.full((4, 4), 0.25)
    y = [0, 1, 2, 3]
    assert accuracy(y, even, input="proba") == 0.25
    for k in range(1, 5):
        assert top_k_accuracy(y, even, input="proba", k=k) == k / 4


def test_classes_that_the_rows_lack_do_not_count():
    values = [[0.0, 1.0, 2.0], [2.0, 1.0, 0.0]]
    assert balanced_accuracy([2, 2], values, input="logits", labels=[0, 1, 2]) == 0.5


def test_bad_input_is_refused():
    with pytest.raises(ValueError, match="k must be at least 1"):
        top_k_accuracy([0], [[0.0]], input="logits", k=0)
    for score in (accuracy, top_k_accuracy, balanced_accuracy):
        with pytest.raises(ValueError, match="row 1 is"):
            score([0, 1], [[0.0, 1.0], [np.nan, 0.0]], input="logits")
