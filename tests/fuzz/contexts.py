"""A case through each public way in: numbers by name, from the tested path or from the oracle."""

import contextlib
import dataclasses
import math

import numpy as np
import torch

from crossentropy import losses, rows
from crossentropy.torch import _fused, cross_entropy

from .draw import DTYPES
from .guarded import Guarded


class WrongError(Exception):
    """A finding."""


def found(case):
    """What the tested path says, by name, each in float64."""
    before = case.logits.tobytes()
    with _on(case.path, case.threads):
        result = _RUNS[case.context](case, case.logits, _placed(case))
    if case.logits.tobytes() != before:
        raise WrongError("the logits were written to")
    return result


def wanted(case):
    """What the reference passes say of the same numbers in float64, laid out plainly."""
    with _on("reference", 1):
        return _RUNS[case.context](case, case.exact, _plain)


@contextlib.contextmanager
def _on(path, threads):
    before = rows.path(), torch.get_num_threads()
    rows.use(path)
    torch.set_num_threads(threads)
    _fused._upstreams_are_one = True  # whatever cases there were before
    try:
        yield
    finally:
        rows.use(before[0])
        torch.set_num_threads(before[1])


# ---- where outputs go -------------------------------------------------------------------------


def _plain(shape, dtype):
    """The oracle makes its own outputs."""
    return contextlib.nullcontext()


def _placed(case):
    @contextlib.contextmanager
    def guarded(shape, dtype):
        apart = int(case.options.get("output") == "unaligned")
        memory = Guarded(shape, dtype, at_start=case.seed % 2 == 0, apart=apart)
        yield memory.array
        if not memory.intact():
            raise WrongError(f"written outside an output of shape {shape}")

    return guarded if _wants_guards(case) else _plain


def _wants_guards(case):
    return case.options.get("guarded") or case.options.get("output") in ("guarded", "unaligned")


def _float64(array):
    if isinstance(array, torch.Tensor):
        array = array.detach().double().numpy() if array.is_floating_point() else array.numpy()
    return np.asarray(array, np.float64)


# ---- torch ------------------------------------------------------------------------------------


def _torch(case, logits, _):
    tested = logits is case.logits
    options = dict(case.options)
    inplace = options.pop("inplace_backward", False) and tested
    options = _tensors(options)
    if type(options["loss"]) is losses.CrossEntropy:
        options["loss"] = None  # the same, by the route with the least Python
    leaf = _tensor(logits.copy() if inplace else logits).requires_grad_()
    computed = _Layer.apply(leaf, leaf.detach()) if inplace else leaf
    result = cross_entropy(
        computed,
        torch.from_numpy(case.target),
        ignore_index=case.ignore_index,
        inplace_backward=inplace,
        **options,
    )
    loss = result.loss if options.get("return_stats") else result
    upstream, twice = _upstream(loss, case), tested and not inplace and case.seed % 3 == 0
    (gradient,) = torch.autograd.grad(loss, leaf, upstream, retain_graph=twice)
    outcome = {"loss": _float64(loss), "gradient": _float64(gradient.clone())}
    if twice:
        gradient.fill_(7)  # it is the caller's
        _same(outcome["gradient"], torch.autograd.grad(loss, leaf, upstream)[0], "a second pass")
    if options.get("return_stats"):
        outcome |= {"log_prob": _float64(result.log_prob), "lse": _float64(result.lse)}
        if not is_adjusted(case):  # else rounding may make ties, or break them
            outcome |= {"argmax": _float64(result.argmax), "correct": _float64(result.correct)}
    return outcome


def _soft(case, logits, _):
    leaf = _tensor(logits).requires_grad_()
    target = _tensor(case.target if logits is case.logits else case.target.astype(np.float64))
    loss = cross_entropy(leaf, target, **_tensors(case.options))
    (gradient,) = torch.autograd.grad(loss, leaf, _upstream(loss, case))
    return {"loss": _float64(loss), "gradient": _float64(gradient)}


