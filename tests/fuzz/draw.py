"""One case from a seed: logits, targets and options, as awkward as a caller may have them."""

import dataclasses
import math

import ml_dtypes
import numpy as np

from crossentropy import losses, rows

from . import layouts

DTYPES = {
    "float32": np.dtype(np.float32),
    "float64": np.dtype(np.float64),
    "float16": np.dtype(np.float16),
    "bfloat16": np.dtype(ml_dtypes.bfloat16),
}
_ROWS = (0, 1, 2, 3, 7, 16, 17, 33, 64, 65, 130)
# around the lanes of every level, the block, and where rows of few classes become many
_CLASSES = (1, 2, 3, 4, 7, 8, 9, 10, 15, 16, 17, 31, 32, 33, 64, 65, 127, 1000, 2047, 2048, 2049)
_LONG = (4096, 4097, 5000, 6145)
# elements: most cases are quick, some of either side of what torch's routes call small, some
# shared out over threads, few written past the caches
_SMALL, _MIDDLE, _LARGE, _HUGE = 40_000, 130_000, 2_000_000, 9_000_000


@dataclasses.dataclass
class Case:
    """What all contexts share; `options` are a context's own."""

    seed: int
    path: str
    context: str
    dtype: str
    layout: str
    threads: int
    logits: np.ndarray  # of the dtype, as laid out
    target: np.ndarray
    ignore_index: int
    options: dict = dataclasses.field(default_factory=dict)

    @property
    def is_torchs(self):
        """Whether it goes by torch, which rounds a loss to the logits' type."""
        return self.context in ("torch", "soft")

    @property
    def exact(self):
        """The same logits in float64, contiguous."""
        return np.ascontiguousarray(self.logits.astype(np.float64))

    def __str__(self):
        shown = {
            name: f"array{value.shape}" if isinstance(value, np.ndarray) else value
            for name, value in self.options.items()
        }
        return (
            f"{self.context} on {self.path}, {self.dtype} {self.logits.shape} {self.layout}, "
            f"{self.threads} threads, ignore_index {self.ignore_index}, {shown}"
        )


class Dice:
    """A generator with the throws that are needed here."""

    def __init__(self, seed):
        self.rng = np.random.default_rng(seed)

    def one_of(self, values):
        return values[int(self.rng.integers(len(values)))]

    def chance(self, probability):
        return bool(self.rng.random() < probability)

    def between(self, low, high):
        """A number whose logarithm is uniform."""
        return float(math.exp(self.rng.uniform(math.log(low), math.log(high))))


def case(seed):
    """The case of a seed."""
    dice = Dice(seed)
    context = dice.one_of(("torch", "torch", "soft", "arrays", "rows"))
    dtype = dice.one_of(("float32", "float32", "float64", "float16", "bfloat16"))
    shape = _shape(dice, context)
    numpys = () if context in ("torch", "soft") else layouts.NUMPY_ONLY
    choices = (*layouts.COMMON, *numpys)
    layout = dice.one_of(choices)
    values = _values(dice, shape, dtype, equal_rows=layout is layouts.expanded)
    ignore_index = dice.one_of((-100, -1, 0, shape[1], shape[1] + 5))
    drawn = Case(
        seed=seed,
        path=dice.one_of(rows.available_paths()),
        context=context,
        dtype=dtype,
        layout=layout.__name__,
        threads=dice.one_of((1, 2, 7)),
        logits=layout(values),
        target=_target(dice, shape, ignore_index if context != "arrays" else None),
        ignore_index=ignore_index,
    )
    if context == "soft":
        drawn.target = dice.one_of(choices)(_distribution(dice, values))
    drawn.options = _OPTIONS[context](dice, shape, dtype)
    return drawn


