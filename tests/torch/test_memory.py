"""The memory that large gradients leave behind."""

import os
import sys
from pathlib import Path

import pytest
import torch

from crossentropy import rows
from crossentropy.rows import _native
from crossentropy.torch import cross_entropy, empty_cache


def resident():
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def gradient():
    logits = torch.zeros(2**10, 2**14, requires_grad=True)
    return torch.autograd.grad(
        cross_entropy(logits, torch.zeros(2**10, dtype=torch.int64)), logits
    )[0]


@pytest.mark.skipif(
    sys.platform != "linux" or rows.available_paths() == ["reference"],
    reason="only native kernels keep memory, and only on Linux",
)
def test_the_resident_size_falls():
    empty_cache()
    live, freed = gradient(), gradient()
    size = freed.nbytes
    del freed
    before = resident()
    empty_cache()
    assert before - resident() > 0.9 * size
    assert live.sum().abs() < 1  # what lives is left alone
    empty_cache()  # nothing is left to give back


def test_nothing_to_do_without_kernels(monkeypatch):
    monkeypatch.setattr(_native, "kernels", None)
    empty_cache()