def _tensors(options):
    return {
        name: torch.from_numpy(value) if isinstance(value, np.ndarray) else value
        for name, value in options.items()
    }


class _Layer(torch.autograd.Function):
    """A layer whose output lies in given memory, which the loss may write over."""

    @staticmethod
    def forward(ctx, leaf, memory):
        return memory.view_as(memory)

    @staticmethod
    def backward(ctx, upstream):
        return upstream, None


def _tensor(array):
    if array.dtype == DTYPES["bfloat16"]:
        return torch.from_numpy(array.view(np.int16)).view(torch.bfloat16)
    return torch.from_numpy(array)


def _upstream(loss, case):
    generator = torch.Generator().manual_seed(case.seed)
    if loss.ndim == 0 and case.seed % 2:
        return torch.ones((), dtype=loss.dtype)
    return torch.randint(-4, 5, loss.shape, generator=generator).to(loss.dtype) / 2


# ---- array methods ----------------------------------------------------------------------------


def _arrays(case, logits, place):
    options = {name: case.options.get(name) for name in ("sample_weight", "class_weight")}
    options["n_threads"] = case.threads
    loss, target = case.options["loss"], case.target
    with place(target.shape, np.float64) as out:
        value = loss.loss(target, logits, out=out, **options)
    with (
        place(target.shape, np.float64) as loss_out,
        place(logits.shape, logits.dtype) as gradient_out,
    ):
        again, gradient = loss.loss_gradient(
            target, logits, loss_out=loss_out, gradient_out=gradient_out, **options
        )
    with (
        place(logits.shape, logits.dtype) as gradient_out,
        place(logits.shape, logits.dtype) as hessian_out,
    ):
        slope, hessian = loss.gradient_hessian(
            target, logits, gradient_out=gradient_out, hessian_out=hessian_out, **options
        )
    if not np.allclose(value, again, rtol=1e-12, equal_nan=True):
        raise WrongError("different results by loss and loss_gradient")
    _same(gradient, slope, "loss_gradient and gradient_hessian")
    return {"loss": value, "gradient": _float64(gradient), "hessian": _float64(hessian)}


# ---- rows -------------------------------------------------------------------------------------


def _problem(case, logits):
    given = {k: v for k, v in case.options.items() if k in ("weight", "bias", "softcap")}
    problem = rows.make(
        logits,
        case.target.reshape(-1),
        temperature=case.options.get("temperature", 1.0),
        ignore_index=case.ignore_index,
        n_threads=case.threads,
        **given,
    )
    return problem, "c" in case.options or "weight" in case.options


def _rows(case, logits, place):
    problem, weighted = _problem(case, logits)
    argmax = case.options["argmax"]
    row = rows.statistics(problem, weighted=weighted, argmax=argmax)
    slopes = rows.Slopes(*(case.options.get(name) for name in "abc"))
    gradient = rows.gradient(problem, row, slopes)
    if logits is case.logits:
        alone = problem._replace(n_threads=1)
        lonely = rows.statistics(alone, weighted=weighted, argmax=argmax)
        _same(row.table, lonely.table, "one thread and several")
        _same(gradient, rows.gradient(alone, lonely, slopes), "one thread and several")
        with place(problem.logits.shape, problem.logits.dtype) as out:
            _same(gradient, rows.gradient(problem, row, slopes, out=out), "given and fresh output")
        if case.options["output"] == "in place":
            own = problem._replace(logits=problem.logits.copy())
            _same(gradient, rows.gradient(own, row, slopes, out=own.logits), "over the logits")
    names = ("lse", "log_prob", "prob", "prob_rest", "weighted_nll")
    outcome = dict(zip(names, row.table, strict=False)) | {"gradient": _float64(gradient)}
    if argmax and not is_adjusted(case):
        outcome["argmax"] = _float64(row.argmax)
    return outcome


