import numpy as np
import pytest

from crossentropy import rows

LOGITS, TARGET = np.zeros((3, 4)), np.zeros(3, dtype=np.int32)


def test_targets_of_any_integer_type_and_float16_logits():
    problem = rows.make(LOGITS.astype(np.float16), TARGET)
    assert problem.target.dtype == np.int64
    np.testing.assert_allclose(rows.statistics(problem).log_prob, -np.log(4))


def test_arrays_on_two_devices_are_refused():
    torch = pytest.importorskip("torch")
    with pytest.raises(ValueError, match="targets lie on meta, logits on cpu"):
        rows.make(torch.zeros(2, 3), torch.zeros(2, dtype=torch.int64, device="meta"))


@pytest.mark.parametrize(
    ("arguments", "error", "says"),
    [
        ({"logits": LOGITS.astype(int)}, TypeError, "logits must be floating point"),
        ({"target": TARGET.astype(float)}, TypeError, "integer class indices"),
        ({"logits": LOGITS[0]}, ValueError, r"shape \(N, C\), got \(4,\)"),
        ({"target": TARGET[:2]}, ValueError, r"shape \(3,\) .* got \(2,\)"),
        ({"temperature": 0.0}, ValueError, "temperature must be a positive number"),
        ({"temperature": np.nan}, ValueError, "temperature must be a positive number"),
        ({"n_threads": 0}, ValueError, "n_threads"),
        ({"weight": np.ones(3)}, ValueError, r"weight .* 4 classes, got shape \(3,\)"),
        ({"bias": np.ones((1, 4))}, ValueError, r"bias .* 4 classes"),
    ],
)
def test_what_does_not_fit_is_refused(arguments, error, says):
    given = {"logits": LOGITS, "target": TARGET, **arguments}
    with pytest.raises(error, match=says):
        rows.make(given.pop("logits"), given.pop("target"), **given)
