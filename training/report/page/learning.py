"""How it learned: curves, what they say, how soon it was good, and how far each layer moved."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from training.report.arms import TRAININGS, name_of
from training.report.figures.curves import Curve, curves
from training.report.figures.drawing import escaped
from training.report.notation import figure as number
from training.report.notation import plural, seconds, whole
from training.report.page.markup import figure, long_table, panels, section, table

TONES = {"good": "good", "unsure": "unsure", "bad": "bad"}


def learning(report: Mapping[str, Any]) -> str:
    """Curves of every training with what they mean."""
    histories: Mapping[str, Any] = report.get("histories") or {}
    drawn = [chart for name, history in histories.items() for chart in _charts(_titled(name), history)]
    return section("How it learned", _diagnoses(report.get("diagnoses") or ()), panels(*drawn), _reach(histories))


def layers(report: Mapping[str, Any]) -> str:
    """Every layer: its numbers, whether it was trained, how far it went."""
    rows = [
        [
            layer["name"],
            layer.get("kind", ""),
            whole(layer["parameters"]),
            "yes" if layer["trainable"] else "no",
            "–" if layer.get("displacement") is None else f"{100 * layer['displacement']:.3g} %",
        ]
        for layer in report.get("layers") or ()
    ]
    if not rows:
        return ""
    total = sum(layer["parameters"] for layer in report["layers"])
    trained = sum(layer["parameters"] for layer in report["layers"] if layer["trainable"])
    note = f"{whole(trained)} of {plural(total, 'parameter')} were trained. Moved: the change beside the size before."
    own = report.get("arms", {}).get("candidate", {}).get("trainable_parameters")
    if not trained and own:
        note = f"All {plural(total, 'parameter')} of the base stayed as they were; the head's {whole(own)} were fitted."
    header = ["layer", "kind", "parameters", "trained", "moved"]
    return section("Layers", long_table(header, rows, "layers", numbers=(2, 4)), note=note)


def tried(report: Mapping[str, Any]) -> str:
    """All configurations that were tried, the chosen ones marked; none of them met the test."""
    probe = report.get("probe") or {}
    trials = probe.get("trials") or ()
    count = report.get("configs_tried", probe.get("configs_tried"))
    if count is None:
        return ""
    rows = [_trial(trial, probe) for trial in trials]
    header = ["", "cut", "C", "score in cross-validation", "log loss"]
    chosen = [place for place, row in enumerate(rows) if row[0]]
    shown = table(header, rows, numbers=(2, 3, 4), main=chosen) if len(rows) <= 20 else ""
    shown = shown or long_table(header, rows, "trials", numbers=(2, 3, 4))
    rates = (report.get("finetune") or {}).get("trials") or ()
    tuned = table(
        ["learning rate", "validation score", "steps"],
        [[number(t.get("learning_rate")), number(t.get("score")), whole(t.get("steps"))] for t in rates],
        numbers=(0, 1, 2),
    )
    note = f"{plural(count, 'configuration was', 'configurations were')} tried, none of them on the test."
    return section("What was tried", shown, tuned, note=note)


def _trial(trial: Mapping[str, Any], probe: Mapping[str, Any]) -> list[str]:
    chosen = trial["cut"] == probe.get("cut") and trial["C"] == probe.get("C")
    score = trial.get("score", trial.get("accuracy"))
    error = trial.get("error")
    said = number(score) + (f" ± {number(error, 2)}" if error is not None else "")
    return [
        "▸" if chosen else "",
        str(trial["cut"]),
        f"{trial['C']:g}",
        said,
        number(trial.get("log_loss", trial.get("loss"))),
    ]


def _charts(name: str, history: Mapping[str, Any]) -> list[str]:
    looks = history["looks"]
    loss = [(look["step"], look["loss"]) for look in looks if look["loss"] is not None]
    score = [(look["step"], look["score"]) for look in looks if look["score"] is not None]
    rate = [(look["step"], look["rate"]) for look in looks if look["rate"]]
    best = None
    if history.get("best_step") is not None and history.get("best_score") is not None:
        best = (history["best_step"], history["best_score"])
    return [
        figure(f"{name}: loss", curves(f"{name}: loss", [Curve("training", loss, 0)], "step", "loss", floor=0.0))
        if len(loss) > 1
        else "",
        figure(
            f"{name}: validation",
            curves(
                f"{name}: validation", [Curve("validation", score, 1)], "step", "score (greater is better)", best=best
            ),
            "the ring is the state that was kept" if best else "",
        )
        if len(score) > 1
        else "",
        figure(
            f"{name}: learning rate",
            curves(f"{name}: learning rate", [Curve("rate", rate, 2)], "step", "rate", floor=0.0),
        )
        if len({value for _, value in rate}) > 1
        else "",
    ]


def _diagnoses(found: Sequence[Mapping[str, Any]]) -> str:
    said = "".join(
        f"<li><b class='{TONES.get(entry['tone'], 'soft')}'>{escaped(entry['verdict'])}</b>: "
        f"{escaped(entry['evidence'])}. {escaped(entry['advice'])}</li>"
        for entry in found
    )
    return f"<ul>{said}</ul>" if said else ""


def _reach(histories: Mapping[str, Any]) -> str:
    rows = []
    for name, history in histories.items():
        reach = history.get("reach") or {}
        if reach:
            row = [_titled(name)]
            row += [
                f"{whole(reach[s]['step'])} steps, {seconds(reach[s]['seconds'])}" if s in reach else "–"
                for s in ("90", "95", "99")
            ]
            rows.append([*row, f"{whole(history['steps'])} steps, {seconds(history['seconds'])}"])
    if not rows:
        return ""
    header = ["training", "90 % of its best", "95 %", "99 %", "in all"]
    return "<h3>How soon it was nearly as good as it became</h3>" + table(header, rows, numbers=(1, 2, 3, 4))


def _titled(name: str) -> str:
    return TRAININGS.get(name) or name_of(name)
