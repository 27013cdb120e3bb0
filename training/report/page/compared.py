"""All arms beside each other on the sealed test, what each cost, and the paired differences."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from training.report.arms import Metric, headline_of, interval_name, measured, metric_of, name_of
from training.report.figures.bars import Bar, bars
from training.report.figures.boxes import WHISKER_RULE, boxes
from training.report.figures.ranges import Range, ranges
from training.report.notation import figure as number
from training.report.notation import seconds, signed, whole
from training.report.page.markup import figure, panels, section, table

CONSTANT = "majority"
COSTS = {"seconds": "time", "steps": "steps", "trainable_parameters": "trained parameters"}


def compared(report: Mapping[str, Any]) -> str:
    """The charts first, then the same figures as tables."""
    if "arms" not in report:
        return ""
    metric = headline_of(report["arms"]["candidate"]).metric
    better = "greater is better" if metric.greater_is_better else "smaller is better"
    arms, differences = _without_constant(report["arms"]), _without_constant(report["differences"])
    constant = report["arms"].get(CONSTANT)
    if constant is not None and CONSTANT not in arms:
        better += f"; {name_of(CONSTANT)}: {headline_of(constant).words}"
    charts = panels(
        figure(f"{metric.name}, with {interval_name(report)}s", _arms(arms, metric), better),
        figure(
            "gain of this model, on the same items",
            _differences(differences, metric),
            "right of zero this model is better; an interval that holds zero proves nothing",
        ),
        figure("seconds of training", _seconds(report["arms"])),
    )
    return section(
        "Beside the baselines",
        charts,
        _arms_table(report["arms"], metric, interval_name(report)),
        _differences_table(report["differences"], metric, interval_name(report)),
        _measures(report),
    )


def repeated(report: Mapping[str, Any]) -> str:
    """How the figure spreads over repeats."""
    found = report.get("repeats") or {"groups": {}}
    groups = {name: values for name, values in found["groups"].items() if len(values) > 1}
    if not groups:
        return ""
    metric = metric_of(found["metric"])
    title = f"{metric.name} over repeats"
    drawn = boxes(title, {name_of(name): values for name, values in groups.items()}, metric.name)
    return section("Repeats", panels(figure(title, drawn)), note=WHISKER_RULE)


def _without_constant(arms: Mapping[str, Mapping[str, Any]]) -> Mapping[str, Mapping[str, Any]]:
    """What is charted: an answer that never looks is so far off that all others would lie on one spot."""
    others = {name: figures for name, figures in arms.items() if name != CONSTANT}
    return others if len(others) > 1 else arms


def _arms(arms: Mapping[str, Mapping[str, Any]], metric: Metric) -> str:
    rows = []
    for arm, figures in arms.items():
        own = headline_of(figures)
        rows.append(Range(name_of(arm), own.value, own.low, own.high, own.words, main=arm == "candidate"))
    return ranges(f"{metric.name} of every arm", rows, metric.name, bounds=(0.0, 1.0) if metric.share else None)


def _differences(differences: Mapping[str, Mapping[str, Any]], metric: Metric) -> str:
    rows = []
    for arm, difference in differences.items():
        low, high = difference["interval"]["low"], difference["interval"]["high"]
        words = f"{signed(metric.words(difference['value']))} ({metric.interval(low, high, sign=True)})"
        sure = low > 0 or high < 0
        rows.append(Range(f"over {name_of(arm)}", difference["value"], low, high, words, main=sure))
    if not rows:
        return ""
    return ranges("gain over every other arm", rows, f"gain in {metric.name}", zero=True)


def _seconds(arms: Mapping[str, Mapping[str, Any]]) -> str:
    rows = [
        Bar(name_of(arm), figures["seconds"], seconds(figures["seconds"]), 0 if arm == "candidate" else 5)
        for arm, figures in arms.items()
        if figures.get("seconds") is not None
    ]
    return bars("seconds of training of every arm", rows) if len(rows) > 1 else ""


def _arms_table(arms: Mapping[str, Mapping[str, Any]], metric: Metric, interval: str) -> str:
    costs = [cost for cost in COSTS if any(figures.get(cost) is not None for figures in arms.values())]
    header = ["arm", metric.name, interval, "loss", *(COSTS[cost] for cost in costs)]
    rows = []
    for arm, figures in arms.items():
        own = headline_of(figures)
        row = [name_of(arm), metric.words(own.value), metric.interval(own.low, own.high) or "–"]
        row.append(number(figures.get("loss")))
        row += [seconds(figures.get(cost)) if cost == "seconds" else whole(figures.get(cost) or None) for cost in costs]
        rows.append(row)
    main = [place for place, arm in enumerate(arms) if arm == "candidate"]
    return table(header, rows, numbers=range(1, len(header)), main=main)


def _differences_table(differences: Mapping[str, Mapping[str, Any]], metric: Metric, interval: str) -> str:
    rows = []
    for arm, difference in differences.items():
        low, high = difference["interval"]["low"], difference["interval"]["high"]
        proven = "this model is better" if low > 0 else f"{name_of(arm)} is better" if high < 0 else "nothing"
        words = signed(metric.words(difference["value"]))
        rows.append([name_of(arm), words, metric.interval(low, high, sign=True), proven])
    return table(["against", f"gain in {metric.name}", interval, "proven"], rows, numbers=(1, 2))


def _measures(report: Mapping[str, Any]) -> str:
    candidate = report["arms"]["candidate"]
    known = candidate.get("measures") or {}
    rows = []
    for key, figures in known.items():
        metric = metric_of(key)
        rows.append([metric.name, metric.words(figures["value"]), metric.interval(figures["low"], figures["high"])])
    if not rows and "macro_f1" in candidate:
        rows = [[(own := measured(candidate, "macro_f1")).metric.name, own.metric.words(own.value), "–"]]
    if not rows:
        return ""
    return "<h3>More figures of this model</h3>" + table(["", "value", interval_name(report)], rows, numbers=(1, 2))
