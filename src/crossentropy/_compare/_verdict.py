"""The one sentence that a study ends with, and the line of code that follows from it."""

from __future__ import annotations

import re
from collections.abc import Sequence

from crossentropy import losses

from ._candidates import BASELINE, Candidate
from ._plan import CORRECTED, Study
from ._rows import Row, difference_between, is_identity
from ._statistics import Difference
from ._study import SplitResult


def choose_winner(rows: Sequence[Row]) -> str | None:
    """Return the row with the lowest log loss among those better than plain cross entropy."""
    better = [
        row for row in rows if row.kind in ("loss", "corrected") and _verdict_of(row) == "better"
    ]
    return min(better, key=lambda row: row.scores["log_loss"].mean).name if better else None


def verdict(study: Study, results: Sequence[SplitResult], rows: Sequence[Row]) -> str:
    """Say what to do in one sentence."""
    winner = choose_winner(rows)
    clauses = [
        _headline(rows, winner),
        _others(_with(rows, "better", but=winner), "saves", "save", " bits too", amounts=True),
        _others(_with(rows, "undecided"), "makes", "make", " no difference you could measure"),
        _others(_with(rows, "worse"), "does", "do", " worse"),
        _impossible(rows),
        _correction(study, results, rows),
        _without_temperature(rows, winner),
        _yardstick(study, results, rows, winner or BASELINE),
    ]
    sentence = "; ".join(clause for clause in clauses if clause) + "."
    return sentence[0].upper() + sentence[1:]


def code(study: Study, winner: str | None) -> str:
    """Return lines of Python that train with the winner, and correct its prior where it did."""
    name = winner or BASELINE
    candidate = next(c for c in study.candidates if name in (c.name, c.name + CORRECTED))
    corrections = _corrections(study, candidate) if name.endswith(CORRECTED) else []
    call = candidate.arguments
    called = dict.fromkeys(re.findall(r"(\w+)\(", call))
    imports = [name for name in called if name in losses.__all__]
    lines = [f"from crossentropy.losses import {', '.join(imports)}"] if imports else []
    lines += ["from crossentropy.torch import CrossEntropyLoss", ""]
    if "counts" in call or any("counts" in line for line in corrections):
        lines.append("counts = y.bincount()  # rows of each class")
    lines += [f"loss = CrossEntropyLoss({call})", "loss(model(X), y).backward()"]
    return "\n".join([*lines, *corrections])


def _corrections(study: Study, candidate: Candidate) -> list[str]:
    terms = [candidate.undo] if candidate.undo else []
    if study.protocol.deploy_prior is not None or study.protocol.long_tail is not None:
        terms.append("deploy_prior.log() - (counts / counts.sum()).log()")
    if not terms:
        return []
    return ["", "# to predict", f"logits = model(X) + {' + '.join(terms)}".replace("+ -", "- ")]


def _with(rows: Sequence[Row], wanted: str, but: str | None = None) -> list[Row]:
    """Rows of a verdict; a loss speaks for its own prior correction where that has the same."""
    found = [
        row
        for row in rows
        if row.kind in ("loss", "corrected") and _verdict_of(row) == wanted and row.name != but
    ]
    names = {row.name for row in found}
    return [row for row in found if row.name.removesuffix(CORRECTED) not in names - {row.name}]


def _verdict_of(row: Row) -> str:
    return row.difference["log_loss"].verdict


def _headline(rows: Sequence[Row], winner: str | None) -> str:
    for row in rows:
        if row.name == winner:
            return f"{_short(row)} saves {_bits(row.difference['log_loss'])}"
    return "keep plain cross entropy, which no other loss measurably beats"


def _others(
    rows: Sequence[Row], one: str, many: str, what: str = "", *, amounts: bool = False
) -> str:
    if not rows:
        return ""
    named = [
        _short(row) + (f" ({_bits(row.difference['log_loss'])})" if amounts else "") for row in rows
    ]
    return f"{_listed(named)} {one if len(named) == 1 else many}{what}"


def _impossible(rows: Sequence[Row]) -> str:
    found = [
        row for row in rows if row.kind in ("baseline", "loss") and row.infinite_row is not None
    ]
    if not found:
        return ""
    named = _listed([_short(row) for row in found])
    return f"{named} gave a label probability zero, as in row {found[0].infinite_row}"


def _listed(named: Sequence[str]) -> str:
    return named[0] if len(named) == 1 else f"{', '.join(named[:-1])} and {named[-1]}"


def _correction(study: Study, results: Sequence[SplitResult], rows: Sequence[Row]) -> str:
    """Post-hoc correction against the best of the losses that correct the prior in training."""
    corrected = BASELINE + CORRECTED
    shifting = {c.name for c in study.candidates if c.shifts_prior}
    shifting |= {name + CORRECTED for name in shifting}
    retrained = [row for row in rows if row.name in shifting]
    if is_identity(results, corrected) or not retrained:
        return ""
    best = min(retrained, key=lambda row: row.scores["log_loss"].mean)
    gap = difference_between(study, results, best.name, corrected, "log_loss")
    if gap.verdict == "better":
        return (
            f"{_short(best)} beats correcting the prior after plain cross entropy by {_bits(gap)}"
        )
    more = "better than" if gap.verdict == "worse" else "as well as"
    return f"correcting the prior after plain cross entropy does {more} retraining"


def _without_temperature(rows: Sequence[Row], winner: str | None) -> str:
    raw = [
        row
        for row in rows
        if row.kind in ("loss", "corrected") and row.difference["log_loss_raw"].verdict == "better"
    ]
    best = min(raw, key=lambda row: row.scores["log_loss_raw"].mean, default=None)
    if best is None or best.name == winner:
        return ""
    saved = _bits(best.difference["log_loss_raw"])
    return f"without temperature scaling, {_short(best)} saves {saved}"


def _yardstick(
    study: Study, results: Sequence[SplitResult], rows: Sequence[Row], chosen: str
) -> str:
    yardsticks = [row for row in rows if row.kind == "yardstick"]
    if not yardsticks:
        return ""
    best = min(yardsticks, key=lambda row: row.scores["log_loss"].mean)
    gap = difference_between(study, results, best.name, chosen, "log_loss")
    if gap.verdict != "better":
        return ""
    return f"but {_short(best)} is better still by {_bits(gap)}: the model matters more here"


def _bits(difference: Difference) -> str:
    half = (difference.high - difference.low) / 2
    digits = 2 if half >= 0.01 else 3
    return f"{abs(difference.mean):.{digits}f} ± {half:.{digits}f} bits"


def _short(row: Row) -> str:
    """Label without parameters."""
    return re.sub(r" \([^)]*\)", "", row.label)
