"""The fused layer is the layer followed by the loss, whatever the blocks, on every route."""

import math

import pytest
import torch
from torch.autograd import forward_ad
from torch.nn import functional

from crossentropy import losses
from crossentropy.rows._linear_blocks import Shape, blocks_of
from crossentropy.torch import LinearOptions, cross_entropy, linear_cross_entropy
from tests.table import every_loss

# by samples; by samples and classes; one class and few samples
BLOCKS = {"samples": 2**13, "classes": 3000, "least": 1}
every_size = pytest.mark.parametrize("max_bytes", BLOCKS.values(), ids=BLOCKS)
OPTIONS = {
    "plain": {},
    "all": {
        "weight": torch.linspace(0.5, 2, 7, dtype=torch.float64),
        "label_smoothing": 0.1,
        "softcap": 5.0,
        "temperature": 1.3,
        "z_loss": 0.01,
    },
}
every_option = pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)


@pytest.fixture(autouse=True)
def _one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)  # threads would cost more than these sizes
    yield
    torch.set_num_threads(before)


@pytest.fixture
def _compiler():
    torch.compiler.reset()
    yield
    torch.compiler.reset()


def operands(samples=100, classes=7, features=5, out=(), dtype=torch.float64):
    generator = torch.Generator().manual_seed(3)

    def normal(*shape):
        return torch.randn(*shape, generator=generator, dtype=torch.float64).to(dtype)

    hidden, weight = normal(samples, features), normal(classes, *out, features)
    bias, target = (
        normal(classes, *out),
        torch.randint(classes, (samples, *out), generator=generator),
    )
    target.view(-1)[::5] = -100
    return [x.requires_grad_() for x in (hidden, weight, bias)], target


def in_blocks(target, max_bytes, **options):
    """The loss as a function of the operands."""
    given = LinearOptions(max_bytes=max_bytes)
    return lambda x, w, b: linear_cross_entropy(
        x, w, target, linear_bias=b, options=given, **options
    )


def by_logits(target, **options):
    """The same by the logits."""

    def loss(x, w, b):
        z = functional.linear(x, w.flatten(0, -2), b.flatten()).unflatten(1, w.shape[:-1])
        return cross_entropy(z, target, **options)

    return loss


def gradients_of(loss, given, upstream=None):
    value = loss(*given)
    upstream = torch.ones_like(value) if upstream is None else upstream
    return value, torch.autograd.grad(value, given, upstream)


def assert_same(ours, theirs, given, upstream=None, **close):
    got, want = (gradients_of(f, given, upstream) for f in (ours, theirs))
    torch.testing.assert_close(got[0], want[0], **close)
    for mine, other in zip(got[1], want[1], strict=True):
        torch.testing.assert_close(mine, other, **close)


@every_size
@every_option
@pytest.mark.parametrize("out", [(), (3, 2)])
@pytest.mark.parametrize("reduction", ["mean", "none"])
def test_any_blocks_give_the_loss_of_the_logits(path, max_bytes, options, out, reduction):
    given, target = operands(out=out)
    ours = in_blocks(target, max_bytes, reduction=reduction, **options)
    upstream = None
    if reduction == "none":  # a row's own, which differ
        upstream = torch.linspace(-1, 2, target.numel(), dtype=torch.float64).view(target.shape)
    assert_same(ours, by_logits(target, reduction=reduction, **options), given, upstream)


@every_loss
@every_size
def test_every_loss(loss, literal, max_bytes):
    given, target = operands()
    close = {"rtol": 1e-6, "atol": 1e-9} if loss.scale != 1 else {}
    assert_same(
        in_blocks(target, max_bytes, loss=loss), by_logits(target, loss=loss), given, **close
    )


@every_size
def test_probabilities(path, max_bytes):
    given, _ = operands(out=(2,))
    target = torch.rand(100, 7, 2, dtype=torch.float64)
    for options in ({"reduction": "none"}, {"label_smoothing": 0.1, "normalizer": "weights"}):
        upstream = torch.rand(100, 2, dtype=torch.float64) if "reduction" in options else None
        assert_same(
            in_blocks(target, max_bytes, **options), by_logits(target, **options), given, upstream
        )
    moving = target.clone().requires_grad_()
    value = linear_cross_entropy(given[0], given[1], moving)
    assert torch.autograd.grad(value, moving)[0].abs().sum() > 0


def test_a_loss_that_reads_all_logits():
    given, target = operands()
    noise = losses.ForwardCorrection(torch.full((7, 7), 0.05).fill_diagonal_(0.7).tolist())
    for options in ({}, {"reduction": "none"}):
        ours = in_blocks(target, 1000, loss=noise, **options)
        assert_same(ours, by_logits(target, loss=noise, **options), given)
    result = linear_cross_entropy(*given[:2], target, loss=noise, return_stats=True)
    assert result.argmax.shape == target.shape


