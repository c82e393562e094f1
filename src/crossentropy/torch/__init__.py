"""The training loss for PyTorch: torch's signature, every loss of the family, exact numerics.

`cross_entropy` and `CrossEntropyLoss` take the place of
`torch.nn.functional.cross_entropy` and `torch.nn.CrossEntropyLoss`; `Powerset` poses a
multilabel problem as one for them.
"""

from crossentropy._optional import require

require("torch", "torch")  # first: without torch this is the error to see

# here, since the first call may be a compiled one, and a compiler follows no import
import array_api_compat.torch  # noqa: E402, F401

from ._functional import cross_entropy  # noqa: E402
from ._memory import empty_cache  # noqa: E402
from ._module import CrossEntropyLoss  # noqa: E402
from ._powerset import Powerset  # noqa: E402
from ._result import CrossEntropyResult  # noqa: E402

__all__ = ["CrossEntropyLoss", "CrossEntropyResult", "Powerset", "cross_entropy", "empty_cache"]
