"""Diagnosis: what is wrong with a model's probabilities, in bits, and what would mend it.

`diagnose` looks for everything and returns findings in the order of their bits; `confidence`,
`imbalance`, `label_noise`, `confused_pairs` and `costly_rows` give the numbers of one part.
Called by users and by the report. Bits are per row, intervals are of 95 %, and probabilities of
exactly zero count as float32's smallest normal number, 126 bits.
"""

from __future__ import annotations

from ._confidence import Confidence, ConfidencePart, confidence
from ._confusion import ConfusedPair, confused_pairs
from ._costly import CostlyRows, costly_rows
from ._diagnose import diagnose
from ._imbalance import Imbalance, imbalance
from ._interval import Interval
from ._noise import LabelNoise, SuspiciousRows, label_noise
from ._result import Diagnosis, Finding

__all__ = [
    "Confidence",
    "ConfidencePart",
    "ConfusedPair",
    "CostlyRows",
    "Diagnosis",
    "Finding",
    "Imbalance",
    "Interval",
    "LabelNoise",
    "SuspiciousRows",
    "confidence",
    "confused_pairs",
    "costly_rows",
    "diagnose",
    "imbalance",
    "label_noise",
]
