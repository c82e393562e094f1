"""Binary losses on arrays: identities, hand values, the user's own, what is refused."""

import numpy as np
import pytest

from crossentropy import losses
from crossentropy.losses import Asymmetric, Binary, BinaryCrossEntropy, BinaryRule, SigmoidFocal
from tests.binary_table import every_loss
from tests.table import ROWS

torch = pytest.importorskip("torch")

MARGINS = np.concatenate([np.linspace(-40, 40, 81), [-1e4, -300, 300, 1e4]])


def has_binary_version(loss):
    try:
        Binary(loss)
    except ValueError:
        return False
    return True


SHARED = [row.loss for row in ROWS if has_binary_version(row.loss)]


@pytest.mark.parametrize("loss", SHARED, ids=lambda loss: loss.label)
@pytest.mark.parametrize("y", [0, 1])
def test_two_class_softmax_is_the_sigmoid_of_the_difference(path, loss, y):
    two = np.stack([np.zeros_like(MARGINS), MARGINS], axis=1)
    of_rows = loss.loss_gradient(np.full(len(two), y), two)
    value, gradient = Binary(loss).loss_gradient(np.full(MARGINS.shape, y), MARGINS)
    np.testing.assert_allclose(value, of_rows[0], rtol=1e-12)
    np.testing.assert_allclose(gradient, of_rows[1][:, 1], rtol=1e-12, atol=1e-300)


def test_the_sigmoid_of_the_difference_for_any_two_logits(path):
    rng = np.random.default_rng(0)
    two, y = rng.normal(size=(200, 2)) * 5, rng.integers(0, 2, 200)
    of_rows = losses.Focal(1.5).loss(y, two)
    got = SigmoidFocal(None, 1.5).loss(y, two[:, 1] - two[:, 0])
    np.testing.assert_allclose(got, of_rows, rtol=1e-12)


def test_most_of_the_family_has_a_binary_version():
    names = {loss.name for loss in SHARED}
    assert {"cross_entropy", "focal", "poly", "generalized_cross_entropy", "comp_sum"} <= names
    assert not {"normalized_cross_entropy", "cos_face", "ldam"} & names


@pytest.mark.parametrize(
    "loss",
    [losses.CosFace(), losses.NormalizedCrossEntropy(), losses.ScalarRule(lambda u: -u)],
    ids=lambda loss: loss.name,
)
def test_what_reads_more_than_the_log_probability_has_none(loss):
    with pytest.raises(ValueError, match="no function of the target's log-probability alone"):
        Binary(loss)


def logit(p):
    return np.log(p) - np.log1p(-p)


def test_the_focal_papers_numbers(path):
    """At p = .9 a hundred times less than cross entropy, at .968 a thousand times."""
    p = np.array([0.9, 0.968])
    ratio = BinaryCrossEntropy().loss(np.ones(2), logit(p)) / SigmoidFocal(None).loss(
        np.ones(2), logit(p)
    )
    np.testing.assert_allclose(ratio, [100, 1 / 0.032**2], rtol=1e-12)
    got = SigmoidFocal(0.25, 2).loss(np.array([1, 0]), logit(np.array([0.9, 0.9])))
    np.testing.assert_allclose(got, [-0.25 * 0.01 * np.log(0.9), -0.75 * 0.81 * np.log(0.1)])


def test_the_asymmetric_papers_formula(path):
    """Negatives below the margin are discarded; at p = .25 the shifted probability is .2."""
    negative = Asymmetric().loss(np.zeros(3), logit(np.array([0.03, 0.0499, 0.25])))
    np.testing.assert_allclose(negative, [0, 0, -(0.2**4) * np.log(0.8)], rtol=1e-13)
    positive = Asymmetric().loss(np.ones(1), logit(np.array([0.25])))
    np.testing.assert_allclose(positive, -0.75 * np.log(0.25))


def test_special_cases_are_cross_entropy(path):
    y = (np.arange(len(MARGINS)) % 3) / 2
    want = BinaryCrossEntropy().loss_gradient(y, MARGINS)
    for loss in (SigmoidFocal(None, 0), Asymmetric(0, 0, 0), *map(Binary, SHARED[:1])):
        for got, expected in zip(loss.loss_gradient(y, MARGINS), want, strict=True):
            np.testing.assert_allclose(got, expected, rtol=1e-14, atol=1e-300)


@every_loss
def test_the_loss_is_linear_in_the_target(path, row):
    z, y = np.linspace(-6, 6, 50), np.linspace(0, 1, 50)
    mixed = row.loss.loss_gradient(y, z)
    positive, negative = (row.loss.loss_gradient(np.full(50, k), z) for k in (1, 0))
    for got, of_one, of_none in zip(mixed, positive, negative, strict=True):
        np.testing.assert_allclose(got, y * of_one + (1 - y) * of_none, rtol=1e-12, atol=1e-15)


@every_loss
def test_methods_agree(path, row):
    z, y = np.linspace(-6, 6, 50), np.linspace(0, 1, 50)
    loss, gradient = row.loss.loss_gradient(y, z)
    np.testing.assert_array_equal(row.loss.loss(y, z), loss)
    np.testing.assert_array_equal(row.loss.gradient(y, z), gradient)
    outputs = np.empty((2, 50))
    made = row.loss.loss_gradient(y, z, loss_out=outputs[0], gradient_out=outputs[1])
    assert made[0].base is outputs
    np.testing.assert_array_equal(outputs, [loss, gradient])


