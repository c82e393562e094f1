"""Reliability diagrams: scikit-learn's protocol, and what is drawn."""

import matplotlib as mpl
import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from crossentropy.scores import ReliabilityDisplay, reliability_curve

mpl.use("agg")
from matplotlib import pyplot as plt


@pytest.fixture(autouse=True)
def closed():
    yield
    plt.close("all")


@pytest.mark.parametrize("weighted", [False, True])
def test_points_are_the_curves(classes, weighted):
    weight = classes.weight if weighted else None
    said = {"input": "logits", "bins": 8, "sample_weight": weight}
    display = ReliabilityDisplay.from_predictions(classes.y, classes.logits, **said)
    curve = reliability_curve(classes.y, classes.logits, **said)
    filled = curve.weight > 0
    np.testing.assert_allclose(display.line_.get_xdata(), curve.confidence[filled])
    np.testing.assert_allclose(display.line_.get_ydata(), curve.accuracy[filled])
    (bars,) = display.errorbar_[2]
    for (bottom, top), share in zip(
        (s[:, 1] for s in bars.get_segments()), curve.accuracy[filled], strict=True
    ):
        assert bottom <= share <= top
    assert display.figure_ is display.ax_.figure


def test_from_estimator_onto_given_axes_with_a_name_and_one_label():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(300, 2))
    y = np.array(["no", "yes"])[(x[:, 0] + rng.normal(size=300) > 0).astype(int)]
    model = LogisticRegression().fit(x, y)
    _, axes = plt.subplots()
    display = ReliabilityDisplay.from_estimator(
        model, x, y, ax=axes, pos_label="yes", strategy="quantile", bins=5, color="C3"
    )
    assert display.ax_ is axes
    assert axes.get_legend().get_texts()[0].get_text() == "LogisticRegression"
    assert axes.get_xlabel() == "Probability of 'yes'"
    assert display.line_.get_color() == "C3"
    assert len(display.line_.get_xdata()) == 5
    again = display.plot(ref_line=False, name="other")
    assert again is display
    assert display.ax_ is not axes


def test_the_band_holds_calibrated_points_and_not_bold_ones():
    rng = np.random.default_rng(1)
    logits = 2 * rng.normal(size=(5000, 3))
    y = (logits + rng.gumbel(size=logits.shape)).argmax(axis=1)

    def inside(values):
        display = ReliabilityDisplay.from_predictions(y, values, input="logits", bins=10)
        vertices = display.band_.get_paths()[0].vertices
        x, share = display.line_.get_data()
        edges = [vertices[np.isclose(vertices[:, 0], each), 1] for each in x]
        return np.mean(
            [e.min() - 1e-9 <= s <= e.max() + 1e-9 for e, s in zip(edges, share, strict=True)]
        )

    assert inside(logits) >= 0.8
    assert inside(3 * logits) <= 0.4


def test_errors_say_what_is_wrong(classes):
    for options, message in (({"strategy": "kmeans"}, "strategy must"), ({"level": 2}, "level")):
        with pytest.raises(ValueError, match=message):
            ReliabilityDisplay.from_predictions(
                classes.y, classes.logits, input="logits", **options
            )
