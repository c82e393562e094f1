"""Powersets: the paper's table by hand, round trips, and every permutation by brute force."""

import itertools
import sys
from importlib.util import find_spec

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn import functional

from crossentropy import rows
from crossentropy.torch import Powerset, cross_entropy

SEVEN = [  # the paper's 3 speakers, of whom at most 2 speak
    [0, 0, 0],
    [1, 0, 0],
    [0, 1, 0],
    [0, 0, 1],
    [1, 1, 0],
    [1, 0, 1],
    [0, 1, 1],
]
SIZES = [(1, 1), (2, 1), (2, 2), (3, 2), (4, 2), (4, 4), (6, 3)]
needs_scipy = pytest.mark.skipif(find_spec("scipy") is None, reason="needs scipy")
every_method = pytest.mark.parametrize(
    "method", ["exact", pytest.param("assignment", marks=needs_scipy)]
)
every_size = pytest.mark.parametrize(("labels", "most"), SIZES)


@st.composite
def powersets(draw):
    labels = draw(st.integers(1, 9))
    return Powerset(labels, draw(st.integers(1, labels)))


def recordings(powerset, *shape, seed=0, dtype=torch.float64):
    """Logits (…, T, C) and targets (…, T, K) that have nothing to do with each other."""
    generator = torch.Generator().manual_seed(seed)
    logits = 3 * torch.randn(*shape, powerset.num_classes, generator=generator, dtype=dtype)
    classes = torch.randint(0, powerset.num_classes, shape, generator=generator)
    return logits.requires_grad_(), powerset.to_multilabel(classes)


def permuted(multilabel, labels):
    return [(order, multilabel[..., order]) for order in itertools.permutations(range(labels))]


def test_the_papers_table():
    powerset = Powerset(3, 2)
    assert powerset.num_classes == 7
    assert powerset.mapping.int().tolist() == SEVEN
    assert powerset.to_powerset(torch.tensor(SEVEN)).tolist() == [0, 1, 2, 3, 4, 5, 6]
    assert powerset.to_multilabel(torch.tensor([6, 0])).tolist() == [[False, True, True], [0] * 3]
    assert repr(powerset) == "Powerset(num_labels=3, max_set_size=2)"


@given(powerset=powersets())
def test_classes_are_the_sets_by_size_and_then_in_order(powerset):
    sets = [tuple(row.nonzero().flatten().tolist()) for row in powerset.mapping]
    assert sets == sorted(sets, key=lambda s: (len(s), s)) == list(powerset.subsets)
    assert len(set(sets)) == powerset.num_classes
    assert {len(s) for s in sets} == set(range(powerset.max_set_size + 1))


@given(powerset=powersets(), data=st.data())
def test_round_trips(powerset, data):
    shape = data.draw(st.lists(st.integers(0, 3), max_size=3))
    dtype = data.draw(st.sampled_from([torch.bool, torch.uint8, torch.int64, torch.bfloat16]))
    classes = torch.randint(0, powerset.num_classes, shape)
    multilabel = powerset.to_multilabel(classes)
    assert multilabel.shape == (*shape, powerset.num_labels)
    assert torch.equal(powerset.to_powerset(multilabel.to(dtype)), classes)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
def test_marginals_are_sums_over_the_sets(dtype):
    powerset = Powerset(3, 2)
    logits, _ = recordings(powerset, 4, 5, dtype=dtype)
    prob = logits.double().softmax(-1)
    want = torch.stack([prob[..., [1, 4, 5]], prob[..., [2, 4, 6]], prob[..., [3, 5, 6]]], -2)
    tolerance = 8e-3 if dtype == torch.bfloat16 else 1e-6
    got = powerset.marginals(logits)
    assert got.dtype == dtype
    torch.testing.assert_close(got.double(), want.sum(-1), rtol=tolerance, atol=0)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(powerset.marginals(logits), got)


def test_marginals_are_differentiable_and_no_more_than_one():
    powerset = Powerset(4, 4)
    logits, _ = recordings(powerset, 3)
    assert torch.autograd.gradcheck(powerset.marginals, logits)
    sure = torch.zeros(1000, 16)
    sure[:, powerset.mapping[:, 0]] = 20 + torch.rand(1000, 8)
    assert powerset.marginals(sure).max() == 1


