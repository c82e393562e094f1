"""Outputs that the caller owns, threads, and the checks of the array methods."""

import numpy as np
import pytest
import torch

from crossentropy import losses
from tests.losses.test_family import some_rows
from tests.table import every_loss

LOGITS, TARGET = some_rows(7, n=50)
FOCAL = losses.Focal()


@every_loss
def test_outputs_are_written_and_returned(path, loss, literal):
    logits = LOGITS / loss.scale
    value, gradient = loss.loss_gradient(TARGET, logits)
    hessian = loss.gradient_hessian(TARGET, logits)[1]
    loss_out, gradient_out, hessian_out = np.empty(50), np.empty((50, 7)), np.empty((50, 7))
    assert loss.loss(TARGET, logits, out=loss_out) is loss_out
    np.testing.assert_allclose(loss_out, value, rtol=1e-14)

    loss_out[:] = gradient_out[:] = np.nan
    outputs = {"loss_out": loss_out, "gradient_out": gradient_out}
    got = loss.loss_gradient(TARGET, logits, **outputs)
    assert got[0] is loss_out
    assert got[1] is gradient_out
    np.testing.assert_array_equal(loss_out, value)
    np.testing.assert_array_equal(gradient_out, gradient)

    gradient_out[:] = np.nan
    outputs = {"gradient_out": gradient_out, "hessian_out": hessian_out}
    got = loss.gradient_hessian(TARGET, logits, **outputs)
    assert got[0] is gradient_out
    assert got[1] is hessian_out
    np.testing.assert_array_equal(gradient_out, gradient)
    np.testing.assert_array_equal(hessian_out, hessian)


@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.float16])
def test_a_gradient_may_replace_its_logits(path, dtype):
    logits = LOGITS.astype(dtype)
    want = FOCAL.gradient_hessian(TARGET, logits)
    spent = logits.copy()
    FOCAL.loss_gradient(TARGET, spent, gradient_out=spent)
    np.testing.assert_array_equal(spent, want[0])
    spent = logits.copy()
    got = FOCAL.gradient_hessian(TARGET, spent, gradient_out=spent)
    np.testing.assert_array_equal(spent, want[0])
    np.testing.assert_array_equal(got[1], want[1])


def test_outputs_of_any_layout(path):
    want = FOCAL.gradient_hessian(TARGET, LOGITS)
    wide, tall = np.full((50, 14), np.nan), np.empty((7, 50))
    got = FOCAL.gradient_hessian(TARGET, LOGITS, gradient_out=wide[:, ::2], hessian_out=tall.T)
    np.testing.assert_allclose(wide[:, ::2], want[0], rtol=1e-13)
    np.testing.assert_allclose(got[1], want[1], rtol=1e-13, atol=1e-15)
    assert np.isnan(wide[:, 1::2]).all()


def test_outputs_of_torch(path):
    tensors = torch.tensor(TARGET), torch.tensor(LOGITS)
    want = FOCAL.loss_gradient(*tensors)
    out = torch.empty(50, dtype=torch.float64), torch.empty(50, 7, dtype=torch.float64)
    got = FOCAL.loss_gradient(*tensors, loss_out=out[0], gradient_out=out[1])
    assert got[0] is out[0]
    assert got[1] is out[1]
    torch.testing.assert_close(out, want, rtol=0, atol=0)


READ_ONLY = np.zeros((50, 7))
READ_ONLY.flags.writeable = False


@pytest.mark.parametrize(
    ("method", "outputs", "says"),
    [
        ("loss", {"out": np.zeros(49)}, r"losses must have shape \(50,\).*got \(49,\)"),
        ("loss", {"out": np.zeros(50, np.float32)}, "type .*float64.*got .*float32"),
        ("loss", {"out": [0.0] * 50}, "must be a ndarray on the logits' device, got list"),
        ("loss", {"out": torch.zeros(50)}, "must be a ndarray on the logits' device, got Tensor"),
        ("loss_gradient", {"gradient_out": np.zeros((7, 50))}, "gradient must have shape"),
        ("loss_gradient", {"gradient_out": READ_ONLY}, "must be writeable, got a read-only"),
        ("loss_gradient", {"loss_out": np.zeros((50, 1))}, "losses must have shape"),
        ("gradient_hessian", {"hessian_out": np.zeros((50, 7), np.float32)}, "hessian must have"),
    ],
)
def test_outputs_that_do_not_fit(path, method, outputs, says):
    """Nothing is written, to the outputs that do fit neither."""
    fitting = {
        "loss": {},
        "loss_gradient": {"loss_out": np.zeros(50), "gradient_out": np.zeros((50, 7))},
        "gradient_hessian": {"gradient_out": np.zeros((50, 7)), "hessian_out": np.zeros((50, 7))},
    }[method]
    with pytest.raises(ValueError, match=says):
        getattr(FOCAL, method)(TARGET, LOGITS, **{**fitting, **outputs})
    assert not any(out.any() for out in fitting.values())


def test_a_wrong_label_leaves_outputs_alone(path):
    out = np.zeros(50)
    with pytest.raises(IndexError):
        FOCAL.loss(np.full(50, 7), LOGITS, out=out)
    assert not out.any()


@pytest.mark.parametrize("classes", [3, 2000])
def test_results_do_not_depend_on_threads(path, classes):
    logits, target = some_rows(classes, n=400)
    for loss in (FOCAL, losses.NormalizedCrossEntropy()):
        one, three = (loss.gradient_hessian(target, logits, n_threads=n) for n in (1, 3))
        for mine, theirs in zip(one, three, strict=True):
            np.testing.assert_array_equal(mine, theirs)
        values = [loss.loss(target, logits, n_threads=n) for n in (1, 3)]
        np.testing.assert_array_equal(*values)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"sample_weight": np.ones((50, 1))}, r"sample_weight must have shape \(50,\)"),
        ({"sample_weight": np.ones(1)}, r"sample_weight must have shape \(50,\), got \(1,\)"),
        ({"class_weight": np.ones(8)}, r"class_weight must have shape \(7,\), got \(8,\)"),
        ({"n_threads": 0}, "n_threads must be at least 1"),
    ],
)
def test_weights_and_threads_that_do_not_fit(options, says):
    for method in (FOCAL.loss, FOCAL.loss_gradient, FOCAL.gradient_hessian):
        with pytest.raises(ValueError, match=says):
            method(TARGET, LOGITS, **options)


def test_no_rows(path):
    empty = np.empty((0, 3)), np.empty(0, dtype=int)
    value, gradient = FOCAL.loss_gradient(empty[1], empty[0])
    assert (value.shape, gradient.shape) == ((0,), (0, 3))
    assert FOCAL.gradient_hessian(empty[1], empty[0])[1].shape == (0, 3)
