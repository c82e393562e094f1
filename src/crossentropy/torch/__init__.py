"""The training loss for PyTorch: torch's signature, every loss of the family, exact numerics.

`cross_entropy` and `CrossEntropyLoss` take the place of
`torch.nn.functional.cross_entropy` and `torch.nn.CrossEntropyLoss`, as
`binary_cross_entropy_with_logits` and `BCEWithLogitsLoss` do of torch's of these names;
`distillation_loss` compares two sets of logits, and `Powerset` poses a multilabel problem as
one for `cross_entropy`. `Calibrated` puts a fitted calibrator behind a network.
"""

from crossentropy._optional import require

require("torch", "torch")  # first: without torch this is the error to see

# here, since the first call may be a compiled one, and a compiler follows no import
import array_api_compat.torch  # noqa: E402, F401

from ._binary import binary_cross_entropy_with_logits  # noqa: E402
from ._binary_module import BCEWithLogitsLoss  # noqa: E402
from ._calibrated import Calibrated  # noqa: E402
from ._causal_lm import patch_causal_lm  # noqa: E402
from ._distillation import distillation_loss  # noqa: E402
from ._functional import cross_entropy  # noqa: E402
from ._linear import linear_cross_entropy  # noqa: E402
from ._linear_module import LinearCrossEntropyLoss  # noqa: E402
from ._linear_options import LinearOptions  # noqa: E402
from ._memory import empty_cache  # noqa: E402
from ._module import CrossEntropyLoss  # noqa: E402
from ._powerset import Powerset  # noqa: E402
from ._result import CrossEntropyResult  # noqa: E402

__all__ = [
    "BCEWithLogitsLoss",
    "Calibrated",
    "CrossEntropyLoss",
    "CrossEntropyResult",
    "LinearCrossEntropyLoss",
    "LinearOptions",
    "Powerset",
    "binary_cross_entropy_with_logits",
    "cross_entropy",
    "distillation_loss",
    "empty_cache",
    "linear_cross_entropy",
    "patch_causal_lm",
]
