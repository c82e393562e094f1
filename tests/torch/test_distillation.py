"""`distillation_loss` against divergences written out in float64, on every path."""

import math

import mpmath
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch.autograd import forward_ad
from torch.nn import functional

from crossentropy import rows
from crossentropy.torch import cross_entropy, distillation_loss
from tests.table import CLASSES
from tests.torch.test_soft_targets import DTYPES, LAYOUTS, LargeResults, assert_close

DIRECTIONS = ("forward", "reverse", "js")
every_direction = pytest.mark.parametrize("direction", DIRECTIONS)
every_dtype = pytest.mark.parametrize("dtype", DTYPES, ids=str)
inf, nan = math.inf, math.nan


def batch(*shape, dtype=torch.float64, seed=0):
    """A student's logits, which ask for their gradient, and a teacher's."""
    generator = torch.Generator().manual_seed(seed)
    student, teacher = (
        torch.randn(shape, generator=generator, dtype=torch.float64).mul(3).to(dtype)
        for _ in range(2)
    )
    return student.requires_grad_(), teacher


def literal(student, teacher, direction="forward", temperature=1.0, reduction="mean", mask=None):
    """The divergences by their definitions, from probabilities."""
    p, t = (
        (x.double().movedim(min(1, x.ndim - 1), -1) / temperature).softmax(-1)
        for x in (student, teacher)
    )
    mean = (p + t) / 2
    value = (
        temperature**2
        * {
            "forward": kl(t, p),
            "reverse": kl(p, t),
            "js": (kl(p, mean) + kl(t, mean)) / 2,
        }[direction]
    )
    mask = torch.ones_like(value, dtype=torch.bool) if mask is None else mask
    value = torch.where(mask, value, 0.0)
    if reduction == "none":
        return value
    return value.sum() / (mask.sum() if reduction == "mean" else 1)


def kl(p, q):
    return torch.special.xlogy(p, p).sum(-1) - torch.special.xlogy(p, q).sum(-1)


def assert_literal(student, teacher, *, other=None, **options):
    dtype = student.dtype
    got, want = (f(student, teacher, **options) for f in (distillation_loss, literal))
    assert got.dtype == dtype
    assert_close(got, want, dtype, **(other or {}))
    upstream = torch.linspace(-1, 2, got.numel()).reshape(got.shape).to(dtype)
    asking = [x for x in (student, teacher) if x.requires_grad]
    got = torch.autograd.grad(got, asking, upstream)
    want = torch.autograd.grad(want, asking, upstream.double())
    for mine, theirs in zip(got, want, strict=True):
        assert mine.dtype == dtype
        assert_close(mine, theirs, dtype, **(other or {}))


# ---- values and gradients -----------------------------------------------------------------------


@every_dtype
@every_direction
@pytest.mark.parametrize("classes", [*CLASSES, 5000, 10241])
def test_every_number_of_classes(path, direction, classes, dtype):
    assert_literal(*batch(3, classes, dtype=dtype), direction=direction, reduction="none")


@every_dtype
@every_direction
@pytest.mark.parametrize("reduction", ["none", "sum", "mean"])
@pytest.mark.parametrize("shape", [(7,), (6, 4), (2, 4, 3), (2, 4, 3, 2)])
def test_every_shape_and_reduction(path, direction, reduction, shape, dtype):
    other = {"atol": 0.3} if dtype.itemsize == 2 and reduction == "sum" else None
    student, teacher = batch(*shape, dtype=dtype)
    positions = shape[:1] * (len(shape) > 1) + shape[2:]
    mask = (torch.arange(math.prod(positions)) % 3 != 1).reshape(positions)
    options = {"direction": direction, "reduction": reduction, "temperature": 1.7}
    assert_literal(student, teacher, other=other, **options)
    assert_literal(student, teacher, other=other, mask=mask, **options)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.sampled_from(DIRECTIONS),
    st.floats(0.25, 8),
    st.sampled_from(["none", "sum", "mean"]),
    st.tuples(st.integers(1, 5), st.integers(1, 70), st.integers(1, 3), st.integers(1, 3)),
    st.integers(2, 4),
    st.booleans(),
    st.integers(0, 2**31),
)
def test_any_options_and_shapes(path, direction, temperature, reduction, shape, ndim, moves, seed):
    student, teacher = batch(*shape[:ndim], seed=seed)
    options = {"direction": direction, "temperature": temperature, "reduction": reduction}
    other = {"rtol": 1e-8, "atol": 1e-9}
    assert_literal(student, teacher.requires_grad_(moves), other=other, **options)


