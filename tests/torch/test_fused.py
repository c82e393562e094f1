"""The gradient that comes with the loss: whatever upstream it meets, and in memory of its own."""

import copy
import io
import itertools
import math
import os
import pickle
import subprocess
import sys
import weakref
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from torch.nn import functional

from crossentropy import losses, rows
from crossentropy.torch import _fused, cross_entropy
from tests.rows.test_train import LOSSES

pytestmark = pytest.mark.skipif(
    rows.available_paths() == ["reference"], reason="there are no native kernels here"
)


@pytest.fixture(autouse=True)
def _afresh(monkeypatch):
    """No test tells the next what its upstreams are."""
    monkeypatch.setattr(_fused, "_upstreams_are_one", True)


SMALL, LARGE, PLANES = (64, 10), (700, 300), (2, 100, 30, 20)
every_shape = pytest.mark.parametrize("shape", [SMALL, LARGE, PLANES], ids=str)


def some(shape=LARGE, dtype=torch.float32, seed=0):
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(shape, generator=generator, dtype=torch.float64).mul(3).to(dtype)
    target = torch.randint(0, shape[1], (shape[0], *shape[2:]), generator=generator)
    target.flatten()[::7] = -100
    return logits.requires_grad_(), target


def wanted(logits, target, upstream=1.0):
    """torch's gradient in float64."""
    wide = logits.detach().double().requires_grad_()
    functional.cross_entropy(wide, target).backward(torch.tensor(upstream, dtype=torch.float64))
    return wide.grad


def gradient_of(value, logits, upstream=1.0, **options):
    upstream = torch.tensor(upstream, dtype=value.dtype)
    return torch.autograd.grad(value, logits, upstream, **options)[0]


def is_fused(value):
    return "Fused" in value.grad_fn.name()


def assert_near(found, want, rtol=1e-5):
    atol = 1e-6 * want.abs().nan_to_num().max().item()
    torch.testing.assert_close(found.double(), want, rtol=rtol, atol=atol, equal_nan=True)


# ---- upstreams ----------------------------------------------------------------------------------


@every_shape
@pytest.mark.parametrize("upstream", [1.0, 0.25, -3.0, 0.0, math.nan, 65536.0])
def test_any_upstream_however_often(shape, upstream):
    logits, target = some(shape)
    value = cross_entropy(logits, target)
    assert is_fused(value)
    want = wanted(logits, target, upstream)
    for _ in range(3):
        assert_near(gradient_of(value, logits, upstream, retain_graph=True), want)
    assert_near(gradient_of(value, logits), wanted(logits, target))


@every_shape
def test_an_infinite_upstream_shows_in_every_row(shape):
    logits, target = some(shape)
    found = gradient_of(cross_entropy(logits, target), logits, math.inf)
    assert not found.isfinite().all(1)[target != -100].any()
    assert not found.movedim(1, -1)[target == -100].any()


@pytest.mark.parametrize("weighted", [False, True])
@every_shape
def test_scaled_losses_keep_what_sixteen_bits_would_lose(shape, weighted):
    logits, target = some(shape, torch.float16)
    scale = 32768.0  # float16 holds no greater one, and the loss is of the logits' type
    options = {"loss": "focal"} if weighted else {}
    exact = logits.detach().double().requires_grad_()
    want = gradient_of(cross_entropy(exact, target, **options), exact, scale)
    value = cross_entropy(logits, target, **options)
    found = gradient_of(value, logits, scale, retain_graph=True)
    torch.testing.assert_close(found, want.half(), rtol=2e-3, atol=6e-8)
    lost = (gradient_of(value, logits) == 0) & (found != 0)
    assert lost.any()  # else there was nothing to keep


@every_shape
def test_upstreams_may_change_from_one_to_the_next(shape):
    for upstream in (1.0, 2.0, 2.0, 1.0, 1.0, 0.5):
        logits, target = some(shape)
        found = gradient_of(cross_entropy(logits, target), logits, upstream)
        assert_near(found, wanted(logits, target, upstream))


def test_large_losses_take_two_passes_while_upstreams_are_not_one():
    def fused(shape, upstream):
        logits, target = some(shape)
        value = cross_entropy(logits, target, loss="focal")
        gradient_of(value, logits, upstream)
        return is_fused(value)

    assert fused(LARGE, 1.0)
    assert fused(SMALL, 2.0)
    assert fused(LARGE, 2.0)  # a small one has told nothing
    assert not fused(LARGE, 2.0)
    assert fused(SMALL, 1.0)
    assert not fused(LARGE, 1.0)  # which is the first to tell that they are one again
    assert fused(LARGE, 1.0)


