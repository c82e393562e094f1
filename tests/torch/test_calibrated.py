import copy

import numpy as np
import pytest
import torch
from torch import nn

from crossentropy import calibration
from crossentropy.torch import Calibrated

pytest.importorskip("scipy")  # fits vectors and matrices

CALIBRATORS = [
    calibration.TemperatureScaling(),
    calibration.TemperatureScaling(mixing="laplace"),
    calibration.VectorScaling(),
    calibration.MatrixScaling(),
    calibration.PriorShift(prior=[0.1, 0.2, 0.3, 0.4]),
]


def problem(rows=200):
    generator = torch.Generator().manual_seed(0)
    x = torch.randn((rows, 3), generator=generator)
    network = nn.Linear(3, 4)
    with torch.no_grad():
        network.weight.copy_(3 * torch.randn((4, 3), generator=generator))
    logits = network(x).detach()
    y = (logits / 2 - torch.rand(logits.shape, generator=generator).log().neg().log()).argmax(1)
    return network, x, logits, y


@pytest.mark.parametrize("calibrator", CALIBRATORS, ids=repr)
def test_a_network_predicts_what_its_calibrator_does(calibrator):
    network, x, logits, y = problem()
    fitted = calibrator.fit(logits.numpy(), y.numpy())
    model = Calibrated(network, fitted).eval()
    want = fitted.predict_proba(logits.numpy())
    np.testing.assert_allclose(model.predict_proba(x).detach(), want, rtol=1e-5, atol=1e-7)
    double = copy.deepcopy(model).double()
    np.testing.assert_allclose(double.predict_proba(x.double()).detach(), want, rtol=1e-5)
    compiled = torch.compile(model, backend="eager")
    np.testing.assert_allclose(compiled(x).softmax(1).detach(), want, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("calibrator", CALIBRATORS, ids=repr)
def test_it_is_saved_with_the_network_and_not_trained(calibrator, tmp_path):
    network, x, logits, y = problem()
    model = Calibrated(network, calibrator.fit(logits.numpy(), y.numpy()))
    torch.save(model.state_dict(), tmp_path / "model.pt")
    other = type(calibrator)(**calibrator.get_params()).fit(-logits.numpy(), y.numpy())
    again = Calibrated(nn.Linear(3, 4), other)
    again.load_state_dict(torch.load(tmp_path / "model.pt"))
    torch.testing.assert_close(again(x), model(x), rtol=0, atol=0)
    assert {name for name, _ in model.named_parameters()} == {"network.weight", "network.bias"}


@pytest.mark.parametrize("calibrator", CALIBRATORS, ids=repr)
def test_images_have_their_classes_on_axis_1(calibrator):
    _, _, logits, y = problem()
    model = Calibrated(nn.Identity(), calibrator.fit(logits.numpy(), y.numpy()))
    planes = logits.reshape(10, 20, 4).movedim(2, 1)
    got = model(planes).movedim(1, 2).reshape(200, 4)
    torch.testing.assert_close(got, model(logits))


def test_short_logits_are_widened_and_masked_classes_stay_so():
    _, _, logits, y = problem()
    scaling = calibration.TemperatureScaling().fit(logits.numpy(), y.numpy())
    model = Calibrated(nn.Identity(), scaling)
    assert model(logits.bfloat16()).dtype == torch.float32
    logits[:, 2] = -torch.inf
    assert (model.predict_proba(logits)[:, 2] == 0).all()


def test_what_cannot_be_applied_is_refused():
    _, _, logits, y = problem()
    with pytest.raises(TypeError, match="PlattScaling is no map of logits"):
        Calibrated(nn.Identity(), calibration.PlattScaling())
    with pytest.raises(ValueError, match="not fitted yet"):
        Calibrated(nn.Identity(), calibration.TemperatureScaling())
    proba = calibration.TemperatureScaling(input="proba").fit(logits.softmax(1), y)
    with pytest.raises(ValueError, match='fit one with input="logits"'):
        Calibrated(nn.Identity(), proba)
