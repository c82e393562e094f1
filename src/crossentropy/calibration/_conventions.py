"""Scikit-learn's conventions, without scikit-learn: parameters, tags and errors.

Nothing here imports it: it calls methods of its own conventions where it is used.
"""

from __future__ import annotations

import inspect
import sys
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from crossentropy._errors import InputError, closest

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    from crossentropy._predictions import Array

_Self = TypeVar("_Self", bound="Parameters")


class Parameters:
    """A classifier whose constructor keeps its arguments as attributes of the same names."""

    _estimator_type = "classifier"  # for scikit-learn before 1.6

    @classmethod
    def _defaults(cls) -> dict[str, Any]:
        parameters = list(inspect.signature(cls.__init__).parameters.values())[1:]
        return {p.name: p.default for p in parameters}

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Return the constructor's parameters, and with `deep` those of estimators among them."""
        params = {name: getattr(self, name) for name in self._defaults()}
        inner = [(k, v) for k, v in params.items() if deep and hasattr(v, "get_params")]
        return params | {f"{k}__{i}": x for k, v in inner for i, x in v.get_params().items()}

    def set_params(self: _Self, **params: Any) -> _Self:
        """Set constructor parameters by name, those of an estimator as ``estimator__name``."""
        for name, value in params.items():
            own, _, inner = name.partition("__")
            if own not in self._defaults():
                hint = closest(own, self._defaults())
                raise InputError(f"{type(self).__name__} has no parameter {own!r}; {hint}")
            if inner:
                getattr(self, own).set_params(**{inner: value})
            else:
                setattr(self, own, value)
        return self

    def __sklearn_tags__(self) -> Any:
        # only scikit-learn asks, so it is there to import
        from sklearn.utils import ClassifierTags, InputTags, Tags, TargetTags

        return Tags(
            "classifier",
            target_tags=TargetTags(required=True),
            classifier_tags=ClassifierTags(),
            input_tags=InputTags(),
        )

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "classes_")

    def __repr__(self) -> str:
        own = self.get_params(deep=False)
        defaults = self._defaults().items()
        changed = (f"{k}={own[k]!r}" for k, v in defaults if repr(own[k]) != repr(v))
        return f"{type(self).__name__}({', '.join(changed)})"


def not_fitted(estimator: Parameters) -> Exception:
    """Return the error of what is used before it is fitted."""
    message = f"this {type(estimator).__name__} is not fitted yet: call fit first"
    if "sklearn" in sys.modules:  # whose tools tell this error from others
        from sklearn.exceptions import NotFittedError

        error: Exception = NotFittedError(message)
        return error
    return InputError(message)


def labels_of(y: ArrayLike) -> Array:
    """Labels as an array of one axis."""
    if y is None:
        raise InputError("fit requires y to be passed, but the target y is None")
    labels = np.asarray(y)
    if labels.ndim == 2 and labels.shape[1] == 1:
        labels = labels.ravel()
    if labels.dtype == object and all(isinstance(v, (int, np.integer)) for v in labels.flat):
        labels = np.asarray(labels.tolist())
    no_labels = labels.dtype.kind == "f" and (labels != np.floor(labels)).any()
    if labels.dtype == object:
        no_labels = not all(isinstance(v, (str, int, float, np.generic)) for v in labels.flat)
    if no_labels:
        raise InputError("Unknown label type: y must hold integers, truth values or text")
    return labels