@every_direction
@pytest.mark.parametrize("of_student", LAYOUTS)
@pytest.mark.parametrize("of_teacher", LAYOUTS)
def test_every_layout(path, direction, of_student, of_teacher):
    student, teacher = batch(3, 5, 4, 2)
    student = LAYOUTS[of_student](student.detach()).requires_grad_()
    assert_literal(student, LAYOUTS[of_teacher](teacher), direction=direction, reduction="none")


@every_direction
def test_a_mask_in_any_layout(path, direction):
    student, teacher = batch(4, 3)
    strided = torch.tensor([True, False, False, True, True, False, True, True])[::2]
    for mask in (strided, torch.tensor(False).expand(4), torch.tensor(True).expand(4)):
        options = {"direction": direction, "mask": mask, "reduction": "none"}
        assert_literal(student, teacher, **options)


def test_forward_is_torchs_divergence_and_soft_cross_entropy_less_an_entropy(path):
    student, teacher = batch(6, 9)
    p, t = student.log_softmax(1), teacher.log_softmax(1)
    want = functional.kl_div(p, t, reduction="batchmean", log_target=True)
    torch.testing.assert_close(distillation_loss(student, teacher), want)
    entropy = -(t.exp() * t).sum(1).mean()
    torch.testing.assert_close(cross_entropy(student, t.exp()) - entropy, want)


def test_directions_swap_roles_and_js_is_between_0_and_log_2(path):
    student, teacher = batch(6, 9)
    for one, other in (("forward", "reverse"), ("js", "js")):
        torch.testing.assert_close(
            distillation_loss(student, teacher, direction=one),
            distillation_loss(teacher, student, direction=other),
        )
    far = distillation_loss(torch.tensor([90.0, 0.0]), torch.tensor([0.0, 90.0]), direction="js")
    torch.testing.assert_close(far, torch.tensor(2.0).log())


@every_direction
def test_the_temperature_keeps_gradients_from_shrinking(path, direction):
    """At a high temperature the divergences are half a mean square of centred differences."""
    student, teacher = batch(3, 5)
    gap = student - teacher
    gap = gap - gap.mean(1, keepdim=True)
    want = (gap**2).mean(1) / 2 / (4 if direction == "js" else 1)
    got = distillation_loss(
        student, teacher, direction=direction, temperature=1e4, reduction="none"
    )
    torch.testing.assert_close(got, want, rtol=1e-3, atol=1e-5)
    got, want = (torch.autograd.grad(value.sum(), student)[0] for value in (got, want))
    torch.testing.assert_close(got, want, rtol=1e-2, atol=1e-3)


@every_dtype
@every_direction
def test_a_student_that_is_its_teacher_has_nothing_to_learn(path, direction, dtype):
    student, _ = batch(5, 1000, dtype=dtype)
    value = distillation_loss(student, student.detach(), direction=direction)
    (gradient,) = torch.autograd.grad(value, student)
    assert abs(value) < 2e-6
    assert gradient.abs().max() < 1e-6


HAND = {
    "forward": 3 / 4 * math.log(3 / 2) + 1 / 4 * math.log(1 / 2),
    "reverse": 1 / 2 * math.log(2 / 3) + 1 / 2 * math.log(2),
    "js": (
        3 / 4 * math.log(6 / 5)
        + 1 / 4 * math.log(2 / 3)
        + 1 / 2 * math.log(4 / 5)
        + 1 / 2 * math.log(4 / 3)
    )
    / 2,
}


@pytest.mark.parametrize(("direction", "want"), HAND.items(), ids=HAND)
def test_by_hand(path, direction, want):
    """A student of 1/2 and 1/2, a teacher of 3/4 and 1/4, whose mean is 5/8 and 3/8."""
    student = torch.zeros(1, 2, dtype=torch.float64)
    teacher = torch.tensor([[math.log(3), 0.0]], dtype=torch.float64)
    got = distillation_loss(student, teacher, direction=direction)
    assert got.item() == pytest.approx(want, rel=1e-14)


@every_direction
@pytest.mark.parametrize("size", [1, 30, 300, 2000])
def test_extremes_against_many_digits(path, direction, size):
    student, teacher = batch(2, 4)
    student, teacher = student.detach() * size, teacher * size
    with mpmath.workdps(1500):
        want = [exact(s, t, direction) for s, t in zip(student, teacher, strict=True)]
    got = distillation_loss(student, teacher, direction=direction, reduction="none")
    assert got.tolist() == pytest.approx(want, rel=1e-12)