@every_size
def test_statistics(path, max_bytes):
    given, target = operands(out=(2,))
    given[1].data[3] = -50  # a class that is never the greatest, or always
    ours = in_blocks(target, max_bytes, return_stats=True, label_smoothing=0.1)(*given)
    z = functional.linear(given[0], given[1].flatten(0, 1), given[2].flatten()).view(100, 7, 2)
    want = cross_entropy(z, target, return_stats=True, label_smoothing=0.1)
    for mine, theirs in zip(ours, want, strict=True):
        torch.testing.assert_close(mine, theirs)


def test_leading_shapes_single_samples_and_nothing():
    given, target = operands(24)
    hidden, weight, bias = given
    whole = linear_cross_entropy(hidden, weight, target, linear_bias=bias, reduction="none")
    shaped = linear_cross_entropy(
        hidden.view(2, 3, 4, 5), weight, target.view(2, 3, 4), linear_bias=bias, reduction="none"
    )
    torch.testing.assert_close(shaped, whole.view(2, 3, 4))
    for max_bytes in (2**20, 24, 1):
        one = in_blocks(target[1], max_bytes)(hidden[1], weight, bias)
        torch.testing.assert_close(one, whole[1])
        (gradient,) = torch.autograd.grad(one, hidden)
        torch.testing.assert_close(
            gradient, torch.autograd.grad(whole[1], hidden, retain_graph=True)[0]
        )
    empty = linear_cross_entropy(hidden[:0], weight, target[:0], reduction="sum")
    assert empty == 0
    assert torch.autograd.grad(empty, weight)[0].abs().sum() == 0


def test_next_token_targets():
    hidden = torch.randn(3, 6, 5, requires_grad=True)
    weight, labels = torch.randn(7, 5), torch.randint(7, (3, 6))
    ours = linear_cross_entropy(hidden, weight, labels, shift=True)
    logits = functional.linear(hidden, weight)[:, :-1].transpose(1, 2)
    want = functional.cross_entropy(logits, labels[:, 1:])
    torch.testing.assert_close(ours, want)
    (gradient,) = torch.autograd.grad(ours, hidden)
    torch.testing.assert_close(gradient, torch.autograd.grad(want, hidden)[0])
    assert gradient[:, -1].abs().sum() == 0
    by_row = linear_cross_entropy(hidden, weight, labels, shift=True, reduction="none")
    assert by_row.shape == (3, 6)
    # class 0 as padding is ignored in either place
    masked = linear_cross_entropy(hidden, weight, labels, shift=True, ignore_index=0)
    torch.testing.assert_close(
        masked, functional.cross_entropy(logits, labels[:, 1:], ignore_index=0)
    )


@every_size
def test_an_ignored_class_and_masked_ones(path, max_bytes):
    given, target = operands()
    with torch.no_grad():
        given[2][2], given[2][5] = -math.inf, -math.inf
    target = torch.where(target < 0, 0, target)
    options = {"ignore_index": 0, "reduction": "none"}
    assert_same(in_blocks(target, max_bytes, **options), by_logits(target, **options), given)


@every_size
def test_targets_out_of_range(path, max_bytes):
    given, target = operands()
    target[3] = 7
    with pytest.raises(IndexError, match=r"Target 7 is out of bounds.*\[0, 6\]"):
        in_blocks(target, max_bytes)(*given)


@pytest.mark.parametrize("frozen", [(0,), (1,), (2,), (0, 1), (1, 2), (0, 1, 2)])
@every_size
def test_frozen_operands_cost_no_gradient(monkeypatch, frozen, max_bytes):
    given, target = operands()
    want = gradients_of(by_logits(target), given)[1]
    for k in frozen:
        given[k].requires_grad_(False)
    products = []
    add_product = torch.Tensor.addmm_
    monkeypatch.setattr(
        torch.Tensor, "addmm_", lambda *args: products.append(1) or add_product(*args)
    )
    value = in_blocks(target, max_bytes)(*given)
    moving = [k for k in range(3) if k not in frozen]
    assert value.requires_grad == bool(moving)
    got = torch.autograd.grad(value, [given[k] for k in moving]) if moving else ()
    for k, mine in zip(moving, got, strict=True):
        torch.testing.assert_close(mine, want[k])
    if 0 in frozen and 1 in frozen:
        assert not products


def test_frozen_operands_of_16_bits():
    given, target = operands(200, dtype=torch.bfloat16)
    want = gradients_of(in_blocks(target, 4096), given)[1]
    for moving in range(3):
        for k, x in enumerate(given):
            x.requires_grad_(k == moving)
        (got,) = torch.autograd.grad(in_blocks(target, 4096)(*given), given[moving])
        torch.testing.assert_close(got, want[moving], rtol=0, atol=0)


