"""Information theory on arrays, exact, in the units asked for.

Every measure takes arrays of NumPy, PyTorch, JAX, CuPy or another library of the array-API
standard, and answers in the caller's library, device and dtype; lists are NumPy's. Units are
bits (``base=2``) by default. Nothing is guessed, clipped or renormalised: ``input=`` says if an
array holds probabilities, their natural logarithms or logits, and what is no distribution
raises an error that names the row.
"""

from __future__ import annotations

from ._divergences import cross_entropy, js_divergence, kl_divergence
from ._information import (
    binary_entropy,
    entropy,
    information,
    renyi_entropy,
    tsallis_entropy,
)
from ._joint import conditional_entropy, mutual_information
from ._on_labels import binary_cross_entropy, categorical_cross_entropy
from ._samples import entropy_from_counts, entropy_from_samples
from ._stable import log_sigmoid, log_softmax, logsumexp, sigmoid, softmax
from ._text import (
    bits_per_byte,
    bits_per_character,
    byte_perplexity,
    perplexity,
    word_perplexity,
)

__all__ = [
    "binary_cross_entropy",
    "binary_entropy",
    "bits_per_byte",
    "bits_per_character",
    "byte_perplexity",
    "categorical_cross_entropy",
    "conditional_entropy",
    "cross_entropy",
    "entropy",
    "entropy_from_counts",
    "entropy_from_samples",
    "information",
    "js_divergence",
    "kl_divergence",
    "log_sigmoid",
    "log_softmax",
    "logsumexp",
    "mutual_information",
    "perplexity",
    "renyi_entropy",
    "sigmoid",
    "softmax",
    "tsallis_entropy",
    "word_perplexity",
]