def _same(one, other, what):
    """Down to the last bit."""
    if not np.array_equal(_float64(one), _float64(other), equal_nan=True):
        raise WrongError(f"different results by {what}")


_RUNS = {"torch": _torch, "soft": _soft, "arrays": _arrays, "rows": _rows}


# ---- what tolerances are made of --------------------------------------------------------------


def is_adjusted(case):
    """Whether the rule sees other logits than were given."""
    given = {"temperature", "logit_bias", "bias", "softcap"} & set(case.options)
    return bool(given) or _scale(case) != 1


def adjusted(case):
    """The logits as the rule sees them."""
    z, options = case.exact, case.options
    if "softcap" in options:
        z = np.where(z == -np.inf, z, options["softcap"] * np.tanh(z / options["softcap"]))
    z = z * (_scale(case) / options.get("temperature", 1.0))
    bias = options.get("bias", options.get("logit_bias"))
    return z if bias is None else z + bias.reshape(-1, *(1,) * (z.ndim - 2))


def steepness(case):
    """By how much a gradient in the logits exceeds that in the adjusted ones, at most."""
    return _scale(case) / case.options.get("temperature", 1.0)


def _scale(case):
    return case.options["loss"].scale if "loss" in case.options else 1.0


def slopes(case):
    """Absolute slopes of the loss in the adjusted logits, by the oracle."""
    z = torch.from_numpy(adjusted(case) / _scale(case)).requires_grad_()
    changing = {"temperature", "logit_bias", "softcap", "return_stats", "inplace_backward"}
    names = {"class_weight": "weight"}
    options = {
        names.get(name, name): torch.from_numpy(value) if isinstance(value, np.ndarray) else value
        for name, value in case.options.items()
        if name not in changing | {"guarded"}
    }
    if case.context == "arrays":
        options |= {"reduction": "none", "ignore_index": _NONE}
    elif case.context == "torch":
        options["ignore_index"] = case.ignore_index
    with _on("reference", 1):
        target = case.target.astype(np.float64) if case.context == "soft" else case.target
        cross_entropy(z, torch.from_numpy(target), **options).sum().backward()
    return np.abs(_float64(z.grad)) / _scale(case)


_NONE = -(2**63)


def jump(case, name, delta):
    """How far a result leaps at a threshold of the loss that a log-probability off by δ passes."""
    loss = case.options["loss"]
    if not isinstance(loss, losses.TruncatedGeneralizedCrossEntropy):
        return 0.0
    low, high = (
        dataclasses.replace(loss, k=min(1.0, loss.k * math.exp(move))) for move in (-delta, delta)
    )
    below, above = (
        wanted(dataclasses.replace(case, options=case.options | {"loss": moved}))[name]
        for moved in (low, high)
    )
    return np.nan_to_num(np.abs(above - below))


def share(case):
    """What the terms of a row's loss, of which there are a few, are multiplied by, about."""
    largest = np.prod([np.max(case.options.get(name, 1.0), initial=1.0) for name in _WEIGHTS])
    counting = case.options.get("reduction") == "mean" and "normalizer" not in case.options
    # weights may make the divisor smaller than the number of rows
    count = case.logits.size // max(1, case.logits.shape[1])
    return 6 * largest / (max(1, 0.1 * count) if counting else 1)


_WEIGHTS = ("weight", "class_weight", "sample_weight")


def magnitudes(case):
    """What the terms of a row gradient come to alone, where they may cancel."""
    options = case.options
    if "c" not in options and options["a"] is options["b"]:
        return 0.0
    with _on("reference", 1):
        problem, weighted = _problem(case, case.exact)
        row = rows.statistics(problem, weighted=weighted)
        a, b, c = (options.get(name) for name in "abc")
        apart = rows.Slopes(np.abs(a), -np.abs(b), None if c is None else -np.abs(c))
        return np.abs(rows.gradient(problem, row, apart))
