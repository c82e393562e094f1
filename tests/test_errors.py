import pytest

from crossentropy import losses
from crossentropy._errors import InputError, closest


def test_what_python_sees_is_a_value_error():
    with pytest.raises(ValueError, match="unknown loss") as caught:
        losses.get("hinge")
    assert isinstance(caught.value, InputError)


def test_closest_shows_twenty_names():
    assert closest("a", [str(i) for i in range(25)]).endswith("'19' and 5 more")
    assert closest("a", []) == "there are none"
