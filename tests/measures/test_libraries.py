"""Any array library: the caller's arrays out, derivatives, compilers."""

import math

import array_api_strict
import numpy as np
import pytest
import torch

import crossentropy as ce
from crossentropy._errors import InputError

RNG = np.random.default_rng(0)
P = RNG.dirichlet(np.ones(5), 3)
P[1, 2] = 0
P[1] /= P[1].sum()
Q = RNG.dirichlet(np.ones(5), 3)
LABELS = np.array([0, 4, 1])
JOINT = P / 3
LOG_PROB = np.log(P[:, 0])

# name: (measure of arrays and options, arrays)
CALLS = {
    "information": (ce.information, (P,)),
    "information of logits": (lambda z, **o: ce.information(z, input="logits", **o), (Q,)),
    "entropy": (ce.entropy, (P,)),
    "entropy of logits": (lambda z, **o: ce.entropy(z, input="logits", **o), (Q,)),
    "cross_entropy": (ce.cross_entropy, (P, Q)),
    "cross_entropy of logits": (
        lambda p, z, **o: ce.cross_entropy(p, z, input=("proba", "logits"), **o),
        (P, Q),
    ),
    "cross_entropy, weighted": (
        lambda p, q, w, **o: ce.cross_entropy(p, q, weights=w, **o),
        (P, Q, Q),
    ),
    "kl_divergence": (ce.kl_divergence, (P, Q)),
    "kl_divergence of logits": (
        lambda p, q, **o: ce.kl_divergence(p, q, input="logits", **o),
        (P, Q),
    ),
    "kl_divergence, one for all": (ce.kl_divergence, (P[1], Q)),
    "kl_divergence, normalised": (
        lambda p, q, **o: ce.kl_divergence(2 * p, 3 * q, normalize=True, **o),
        (P, Q),
    ),
    "js_divergence": (ce.js_divergence, (P, Q)),
    "mutual_information": (ce.mutual_information, (JOINT,)),
    "conditional_entropy": (ce.conditional_entropy, (JOINT,)),
    "binary_entropy": (ce.binary_entropy, (P,)),
    "binary_entropy of logarithms": (
        lambda p, **o: ce.binary_entropy(p, input="log_proba", **o),
        (LOG_PROB,),
    ),
    "renyi_entropy 0": (lambda p, **o: ce.renyi_entropy(p, 0, **o), (P,)),
    "renyi_entropy 0.5": (lambda p, **o: ce.renyi_entropy(p, 0.5, **o), (P,)),
    "renyi_entropy 3": (lambda p, **o: ce.renyi_entropy(p, 3, **o), (P,)),
    "renyi_entropy inf": (lambda p, **o: ce.renyi_entropy(p, math.inf, **o), (P,)),
    "tsallis_entropy 2": (lambda p, **o: ce.tsallis_entropy(p, 2, **o), (P,)),
    "binary_cross_entropy": (ce.binary_cross_entropy, (P, Q)),
    "binary_cross_entropy of logits": (
        lambda y, z, **o: ce.binary_cross_entropy(y, z, input="logits", **o),
        (P, Q),
    ),
    "categorical_cross_entropy": (ce.categorical_cross_entropy, (P, Q)),
    "perplexity": (ce.perplexity, (P,)),
    "bits_per_byte": (lambda p, **o: ce.bits_per_byte(p, "text", **o), (LOG_PROB,)),
    "word_perplexity": (lambda p, **o: ce.word_perplexity(p, "a text", **o), (LOG_PROB,)),
}
PLAIN = {
    "softmax": ce.softmax,
    "log_softmax": ce.log_softmax,
    "logsumexp": ce.logsumexp,
    "sigmoid": ce.sigmoid,
    "log_sigmoid": ce.log_sigmoid,
}
CALLS |= {name: (lambda z, f=f, **_: f(4 * z), (P,)) for name, f in PLAIN.items()}