def exact(student, teacher, direction):
    def softmax(row):
        exponentials = [mpmath.exp(mpmath.mpf(x)) for x in row.tolist()]
        return [e / mpmath.fsum(exponentials) for e in exponentials]

    def divergence(p, q):
        return mpmath.fsum(a * (mpmath.log(a) - mpmath.log(b)) for a, b in zip(p, q, strict=True))

    p, t = softmax(student), softmax(teacher)
    if direction != "js":
        return float(divergence(t, p) if direction == "forward" else divergence(p, t))
    mean = [(a + b) / 2 for a, b in zip(p, t, strict=True)]
    return float((divergence(p, mean) + divergence(t, mean)) / 2)


# ---- what is not finite -------------------------------------------------------------------------


@every_dtype
@every_direction
@pytest.mark.parametrize("moves", [False, True])
@pytest.mark.parametrize("masked", [slice(1, 2), slice(0, 2100), slice(2100, 2500)])
def test_classes_masked_in_both_cost_nothing(path, direction, dtype, moves, masked):
    student, teacher = batch(2, 2500, dtype=dtype)
    student = student.detach()
    student[:, masked] = teacher[:, masked] = -inf
    student.requires_grad_()
    keep = torch.ones(2500, dtype=torch.bool)
    keep[masked] = False
    rest = student.detach()[:, keep].requires_grad_()
    want = literal(rest, teacher[:, keep], direction)
    got = distillation_loss(student, teacher.requires_grad_(moves), direction=direction)
    assert_close(got, want, dtype)
    gradients = torch.autograd.grad(got, [student, teacher] if moves else [student])
    for gradient in gradients:
        assert gradient.isfinite().all()
        assert not gradient[:, masked].any()
    assert_close(gradients[0][:, keep], torch.autograd.grad(want, rest)[0], dtype)


@pytest.mark.parametrize(
    ("direction", "of_student", "of_teacher"),
    [("forward", inf, "finite"), ("reverse", "finite", inf), ("js", "finite", "finite")],
)
def test_a_class_masked_in_one_alone(path, direction, of_student, of_teacher):
    """What only the other can say is infinitely surprising, but in the mean of both."""
    plain, masked = torch.tensor([[0.5, 1.0, 0.0]]), torch.tensor([[0.5, 1.0, -inf]])
    for student, teacher, want in ((masked, plain, of_student), (plain, masked, of_teacher)):
        leaf = student.clone().requires_grad_()
        value = distillation_loss(leaf, teacher, direction=direction)
        if want == inf:
            assert value == inf
            continue
        (gradient,) = torch.autograd.grad(value, leaf)
        assert_close(value, literal(student, teacher, direction), torch.float32)
        assert gradient.isfinite().all()


STRANGE = {"all masked": (slice(None), -inf), "inf": (7, inf), "NaN": (9, nan)}


@every_dtype
@every_direction
@pytest.mark.parametrize(("where", "value"), STRANGE.values(), ids=STRANGE)
@pytest.mark.parametrize("whose", [0, 1], ids=["student", "teacher"])
def test_a_strange_row_is_nan_throughout_and_a_mask_silences_it(
    path, direction, dtype, where, value, whose
):
    both = [x.detach() for x in batch(3, 2100, dtype=dtype)]
    both[whose][1, where] = value
    student, teacher = both[0].requires_grad_(), both[1]
    mask = torch.tensor([True, False, True])
    for moves in (False, True):
        teacher.requires_grad_(moves)
        got = distillation_loss(student, teacher, direction=direction, reduction="none")
        (gradient,) = torch.autograd.grad(got.sum(), student)
        assert got.isnan().tolist() == [False, True, False]
        assert gradient.isnan().all(1).tolist() == [False, True, False]
        assert gradient.isnan().any(1).tolist() == [False, True, False]
        for reduction in ("none", "mean", "sum"):
            got = distillation_loss(
                student, teacher, direction=direction, mask=mask, reduction=reduction
            )
            asking = [student, teacher] if moves else [student]
            assert got.isfinite().all()
            for gradient in torch.autograd.grad(got.sum(), asking):
                assert gradient.isfinite().all()
                assert not gradient[1].any()


