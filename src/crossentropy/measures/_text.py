"""Language models: perplexity, and bits for each byte, character or word of the text.

The numbers compare only between models that were judged in the same way. These functions add up
every token that they are given and divide by all of the text, so:

- *Tokens and text cover the same.* A token that was not scored (the first, where a model needs
  context to begin) has no log-probability; leave its characters out of the text. None and NaN
  among the tokens raise. An end-of-text token counts if it is given, and has no bytes.
- *Context is what the model saw before a token.* It is not visible in the probabilities. State
  the window and the stride: tokens early in a window know little and cost more, so that windows
  without overlap give the highest perplexity and a stride of one token the lowest.
- *Perplexity by token depends on the tokenizer*; bits by byte or character, and perplexity by
  word, do not: they may be compared between models with different vocabularies.
"""

from __future__ import annotations

import math
from typing import Any

from crossentropy._arrays import Array
from crossentropy._errors import InputError

from ._arguments import Axis, Input, as_arrays, check_axes, check_inputs, constant, quiet
from ._binary import check_probabilities
from ._rows import check_weights


def perplexity(
    p: Array,
    *,
    axis: Axis | None = None,
    keepdims: bool = False,
    weights: Array | None = None,
    input: Input = "proba",
    validate: bool = True,
) -> Array:
    r"""Perplexity of tokens, :math:`\exp\left(-\frac1n \sum_i \log p_i\right)`.

    Among how many equally likely tokens the model was choosing, on the geometric mean. Any base
    of the logarithm gives the same. `p` holds the probability of each token that came, not a
    distribution: the perplexity of a distribution is ``2 ** entropy(p)``, and that of labels
    under logits ``2 ** categorical_cross_entropy(y, logits, input="logits")``.

    Parameters
    ----------
    p : array
        What each token was given by the model, in light of the tokens before it.
    axis : int or tuple of int, optional
        The axes of the tokens; by default all, which is the perplexity of the whole.
    keepdims : bool, default False
        Whether to keep those axes, of length 1.
    weights : array, optional
        Weights of the tokens, in the shape of `p`: 0 for padding, whose values do not matter.
    input : {"proba", "log_proba"}, default "proba"
        What `p` holds; log-probabilities are natural logarithms. Those do not underflow.
    validate : bool, default True
        Whether to check that probabilities lie in [0, 1].

    Returns
    -------
    array
        In the library, on the device and of the dtype of `p`; infinite where a token was
        impossible.

    Raises
    ------
    InputError
        If there are no tokens, or a probability lies outside [0, 1]; a ``ValueError``.

    References
    ----------
    F. Jelinek, R. L. Mercer, L. R. Bahl, J. K. Baker, "Perplexity: a measure of the difficulty
    of speech recognition tasks", Journal of the Acoustical Society of America 62, 1977.

    Examples
    --------
    >>> import numpy as np
    >>> float(perplexity([0.5, 0.125]))
    4.0
    >>> log_prob = np.array([0.0] * 9 + [-110.0])
    >>> round(float(perplexity(log_prob, input="log_proba")))
    59874
    """
    (kind,) = check_inputs(input, 1)
    if kind == "logits":
        raise InputError(
            "logits need the tokens that came: "
            '2 ** categorical_cross_entropy(tokens, logits, input="logits")'
        )
    xp, (values, *rest), dtype, _ = as_arrays(p, *(() if weights is None else (weights,)))
    axes = tuple(range(values.ndim)) if axis is None else check_axes(axis, values.ndim)
    count: Any = math.prod(values.shape[i] for i in axes)
    if count == 0:
        raise InputError("there are no tokens")
    with quiet(values):
        if rest:
            (weight,) = rest
            if weight.shape != values.shape:
                raise InputError(
                    f"weights must have the tokens' shape {tuple(values.shape)}, "
                    f"got {tuple(weight.shape)}"
                )
            # What has no weight is no token: it is taken for one that was certain.
            sure = constant(1.0 if kind == "proba" else 0.0, values)
            values = xp.where(weight == 0, sure, values)
            count = xp.sum(weight, axis=axes, keepdims=keepdims)
        if validate:
            check_probabilities(values, kind)
        log_proba = xp.log(values) if kind == "proba" else values
        if rest:
            if validate:
                check_weights(weight)
            log_proba = xp.where(weight == 0, constant(0.0, values), weight * log_proba)
        mean = xp.sum(log_proba, axis=axes, keepdims=keepdims) / count
        return xp.astype(xp.exp(-mean), dtype, copy=False)


