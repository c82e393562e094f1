"""The training loss for PyTorch: torch's signature, every loss of the family, exact numerics.

`cross_entropy` and `CrossEntropyLoss` take the place of
`torch.nn.functional.cross_entropy` and `torch.nn.CrossEntropyLoss`.
"""

from crossentropy._optional import require

require("torch", "torch")  # first: without torch this is the error to see

from ._functional import cross_entropy  # noqa: E402
from ._module import CrossEntropyLoss  # noqa: E402
from ._result import CrossEntropyResult  # noqa: E402

__all__ = ["CrossEntropyLoss", "CrossEntropyResult", "cross_entropy"]