@pytest.mark.parametrize("shape", [(), (5,), (2, 5), (2, 3, 5)])
@pytest.mark.parametrize("reduction", ["mean", "none"])
def test_loss_is_cross_entropy_of_the_sets(path, shape, reduction):
    powerset = Powerset(3, 2)
    logits, multilabel = recordings(powerset, *shape)
    target = torch.tensor([SEVEN.index(row) for row in multilabel.int().reshape(-1, 3).tolist()])
    want = functional.cross_entropy(logits.reshape(-1, 7), target, reduction=reduction)
    want = want.reshape(shape) if reduction == "none" else want
    got = powerset(logits, multilabel, reduction=reduction)
    torch.testing.assert_close(got, want)
    got, want = (torch.autograd.grad(value.sum(), logits)[0] for value in (got, want))
    torch.testing.assert_close(got, want)


def test_loss_takes_the_options_of_cross_entropy(path):
    powerset = Powerset(3, 2)
    logits, multilabel = recordings(powerset, 2, 5)
    options = {
        "loss": "focal",
        "weight": torch.linspace(0.5, 2, 7, dtype=torch.float64),
        "label_smoothing": 0.1,
        "sample_weight": torch.rand(2, 5, dtype=torch.float64),
        "return_stats": True,
    }
    got = powerset.loss(logits, multilabel, **options)
    target = powerset.to_powerset(multilabel)
    want = cross_entropy(logits.movedim(-1, 1), target, **options)
    for field, other in zip(got, want, strict=True):
        torch.testing.assert_close(field, other)
    assert torch.equal(got.argmax, logits.argmax(-1))


@every_size
def test_the_exact_permutation_is_that_of_least_loss(labels, most):
    powerset, count = Powerset(labels, most), 3 if labels < 6 else 1  # of 720 orders
    logits, multilabel = recordings(powerset, count, 20)
    aligned = powerset.align(logits, multilabel)
    order = powerset.permutation(logits, multilabel)
    for b in range(count):
        losses = [
            (powerset(logits[b], other).item(), order)
            for order, other in permuted(multilabel[b], labels)
        ]
        least, best = min(losses)
        torch.testing.assert_close(powerset(logits[b], aligned[b]).item(), least)
        assert order[b].tolist() == list(best)
        assert torch.equal(aligned[b], multilabel[b][:, best])


@needs_scipy
@every_size
def test_the_assignment_has_the_least_binary_cross_entropy_of_marginals(labels, most):
    powerset = Powerset(labels, most)
    logits, multilabel = recordings(powerset, 3, 20)
    aligned = powerset.align(logits, multilabel, method="assignment")
    marginals = powerset.marginals(logits)
    for b in range(3):
        got, *others = (
            functional.binary_cross_entropy(marginals[b], other.double())
            for other in [aligned[b], *(y for _, y in permuted(multilabel[b], labels))]
        )
        torch.testing.assert_close(got, min(others))
        exact = powerset.align(logits[b], multilabel[b])
        assert powerset(logits[b], exact) <= powerset(logits[b], aligned[b]) + 1e-12


@every_method
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_permutation_that_made_the_predictions_is_found(method, dtype):
    powerset = Powerset(4, 2)
    noise, multilabel = recordings(powerset, 24, 50)
    orders = torch.tensor(list(itertools.permutations(range(4))))
    spoken = torch.stack([y[:, order] for y, order in zip(multilabel, orders, strict=True)])
    logits = noise + 6 * functional.one_hot(powerset.to_powerset(spoken), powerset.num_classes)
    assert torch.equal(powerset.permutation(logits.to(dtype), multilabel, method=method), orders)


@needs_scipy
def test_many_labels_are_assigned():
    powerset = Powerset(20, 2)
    _, multilabel = recordings(powerset, 400)
    order = torch.randperm(20)
    classes = powerset.to_powerset(multilabel[:, order])
    logits = 5.0 * functional.one_hot(classes, powerset.num_classes)
    assert torch.equal(powerset.permutation(logits, multilabel, method="assignment"), order)
    with pytest.raises(ValueError, match="at most 6 labels, got 20; pass method='assignment'"):
        powerset.permutation(logits, multilabel)