def test_no_grad_computes_none():
    given, target = operands()
    with torch.no_grad():
        assert not in_blocks(target, 2**20)(*given).requires_grad


@every_size
def test_retained_graphs_and_other_upstreams(max_bytes):
    given, target = operands()
    value = in_blocks(target, max_bytes)(*given)
    first = torch.autograd.grad(value, given, retain_graph=True)
    kept = [x.clone() for x in first]
    for x in first:
        x.zero_()  # the caller's to write to
    second = torch.autograd.grad(3 * value, given, retain_graph=True)
    for mine, theirs in zip(second, kept, strict=True):
        torch.testing.assert_close(mine, 3 * theirs)
    upstreams = torch.tensor([1.0, -2.0], dtype=torch.float64)
    many = torch.autograd.grad(value, given, upstreams, is_grads_batched=True)
    for mine, theirs in zip(many, kept, strict=True):
        torch.testing.assert_close(mine, torch.stack([theirs, -2 * theirs]))


def test_tied_embeddings():
    weight = torch.randn(11, 6, dtype=torch.float64, requires_grad=True)
    tokens = torch.randint(11, (4, 8))

    def step(fused):
        hidden = torch.tanh(functional.embedding(tokens, weight))
        if fused:
            return linear_cross_entropy(hidden, weight, tokens, shift=True)
        z = functional.linear(hidden, weight)[:, :-1].flatten(0, 1)
        return functional.cross_entropy(z, tokens[:, 1:].flatten())

    got, want = (torch.autograd.grad(step(fused), weight)[0] for fused in (True, False))
    torch.testing.assert_close(got, want)


@pytest.mark.parametrize("probabilities", [False, True])
@pytest.mark.parametrize("changed", ["hidden", "target"])
def test_what_was_changed_after_the_forward_pass_is_an_error(changed, probabilities):
    given, target = operands()
    if probabilities:
        target = torch.rand(100, 7, dtype=torch.float64)
    moved = given[0] * 1
    value = in_blocks(target, 1)(moved, *given[1:])
    (moved if changed == "hidden" else target).add_(1)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        value.backward()


# ---- derivatives of other kinds -----------------------------------------------------------------


@every_option
@pytest.mark.parametrize("out", [(), (2,)])
@pytest.mark.parametrize("reduction", ["mean", "none"])
def test_gradcheck(options, out, reduction):
    given, target = operands(6, out=out, features=2)
    function = in_blocks(target, 100, reduction=reduction, **options)
    assert torch.autograd.gradcheck(function, given, check_batched_grad=True)
    assert torch.autograd.gradgradcheck(function, given)


@every_option
def test_transforms(options):
    given, target = operands(6)
    function = in_blocks(target, 300, **options)
    want = gradients_of(function, given)[1]
    plain = tuple(x.detach() for x in given)
    got = torch.func.grad(function, argnums=(0, 1, 2))(*plain)
    for mine, theirs in zip(got, want, strict=True):
        torch.testing.assert_close(mine, theirs)
    each = torch.func.vmap(
        lambda x, y: linear_cross_entropy(x, plain[1], y, linear_bias=plain[2], **options)
    )
    by_row = in_blocks(
        target, 300, reduction="none", **{k: v for k, v in options.items() if k != "weight"}
    )
    if "weight" not in options:  # whose mean over one row divides by its weight
        valid = target >= 0
        torch.testing.assert_close(each(plain[0], target)[valid], by_row(*plain)[valid])


@every_option
def test_forward_mode_is_the_finite_difference(options):
    given, target = operands(6)
    function = in_blocks(target, 300, **options)
    plain = [x.detach() for x in given]
    directions, step = [torch.randn_like(x) for x in plain], 1e-6
    ahead, behind = (
        function(*(x + sign * step * d for x, d in zip(plain, directions, strict=True)))
        for sign in (1, -1)
    )
    with forward_ad.dual_level():
        duals = [forward_ad.make_dual(x, d) for x, d in zip(plain, directions, strict=True)]
        tangent = forward_ad.unpack_dual(function(*duals)).tangent
    torch.testing.assert_close(tangent, (ahead - behind) / (2 * step), rtol=1e-6, atol=1e-8)


@pytest.mark.usefixtures("_compiler")
@every_option
@pytest.mark.parametrize("loss", ["focal", losses.ScalarRule(lambda u: u**2)], ids=str)
def test_compiled_without_a_graph_break(options, loss):
    for reduction, out in (("mean", ()), ("none", (2,))):
        given, target = operands(30, out=out)
        function = in_blocks(target, 1000, loss=loss, reduction=reduction, **options)
        compiled = torch.compile(function, fullgraph=True, backend="aot_eager")
        assert_same(compiled, function, given)


