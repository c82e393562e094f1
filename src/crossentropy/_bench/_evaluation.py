"""Scores of a file beside the time to read it, and of a batch beside torchmetrics'."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from crossentropy._optional import require
from crossentropy.scores import Evaluation, evaluate

from ._effort import Effort
from ._harness import Run, interleaved
from ._tables import Figure, Table, at_least, at_most

CLASSES = 10
_GROUP = 2**20  # rows of a row group, pyarrow's own default
_PEAK = """
import sys
from crossentropy.scores import evaluate
evaluate(sys.argv[1], input="logits", progress=False).result()
print(open("/proc/self/status").read().split("VmHWM:")[1].split()[0])
"""


def tables(effort: Effort) -> Iterator[Table]:
    """Two tables."""
    rows = 10**6 if effort.quick else 10**7
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "predictions.parquet"
        _write(path, rows)
        yield _of_file(path, rows, effort)
    yield _of_batch(effort)


def _of_file(path: Path, rows: int, effort: Effort) -> Table:
    parquet = require("pyarrow.parquet", "cli")

    def batches() -> None:
        for _ in parquet.ParquetFile(path, pre_buffer=False).iter_batches(2**16):
            pass

    runs: dict[str, Run] = {
        "evaluate": lambda: evaluate(path, input="logits", progress=False),
        "read_table": lambda: parquet.read_table(path),
        "iter_batches": batches,
    }
    median = interleaved(runs, Effort(effort.seconds, least=2))
    done = subprocess.run(
        [sys.executable, "-c", _PEAK, str(path)], capture_output=True, text=True, check=True
    )
    return Table(
        f"evaluate, a Parquet file of {rows:.0e} × {CLASSES} float32 logits and labels",
        ["", "evaluate / read_table", "evaluate / iter_batches", "peak memory, GB"],
        [
            (
                "evaluate",
                [
                    Figure(median["evaluate"] / median["read_table"], at_most(2)),
                    Figure(median["evaluate"] / median["iter_batches"], at_most(2)),
                    Figure(int(done.stdout) * 1024 / 1e9, at_most(0.4)),
                ],
            )
        ],
        "Beside what pyarrow takes to read the file, at once and in batches; resident memory of a "
        "fresh process, imports included.",
    )


def _of_batch(effort: Effort) -> Table:
    logits, target = _predictions(2**16, 0)
    evaluation = Evaluation(CLASSES, input="logits")
    runs: dict[str, Run] = {"ours": lambda: evaluation.update(target, logits)}
    theirs = _torchmetrics(logits, target)
    if theirs is not None:
        runs["torchmetrics"] = theirs
    median = interleaved(runs, effort)
    figure = (
        Figure(None, note="torchmetrics is not installed")
        if theirs is None
        else Figure(median["torchmetrics"] / median["ours"], at_least(1))
    )
    return Table(
        f"Evaluation.update, {2**16} × {CLASSES} float32 logits",
        ["", "torchmetrics / ours"],
        [("log loss, calibration error and confusion matrix", [figure])],
        "Above 1: as many times faster than the softmax and torchmetrics' Perplexity, "
        "MulticlassCalibrationError and MulticlassConfusionMatrix, which are fewer scores.",
    )


def _torchmetrics(logits: Any, target: Any) -> Run | None:
    """The same batch by torchmetrics; None where it is not installed."""
    try:
        import torch
        from torchmetrics.classification import (
            MulticlassCalibrationError,
            MulticlassConfusionMatrix,
        )
        from torchmetrics.text import Perplexity
    except ImportError:
        return None
    z, y = torch.from_numpy(logits), torch.from_numpy(target)
    perplexity = Perplexity()
    calibration = MulticlassCalibrationError(CLASSES, n_bins=15, validate_args=False)
    confusion = MulticlassConfusionMatrix(CLASSES, validate_args=False)

    def run() -> None:
        perplexity.update(z[None], y[None])
        calibration.update(torch.softmax(z, dim=1), y)
        calibration.compute()
        calibration.reset()  # else it keeps every prediction of every run
        confusion.update(z, y)

    return run


def _predictions(rows: int, seed: int) -> tuple[Any, Any]:
    rng = np.random.default_rng(seed)
    logits = 2 * rng.standard_normal((rows, CLASSES), dtype=np.float32)
    return logits, rng.integers(0, CLASSES, rows)


def _write(path: Path, rows: int) -> None:
    pa, parquet = require("pyarrow", "cli"), require("pyarrow.parquet", "cli")
    columns = {f"logit_{k}": pa.float32() for k in range(CLASSES)}
    schema = pa.schema({"y_true": pa.int64(), **columns})
    with parquet.ParquetWriter(path, schema) as file:
        for first in range(0, rows, _GROUP):
            logits, target = _predictions(min(_GROUP, rows - first), first)
            planes = np.ascontiguousarray(logits.T)
            file.write_table(pa.table([target, *planes], schema=schema))
