import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import crossentropy as ce
from crossentropy._errors import InputError

TOKENS = st.lists(st.floats(-50, 0), min_size=1, max_size=20)


@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.float16])
def test_one_dear_token_among_ten(dtype):
    log_prob = np.array([0.0] * 9 + [-110.0], dtype=dtype)
    want = math.exp(11)
    assert ce.perplexity(log_prob, input="log_proba") == pytest.approx(dtype(want), rel=1e-5)


@given(TOKENS)
def test_units_of_one_text_agree(log_prob):
    text = "né à Paris"
    nats = -sum(log_prob)
    per_byte = ce.bits_per_byte(log_prob, text)
    assert per_byte == pytest.approx(nats / math.log(2) / 12)
    assert ce.bits_per_byte(log_prob, text.encode()) == per_byte
    assert ce.bits_per_character(log_prob, text) == pytest.approx(per_byte * 12 / 10)
    assert ce.byte_perplexity(log_prob, text) == pytest.approx(2**per_byte)
    assert ce.word_perplexity(log_prob, text) == pytest.approx(math.exp(nats / 3))
    assert ce.perplexity(log_prob, input="log_proba") == pytest.approx(
        math.exp(nats / len(log_prob))
    )
    assert ce.perplexity(np.exp(log_prob)) == pytest.approx(math.exp(nats / len(log_prob)))


def test_perplexity_of_labels_under_logits():
    z, y = np.random.default_rng(0).normal(size=(6, 9)), np.arange(6)
    tokens = ce.log_softmax(z)[np.arange(6), y]
    bits = ce.categorical_cross_entropy(y, z, input="logits")
    assert ce.perplexity(tokens, input="log_proba") == pytest.approx(2**bits)


def test_padding_has_no_weight_whatever_it_holds():
    p = np.array([[0.5, 0.25, np.nan], [0.5, 0.5, 0.5]])
    mask = np.array([[1, 1, 0], [1, 1, 1]])
    np.testing.assert_allclose(ce.perplexity(p, axis=-1, weights=mask), [2**1.5, 2])
    assert ce.perplexity(p, weights=mask) == pytest.approx(2 ** (6 / 5))
    assert ce.perplexity([0.5, 0.0], axis=0, keepdims=True).tolist() == [math.inf]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: ce.perplexity([]), "no tokens"),
        (lambda: ce.perplexity([-0.5, -1.0]), r"in \[0, 1\] .*entry 0 is -0.5"),
        (lambda: ce.perplexity([0.5], input="log_proba"), "at most 0"),
        (lambda: ce.perplexity([0.5], input="logits"), "need the tokens"),
        (lambda: ce.perplexity([0.5], weights=[1.0, 2.0]), "the tokens' shape"),
        (lambda: ce.perplexity([0.5], weights=[-1.0]), "nonnegative"),
        (lambda: ce.bits_per_byte([-1.0, np.nan], "ab"), "entry 1 is nan"),
        (lambda: ce.bits_per_byte([None, -1.0], "ab"), "real numbers"),
        (lambda: ce.bits_per_byte([-1.0], ""), "no bytes"),
        (lambda: ce.word_perplexity([-1.0], " "), "no words"),
        (lambda: ce.bits_per_character([-1.0], ["a"]), "must be a string"),
    ],
)
def test_errors(call, message):
    with pytest.raises(InputError, match=message):
        call()
