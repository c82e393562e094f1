"""The definitions in 150 digits, of the numbers as they are given.

Divergences divide by the sums first: that of floating-point numbers is rarely one, and a small
divergence would be less than what is missing.
"""

import mpmath

DIGITS = 150


def exactly(function):
    def wrapped(*arrays, **options):
        with mpmath.workdps(DIGITS):
            return float(function(*([mpmath.mpf(float(x)) for x in a] for a in arrays), **options))

    return wrapped


def shares(p):
    total = mpmath.fsum(p)
    return [x / total for x in p]


def softmax(z):
    return shares([mpmath.exp(x) for x in z])


def bits(p):
    return -mpmath.log(p, 2) if p else mpmath.inf


def _mean(p, values):
    return mpmath.fsum(x * v for x, v in zip(p, values, strict=True) if x)


@exactly
def entropy(p, *, of=list):
    p = of(p)
    return _mean(p, map(bits, p))


@exactly
def cross_entropy(p, q, *, of=list):
    return _mean(p, map(bits, of(q)))


@exactly
def kl_divergence(p, q, *, of=shares):
    p, q = of(p), of(q)
    return _mean(p, [bits(y) - bits(x) if x else 0 for x, y in zip(p, q, strict=True)])


@exactly
def js_divergence(p, q):
    p, q = shares(p), shares(q)
    m = [(x + y) / 2 for x, y in zip(p, q, strict=True)]
    gain = [
        _mean(r, [bits(y) - bits(x) if x else 0 for x, y in zip(r, m, strict=True)]) for r in (p, q)
    ]
    return sum(gain) / 2


@exactly
def renyi_entropy(p, *, order):
    p = [x for x in shares(p) if x]
    if order == 0:
        return mpmath.log(len(p), 2)
    if order == 1:
        return _mean(p, map(bits, p))
    if order == float("inf"):
        return bits(max(p))
    order = mpmath.mpf(order)
    return mpmath.log(mpmath.fsum(x**order for x in p), 2) / (1 - order)


@exactly
def tsallis_entropy(p, *, order):
    p = [x for x in shares(p) if x]
    if order == 1:
        return _mean(p, [-mpmath.log(x) for x in p])
    if order == float("inf"):
        return mpmath.mpf(0)
    order = mpmath.mpf(order)
    return (1 - mpmath.fsum(x**order for x in p)) / (order - 1)


@exactly
def mutual_information(*rows):
    rows = [list(row) for row in rows]
    total = mpmath.fsum(mpmath.fsum(row) for row in rows)
    table = [[x / total for x in row] for row in rows]
    x = [mpmath.fsum(row) for row in table]
    y = [mpmath.fsum(column) for column in zip(*table, strict=True)]
    return mpmath.fsum(
        p * mpmath.log(p / (x[i] * y[j]), 2)
        for i, row in enumerate(table)
        for j, p in enumerate(row)
        if p
    )


@exactly
def conditional_entropy(*rows):
    total = mpmath.fsum(mpmath.fsum(row) for row in rows)
    return mpmath.fsum(
        p / total * mpmath.log(mpmath.fsum(row) / p, 2) for row in rows for p in row if p
    )
