"""How figures come about: no test here depends on how fast anything is."""

import functools
import json

import pytest

pytest.importorskip("torch")

from crossentropy._bench import Effort, Figure, Table
from crossentropy._bench._harness import interleaved, peak_bytes
from crossentropy._bench._tables import at_least, at_most


class FakeMachine:
    """A clock that moves only when a candidate runs, by as much as was agreed."""

    def __init__(self, **seconds):
        self.now, self.calls = 0.0, []
        self.runs = {
            name: functools.partial(self.run, name, cost) for name, cost in seconds.items()
        }

    def run(self, name, cost):
        self.calls.append(name)
        self.now += cost(len(self.calls)) if callable(cost) else cost

    def clock(self):
        return self.now


def test_ratios_are_those_of_the_candidates():
    machine = FakeMachine(ours=0.25, eager=1.0, tiny=1e-6)
    median = interleaved(machine.runs, Effort(), clock=machine.clock)
    assert median["eager"] / median["ours"] == pytest.approx(4)
    assert median["tiny"] == pytest.approx(1e-6)


def test_candidates_take_turns_and_fast_ones_run_in_batches():
    machine = FakeMachine(slow=1.0, fast=2**-13)
    interleaved(machine.runs, Effort(least=3), clock=machine.clock)
    first = ["slow"] * 4 + ["fast"] * 4  # warm, and how long they take
    assert machine.calls[:8] == first
    assert machine.calls[8:] == [*["slow"] * 2, *["fast"] * 9] * 3


def test_what_comes_after_another_candidate_is_not_timed():
    """The first run after the other candidate is slow, as threads that still spin make it."""

    def slow_after_eager(calls):
        return 9.0 if machine.calls[-2:-1] == ["eager"] else 1.0

    machine = FakeMachine(ours=slow_after_eager, eager=2.0)
    median = interleaved(machine.runs, Effort(least=5), clock=machine.clock)
    assert median["eager"] / median["ours"] == 2


def test_one_disturbed_round_changes_nothing():
    disturbed = FakeMachine(ours=lambda calls: 100.0 if calls in (2, 14) else 1.0, eager=2.0)
    median = interleaved(disturbed.runs, Effort(least=7), clock=disturbed.clock)
    assert median["eager"] / median["ours"] == 2


def test_rounds_follow_the_effort():
    machine = FakeMachine(ours=0.1)
    interleaved(machine.runs, Effort(seconds=5), clock=machine.clock)
    assert len(machine.calls) == pytest.approx(4 + 50, abs=2)


def _allocates(size):
    bytearray(2 * size)  # what was needed to set up is over
    return functools.partial(bytearray, size)


def test_peak_bytes():
    size = 2**26
    assert peak_bytes(functools.partial(_allocates, size)) == pytest.approx(size, rel=0.2)


def test_figures_know_their_targets():
    assert not Figure(3.0, at_least(3)).missed
    assert Figure(2.9, at_least(3)).missed
    assert Figure(1.4, at_most(1.3)).missed
    assert not Figure(9.0).missed
    assert not Figure(None, at_least(3), "not installed").missed


def test_a_table_marks_what_is_missed():
    table = Table(
        "Speed",
        ["N × C", "eager / ours", "jax / ours"],
        [
            ("1 × 2", [Figure(2.0, at_least(3)), Figure(None, note="not installed")]),
            ("3 × 4", [Figure(4.0, at_least(3)), Figure(0.015)]),
        ],
        "In words.",
    )
    assert table.to_markdown().splitlines() == [
        "## Speed",
        "",
        "| N × C | eager / ours | jax / ours |",
        "| --- | --- | --- |",
        "| 1 × 2 | **2.00** (≥ 3) ✗ | not installed |",
        "| 3 × 4 | 4.00 (≥ 3) | 1.5e-02 |",
        "",
        "In words.",
    ]
    first = json.loads(json.dumps(table.to_dict()))["rows"][0]
    assert first == {
        "label": "1 × 2",
        "figures": {
            "eager / ours": {"value": 2.0, "target": "≥ 3", "missed": True, "note": ""},
            "jax / ours": {"value": None, "target": None, "missed": False, "note": "not installed"},
        },
    }