@every_direction
@pytest.mark.parametrize("shape", [(0, 3), (2, 3, 0), (2, 0), (0, 0)])
def test_nothing_to_do(path, direction, shape):
    student = torch.zeros(shape, requires_grad=True)
    value = distillation_loss(student, torch.zeros(shape), direction=direction, reduction="sum")
    value.backward()
    assert value == 0
    assert student.grad.shape == shape
    by_row = distillation_loss(student, torch.zeros(shape), direction=direction, reduction="none")
    assert by_row.shape == (*shape[:1], *shape[2:])


@every_direction
def test_a_mean_over_nothing_is_nan_with_a_gradient_of_nothing(path, direction):
    student, teacher = batch(2, 3)
    value = distillation_loss(
        student, teacher, direction=direction, mask=torch.zeros(2, dtype=torch.bool)
    )
    assert value.isnan()


# ---- derivatives --------------------------------------------------------------------------------


@every_direction
@pytest.mark.parametrize("reduction", ["mean", "none"])
def test_first_and_second_derivatives_are_numeric_ones(path, direction, reduction):
    student, teacher = batch(2, 4, 3)
    options = {"direction": direction, "reduction": reduction, "temperature": 1.5}
    options["mask"] = torch.tensor([[True, True, False], [False, True, True]])

    def loss(s, t):
        return distillation_loss(s, t, **options)

    def fixed(s):
        return loss(s, teacher)

    assert torch.autograd.gradcheck(fixed, student, check_batched_grad=True)
    assert torch.autograd.gradgradcheck(fixed, student, check_batched_grad=True)
    moving = (student, teacher.clone().requires_grad_())
    assert torch.autograd.gradcheck(loss, moving, check_forward_ad=True, check_batched_grad=True)
    assert torch.autograd.gradgradcheck(loss, moving)


@every_direction
def test_transforms(path, direction):
    student, teacher = batch(4, 6)
    plain = student.detach()

    def loss(s, t):
        return distillation_loss(s, t, direction=direction, temperature=1.5)

    (want,) = torch.autograd.grad(loss(student, teacher), student)
    torch.testing.assert_close(torch.func.grad(loss)(plain, teacher), want)
    by_row = torch.func.vmap(torch.func.grad(loss))(plain, teacher)
    torch.testing.assert_close(by_row / 4, want)
    direction_of = torch.randn_like(plain)
    _, tangent = torch.func.jvp(lambda s: loss(s, teacher), (plain,), (direction_of,))
    torch.testing.assert_close(tangent, (want * direction_of).sum())
    with forward_ad.dual_level():
        dual = loss(forward_ad.make_dual(student, direction_of), teacher)
        got = forward_ad.unpack_dual(dual).tangent
    torch.testing.assert_close(got, (want * direction_of).sum())


@pytest.fixture
def _compiler():
    torch.compiler.reset()
    yield
    torch.compiler.reset()


@pytest.mark.usefixtures("_compiler")
@every_direction
@pytest.mark.parametrize("backend", ["aot_eager", "inductor"])
def test_compiled_without_a_graph_break(direction, backend):
    student, teacher = batch(5, 7, dtype=torch.float32)

    def loss(s, t):
        return distillation_loss(s, t, direction=direction, temperature=2.0)

    compiled = torch.compile(loss, fullgraph=True, backend=backend)
    got, want = (f(student, teacher) for f in (compiled, loss))
    torch.testing.assert_close(got, want)
    got, want = (torch.autograd.grad(value, student)[0] for value in (got, want))
    torch.testing.assert_close(got, want, rtol=1e-4, atol=1e-6)


@every_direction
@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_any_upstream(path, direction, reduction):
    student, teacher = batch(5, 7)
    options = {"direction": direction, "reduction": reduction}
    got, want = (f(student, teacher, **options) for f in (distillation_loss, literal))
    gradients = []
    for upstream in (torch.ones_like(got), torch.full_like(got, -2.5), torch.rand_like(got)):
        mine, theirs = (
            torch.autograd.grad(value, student, upstream, retain_graph=True)[0]
            for value in (got, want)
        )
        torch.testing.assert_close(mine, theirs)
        gradients.append((mine, mine.clone()))
    for mine, before in gradients:
        assert torch.equal(mine, before)
    batched = torch.randn(3, *got.shape, dtype=torch.float64)
    several = torch.autograd.grad(got, student, batched, is_grads_batched=True, retain_graph=True)[
        0
    ]
    for upstream, mine in zip(batched, several, strict=True):
        one = torch.autograd.grad(got, student, upstream, retain_graph=True)[0]
        torch.testing.assert_close(mine, one)