@every_method
def test_frames_of_no_weight_have_no_say(method):
    powerset = Powerset(3, 2)
    logits, multilabel = recordings(powerset, 2, 30)
    kept = torch.arange(30).expand(2, 30) % 3 > 0
    want = powerset.permutation(
        logits[kept].reshape(2, 20, 7), multilabel[kept].reshape(2, 20, 3), method=method
    )
    noise = torch.where(kept.unsqueeze(-1), logits, torch.nan)
    got = powerset.permutation(noise, multilabel, method=method, sample_weight=kept.double())
    assert torch.equal(got, want)


@every_method
def test_impossible_sets_are_avoided(method):
    logits = torch.tensor([[0.0, -torch.inf, 0.0], [0.0, 0.0, 0.0]])
    order = Powerset(2, 1).permutation(logits, torch.tensor([[1, 0], [0, 0]]), method=method)
    assert order.tolist() == [1, 0]


@every_method
def test_nan_logits_make_no_error(method):
    """Their loss says enough: where gradients are scaled, training goes on."""
    powerset, multilabel = Powerset(3, 2), torch.tensor([[1, 0, 0]])
    logits = torch.full((1, 7), torch.nan)
    assert powerset.permutation(logits, multilabel, method=method).sort()[0].tolist() == [0, 1, 2]
    assert powerset(logits, multilabel).isnan()


def test_where_nothing_speaks_for_a_change_labels_stay():
    powerset = Powerset(3, 2)
    for frames in (0, 1, 5):
        _, multilabel = recordings(powerset, 2, frames)
        order = powerset.permutation(torch.zeros(2, frames, 7), multilabel)
        assert order.tolist() == [[0, 1, 2]] * 2


def test_the_gradient_is_that_of_the_least_loss():
    powerset = Powerset(3, 2)
    logits, multilabel = recordings(powerset, 20)
    least = torch.stack([powerset(logits, y) for _, y in permuted(multilabel, 3)]).min()
    got = powerset(logits, powerset.align(logits, multilabel))
    got, want = (torch.autograd.grad(value, logits)[0] for value in (got, least))
    torch.testing.assert_close(got, want)


def test_autocast_does_not_round_the_likelihoods():
    powerset = Powerset(3, 2)
    logits, multilabel = recordings(powerset, 50, 8, dtype=torch.float32)
    logits = logits.detach() * 0.01  # so that permutations differ little
    want = powerset.permutation(logits, multilabel)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(powerset.permutation(logits, multilabel), want)


@pytest.mark.parametrize("excess", ["raise", "ignore"])
def test_compiled_as_eager(path, excess):
    powerset = Powerset(3, 2, excess=excess)
    logits, multilabel = recordings(powerset, 2, 9)

    def training(logits, multilabel):
        return powerset(logits, powerset.align(logits, multilabel)), powerset.marginals(logits)

    torch.compiler.reset()
    compiled = torch.compile(training, fullgraph=True, backend="aot_eager")
    results = [function(logits, multilabel) for function in (compiled, training)]
    torch.testing.assert_close(*results)
    gradients = [
        torch.autograd.grad(loss + marginals.square().sum(), logits)[0]
        for loss, marginals in results
    ]
    torch.testing.assert_close(*gradients)
    torch.compiler.reset()


@pytest.mark.parametrize("path", ["reference", rows.available_paths()[0]], indirect=True)
def test_what_is_no_set_and_not_looked_at_is_no_class(path):
    """Compiled kernels raise, plain operations return NaN: never a wrong loss."""
    powerset = Powerset(3, 2)
    logits, multilabel = torch.zeros(2, 7), torch.tensor([[1.0, 1.0, 1.0], [0.0, 0.5, 0.0]])
    torch.compiler.reset()
    compiled = torch.compile(powerset.to_powerset, fullgraph=True, backend="aot_eager")
    assert compiled(multilabel).tolist() == [7, 7]
    compiled = torch.compile(powerset.loss, fullgraph=True, backend="aot_eager")
    if path == "reference":
        assert compiled(logits, multilabel).isnan()
    else:
        with pytest.raises(IndexError, match="Target 7 is out of"):
            compiled(logits, multilabel)
    torch.compiler.reset()


