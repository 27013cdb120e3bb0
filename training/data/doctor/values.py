"""Numbers to be learned: enough of them, and such that there is something to learn."""

from __future__ import annotations

import numpy as np

from training.data.contents import Contents
from training.data.doctor.classes import LEAST_ITEMS, NUMBERS_FROM, warn_of_small_test
from training.data.findings import Findings
from training.data.targets import Values

FAR = 50.0
"""Times the distance of the quartiles, beyond which a value is probably a mistake or a stand-in for a missing one."""


def check(contents: Contents | None, findings: Findings) -> None:
    """Faults for what cannot be learned, warnings for what is odd."""
    if contents is None or not isinstance(contents.targets, Values) or findings.fault_count:
        return
    values = contents.targets.values
    if len(values) < 2 * LEAST_ITEMS:
        findings.fault("too_few_items", f"{len(values)} items; at least {2 * LEAST_ITEMS} are needed")
        return
    for place, name in enumerate(contents.targets.names):
        column = values[:, place]
        distinct = np.unique(column)
        if len(distinct) == 1:
            findings.fault("constant_value", f"{name!r} is always {column[0]:g}: there is nothing to learn", name)
        elif len(distinct) < NUMBERS_FROM and len(values) > 5 * len(distinct) and (distinct == distinct.round()).all():
            message = f"{name!r} takes {len(distinct)} whole numbers only: did you mean task multiclass?"
            findings.warn("values_look_like_classes", message, name)
        low, middle, high = np.quantile(column, (0.25, 0.5, 0.75))
        far = np.flatnonzero(np.abs(column - middle) > FAR * (high - low)) if high > low else np.zeros(0, dtype=int)
        if len(far):
            message = (
                f"{name!r} is {column[far[0]]:g} where half of all are {low:g} to {high:g} ({len(far)} such items)"
            )
            findings.warn("outlier_value", message, contents.place(int(far[0])))
    warn_of_small_test(findings)
