"""Calibrators: maps from a model's logits to probabilities that mean what they say.

They follow scikit-learn's conventions (``fit``, ``predict_proba``, fitted attributes with a
trailing underscore, ``get_params``) without importing it, so they can be cloned, searched and
put at the end of a pipeline. The numbers come from `crossentropy._fit`.
"""

from __future__ import annotations

from ._temperature import TemperatureScaling

__all__ = ["TemperatureScaling"]
