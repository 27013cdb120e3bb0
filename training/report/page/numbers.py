"""Predicted numbers against true ones: errors, residuals, and whether intervals hold what they promise."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from training.report.figures.scatter import against_truth, residuals
from training.report.notation import figure as number
from training.report.notation import share
from training.report.page.markup import figure, panels, section, table

MOST_PLOTTED = 4
"""Values that get charts; the table holds all."""


def numbers(report: Mapping[str, Any]) -> str:
    """The figures of every value that is estimated."""
    values = report.get("values")
    if not values:
        return ""
    columns = [key for key in ("mae", "rmse", "r2", "spread", "half_width", "coverage") if key in values]
    header = {"mae": "MAE", "rmse": "RMSE", "r2": "R²", "spread": "spread of the value", "half_width": "interval ±"}
    rows = [
        [name, *(share(values[key][at]) if key == "coverage" else number(values[key][at]) for key in columns)]
        for at, name in enumerate(values["name"])
    ]
    shown = table(["value", *(header.get(key, key) for key in columns)], rows, numbers=range(1, len(columns) + 1))
    drawn = [
        chart
        for at, name in enumerate(values["name"][:MOST_PLOTTED])
        if "pairs" in values
        for chart in _charts(name, values["pairs"][at])
    ]
    note = ""
    if "coverage" in values:
        note = (
            "Intervals are made to hold the true value of 95 of 100 items; coverage is how many they held in the test."
        )
    return section("How far off it is", panels(*drawn), shown, note=note)


def _charts(name: str, pairs: Sequence[Sequence[float]]) -> list[str]:
    true, predicted = [pair[0] for pair in pairs], [pair[1] for pair in pairs]
    return [
        figure(f"{name}: predicted over true", against_truth(f"{name}: predicted over true", true, predicted, name)),
        figure(f"{name}: residuals", residuals(f"{name}: residuals", true, predicted, name)),
    ]
