"""Count the winners that ``compare`` crowns where there is none to find.

Seven candidates that are plain cross entropy under other seeds compete with it on a hundred
tables, each a new draw of rows from scikit-learn's digits. Every winner is false. Holm's
correction allows five in a hundred studies any verdict at all, better or worse.

    python benchmarks/null_study.py [--tables 100] [--rows 200] [--jobs 2]
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import NamedTuple

import joblib
from scipy.stats import ttest_rel
from sklearn.datasets import load_digits
from sklearn.utils import resample

from crossentropy import compare
from crossentropy._compare._candidates import Candidate

FAKES = [Candidate(f"seed_{k}", f"cross entropy, seed + {k}", seed_offset=k) for k in range(1, 8)]


class Fake(NamedTuple):
    """A fake candidate's verdict, and the p-value of a t-test that takes splits as independent."""

    verdict: str
    naive: float


def fakes(table: int, rows: int) -> list[Fake]:
    """Study one table."""
    X, y = load_digits(return_X_y=True)
    X, y = resample(X, y, replace=False, n_samples=rows, random_state=table, stratify=y)
    result = compare(X, y, losses=FAKES, epochs=8, seed=table, yardsticks=False, jobs=1)
    assert result.protocol["comparisons"] == len(FAKES)

    def losses(name: str) -> list[float]:
        return [split.outcomes[name].scored.scores["log_loss"] for split in result._results]

    return [
        Fake(
            row.difference["log_loss"].verdict,
            ttest_rel(losses(row.name), losses("cross_entropy"), alternative="less").pvalue,
        )
        for row in result.rows
        if row.kind == "loss"
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tables", type=int, default=100)
    parser.add_argument("--rows", type=int, default=200)
    parser.add_argument("--jobs", type=int, default=joblib.cpu_count())
    options = parser.parse_args()
    tables = joblib.Parallel(n_jobs=options.jobs)(
        joblib.delayed(fakes)(table, options.rows) for table in range(options.tables)
    )

    def count(holds: Callable[[Fake], bool]) -> int:
        return sum(any(map(holds, table)) for table in tables)

    print(
        f"{count(lambda fake: fake.verdict == 'better')} of {options.tables} tables had a false "
        f"winner, {count(lambda fake: fake.verdict == 'worse')} a false loser; paired t-tests "
        f"would have crowned one in {count(lambda fake: fake.naive < 0.025)} "
        f"({len(FAKES)} fake candidates, {options.rows} rows, 5 folds x 2 repeats)"
    )


if __name__ == "__main__":
    main()
