"""Whether the numbers found are those wanted."""

import warnings

import ml_dtypes
import numpy as np

from . import contexts
from .contexts import WrongError
from .draw import DTYPES
from .tolerance import allowed

# what tells a caller that the input cannot be used; both sides must agree on it
_REFUSALS = (ValueError, IndexError, TypeError, NotImplementedError)


def judge(case):
    """Raise `WrongError` unless the tested path agrees with the oracle."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        wanted = _outcome(contexts.wanted, case)
        found = _outcome(contexts.found, case)
    if isinstance(wanted, Exception) or isinstance(found, Exception):
        if type(wanted) is not type(found):
            raise WrongError(f"found {_shown(found)}, wanted {_shown(wanted)}")
        return
    if "lse" in found:
        _forget_what_is_nothing(found, wanted)
    for name, value in found.items():
        exact = name in ("argmax", "correct")
        permitted = 0.0 if exact else allowed(case, name, wanted)
        _compare(name, value, wanted[name], permitted, _dtype_of(name, case))


def _forget_what_is_nothing(*results):
    """A row without a probability has no logsumexp, and no greatest logit, to speak of."""
    for result in results:
        nothing = np.isnan(result["log_prob"])
        for name in ("lse", "argmax", "correct"):
            if name in result:
                result[name] = np.where(nothing, 0.0, result[name])


def _outcome(run, case):
    try:
        return run(case)
    except _REFUSALS as error:
        return error


def _shown(outcome):
    return repr(outcome) if isinstance(outcome, Exception) else "a result"


def _dtype_of(name, case):
    """What a result was rounded to: statistics and losses of rows stay in float64."""
    if name in ("gradient", "hessian") or (case.is_torchs and name == "loss"):
        return case.dtype
    return "float64"


def _compare(name, found, wanted, permitted, dtype):
    wanted = np.asarray(wanted)
    largest = float(ml_dtypes.finfo(DTYPES[dtype]).max)
    permitted = np.broadcast_to(np.nan_to_num(permitted, nan=0.0, posinf=0.0), wanted.shape)
    with np.errstate(invalid="ignore"):
        good = np.abs(found - wanted) <= permitted
    good |= (found == wanted) | (np.isnan(found) & np.isnan(wanted))
    good |= (np.abs(wanted) > 0.98 * largest) & (np.abs(found) > 0.98 * largest)
    if good.all():
        return
    at = tuple(int(i) for i in np.argwhere(~good)[0])
    raise WrongError(
        f"{name}{list(at)}: found {found[at]!r}, wanted {wanted[at]!r} ± {permitted[at]:.1e} "
        f"({int((~good).sum())} of {good.size} are wrong)"
    )
