from collections.abc import Iterator

import hypothesis
import pytest

from crossentropy import rows

# The machine is shared: a slow example is no failure.
hypothesis.settings.register_profile("default", deadline=None, max_examples=50)
hypothesis.settings.load_profile("default")


@pytest.fixture(params=rows.available_paths())
def path(request: pytest.FixtureRequest) -> Iterator[str]:
    """Every implementation of the row passes that this machine can run."""
    with rows.using(request.param):
        yield request.param
