"""What engines give in a process without a server: rows per second of ``mnv``, by callers and rows a call.

In-process TensorFlow as people call it (16 threads, a row each) and at its best, the same of the frozen graph, OpenVINO
by itself, and what Graft makes of it: the engine it chose, through the port that the service calls. Every engine has a
process of its own, which is idle but when it is measured, and all are measured in turn.
"""

from __future__ import annotations

import sys
from contextlib import ExitStack

import numpy as np
from shared.in_process import engine
from shared.machine import cores
from shared.results import Table, at_least, conclude, parser

ENGINES = ("tensorflow", "frozen", "openvino", "graft")
Setting = tuple[str, int, int]
PLAIN: Setting = ("tensorflow", 16, 1)


def settings(quick: bool) -> list[Setting]:
    """Engine, threads, rows a call."""
    several = (1, 4) if quick else (1, 2, 4, 8, 16)
    pairs = [(cores(), rows) for rows in several] + ([] if quick else [(1, 1), (1, 4)])
    return [(name, *pair) for name in ENGINES for pair in [(16, 1), *pairs]]


def main() -> int:
    """Measure and print."""
    options = parser(__doc__).parse_args()
    rounds, seconds = (2, 1.0) if options.quick else (5, 1.5)
    tried = settings(options.quick)
    found: dict[Setting, list[float]] = {one: [] for one in tried}
    with ExitStack() as stack:
        runs = {name: stack.enter_context(engine(name)) for name in ENGINES}
        for _ in range(rounds):
            for one in tried:
                name, threads, rows = one
                found[one].append(runs[name](threads, rows, seconds))
    table = Table(["engine", "threads", "rows a call", "rows/s", "times TensorFlow, 16 x 1"])
    for one in tried:
        table.add(*one, found[one], ratios(found[one], found[PLAIN]))
    best = {name: max((found[one] for one in tried if one[0] == name), key=np.median) for name in ENGINES}
    held = [
        at_least("Graft's engine / TensorFlow, 16 threads x 1 row", ratios(best["graft"], found[PLAIN]), 2.5),
        at_least("Graft's engine / TensorFlow's best", ratios(best["graft"], best["tensorflow"]), 1.6),
        at_least("Graft's engine / OpenVINO by itself", ratios(best["graft"], best["openvino"]), 0.95),
    ]
    return conclude("engine_ceilings", table, held, options)


def ratios(figures: list[float], others: list[float]) -> list[float]:
    """Round by round."""
    return [a / b for a, b in zip(figures, others, strict=True)]


if __name__ == "__main__":
    sys.exit(main())
