"""Search for wrong answers until the time is up: ``python -m tests.fuzz``.

The search runs in a process of its own, which says on a pipe what it is about to try. Whatever
becomes of that process, the seed that led there is known.
"""

import argparse
import faulthandler
import itertools
import os
import subprocess
import sys
import time

_PATIENCE = 120  # seconds that one case may take


def main():
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--seconds", type=float, default=600, help="how long to search")
    parser.add_argument("--seed", type=int, help="where to start; default: anywhere")
    parser.add_argument("--case", type=int, metavar="SEED", help="run this one case, in here")
    parser.add_argument("--worker", type=int, metavar="FD", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.case is not None:
        return attempt(options.case)
    if options.worker is not None:
        return search(options.worker, options.seed, options.seconds)
    start = int.from_bytes(os.urandom(4), "little") if options.seed is None else options.seed
    return supervise(start, options.seconds)


def supervise(start, seconds, program=("-m", "tests.fuzz")):
    """Run the search in another process, and say what became of it."""
    reading, writing = os.pipe()
    options = {"--seed": start, "--seconds": seconds, "--worker": writing}
    command = [sys.executable, *program, *itertools.chain(*options.items())]
    with (
        subprocess.Popen(list(map(str, command)), pass_fds=[writing]) as worker,
        os.fdopen(reading) as seeds,
    ):
        os.close(writing)
        tried, last = 0, start
        for line in seeds:
            tried, last = tried + 1, int(line)
    if worker.returncode == 0:
        print(f"{tried} cases from seed {start}: nothing found")
        return 0
    why = f"killed by signal {-worker.returncode}" if worker.returncode < 0 else "failed"
    print(f"{why} at case {tried}; again with: python -m tests.fuzz --case {last}")
    return 1


def search(pipe, start, seconds):
    """Try case after case; a crash or a hang ends this process with a traceback."""
    faulthandler.enable()
    deadline = time.monotonic() + seconds
    for seed in itertools.count(start):
        if time.monotonic() > deadline:
            return 0
        os.write(pipe, b"%d\n" % seed)
        faulthandler.dump_traceback_later(_PATIENCE, exit=True)
        if attempt(seed):
            return 1
    return 0


def attempt(seed):
    """Try one case; 1 if it went wrong."""
    from .contexts import WrongError
    from .draw import case
    from .verdict import judge

    drawn = case(seed)
    try:
        judge(drawn)
    except WrongError as finding:
        print(f"seed {seed}: {drawn}\n{finding}", flush=True)
        return 1
    except Exception:
        print(f"seed {seed}: {drawn}", flush=True)
        raise
    return 0


if __name__ == "__main__":
    sys.exit(main())