def bits_per_byte(log_prob: Array, text: str | bytes, *, validate: bool = True) -> Array:
    r"""Bits that a model spends on each byte of a text in UTF-8.

    :math:`-\frac{1}{\text{bytes}} \sum_i \log_2 p_i`; a byte as it is costs 8. As for what is
    counted and on what context it depends, see "Language models" in the guide.

    Parameters
    ----------
    log_prob : array
        Natural logarithms of the probabilities of the text's tokens, of any shape.
    text : str or bytes
        The text, in full, of exactly these tokens.
    validate : bool, default True
        Whether to check that log-probabilities are at most 0.

    Returns
    -------
    array
        A single number, in the library and dtype of `log_prob`.

    Raises
    ------
    InputError
        If the text is empty, or a token has no log-probability; a ``ValueError``.

    Examples
    --------
    >>> import math
    >>> float(bits_per_byte([math.log(1 / 256), math.log(1 / 256)], "né"))  # é has two bytes
    5.333333333333333
    """
    return _nats(log_prob, _bytes(text), "bytes", validate) / math.log(2)


def bits_per_character(log_prob: Array, text: str, *, validate: bool = True) -> Array:
    r"""Bits that a model spends on each character (Unicode code point) of a text.

    Parameters
    ----------
    log_prob, validate
        As for `bits_per_byte`.
    text : str
        The text, in full, of exactly these tokens.

    Returns
    -------
    array
        A single number, in the library and dtype of `log_prob`.

    Raises
    ------
    InputError
        As for `bits_per_byte`.

    Examples
    --------
    >>> import math
    >>> float(bits_per_character([math.log(1 / 256), math.log(1 / 256)], "né"))
    8.0
    """
    return _nats(log_prob, len(_string(text)), "characters", validate) / math.log(2)


def byte_perplexity(log_prob: Array, text: str | bytes, *, validate: bool = True) -> Array:
    r"""Perplexity by byte of a text in UTF-8, 2 to the power of the bits per byte.

    Parameters
    ----------
    log_prob, text, validate
        As for `bits_per_byte`.

    Returns
    -------
    array
        A single number, in the library and dtype of `log_prob`.

    Raises
    ------
    InputError
        As for `bits_per_byte`.

    Examples
    --------
    >>> import math
    >>> float(byte_perplexity([math.log(1 / 16)], "ab"))
    4.0
    """
    return _exponential(_nats(log_prob, _bytes(text), "bytes", validate))


def word_perplexity(log_prob: Array, text: str, *, validate: bool = True) -> Array:
    r"""Perplexity by word, where words are what white space separates.

    Parameters
    ----------
    log_prob, validate
        As for `bits_per_byte`.
    text : str
        The text, in full, of exactly these tokens.

    Returns
    -------
    array
        A single number, in the library and dtype of `log_prob`.

    Raises
    ------
    InputError
        As for `bits_per_byte`; the text needs a word.

    Examples
    --------
    >>> import math
    >>> float(word_perplexity([math.log(1 / 4), math.log(1 / 4), math.log(1 / 4)], "to be or"))
    4.0
    """
    return _exponential(_nats(log_prob, len(_string(text).split()), "words", validate))


def _nats(log_prob: Array, count: int, unit: str, validate: bool) -> Array:
    """Nats that all tokens cost together, for each of so many units of text."""
    if count == 0:
        raise InputError(f"the text has no {unit}")
    xp, (values,), dtype, _ = as_arrays(log_prob)
    if validate:
        check_probabilities(values, "log_proba")
    return xp.astype(0.0 - xp.sum(values) / count, dtype, copy=False)


def _exponential(nats: Array) -> Array:
    xp, (values,), dtype, _ = as_arrays(nats)
    with quiet(values):
        return xp.astype(xp.exp(values), dtype, copy=False)


def _bytes(text: str | bytes) -> int:
    return len(text) if isinstance(text, bytes) else len(_string(text).encode("utf-8"))


def _string(text: str) -> str:
    if not isinstance(text, str):
        raise InputError(f"text must be a string, got {type(text).__name__}; join what are several")
    return text
