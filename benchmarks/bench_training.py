"""`make bench`: the training loss beside torch's, as ratios, forward and backward.

Every row is one interleaved run; a figure is a ratio of medians. "floor" is reading the
logits once and copying them once, which no loss with a gradient can beat.
"""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable

import torch
from harness import interleaved, markdown, peak_bytes
from torch.nn import functional

import crossentropy
from crossentropy import losses, rows
from crossentropy.torch import cross_entropy

SIZES = [
    (32, 2),
    (64, 10),
    (256, 10),
    (65536, 10),
    (65536, 64),
    (4096, 1000),
    (1024, 32000),
    (512, 128256),
]
BIG = (1024, 32000)


def batch(n: int, classes: int) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(n, classes, generator=generator).mul_(3).requires_grad_()
    return logits, torch.randint(0, classes, (n,), generator=generator)


def training(loss: Callable[..., torch.Tensor], logits: torch.Tensor, target: torch.Tensor) -> None:
    logits.grad = None
    loss(logits, target).backward()


def against_torch(n: int, classes: int) -> list[str]:
    logits, target = batch(n, classes)
    plain, ready = logits.detach(), torch.empty(n, classes)
    compiled = torch.compile(functional.cross_entropy, dynamic=False)
    problem = rows.Rows(plain, target, n_threads=torch.get_num_threads())
    slopes = rows.Slopes(1 / n, 1 / n)

    def into_ready_memory() -> None:
        rows.gradient(problem, rows.statistics(problem), slopes, out=ready)

    median = interleaved(
        {
            "read": plain.sum,
            "copy": lambda: ready.copy_(plain),
            "passes": into_ready_memory,
            "ours": functools.partial(training, cross_entropy, logits, target),
            "eager": functools.partial(training, functional.cross_entropy, logits, target),
            "compiled": functools.partial(training, compiled, logits, target),
        }
    )
    floor = median["read"] + median["copy"]
    return [
        f"{n} × {classes}",
        f"{median['passes'] / floor:.2f}",
        f"{median['eager'] / median['ours']:.2f}",
        f"{median['compiled'] / median['ours']:.2f}",
    ]


def variants(n: int, classes: int) -> list[list[str]]:
    logits, target = batch(n, classes)
    weight, bias = torch.rand(classes), torch.randn(classes)
    options: dict[str, dict[str, object]] = {
        name.replace("_", " "): {"loss": losses.get(name)} for name in losses.available()
    }
    options |= {
        "class weights": {"weight": weight},
        "label smoothing": {"label_smoothing": 0.1},
        "temperature and bias": {"temperature": 2.0, "logit_bias": bias},
        "z-loss": {"z_loss": 1e-4},
    }
    runs = {
        name: functools.partial(training, functools.partial(cross_entropy, **given), logits, target)
        for name, given in options.items()
    }
    median = interleaved(runs)
    plain = median["cross entropy"]
    return [[name, f"{seconds / plain:.2f}"] for name, seconds in median.items()]


def _training(loss: Callable[..., torch.Tensor]) -> Callable[[], None]:
    training(loss, *batch(8, 16))  # what a process allocates once
    return functools.partial(training, loss, *batch(*BIG))


def memory() -> list[list[str]]:
    logits = BIG[0] * BIG[1] * 4
    peers = {"crossentropy": cross_entropy, "F.cross_entropy": functional.cross_entropy}
    return [
        [name, f"{peak_bytes(functools.partial(_training, loss)) / logits:.2f}"]
        for name, loss in peers.items()
    ]


def main() -> None:
    """Print the tables."""
    # torch's compiler uses parts of torch that torch deprecates
    warnings.filterwarnings("ignore", category=DeprecationWarning)
    crossentropy.show_config()
    print("\n## Training loss, float32, forward + backward, gradient allocated\n")
    header = ["N × C", "kernels / floor", "eager / ours", "compiled / ours"]
    print(markdown(header, [against_torch(*size) for size in SIZES]))
    print("\n`kernels / floor`: both passes into ready memory over one read and one copy;")
    print("`eager / ours` above 1: as many times faster than F.cross_entropy.")
    for size in ((65536, 10), BIG):
        print(f"\n## Variants at {size[0]} × {size[1]}, over plain cross entropy\n")
        print(markdown(["variant", "time / plain"], variants(*size)))
    print(f"\n## Peak memory at {BIG[0]} × {BIG[1]} above the logits, over their size\n")
    print(markdown(["loss", "peak / logits"], memory()))


if __name__ == "__main__":
    main()
