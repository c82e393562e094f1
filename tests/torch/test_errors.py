"""Torch's errors for torch's arguments, and one clear sentence for ours."""

import pytest
import torch
from torch.nn import functional

from crossentropy.torch import CrossEntropyLoss, cross_entropy

LOGITS, TARGET = torch.zeros(3, 4), torch.zeros(3).long()

TORCHS = {
    "batch sizes": (LOGITS, TARGET[:2], {}),
    "target type": (LOGITS, TARGET.int(), {}),
    "input type": (LOGITS.long(), TARGET, {}),
    "no dimension": (torch.tensor(1.0), torch.tensor(0), {}),
    "spatial shape": (torch.zeros(3, 4, 2), torch.zeros(3, 5).long(), {}),
    "too many targets": (LOGITS, torch.zeros(3, 4).long(), {}),
    "weight shape": (LOGITS, TARGET, {"weight": torch.ones(3)}),
    "reduction": (LOGITS, TARGET, {"reduction": "median"}),
    "smoothing": (LOGITS, TARGET, {"label_smoothing": 1.5}),
    "target out of range": (LOGITS, TARGET + 4, {}),
    "target below range": (LOGITS, TARGET - 1, {}),
    "no target": (LOGITS, None, {}),
    "targets in a list": (LOGITS, [0, 1, 2], {}),
    "logits in a list": ([[0.0, 1.0]], TARGET[:1], {}),
    "weights in a list": (LOGITS, TARGET, {"weight": [1.0] * 4}),
}


@pytest.mark.parametrize(("logits", "target", "options"), TORCHS.values(), ids=TORCHS)
def test_torchs_errors(path, logits, target, options):
    with pytest.raises(Exception) as torchs:  # noqa: PT011 - the type is what is compared
        functional.cross_entropy(logits, target, **options)
    with pytest.raises(torchs.type) as ours:
        cross_entropy(logits, target, **options)
    assert str(torchs.value).split(".")[0] in str(ours.value)


def test_out_of_range_targets_name_row_and_range(path):
    with pytest.raises(IndexError, match=r"Target 9 .* row 1 .*\[0, 3\], or ignore_index=-100"):
        cross_entropy(LOGITS, torch.tensor([0, 9, 1]))


OURS = {
    "temperature": ({"temperature": 0.0}, ValueError, "temperature must be a positive number"),
    "temperature tensor": (
        {"temperature": torch.tensor(2.0)},
        TypeError,
        "temperature must be a number, got a tensor; apply it to input",
    ),
    "softcap": ({"softcap": 0.0}, ValueError, "softcap must be a positive number, got 0.0"),
    "empty": ({"empty": "one"}, ValueError, "empty must be 'nan' or 'zero', got 'one'"),
    "prior shape": (
        {"smoothing_prior": torch.ones(3) / 3},
        ValueError,
        r"smoothing_prior .*\(4,\), got \(3,\)",
    ),
    "prior": (
        {"smoothing_prior": torch.ones(4)},
        ValueError,
        "smoothing_prior must be probabilities .* divide counts by their sum",
    ),
    "prior gradient": (
        {"smoothing_prior": torch.full((4,), 0.25, requires_grad=True)},
        RuntimeError,
        "no derivative in smoothing_prior; pass smoothing_prior.detach",
    ),
    "z_loss": ({"z_loss": -1.0}, ValueError, "z_loss must be a number of at least 0"),
    "bias shape": ({"logit_bias": torch.ones(3)}, ValueError, r"logit_bias .*\(4,\), got \(3,\)"),
    "sample weights": ({"sample_weight": torch.ones(4)}, ValueError, r"sample_weight .*\(3,\)"),
    "normalizer": ({"normalizer": 3.0, "reduction": "sum"}, ValueError, "reduction='mean'"),
    "normalizers": ({"normalizer": torch.ones(2)}, ValueError, "one number"),
    "normalizer gradient": (
        {"normalizer": torch.tensor(3.0, requires_grad=True)},
        RuntimeError,
        "no derivative in normalizer; divide",
    ),
    "loss name": ({"loss": "hinge"}, ValueError, "unknown loss 'hinge'"),
    "loss type": ({"loss": 3}, TypeError, "loss must be a crossentropy loss, .* got 3"),
    "bias gradient": (
        {"logit_bias": torch.ones(4, requires_grad=True)},
        RuntimeError,
        "no derivative in logit_bias; add it to input",
    ),
    "weight gradient": (
        {"weight": torch.ones(4, requires_grad=True)},
        RuntimeError,
        "no derivative in weight",
    ),
}


@pytest.mark.parametrize(("options", "error", "says"), OURS.values(), ids=OURS)
def test_our_errors(options, error, says):
    with pytest.raises(error, match=says):
        cross_entropy(LOGITS, TARGET, **options)


BAD = {
    "loss": ({"loss": "hinge"}, "unknown loss"),
    "softcap": ({"softcap": -1.0}, "softcap must be a positive number"),
    "empty": ({"empty": "one"}, "empty must be"),
    "prior": ({"smoothing_prior": torch.ones(4)}, "smoothing_prior must be probabilities"),
}


@pytest.mark.parametrize(("options", "says"), BAD.values(), ids=BAD)
def test_the_module_refuses_bad_options_when_it_is_made(options, says):
    with pytest.raises(ValueError, match=says):
        CrossEntropyLoss(**options)