@pytest.mark.usefixtures("_compiler")
def test_compiled_around_transforms_and_with_statistics():
    given, target = operands(30)
    function = in_blocks(target, 1000, return_stats=True)
    compiled = torch.compile(function, fullgraph=True, dynamic=True, backend="aot_eager")
    for mine, theirs in zip(compiled(*given), function(*given), strict=True):
        torch.testing.assert_close(mine, theirs)
    plain = tuple(x.detach() for x in given)
    loss = in_blocks(target, 1000)
    gradient = torch.compile(torch.func.grad(loss), fullgraph=True, backend="aot_eager")
    torch.testing.assert_close(gradient(*plain), torch.func.grad(loss)(*plain))


@pytest.mark.usefixtures("_compiler")
def test_operators_keep_torchs_rules():
    from crossentropy.torch import _linear_operators as operators

    (hidden, weight, bias), target = operands(20)
    weight, bias = weight.unsqueeze(1), bias.unsqueeze(1)
    still = hidden.detach(), weight.detach(), bias.detach(), target
    options = None, 1.0, None, -100, 1000, 0.0
    table, _ = operators.linear_statistics(*still, *options, False, False)
    slope = torch.ones((), dtype=torch.float64)
    value = -table[1].sum()
    checks = "test_schema", "test_autograd_registration", "test_faketensor"
    for operator, arguments in (
        (operators.linear_statistics, (*still, *options, True, True)),
        (
            operators.linear_gradients,
            (*still, table, slope, slope, None, *options, True, False, True),
        ),
        (
            operators.linear_attach,
            (hidden, weight, bias, target, table, value, slope, slope, None, *options),
        ),
    ):
        torch.library.opcheck(operator, arguments, test_utils=checks)


# ---- blocks -------------------------------------------------------------------------------------


@pytest.mark.parametrize("samples", [1, 63, 1024, 4096, 100_000])
@pytest.mark.parametrize("classes", [2, 1000, 32_000, 128_256, 1_000_000])
@pytest.mark.parametrize("short", [False, True])
@pytest.mark.parametrize("features", [16, 512])
def test_blocks_fill_the_budget_and_no_more(samples, classes, short, features):
    budget = 2**26
    blocks = blocks_of(Shape(samples, features, classes, 1), 4, short, budget)
    taken = 4 * blocks.samples * blocks.classes
    if short:
        taken += 8 * features * (blocks.samples + blocks.classes)
    assert taken <= budget
    if blocks.samples < samples and blocks.classes < classes and not short:
        assert taken > budget / 2
    covered = sum(
        (n.stop - n.start) * (v.stop - v.start)
        for n in blocks.over_samples()
        for v in blocks.over_classes()
    )
    assert covered == samples * classes


def test_small_gradients_may_be_left_out():
    """Each entry of the logits' gradient is off by at most ε times the greatest, dX by its sum."""
    generator = torch.Generator().manual_seed(0)
    weight = torch.randn(4096, 16, generator=generator)
    weight[:512, 8:], weight[512:, :8] = 0, 0
    hidden = 2 * weight[torch.arange(0, 512, 8)]  # to which all but the first 512 are nothing
    target = torch.arange(0, 512, 8)
    for x in (hidden, weight):
        x.requires_grad_()
    exact = torch.autograd.grad(linear_cross_entropy(hidden, weight, target), (hidden, weight))
    least = 1e-3
    options = LinearOptions(gradient_filter=least)
    value = linear_cross_entropy(hidden, weight, target, options=options)
    got = torch.autograd.grad(value, (hidden, weight))
    torch.testing.assert_close(value, linear_cross_entropy(hidden, weight, target), rtol=0, atol=0)
    z = functional.linear(hidden, weight).detach().requires_grad_()
    (by_logit,) = torch.autograd.grad(functional.cross_entropy(z, target), z)
    bound = least * by_logit.abs().max()
    small = torch.where(by_logit.abs() <= bound, by_logit.abs(), 0)
    assert (got[1][512:] == 0).any()  # some were
    error = (got[0] - exact[0]).abs()
    assert (error <= small @ weight.detach().abs() + 1e-7).all()
    assert ((got[1] - exact[1]).abs() <= small.t() @ hidden.detach().abs() + 1e-7).all()


@pytest.mark.parametrize(
    "given", [{"max_bytes": 0}, {"gradient_filter": 1.0}, {"gradient_filter": -0.1}]
)
def test_options_out_of_range(given):
    with pytest.raises(ValueError, match=next(iter(given))):
        LinearOptions(**given)