def _shape(dice, context):
    classes = dice.one_of(_CLASSES if dice.chance(0.9) else _LONG)
    size = _MIDDLE if dice.chance(0.06) else _SMALL
    size = dice.one_of((_LARGE, _LARGE, _HUGE)) if dice.chance(0.01) else size
    count = dice.one_of(_ROWS) if size == _SMALL else size // (classes + 64)
    count = min(count, max(1, size // classes))
    if context == "arrays" or dice.chance(0.6):
        return (count, classes)
    positions = dice.one_of(((1,), (3,), (16,), (17,), (65,)))
    if context in ("torch", "soft"):
        positions = dice.one_of((positions, (2, 3), (5, 7)))
    batch = min(count, max(1, size // (classes * math.prod(positions))))
    return (batch, classes, *positions)


def _values(dice, shape, dtype, *, equal_rows):
    """Numbers of the dtype: most of ordinary size, some of none, some special."""
    rng = dice.rng
    values = rng.standard_normal(shape) * dice.one_of((0, 1e-3, 1, 1, 3, 3, 30, 300, 3000))
    values += dice.one_of((0, 0, 0, 30, -1e3, 1e4))
    if dice.chance(0.1):
        values = np.round(values)  # ties
    if dice.chance(0.3):
        values[rng.random(shape) < dice.one_of((0.01, 0.3, 0.9))] = -np.inf
    if dice.chance(0.1):
        values[:, : int(rng.integers(shape[1] + 1))] = -np.inf  # a masked prefix
    if dice.chance(0.1):
        values[rng.random(shape) < 0.01] = dice.one_of((np.nan, np.inf))
    if dice.chance(0.1) and shape[0]:
        values[int(rng.integers(shape[0]))] = dice.one_of((-np.inf, np.nan, 0, 5e4, -5e4))
    if equal_rows and shape[0]:
        values = np.broadcast_to(values[:1], shape)
    return values.astype(DTYPES[dtype])


def _target(dice, shape, ignore_index):
    rng = dice.rng
    count = (shape[0], *shape[2:])
    target = rng.integers(shape[1], size=count)
    if ignore_index is not None and dice.chance(0.4):
        target[rng.random(count) < dice.one_of((0.1, 0.5, 1.0))] = ignore_index
    if dice.chance(0.03) and target.size:
        target.flat[int(rng.integers(target.size))] = dice.one_of(
            (-7, shape[1] + 1, 2**62, -(2**63))
        )
    return target


def _distribution(dice, values):
    """Probabilities of the values' type and shape, mostly without mass at a masked logit."""
    rng, shape = dice.rng, values.shape
    target = rng.standard_exponential(shape)
    if dice.chance(0.5):
        target[rng.random(shape) < dice.one_of((0.1, 0.5, 0.99))] = 0
    if dice.chance(0.9):
        target[values == -np.inf] = 0
    total = np.maximum(target.sum(axis=1, keepdims=True), 1e-3)
    target *= rng.uniform(0.5, 1.5) / total
    return target.astype(values.dtype)


def _weights(dice, count):
    """Weights that float32 holds, some of them 0, but not the first."""
    weights = dice.rng.uniform(0.1, 3, count).astype(np.float32).astype(np.float64)
    if dice.chance(0.3):
        weights[1:][dice.rng.random(count)[1:] < 0.3] = 0
    return weights


def _adjustments(dice, classes):
    options = {}
    if dice.chance(0.2):
        options["temperature"] = dice.between(0.05, 20)
    if dice.chance(0.2):
        options["bias"] = dice.rng.normal(size=classes).astype(np.float32).astype(np.float64)
    if dice.chance(0.2):
        options["softcap"] = dice.between(1, 100)
    return options


def _loss(dice):
    """Any loss of the registry, the plain one often, or one with unusual parameters."""
    if dice.chance(0.2):
        return losses.CrossEntropy()
    if dice.chance(0.3):
        return dice.one_of(
            (
                losses.Focal(dice.one_of((0, 0.3, 1, 5))),
                losses.GeneralizedCrossEntropy(dice.one_of((0, 1e-3, 1))),
                losses.Poly(dice.one_of((-0.5, 7))),
                0.3 * losses.CrossEntropy() + losses.MeanAbsoluteError(),
            )
        )
    # rounding may turn the prediction that bootstrapping reads, and its gradient with it
    names = [name for name in losses.available() if not losses.get(name).needs_logits]
    return losses.get(dice.one_of(names))


def _of_torch(dice, shape, dtype):
    options = _of_both_targets(dice, shape)
    options["loss"] = _loss(dice)
    if dice.chance(0.2):
        options["inplace_backward"] = True
    if dice.chance(0.3):
        options["return_stats"] = True
    return options


def _of_soft(dice, shape, dtype):
    options, count = _of_both_targets(dice, shape), (shape[0], *shape[2:])
    options["loss"] = losses.CrossEntropy()
    if dice.chance(0.3):
        options["mask"] = dice.rng.random(count) < dice.one_of((0, 0.5, 0.9))
    if dice.chance(0.3) and options["reduction"] == "mean":
        options["normalizer"] = "weights"
    return options


def _of_both_targets(dice, shape):
    classes, count = shape[1], (shape[0], *shape[2:])
    options = _adjustments(dice, classes)
    if "bias" in options:
        options["logit_bias"] = options.pop("bias")
    options["reduction"] = dice.one_of(("none", "mean", "sum"))
    if dice.chance(0.25):
        options["weight"] = _weights(dice, classes)
    if dice.chance(0.25):
        options["label_smoothing"] = dice.one_of((0.1, 0.5, 1.0))
        if dice.chance(0.3):
            prior = _weights(dice, classes) + 0.01
            options["smoothing_prior"] = prior / prior.sum()
    if dice.chance(0.2):
        options["sample_weight"] = _weights(dice, math.prod(count)).reshape(count)
    if dice.chance(0.2):
        options["z_loss"] = dice.one_of((1e-4, 0.1))
    if dice.chance(0.2) and options["reduction"] == "mean":
        options["normalizer"] = dice.one_of((7.5, 1))
    if dice.chance(0.2):
        options["empty"] = "zero"
    return options


def _of_arrays(dice, shape, dtype):
    options = {"loss": _loss(dice), "guarded": dice.chance(0.5)}
    if dice.chance(0.3):
        options["sample_weight"] = _weights(dice, shape[0])
    if dice.chance(0.3):
        options["class_weight"] = _weights(dice, shape[1])
    return options


def _of_rows(dice, shape, dtype):
    options = _adjustments(dice, shape[1])
    if dice.chance(0.4):
        options["weight"] = _weights(dice, shape[1])
    count = shape[0] * math.prod(shape[2:])
    # where a cap's slope is 0, what it multiplies must not overflow before
    modest = dtype == "float16" or "softcap" in options
    options["a"], options["b"] = (_slope(dice, count, modest=modest) for _ in "ab")
    if dice.chance(0.4):
        options["b"] = options["a"]
    if dice.chance(0.4):
        options["c"] = _slope(dice, count, modest=True)
    options["output"] = dice.one_of(("fresh", "guarded", "unaligned", "in place"))
    options["argmax"] = dice.chance(0.3)
    return options


def _slope(dice, count, *, modest):
    """A number, or one for each row: ordinary, none, tiny or huge."""
    sizes = (1.0, 1.0, 0.0, 1e-3, 1e-35, 1e-200)
    size = dice.one_of(sizes if modest else (*sizes, 1e35, 1e200))
    if dice.chance(0.3):
        return size
    slope = dice.rng.normal(size=count) * size
    slope[dice.rng.random(count) < 0.1] = 0
    return slope


_OPTIONS = {"torch": _of_torch, "soft": _of_soft, "arrays": _of_arrays, "rows": _of_rows}