@pytest.mark.parametrize("library", ["torch", "array_api_strict"])
@every_loss
def test_array_libraries(row, library):
    xp = pytest.importorskip(library)
    z, y = np.linspace(-5, 5, 12).reshape(3, 4), np.linspace(0, 1, 12).reshape(3, 4)
    want = row.loss.loss_gradient(y, z, pos_weight=np.arange(4.0))
    z, y, weight = (xp.asarray(x) for x in (z, y, np.arange(4.0)))
    got = row.loss.loss_gradient(y, z, pos_weight=weight)

    for mine, theirs in zip(got, want, strict=True):
        assert type(mine) is type(z)
        np.testing.assert_allclose(np.asarray(mine), theirs, rtol=1e-12)


def test_inputs_of_any_layout_and_type(path):
    rng = np.random.default_rng(0)
    z, y = rng.normal(size=(6, 8)), rng.integers(0, 2, (6, 8))
    want = BinaryCrossEntropy().loss(y, z)
    frozen = z.copy()
    frozen.flags.writeable = False
    layouts = [
        (y.astype(bool), np.asfortranarray(z)),
        (y.astype(np.int8), frozen),
        (np.repeat(y, 2, axis=1)[:, ::2], np.repeat(z, 2, axis=0)[::2]),
        (y.astype(">f8"), z.astype(">f8")),
    ]
    for target, logits in layouts:
        np.testing.assert_allclose(BinaryCrossEntropy().loss(target, logits), want, rtol=1e-14)
    same = np.broadcast_to(z[0], (6, 8))
    np.testing.assert_array_equal(
        BinaryCrossEntropy().loss(y, same), BinaryCrossEntropy().loss(y, same.copy())
    )


def test_what_is_refused():
    loss, z = BinaryCrossEntropy(), np.zeros((2, 3))
    for arguments, error, message in [
        ((np.zeros(3), z), ValueError, r"the logits' shape \(2, 3\), got \(3,\)"),
        ((z, z.astype(int)), TypeError, "logits must be floating point"),
        ((z.astype(complex), z), TypeError, "targets must be real numbers"),
        ((z + 1.5, z), ValueError, r"probabilities in \[0, 1\], got 1.5 at \(0, 0\)"),
    ]:
        with pytest.raises(error, match=message):
            loss.loss(*arguments)
    for options, message in [
        ({"sample_weight": np.ones(2)}, r"sample_weight must broadcast .* got \(2,\)"),
        ({"pos_weight": np.ones((4, 2, 3))}, r"pos_weight must broadcast"),
        ({"n_threads": 0}, "n_threads must be at least 1"),
        ({"out": np.ones(6)}, r"losses must have shape \(2, 3\)"),
        ({"out": np.ones((2, 3), np.float32)}, "type float64"),
    ]:
        with pytest.raises(ValueError, match=message):
            loss.loss(z, z, **options)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: SigmoidFocal(gamma=-1), "gamma must be a number of at least 0, got -1"),
        (lambda: SigmoidFocal(alpha=2), r"alpha must lie in \[0, 1\], got 2"),
        (lambda: Asymmetric(gamma_neg=float("nan")), "gamma_neg must be a number"),
        (lambda: Asymmetric(clip=1.0), r"clip must lie in \[0, 1\), got 1.0"),
        (lambda: losses.as_binary_loss("sigmoid_focl"), "did you mean 'sigmoid_focal'"),
        (lambda: losses.as_binary_loss("ldam"), "LDAM|unknown loss"),
    ],
)
def test_parameters_are_checked(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_losses_by_name():
    assert losses.as_binary_loss(None) == BinaryCrossEntropy()
    assert losses.as_binary_loss("asymmetric") == Asymmetric()
    assert losses.as_binary_loss("focal") == Binary(losses.Focal())
    assert losses.as_binary_loss(losses.Poly(1)).name == "binary_poly"
    with pytest.raises(TypeError, match="loss must be a crossentropy loss"):
        losses.as_binary_loss(3)


# ---- the user's own -----------------------------------------------------------------------------


def squared_hinge(m):
    return (1 - m).clip(0, None) ** 2


def test_a_rule_with_its_derivative(path):
    rule = BinaryRule(squared_hinge, derivative=lambda m: -2 * (1 - m).clip(0, None))
    z, y = np.array([0.5, 0.5, -3.0, 3.0]), np.array([1, 0, 0, 0.5])
    loss, gradient = rule.loss_gradient(y, z)
    np.testing.assert_allclose(loss, [0.25, 2.25, 0, 8])
    np.testing.assert_allclose(gradient, [-1, 3, 0, 4])
    assert rule.name == "squared_hinge"


def test_a_rule_is_differentiated_for_tensors_only(path):
    rule = BinaryRule(squared_hinge)
    y, z = torch.tensor([1.0, 0.0]), torch.tensor([0.5, 0.5])
    np.testing.assert_allclose(rule.gradient(y, z), [-1, 3])
    with pytest.raises(TypeError, match="give derivative="):
        rule.gradient(y.numpy(), z.numpy())


def test_a_rule_must_return_a_number_for_each_logit():
    with pytest.raises(ValueError, match="one number for each logit"):
        BinaryRule(lambda m: m.sum()).loss(np.zeros(3), np.zeros(3))