def test_excess_ignored(path):
    powerset = Powerset(3, 2, excess="ignore")
    logits, multilabel = recordings(powerset, 2, 6)
    want = powerset(logits[:, :5], powerset.align(logits[:, :5], multilabel[:, :5]))
    multilabel[:, 5] = True
    assert powerset.to_powerset(multilabel)[:, 5].tolist() == [-100, -100]
    torch.testing.assert_close(powerset(logits, powerset.align(logits, multilabel)), want)
    assert "excess='ignore'" in repr(powerset)


def test_module_follows_devices_and_leaves_checkpoints_alone():
    powerset = Powerset(3, 2)
    assert powerset.state_dict() == {}
    assert {name for name, _ in powerset.named_buffers()} >= {"mapping"}
    moved = Powerset(3, 2).to("meta")
    multilabel = torch.zeros(4, 3, device="meta")
    assert moved.to_powerset(multilabel).device.type == "meta"
    half = Powerset(3, 2).half()
    assert half.to_powerset(torch.tensor(SEVEN)).tolist() == list(range(7))


LOGITS, NONE = torch.zeros(2, 4, 7), torch.zeros(2, 4, 3)
SHAPES = r"got \(2, 4, 7\) and \(2, 5, 3\)"
WRONG = {
    "too large": (
        lambda p: p(LOGITS, NONE + 1),
        r"at most max_set_size=2 .*, got \[1.0, 1.0, 1.0\] at \(0, 0\); .* excess='ignore'",
    ),
    "single": (lambda p: p.to_powerset(torch.ones(3).int()), r"got \[1, 1, 1\]; deactivate"),
    "not binary": (
        lambda p: p.to_powerset(NONE + 0.5),
        r"0 and 1 only, got \[0.5, 0.5, 0.5\] at \(0, 0\); compare",
    ),
    "nan": (lambda p: p.to_powerset(NONE * torch.nan), "0 and 1 only, got .*nan"),
    "labels": (lambda p: p(LOGITS, NONE[..., :2]), r"each label .*\(…, 3\), got \(2, 4, 2\)"),
    "classes": (lambda p: p(LOGITS[..., :3], NONE), r"each class .*\(…, 7\), got \(2, 4, 3\)"),
    "marginals": (lambda p: p.marginals(NONE), r"each class .*\(…, 7\), got \(2, 4, 3\)"),
    "frames": (lambda p: p(LOGITS, torch.zeros(2, 5, 3)), SHAPES),
    "align": (lambda p: p.align(LOGITS, torch.zeros(2, 5, 3)), SHAPES),
    "no frames": (lambda p: p.align(LOGITS[0, 0], NONE[0, 0]), r"\(…, T, C\), got \(7,\)"),
    "sample_weight": (
        lambda p: p.align(LOGITS, NONE, sample_weight=torch.ones(4)),
        r"sample_weight must have shape \(2, 4\), got \(4,\)",
    ),
    "method": (lambda p: p.align(LOGITS, NONE, method="greedy"), "'assignment', got 'greedy'"),
    "empty sets only": (lambda _: Powerset(3, 0), r"\[1, num_labels=3\], got 0"),
    "more than there are": (lambda _: Powerset(3, 4), r"\[1, num_labels=3\], got 4"),
    "excess": (lambda _: Powerset(3, 2, excess="drop"), "'raise' or 'ignore', got 'drop'"),
    "explosion": (lambda _: Powerset(64, 32), "more than 1,000,000 classes; lower max_set_size"),
}


@pytest.mark.parametrize(("call", "says"), WRONG.values(), ids=WRONG)
def test_errors(call, says):
    with pytest.raises(ValueError, match=says):
        call(Powerset(3, 2))


def test_logits_and_indices_are_never_confused():
    powerset = Powerset(3, 2)
    with pytest.raises(
        TypeError, match=r"integers, got torch.float32; for logits, pass logits.arg"
    ):
        powerset.to_multilabel(LOGITS)
    with pytest.raises(IndexError, match=r"\[0, 6\], got numbers from -1 to 7"):
        powerset.to_multilabel(torch.tensor([-1, 7]))


def test_without_scipy_the_error_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "scipy.optimize", None)
    with pytest.raises(ImportError, match=r"crossentropy\[sklearn\]"):
        Powerset(3, 2).align(LOGITS, NONE, method="assignment")
