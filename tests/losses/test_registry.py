import pytest

from crossentropy import losses
from tests.table import ROWS


def test_every_loss_of_the_registry_is_in_the_table():
    """But those that need the logits, whose tests are in `test_noise`."""
    scalar = {name for name in losses.available() if not losses.get(name).needs_logits}
    assert scalar <= {row.loss.name for row in ROWS}
    assert set(losses.available()) - scalar == {"hard_bootstrapping"}


@pytest.mark.parametrize("name", losses.available())
def test_get_makes_each_with_its_defaults(name):
    loss = losses.get(name)
    assert loss.name == name
    assert loss == type(loss)()
    assert loss.label.startswith(name.replace("_", " "))


def test_parameters():
    assert losses.get("focal", gamma=1.5) == losses.Focal(1.5)
    assert losses.Focal(1.5).label == "focal (gamma = 1.5)"
    with pytest.raises(TypeError):
        losses.get("focal", alpha=1)


def test_an_unknown_name_is_told_its_neighbour():
    with pytest.raises(ValueError, match="unknown loss 'focall'; did you mean 'focal'"):
        losses.get("focall")


def test_losses_are_values():
    assert losses.Focal(2.0) == losses.Focal()
    assert len({losses.Focal(), losses.Focal(1.0), losses.Poly()}) == 3
