"""The family of cross-entropy losses: scalar rules over row statistics.

A loss is a frozen dataclass with a value and its slopes; every context (arrays, PyTorch,
boosting) runs the same rule between the same two row passes. `available` lists the
registry, `get` makes a loss from its name.
"""

from ._base import Loss
from ._binary import (
    Asymmetric,
    Binary,
    BinaryCrossEntropy,
    BinaryRule,
    SigmoidFocal,
    as_binary_loss,
)
from ._binary_base import BinaryLoss
from ._family import CrossEntropy, Focal, Poly, TaylorCrossEntropy
from ._imbalance import class_balanced_weights, logit_adjustment
from ._margins import LDAM, CosFace
from ._noise import BackwardCorrection, ForwardCorrection, HardBootstrapping
from ._normalized import NormalizedCrossEntropy, active_passive
from ._objective import Objective, Terms
from ._registry import as_loss, available, get
from ._robust import (
    CompSum,
    GeneralizedCrossEntropy,
    MeanAbsoluteError,
    ReverseCrossEntropy,
    SymmetricCrossEntropy,
    TruncatedGeneralizedCrossEntropy,
)
from ._scalar_rule import ScalarRule
from ._sum import Sum

__all__ = [
    "LDAM",
    "Asymmetric",
    "BackwardCorrection",
    "Binary",
    "BinaryCrossEntropy",
    "BinaryLoss",
    "BinaryRule",
    "CompSum",
    "CosFace",
    "CrossEntropy",
    "Focal",
    "ForwardCorrection",
    "GeneralizedCrossEntropy",
    "HardBootstrapping",
    "Loss",
    "MeanAbsoluteError",
    "NormalizedCrossEntropy",
    "Objective",
    "Poly",
    "ReverseCrossEntropy",
    "ScalarRule",
    "SigmoidFocal",
    "Sum",
    "SymmetricCrossEntropy",
    "TaylorCrossEntropy",
    "Terms",
    "TruncatedGeneralizedCrossEntropy",
    "active_passive",
    "as_binary_loss",
    "as_loss",
    "available",
    "class_balanced_weights",
    "get",
    "logit_adjustment",
]