@every_shape
@pytest.mark.parametrize("loss", LOSSES, ids=lambda loss: loss.label)
def test_one_pass_and_two_give_the_same(monkeypatch, shape, loss):
    """On both sides of the size up to which the gradient always comes with the loss."""
    monkeypatch.setattr(_fused, "SMALL", 0)
    logits, target = some(shape, torch.float64)
    results = []
    for ones in (True, False):
        monkeypatch.setattr(_fused, "_upstreams_are_one", ones)
        value = cross_entropy(logits, target, loss=loss)
        assert is_fused(value) == ones
        results.append((value.detach(), gradient_of(value, logits)))
    for one, two in zip(*results, strict=True):
        torch.testing.assert_close(one, two, rtol=1e-10, atol=1e-18)


@pytest.mark.parametrize("count", [_fused.SMALL // 64 - 1, _fused.SMALL // 64, 1025])
@pytest.mark.parametrize("classes", [64, 65])
def test_around_the_size_that_is_small(count, classes):
    logits, target = some((count, classes))
    value = cross_entropy(logits, target)
    assert_near(value.detach(), functional.cross_entropy(logits.detach().double(), target))
    assert_near(gradient_of(value, logits), wanted(logits, target))


# ---- the graph ----------------------------------------------------------------------------------


@every_shape
def test_a_gradient_that_was_written_to_spoils_no_other(shape):
    logits, target = some(shape)
    value, want = cross_entropy(logits, target), wanted(logits, target)
    gradient_of(value, logits, retain_graph=True).fill_(7)
    second = gradient_of(value, logits, retain_graph=True)
    assert_near(second, want)
    second.zero_()
    assert_near(gradient_of(value, logits), want)


@every_shape
def test_gradients_accumulate(shape):
    logits, target = some(shape)
    value, want = cross_entropy(logits, target), wanted(logits, target)
    value.backward(retain_graph=True)
    assert_near(logits.grad, want)
    value.backward()
    cross_entropy(logits, target).backward()
    assert_near(logits.grad, 3 * want)


@every_shape
def test_without_retaining_a_second_pass_is_torchs_error(shape):
    logits, target = some(shape)
    value = cross_entropy(logits, target)
    value.backward()
    with pytest.raises(RuntimeError, match="backward through the graph a second time"):
        value.backward()


def test_second_derivatives_before_and_after_the_first():
    logits, target = some((20, 5), torch.float64)
    direction = torch.randn(20, 5, dtype=torch.float64)
    value = cross_entropy(logits, target)
    plain = functional.cross_entropy(logits, target)
    want = gradient_of((gradient_of(plain, logits, create_graph=True) * direction).sum(), logits)
    for _ in range(2):
        first = gradient_of(value, logits, create_graph=True)
        found = gradient_of((first * direction).sum(), logits, retain_graph=True)
        torch.testing.assert_close(found, want)
        assert_near(gradient_of(value, logits, retain_graph=True), wanted(logits, target))


def test_batched_upstreams():
    logits, target = some((20, 5), torch.float64)
    value = cross_entropy(logits, target)
    many = torch.tensor([1.0, 2.0, -3.0], dtype=torch.float64)
    (found,) = torch.autograd.grad(value, logits, many, is_grads_batched=True, retain_graph=True)
    torch.testing.assert_close(found, many.reshape(3, 1, 1) * wanted(logits, target))
    assert_near(gradient_of(value, logits), wanted(logits, target))


def test_logits_changed_in_between_are_an_error_though_the_gradient_is_there():
    logits, target = some()
    moved = logits * 1
    value = cross_entropy(moved, target)
    moved.add_(1)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        value.backward()


def test_a_normalizer_that_is_nan_is_one():
    logits, target = some(SMALL)
    for normalizer in (math.nan, torch.tensor(math.nan)):
        value = cross_entropy(logits, target, normalizer=normalizer)
        assert value.isnan()
        assert gradient_of(value, logits)[target != -100].isnan().all()


# ---- memory -------------------------------------------------------------------------------------


KEPT = (2000, 300)  # in float64 more than the 4 MB from which memory is kept


def large_gradient(seed=0, shape=KEPT, dtype=torch.float64):
    logits, target = some(shape, dtype, seed)
    return gradient_of(cross_entropy(logits, target), logits)


keeps_memory = pytest.mark.skipif(
    sys.platform != "linux", reason="only Linux marks memory as the system's to take"
)


@keeps_memory
def test_memory_is_used_again_and_again():
    first = large_gradient()
    address, want = first.data_ptr(), first.clone()
    del first
    for _ in range(3):
        again = large_gradient()
        assert again.data_ptr() == address
        assert torch.equal(again, want)
        del again


def test_live_gradients_share_no_memory():
    live, generator = {}, torch.Generator().manual_seed(0)
    for seed in range(60):
        if len(live) > 6:
            live.pop(sorted(live)[int(torch.randint(6, (), generator=generator))])
        count = 1000 * int(torch.randint(1, 5, (), generator=generator))
        gradient = large_gradient(seed, (count, 300))
        live[seed] = gradient, gradient.clone()
        spans = sorted((g.data_ptr(), g.data_ptr() + g.nbytes) for g, _ in live.values())
        assert all(one[1] <= other[0] for one, other in itertools.pairwise(spans))
    for gradient, copied in live.values():
        assert torch.equal(gradient, copied)


def test_a_large_gradient_is_a_tensor_like_any_other():
    gradient = large_gradient()
    assert gradient._base is None
    assert gradient.is_leaf
    assert not gradient.requires_grad
    assert gradient.is_contiguous()
    assert gradient.storage_offset() == 0
    assert gradient.untyped_storage().nbytes() == gradient.nbytes
    want = gradient.clone()
    for other in (copy.deepcopy(gradient), pickle.loads(pickle.dumps(gradient)), saved(gradient)):
        assert torch.equal(other, want)
        assert other.data_ptr() != gradient.data_ptr()
    assert torch.equal(torch.from_numpy(gradient.numpy()), want)
    with pytest.raises(RuntimeError, match="resize storage that is not resizable"):
        gradient.detach().resize_(2 * gradient.numel())
    gradient.add_(1)
    assert torch.equal(gradient.share_memory_(), want + 1)
    assert gradient.is_shared()


def saved(tensor):
    file = io.BytesIO()
    torch.save(tensor, file)
    file.seek(0)
    return torch.load(file)


def test_its_memory_lives_as_long_as_whatever_sees_it():
    views = [large_gradient(seed)[seed].view(3, 100) for seed in range(3)]
    arrays = [large_gradient(seed).numpy()[seed] for seed in range(3)]
    for seed in range(6):
        large_gradient(seed + 10)
    for seed, (view, array) in enumerate(zip(views, arrays, strict=True)):
        want = large_gradient(seed)[seed]
        assert torch.equal(view.flatten(), want)
        assert torch.equal(torch.from_numpy(array), want)


def test_threads_do_not_meet():
    want = [large_gradient(seed) for seed in range(8)]

    def work(seed):
        return [torch.equal(large_gradient(seed), want[seed]) for _ in range(20)]

    with ThreadPoolExecutor(4) as pool:
        assert all(all(same) for same in pool.map(work, range(8)))


def test_threads_may_share_a_graph():
    for upstream in (1.0, 2.0):
        logits, target = some(dtype=torch.float64)
        value = cross_entropy(logits, target)
        with ThreadPoolExecutor(4) as pool:
            jobs = [
                pool.submit(gradient_of, value, logits, upstream, retain_graph=True)
                for _ in range(8)
            ]
            gradients = [job.result() for job in jobs]
        assert len({gradient.data_ptr() for gradient in gradients}) == 8
        for gradient in gradients:
            assert_near(gradient, wanted(logits, target, upstream))


def test_a_forked_process_has_memory_of_its_own():
    code = """
import os
import torch
from tests.torch.test_fused import large_gradient

torch.set_num_threads(1)
freed = large_gradient(1)
mine = large_gradient(2)
want = mine.clone()
del freed
child = os.fork()
if not child:
    same = torch.equal(large_gradient(2), want) and torch.equal(mine, want)
    mine.zero_()
    os._exit(0 if same else 1)
there = [torch.equal(large_gradient(2), want) for _ in range(10)]
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
assert all(there) and torch.equal(mine, want)
"""
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert run.returncode == 0, run.stderr


@pytest.mark.parametrize("before", ["torch", "no"])
def test_a_forked_process_has_threads_of_its_own(before):
    """Where torch's had run before, the child has their state without them, and must not wait."""
    code = """
import faulthandler, os, sys
if sys.argv[1] == "torch":
    import torch
import numpy as np
from crossentropy import losses

rng = np.random.default_rng(0)
logits, target = rng.normal(size=(4000, 300)).astype(np.float32), rng.integers(0, 300, 4000)

def gradient(threads):
    return losses.CrossEntropy().loss_gradient(target, logits, n_threads=threads)[1]

want = gradient(1)
assert np.array_equal(gradient(4), want)
if sys.argv[1] == "torch":
    torch.zeros(2000, 2000).exp_()
child = os.fork()
if not child:
    faulthandler.dump_traceback_later(60, exit=True)
    os._exit(0 if np.array_equal(gradient(4), want) else 1)
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
assert np.array_equal(gradient(4), want)
"""
    command = [sys.executable, "-c", code, before]
    run = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert run.returncode == 0, run.stderr


@pytest.mark.skipif(not os.path.exists("/proc/self/status"), reason="counts threads by Linux")
@pytest.mark.parametrize("wanted", [1, 3])
def test_threads_beyond_torchs(wanted):
    """A loss of NumPy arrays may have more threads than torch allows itself."""
    code = (
        f"WANTED = {wanted}"
        + """
import threading, torch
import numpy as np
from crossentropy import losses

torch.set_num_threads(1)
rng = np.random.default_rng(0)
logits, target = np.zeros((20000, 3000), np.float32), rng.integers(0, 3000, 20000)
loss = losses.CrossEntropy()
want = loss.loss(target, logits)

def threads():
    with open("/proc/self/status") as status:
        return int(status.read().split("Threads:")[1].split()[0])

def watch():
    global most
    while not done.is_set():
        most = max(most, threads())

done, before, most = threading.Event(), threads(), 0
watcher = threading.Thread(target=watch)
watcher.start()
for _ in range(5):
    assert np.array_equal(loss.loss(target, logits, n_threads=WANTED), want)
done.set()
watcher.join()
assert most == before + WANTED, (most, before)  # the watcher, and all but this one
"""
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert run.returncode == 0, run.stderr


# ---- calls that are remembered ------------------------------------------------------------------


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("loss", [None, "focal", losses.Poly(2.0)], ids=str)
def test_class_weights_are_read_anew_at_every_call(loss, smoothing):
    logits, target = some(SMALL)
    weight = torch.rand(SMALL[1])
    options = {"loss": loss, "label_smoothing": smoothing}
    for _ in range(3):
        weight.mul_(2)[3] += 1
        found = cross_entropy(logits, target, weight, **options)
        # in double another route takes them
        want = cross_entropy(logits, target, weight.double(), **options)
        torch.testing.assert_close(found, want)
        assert is_fused(found)


def test_no_tensor_is_remembered():
    logits, target = some(SMALL)
    weight = torch.rand(SMALL[1])
    cross_entropy(logits, target, weight, loss="focal").backward()
    gone = weakref.ref(weight)
    del weight
    assert gone() is None


def test_weights_that_moved_since_the_forward_pass_are_read_where_they_are():
    logits, target = some(SMALL)
    weight = torch.rand(SMALL[1])
    value = cross_entropy(logits, target, weight)
    weight.data = weight.clone()
    found = gradient_of(value, logits, 2.0)
    torch.testing.assert_close(
        found, 2 * gradient_of(cross_entropy(logits, target, weight), logits)
    )


@pytest.mark.parametrize("counts", [[5] * 10, (5,) * 10], ids=["list", "tuple"])
def test_losses_with_or_without_a_hash_are_taken(counts):
    logits, target = some(SMALL)
    value = cross_entropy(logits, target, loss=losses.LDAM(counts, scale=1))
    assert value.isfinite()


def test_weights_that_a_loss_has_no_place_for_are_an_error_beside_prepared_calls():
    logits, target = some(SMALL)
    options = {"loss": "normalized_cross_entropy", "label_smoothing": 0.1}
    assert cross_entropy(logits, target, **options).isfinite()
    with pytest.raises(ValueError, match="does not combine with label smoothing"):
        cross_entropy(logits, target, torch.rand(SMALL[1]), **options)


def test_what_outlived_a_transform_has_a_loss():
    kept = []

    def sum_of_double(x):
        kept.append(x * 2)
        return kept[0].sum()

    logits, target = some(SMALL)
    torch.func.grad(sum_of_double)(logits.detach())
    found, want = (loss(kept[0], target) for loss in (cross_entropy, functional.cross_entropy))
    torch.testing.assert_close(found, want)
