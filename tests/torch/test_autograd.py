"""Every route from value to derivative: eager, transformed, compiled, of any order."""

import math
import os
import subprocess
import sys

import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.autograd import forward_ad

from crossentropy import losses, rows
from crossentropy.torch import _operators, cross_entropy
from tests.table import every_loss

OPTIONS = {
    "plain": {},
    "all": {
        "weight": torch.linspace(0.5, 2, 4, dtype=torch.float64),
        "label_smoothing": 0.1,
        "smoothing_prior": torch.tensor([0.1, 0.2, 0.3, 0.4], dtype=torch.float64),
        "softcap": 5.0,
        "temperature": 1.3,
        "logit_bias": torch.linspace(-1, 1, 4, dtype=torch.float64),
        "z_loss": 0.01,
        "sample_weight": torch.linspace(0.1, 1, 6, dtype=torch.float64).reshape(2, 3),
        "empty": "zero",
    },
}
LOG_PROB = losses.ScalarRule(lambda u: u**2, name="square")  # a user's rule
every_option = pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)


def problem(loss, options, reduction="mean"):
    """Planes of two by three positions, one of them ignored."""
    logits = torch.randn(2, 4, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    target = torch.tensor([[0, 3, -100], [1, 2, 2]])
    if getattr(loss, "needs_weighted", False):  # which goes with even smoothing only
        options = {k: v for k, v in options.items() if k not in ("weight", "smoothing_prior")}

    def function(z):
        return cross_entropy(z, target, loss=loss, reduction=reduction, **options)

    return function, logits.requires_grad_()


def gradient_of(function, logits):
    return torch.autograd.grad(function(logits).sum(), logits)[0]


@every_loss
@pytest.mark.parametrize(("options", "reduction"), [("plain", "mean"), ("all", "none")])
def test_gradcheck(path, loss, literal, options, reduction):
    function, logits = problem(loss, OPTIONS[options], reduction)
    assert torch.autograd.gradcheck(function, logits, check_batched_grad=True)
    if path == "reference":  # second derivatives are the same on every path
        assert torch.autograd.gradgradcheck(function, logits, check_batched_grad=True)


@every_loss
@every_option
def test_transforms_give_the_eager_gradient(loss, literal, options):
    function, logits = problem(loss, options)
    want = gradient_of(function, logits)
    plain = logits.detach()
    # a loss with a scale has slopes a and b that are huge, and little but their difference counts
    close = {"rtol": 1e-5, "atol": 1e-7} if loss.scale != 1 else {}
    torch.testing.assert_close(torch.func.grad(function)(plain), want, **close)
    jacobian = torch.func.jacfwd(function)(plain)
    torch.testing.assert_close(jacobian, want, **close)
    hessian = torch.func.hessian(function)(plain)
    torch.testing.assert_close(
        hessian, torch.autograd.functional.hessian(function, plain), rtol=1e-9, atol=1e-12
    )


@every_loss
def test_forward_mode_is_the_finite_difference(loss, literal):
    function, logits = problem(loss, OPTIONS["all"])
    direction = torch.randn(
        2, 4, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(2)
    )
    plain = logits.detach()
    step = 1e-6
    want = (function(plain + step * direction) - function(plain - step * direction)) / (2 * step)
    with forward_ad.dual_level():
        dual = function(forward_ad.make_dual(plain, direction))
        got = forward_ad.unpack_dual(dual).tangent
    torch.testing.assert_close(got, want, rtol=1e-7, atol=1e-9)
    got = torch.func.jvp(function, (plain,), (direction,))[1]
    torch.testing.assert_close(got, want, rtol=1e-7, atol=1e-9)


def test_vmap_over_rows(path):
    logits = torch.randn(6, 4, dtype=torch.float64)
    target = torch.tensor([0, 3, 1, 1, 2, 0])
    want = cross_entropy(logits, target, reduction="none", loss="focal")
    each = torch.func.vmap(lambda z, y: cross_entropy(z, y, loss="focal"))
    torch.testing.assert_close(each(logits, target), want)
    gradient = torch.func.vmap(torch.func.grad(lambda z, y: cross_entropy(z, y, softcap=3.0)))
    logits.requires_grad_()
    whole = cross_entropy(logits, target, softcap=3.0, reduction="sum")
    torch.testing.assert_close(
        gradient(logits.detach(), target), torch.autograd.grad(whole, logits)[0]
    )


@pytest.fixture
def use():
    """What takes a path of the rows for one test: operators are compiled, or plain operations."""
    before = rows.path()
    yield lambda name: rows.use(rows.available_paths()[0] if name == "native" else name)
    rows.use(before)


@pytest.fixture
def _compiler():
    torch.compiler.reset()
    yield
    torch.compiler.reset()


@pytest.mark.usefixtures("_compiler")
@pytest.mark.parametrize(("options", "reduction"), [("plain", "mean"), ("all", "none")])
@pytest.mark.parametrize("loss", ["focal", LOG_PROB, "normalized_cross_entropy"], ids=str)
@pytest.mark.parametrize("path", ["native", "reference"])
def test_compiled_without_a_graph_break(path, loss, options, reduction, use):
    use(path)
    function, logits = problem(losses.as_loss(loss), OPTIONS[options], reduction)
    compiled = torch.compile(function, fullgraph=True, backend="aot_eager")
    torch.testing.assert_close(compiled(logits), function(logits))
    torch.testing.assert_close(gradient_of(compiled, logits), gradient_of(function, logits))


@pytest.mark.usefixtures("_compiler")
@pytest.mark.parametrize("path", ["native", "reference"])
def test_compiled_by_inductor_alone_and_around_transforms(path, use):
    use(path)
    function, logits = problem("focal", OPTIONS["all"])
    want = gradient_of(function, logits)
    compiled = torch.compile(function, fullgraph=True)
    torch.testing.assert_close(gradient_of(compiled, logits), want)
    gradient = torch.compile(torch.func.grad(function), fullgraph=True)
    torch.testing.assert_close(gradient(logits.detach()), want)


@pytest.mark.parametrize("path", ["", "reference"])
def test_the_first_call_of_a_process_may_be_a_compiled_one(path):
    code = """
import torch
from crossentropy.torch import cross_entropy
compiled = torch.compile(cross_entropy, fullgraph=True, backend="aot_eager")
print(compiled(torch.zeros(2, 4), torch.tensor([0, 1]), loss="focal").item())
"""
    environment = {**os.environ, "CROSSENTROPY_ROWS": path}
    run = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stderr
    assert abs(float(run.stdout) - (3 / 4) ** 2 * math.log(4)) < 1e-6


@pytest.mark.usefixtures("_compiler")
@pytest.mark.parametrize("path", ["native", "reference"])
def test_compiled_for_any_number_of_rows(path, use):
    use(path)

    def function(z, y):
        return cross_entropy(z, y, loss="focal", label_smoothing=0.1)

    compiled = torch.compile(function, fullgraph=True, dynamic=True, backend="aot_eager")
    for n in (5, 8, 1):
        logits = torch.randn(n, 7, 4, requires_grad=True)
        target = torch.randint(0, 7, (n, 4))
        torch.testing.assert_close(compiled(logits, target), function(logits, target))


@pytest.mark.usefixtures("_compiler")
@pytest.mark.parametrize("path", ["native", "reference"])
def test_compiled_for_other_types_formats_and_options(path, use):
    use(path)
    compiled = torch.compile(cross_entropy, fullgraph=True, backend="aot_eager")
    target = torch.randint(0, 5, (2, 4, 3))
    images = torch.randn(2, 5, 4, 3)
    for logits, options in (
        (images.bfloat16(), {"label_smoothing": 0.1}),
        (images.contiguous(memory_format=torch.channels_last), {"softcap": 3.0}),
        (images, {"softcap": 4.0, "temperature": 2.0}),  # other numbers are compiled again
        (images, {"normalizer": torch.tensor(3.0), "empty": "zero"}),
        (images, {"normalizer": 0, "empty": "zero"}),
    ):
        logits.requires_grad_()
        got, want = (
            f(logits, target, **{**options, "inplace_backward": f is compiled})
            for f in (compiled, cross_entropy)
        )
        torch.testing.assert_close(got, want)
        got, want = (torch.autograd.grad(value, logits)[0] for value in (got, want))
        torch.testing.assert_close(got, want)


def test_tensors_without_memory_take_the_plain_route():
    options = {"softcap": 3.0, "label_smoothing": 0.1, "return_stats": True}
    logits = torch.randn(5, 4, 2, device="meta", requires_grad=True)
    target = torch.zeros(5, 2, dtype=torch.int64, device="meta")
    result = cross_entropy(logits, target, **options)
    result.loss.backward()
    assert result.loss.shape == ()
    assert result.argmax.shape == (5, 2)
    assert logits.grad.shape == (5, 4, 2)
    with FakeTensorMode():
        logits = torch.randn(5, 4, requires_grad=True)
        result = cross_entropy(logits, torch.zeros(5, dtype=torch.int64), **options)
        result.loss.backward()
        assert logits.grad.shape == (5, 4)


@pytest.mark.parametrize("shape", [(6, 4), (2, 4, 3)])
@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
@pytest.mark.parametrize("softcap", [None, 5.0])
def test_operators_keep_torchs_rules(shape, dtype, softcap):
    logits = torch.randn(*shape, dtype=dtype, requires_grad=True)
    target = torch.tensor([0, 3, -100, 1, 2, 2])
    weight = torch.linspace(0.5, 2, 4, dtype=rows_type(dtype))
    options = (weight, None, 1.0, softcap, -100)
    table, argmax = _operators.row_statistics(logits.detach(), target, *options, True, True)
    assert argmax.shape == (6,)
    slope = torch.ones((), dtype=torch.float64)
    value = -table[1]
    checks = "test_schema", "test_autograd_registration", "test_faketensor"
    for operator, arguments in (
        (_operators.row_statistics, (logits.detach(), target, *options, False, False)),
        (_operators.row_statistics, (logits.detach(), target, *options, True, True)),
        (_operators.row_gradient, (logits.detach(), target, table, slope, slope, None, *options)),
        (_operators.attach, (logits, target, table, value, slope, slope, slope, *options)),
    ):
        torch.library.opcheck(operator, arguments, test_utils=checks)


def rows_type(dtype):
    return torch.promote_types(dtype, torch.float32)


def test_retained_graphs_and_no_grad():
    function, logits = problem("focal", {})
    value = function(logits)
    first = torch.autograd.grad(value, logits, retain_graph=True)
    assert torch.equal(first[0], torch.autograd.grad(value, logits)[0])
    with torch.no_grad():
        assert not function(logits).requires_grad
    assert not function(logits.detach()).requires_grad


def test_logits_changed_after_the_forward_pass_are_an_error():
    function, logits = problem("focal", {})
    moved = logits * 1
    value = function(moved)
    moved.add_(1)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        value.backward()