COMPILED = (  # one of each kind of formula, for compilers take their time
    "cross_entropy of logits",
    "kl_divergence",
    "mutual_information",
    "renyi_entropy 3",
    "binary_cross_entropy",
    "perplexity",
)

every_call = pytest.mark.parametrize(("call", "arrays"), CALLS.values(), ids=CALLS)


@every_call
def test_only_the_standard_is_needed(call, arrays):
    got = call(*map(array_api_strict.asarray, arrays))
    assert type(got) is type(array_api_strict.asarray(0.0))
    np.testing.assert_allclose(np.asarray(got), call(*arrays), rtol=1e-12)


@every_call
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
def test_torch_keeps_type_and_value(call, arrays, dtype):
    tensors = [torch.tensor(array, dtype=dtype) for array in arrays]
    got = call(*tensors)
    assert got.dtype == dtype
    # Sums of 16-bit numbers are off by more than float64's may be.
    want = call(*(tensor.double().numpy() for tensor in tensors), validate=False)
    tolerance = {torch.float64: 1e-12, torch.float32: 1e-5, torch.bfloat16: 1e-2}[dtype]
    np.testing.assert_allclose(got.double().numpy(), want, rtol=tolerance, atol=tolerance)


@every_call
def test_numpy_keeps_float32(call, arrays):
    narrow = [array.astype(np.float32) for array in arrays]
    got = call(*narrow)
    assert got.dtype == np.float32
    np.testing.assert_allclose(got, call(*arrays), rtol=1e-5, atol=1e-6)


@every_call
def test_gradients_are_those_of_finite_differences(call, arrays):
    inside = [np.clip(array, 0.01, None) if array.min() >= 0 else array for array in arrays]
    tensors = [torch.tensor(array, requires_grad=True) for array in inside]

    def total(*args):
        return call(*args, validate=False).sum()

    assert torch.autograd.gradcheck(total, tensors)


def test_jax_compiles_and_differentiates():
    jax = pytest.importorskip("jax")
    calls = {name: CALLS[name] for name in COMPILED}

    def total(call):
        return lambda args: call(*args, validate=False).sum()

    @jax.jit  # all in one, which compiles faster than one by one
    def both(given):
        return {
            name: jax.value_and_grad(total(call))(given[name]) for name, (call, _) in calls.items()
        }

    given = {
        name: tuple(jax.numpy.asarray(array, dtype=np.float32) for array in arrays)
        for name, (_, arrays) in calls.items()
    }
    for name, (value, slopes) in both(given).items():
        call, arrays = calls[name]
        want = call(*arrays, validate=False).sum()
        np.testing.assert_allclose(value, want, rtol=2e-5, err_msg=name)
        assert not any(np.isnan(slope).any() for slope in slopes), name


def test_jax_checks_outside_its_compiler():
    jax = pytest.importorskip("jax")
    assert isinstance(ce.entropy(jax.numpy.asarray([0.5, 0.5])), jax.Array)
    with pytest.raises(InputError, match="row 1 of p"):
        ce.entropy(jax.numpy.asarray([[0.5, 0.5], [0.5, 0.6]]))


@pytest.mark.parametrize("measure", [ce.kl_divergence, ce.entropy])
def test_torch_compiles_without_a_break(measure):
    arrays = [torch.tensor(P, requires_grad=True), torch.tensor(Q)][
        : 1 if measure is ce.entropy else 2
    ]

    def total(*args):
        return measure(*args, validate=False).sum()

    want = total(*arrays)  # first, for the compiler cannot follow the import of torch's wrapper
    got = torch.compile(total, fullgraph=True, backend="aot_eager")(*arrays)
    torch.testing.assert_close(got, want)
    (slope,) = torch.autograd.grad(got, arrays[0])
    torch.testing.assert_close(slope, torch.autograd.grad(want, arrays[0])[0])


def torch_slopes(measure, *arrays, **options):
    tensors = [torch.tensor(array, dtype=torch.float64, requires_grad=True) for array in arrays]
    measure(*tensors, base=math.e, validate=False, **options).sum().backward()
    return [tensor.grad.numpy() for tensor in tensors]


