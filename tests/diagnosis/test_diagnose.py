"""The whole diagnosis: every finding has bits, an interval, a remedy, and code that runs."""

import numpy as np
import pytest

from crossentropy.diagnosis import diagnose
from crossentropy.scores import log_loss

from .conftest import draw, softmax

NAMES = np.array(["ant", "bee", "cat", "dog"])


@pytest.fixture
def faulty(calibrated):
    """Imbalanced, overconfident, with wrong labels and exact zeros."""
    rng = np.random.default_rng(0)
    logits = 2 * rng.normal(size=(2000, 4)) + np.array([2, 1, 0, -1])
    y = draw(rng, softmax(logits))
    y[:100] = rng.integers(4, size=100)
    proba = softmax(2.5 * logits)
    proba[:3] = np.eye(4)[(y[:3] + 1) % 4]
    return y, proba


def _run(finding, **given):
    """The names that a finding's code leaves behind."""
    scope = dict(given)
    exec(finding.code, scope)  # what the page shows is what runs
    return scope


@pytest.mark.parametrize("kind", ["logits", "proba"])
@pytest.mark.parametrize("named", [False, True])
@pytest.mark.parametrize("weighted", [False, True])
def test_every_line_of_code_runs(faulty, kind, named, weighted):
    y, proba = faulty
    given = {"y_true": NAMES[y]}
    options = {}
    with np.errstate(divide="ignore"):
        given[kind] = proba if kind == "proba" else np.log(proba)
    if named:
        given["labels"] = options["labels"] = NAMES
    if weighted:
        given["sample_weight"] = options["sample_weight"] = np.linspace(1, 2, len(y))
    found = diagnose(given["y_true"], given[kind], input=kind, out_of_sample=True, **options)
    everything = found.findings + found.unconfirmed
    assert {finding.kind for finding in everything} >= {
        "overconfidence",
        "zero_probabilities",
        "class_bias",
        "class_imbalance",
        "label_noise",
        "confused_pair",
        "costly_rows",
    }
    for finding in everything:
        scope = _run(finding, **given)
        for name in ("calibrated", "mixed", "corrected", "merged"):
            if name in scope:
                np.testing.assert_allclose(scope[name].sum(axis=1), 1)


def test_a_missing_class_has_code_that_runs_too(faulty):
    y, proba = faulty
    y, proba = y[y < 3], proba[y < 3]
    found = diagnose(NAMES[y], proba, input="proba", out_of_sample=True, labels=NAMES)
    for finding in found.findings + found.unconfirmed:
        assert np.isfinite([finding.bits, *finding.interval]).all()
        _run(finding, y_true=NAMES[y], proba=proba, labels=NAMES)


def test_code_wins_the_bits_that_it_is_said_to_win(faulty):
    y, proba = faulty
    found = {f.kind: f for f in diagnose(y, proba, input="proba", out_of_sample=True).findings}
    floored = np.log2(np.maximum(proba[np.arange(len(y)), y], np.finfo(np.float32).tiny))
    mixed = _run(found["zero_probabilities"], y_true=y, proba=proba)["mixed"]
    after = log_loss(y, mixed, input="proba", base=2)
    assert -floored.mean() - after == pytest.approx(found["zero_probabilities"].bits)
    calibrated = _run(found["overconfidence"], y_true=y, proba=proba)["calibrated"]
    # in sample here, held out there
    won = after - log_loss(y, calibrated, input="proba", base=2)
    assert won == pytest.approx(found["overconfidence"].bits, rel=0.05)
    corrected = _run(found["class_imbalance"], y_true=y, proba=proba)["corrected"]
    assert corrected[:, 3].mean() > proba[:, 3].mean()


def test_findings_are_in_the_order_of_their_bits(faulty):
    found = diagnose(*faulty, input="proba", out_of_sample=True)
    order = ("won", "at_most", "held")
    keys = [(order.index(f.measure), -f.bits) for f in found.findings]
    assert keys == sorted(keys)
    assert all(finding.sure for finding in found.findings)
    assert not any(finding.sure for finding in found.unconfirmed)
    for finding in found.findings:
        assert finding.interval.low <= finding.bits <= finding.interval.high
        assert finding.what.endswith(".")
        assert finding.how_sure.endswith(".")
        assert finding.remedy.endswith(".")


def test_in_sample_predictions_show_no_label_noise(faulty):
    found = diagnose(*faulty, input="proba", out_of_sample=False)
    assert found.noise is None
    assert len(found.refused) == 1
    assert "in-sample" in found.refused[0]
    assert "label_noise" not in {f.kind for f in found.findings + found.unconfirmed}


def test_good_predictions_need_no_remedy(calibrated):
    y, logits = calibrated(0, n=3000, classes=3)
    found = diagnose(y, logits, input="logits", out_of_sample=True)
    assert not [finding for finding in found.findings if finding.measure == "won"]
    assert found.bits == pytest.approx(log_loss(y, logits, input="logits", base=2))
    assert found.n_rows == 3000


def test_rows_of_weight_zero_are_not_there(faulty):
    y, proba = faulty
    weight = np.ones(len(y))
    weight[1000:] = 0
    whole = diagnose(y, proba, input="proba", out_of_sample=True, sample_weight=weight)
    part = diagnose(y[:1000], proba[:1000], input="proba", out_of_sample=True)
    for ours, theirs in zip(whole.findings, part.findings, strict=True):
        assert (ours.kind, ours.bits, ours.interval) == (theirs.kind, theirs.bits, theirs.interval)


@pytest.mark.parametrize(
    ("y", "proba"), [([0], [[0.5, 0.5]]), ([0, 1], [[0.5, 0.5], [0.5, 0.6]]), ([], np.ones((0, 2)))]
)
def test_bad_input(y, proba):
    with pytest.raises(ValueError, match="row"):
        diagnose(y, proba, input="proba", out_of_sample=True, labels=[0, 1])


def test_two_rows_are_enough():
    found = diagnose([0, 1], [[0.9, 0.1], [0.2, 0.8]], input="proba", out_of_sample=True)
    assert all(np.isfinite(f.bits) for f in found.findings + found.unconfirmed)