@every_direction
def test_autocast_computes_in_float32(path, direction):
    student, teacher = batch(6, 5, dtype=torch.bfloat16)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        got = distillation_loss(student, teacher, direction=direction)
    assert got.dtype == torch.float32
    assert_close(got, literal(student, teacher, direction), torch.float32)
    (gradient,) = torch.autograd.grad(got, student)
    assert gradient.dtype == torch.bfloat16


@every_direction
def test_a_teacher_in_a_graph_that_nobody_follows(path, direction):
    student, teacher = batch(6, 5)
    want = distillation_loss(student, teacher, direction=direction)
    teacher.requires_grad_()
    with torch.no_grad():
        got = distillation_loss(student, teacher, direction=direction)
    assert not got.requires_grad
    torch.testing.assert_close(got, want.detach())


# ---- threads, blocks and memory -----------------------------------------------------------------


@pytest.mark.skipif(rows.path() == "reference", reason="torch's own sums know threads")
@pytest.mark.parametrize("shape", [(60_000, 10), (700, 1001)])
def test_threads_change_nothing_in_the_kernels(shape):
    student, teacher = batch(*shape, dtype=torch.float32)
    before, results = torch.get_num_threads(), []
    try:
        for threads in (1, 2, 7):
            torch.set_num_threads(threads)
            value = distillation_loss(student, teacher)
            results.append((value, *torch.autograd.grad(value, student)))
    finally:
        torch.set_num_threads(before)
    for value, gradient in results:
        assert torch.equal(value, results[0][0])
        assert torch.equal(gradient, results[0][1])


@every_direction
@pytest.mark.parametrize("masked", [False, True])
def test_blocks_of_rows_are_put_together(path, direction, masked):
    """Some 26 rows at a time, the last ones fewer."""
    student, teacher = batch(60, 10_001)
    mask = torch.arange(60) % 7 != 3 if masked else None
    options = {"direction": direction, "mask": mask}
    assert_literal(student, teacher, reduction="none", **options)
    assert_literal(student, teacher, reduction="mean", **options)


@every_direction
def test_no_array_but_the_gradient_is_made(path, direction):
    student, teacher = batch(256, 2**13, dtype=torch.float32)
    with LargeResults(student.nbytes // 4) as made:
        distillation_loss(student, teacher, direction=direction).backward()
    plain = path == "reference" and direction == "forward"
    others = made.besides(student, teacher, student.grad)
    assert others > 2 if plain else others == 0


# ---- errors -------------------------------------------------------------------------------------

LOGITS = torch.zeros(3, 4)
BAD = {
    "shapes": ((LOGITS, LOGITS[:2]), {}, ValueError, r"one shape, .*got \(3, 4\) and \(2, 4\)"),
    "no dimension": ((torch.tensor(1.0), torch.tensor(1.0)), {}, ValueError, r"got \(\) and \(\)"),
    "student": (
        (LOGITS.long(), LOGITS),
        {},
        TypeError,
        "student_logits must be floating-point, got torch.int64",
    ),
    "teacher": (
        (LOGITS, LOGITS.long()),
        {},
        TypeError,
        "teacher_logits must be floating-point, got torch.int64",
    ),
    "temperature": ((LOGITS, LOGITS), {"temperature": 0.0}, ValueError, "positive number, got 0.0"),
    "temperature NaN": ((LOGITS, LOGITS), {"temperature": nan}, ValueError, "positive number"),
    "temperature tensor": (
        (LOGITS, LOGITS),
        {"temperature": torch.tensor(2.0)},
        TypeError,
        "temperature must be a number, got a tensor",
    ),
    "direction": (
        (LOGITS, LOGITS),
        {"direction": "backward"},
        ValueError,
        "direction must be one of forward, reverse, js, got 'backward'",
    ),
    "reduction": (
        (LOGITS, LOGITS),
        {"reduction": "batchmean"},
        ValueError,
        "reduction must be one of none, mean, sum, got 'batchmean'",
    ),
    "mask": (
        (LOGITS, LOGITS),
        {"mask": torch.ones(3, 4).bool()},
        ValueError,
        r"mask must be bool and have shape \(3,\), got torch.bool and \(3, 4\)",
    ),
}


@pytest.mark.parametrize(("arguments", "options", "error", "says"), BAD.values(), ids=BAD)
def test_errors(arguments, options, error, says):
    with pytest.raises(error, match=says):
        distillation_loss(*arguments, **options)