def jax_slopes(measure, *arrays, **options):
    jax = pytest.importorskip("jax")

    def total(*args):
        return measure(*args, base=math.e, validate=False, **options).sum()

    given = [jax.numpy.asarray(array, dtype=np.float32) for array in arrays]
    slopes = jax.jit(jax.grad(total, argnums=tuple(range(len(given)))))(*given)
    return [np.asarray(slope) for slope in slopes]


@pytest.mark.parametrize("slopes", [torch_slopes, jax_slopes])
def test_derivatives_at_zero_are_the_true_ones_where_those_are_finite(slopes):
    p, q = np.array([0.5, 0.5, 0.0, 0.0]), np.array([0.25, 0.25, 0.5, 0.0])
    in_p, in_q = slopes(ce.cross_entropy, p, q)
    np.testing.assert_allclose(in_p[:3], -np.log(q[:3]), rtol=1e-6)
    np.testing.assert_allclose(in_q, [-2, -2, 0, 0], rtol=1e-6)
    in_p, in_q = slopes(ce.kl_divergence, p, q)
    np.testing.assert_allclose(in_p[:2], np.log([2, 2]), rtol=1e-6)
    np.testing.assert_allclose(in_q[:3], [-1, -1, 1], rtol=1e-6)
    assert not np.isnan(in_p).any()
    (in_p,) = slopes(ce.entropy, p)
    np.testing.assert_allclose(in_p[:2], -1 - np.log(0.5), rtol=1e-6)
    assert (in_p[2:] > 80).all()  # the true one is infinite


@pytest.mark.parametrize("slopes", [torch_slopes, jax_slopes])
def test_derivatives_in_logits_are_finite_whatever_they_are(slopes):
    p, z = np.array([1.0, 0.0, 0.0]), np.array([3.0, -500.0, -np.inf])
    _, in_z = slopes(ce.cross_entropy, p, z, input=("proba", "logits"))
    np.testing.assert_allclose(in_z, [0, 0, 0], atol=1e-7)
    (in_z,) = slopes(ce.entropy, z, input="logits")
    np.testing.assert_allclose(in_z, [0, 0, 0], atol=1e-7)
    _, in_z = slopes(ce.kl_divergence, p, z, input=("proba", "logits"))
    np.testing.assert_allclose(in_z, [0, 0, 0], atol=1e-7)


@pytest.mark.parametrize("slopes", [torch_slopes, jax_slopes])
def test_where_the_two_are_equal_the_divergence_is_flat(slopes):
    in_p, in_q = slopes(ce.kl_divergence, P[0], P[0])
    np.testing.assert_allclose(in_p, 0, atol=1e-6)
    np.testing.assert_allclose(in_q, 0, atol=1e-6)


def test_lists_join_the_library_of_the_array_beside_them():
    got = ce.cross_entropy([1, 0], torch.tensor([0.5, 0.5]))
    assert isinstance(got, torch.Tensor)
    assert got.dtype == torch.float32
    assert ce.entropy(torch.tensor([1, 0])).dtype == torch.get_default_dtype()
    assert ce.cross_entropy(torch.tensor(P), torch.tensor(Q).float()).dtype == torch.float64


def test_neither_layout_nor_writability_matters():
    p, q = np.asfortranarray(P), np.broadcast_to(Q[0], P.shape)
    p.flags.writeable = False
    want = [ce.kl_divergence(a.copy(), Q[0]) for a in P]
    np.testing.assert_allclose(ce.kl_divergence(p, q), want, rtol=1e-12)
    np.testing.assert_allclose(ce.kl_divergence(P.T, Q[0][:, None], axis=0), want, rtol=1e-12)


def test_no_rows():
    assert ce.entropy(np.empty((0, 3))).shape == (0,)
    assert ce.kl_divergence(torch.empty(2, 0, 3), torch.empty(2, 0, 3)).shape == (2, 0)
