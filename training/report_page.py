"""The report as one HTML page that needs nothing else: no script, no font, no network. Light and dark as the reader's
system is; the verdict first.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import Any

STYLE = """
:root{color-scheme:light dark;--ink:#1b1f24;--soft:#5b6570;--paper:#fff;--line:#d9dee3;--bar:#2f6fab;--other:#9aa5b1;
--good:#1a7f4b;--bad:#b3261e;--unsure:#8a6100}
@media(prefers-color-scheme:dark){:root{--ink:#e6e9ec;--soft:#9aa5b1;--paper:#15181c;--line:#343a41;--bar:#6aa9e0;
--other:#5b6570;--good:#5bc98c;--bad:#f2857c;--unsure:#e0b44c}}
body{font:16px/1.5 system-ui,sans-serif;color:var(--ink);background:var(--paper);max-width:54rem;margin:2rem auto;
padding:0 1rem}h1{font-size:1.5rem;margin-bottom:.2rem}h2{font-size:1.1rem;margin-top:2rem}
p.lead{font-size:1.1rem}table{border-collapse:collapse;font-variant-numeric:tabular-nums}
td,th{padding:.25rem .8rem .25rem 0;text-align:left;border-bottom:1px solid var(--line);vertical-align:top}
td.n,th.n{text-align:right}.passed{color:var(--good)}.rejected{color:var(--bad)}.insufficient{color:var(--unsure)}
.soft{color:var(--soft)}div.wide{overflow-x:auto}svg text{fill:var(--ink);font:13px system-ui,sans-serif}
pre{white-space:pre-wrap;font-size:.85rem}
"""
ARM_NAMES = {
    "candidate": "this model",
    "majority": "most frequent class",
    "linear_raw": "linear model on raw input",
    "current": "current version",
}
CHART_WIDTH, NAME_WIDTH, ROW_HEIGHT = 640, 200, 30


def page(report: Mapping[str, Any]) -> str:
    """The whole page."""
    verdict = escape(report["verdict"])
    parts = [
        f"<h1>{escape(report['model'])}: <span class='{verdict}'>{verdict}</span></h1>",
        f"<p class='lead'>{escape(report['headline'])}</p>",
        _list(report["gate"]["reasons"]),
    ]
    if "arms" in report:
        parts += [_arms(report["arms"]), _differences(report["differences"])]
    parts.append(_gate(report["gate"]["checks"]))
    if "arms" in report:
        parts += [_classes(report["labels"], report["classes"]), _confusion(report["labels"], report["confusion"])]
    if "probe" in report:
        parts.append(_trials(report["probe"]))
    parts += [_notes(report["notes"]), _timings(report["timings_s"])]
    title = f"<title>{escape(report['model'])}</title>"
    body = "\n".join(part for part in parts if part)
    head = f"<meta charset='utf-8'><meta name='viewport' content='width=device-width'>{title}"
    return f"<!doctype html><html lang='en'><head>{head}<style>{STYLE}</style></head><body>{body}</body></html>\n"


def _arms(arms: Mapping[str, Mapping[str, Any]]) -> str:
    """Accuracy of every arm with its interval, as bars."""
    span = CHART_WIDTH - NAME_WIDTH - 60
    rows = []
    for place, (name, arm) in enumerate(arms.items()):
        middle = place * ROW_HEIGHT + ROW_HEIGHT / 2
        low, high = NAME_WIDTH + span * arm["accuracy_low"], NAME_WIDTH + span * arm["accuracy_high"]
        colour = "var(--bar)" if name == "candidate" else "var(--other)"
        width = f"{span * arm['accuracy']:.1f}"
        rows.append(
            f"<text x='0' y='{middle + 4}'>{escape(ARM_NAMES.get(name, name))}</text>"
            f"<rect x='{NAME_WIDTH}' y='{middle - 8}' width='{width}' height='16' fill='{colour}'/>"
            f"<line x1='{low:.1f}' x2='{high:.1f}' y1='{middle}' y2='{middle}' stroke='var(--ink)' stroke-width='2'/>"
            f"<text x='{NAME_WIDTH + span + 8}' y='{middle + 4}'>{arm['accuracy']:.3f}</text>"
        )
    size = f"viewBox='0 0 {CHART_WIDTH} {len(arms) * ROW_HEIGHT}' width='100%'"
    chart = f"<svg {size} role='img' aria-label='accuracy of each arm'>{''.join(rows)}</svg>"
    return f"<h2>Accuracy on the sealed test, with 95 % intervals</h2>{chart}"


def _differences(differences: Mapping[str, Mapping[str, Any]]) -> str:
    rows = [
        [
            ARM_NAMES.get(name, name),
            f"{d['value']:+.3f}",
            f"{d['interval']['low']:+.3f} to {d['interval']['high']:+.3f}",
        ]
        for name, d in differences.items()
    ]
    return "<h2>Difference to this model, on the same items</h2>" + _table(
        ["against", "accuracy", "95 % interval"], rows, numbers=(1, 2)
    )


def _gate(checks: Sequence[Mapping[str, Any]]) -> str:
    rows = [["yes" if check["passed"] else "no", check["name"].replace("_", " "), check["reason"]] for check in checks]
    return "<h2>The gate's checks</h2>" + _table(["passed", "check", "why"], rows)


def _classes(labels: Sequence[str], figures: Mapping[str, Sequence[float]]) -> str:
    rows = [
        [
            label,
            *(f"{figures[name][at]:.3f}" for name in ("precision", "recall", "f1")),
            f"{figures['support'][at]:.0f}",
        ]
        for at, label in enumerate(labels)
    ]
    header = ["class", "precision", "recall", "F1", "test items"]
    return "<h2>Class by class</h2>" + _table(header, rows, numbers=(1, 2, 3, 4))


def _confusion(labels: Sequence[str], counts: Sequence[Sequence[int]]) -> str:
    if len(labels) > 30:
        return ""
    rows = [
        [label, *(str(count) if count else "·" for count in row)] for label, row in zip(labels, counts, strict=True)
    ]
    numbers = tuple(range(1, len(labels) + 1))
    return "<h2>True class (row) and answer (column)</h2>" + _table(["", *labels], rows, numbers=numbers)


def _trials(probe: Mapping[str, Any]) -> str:
    rows = [
        [
            ("▸ " if trial["cut"] == probe["cut"] and trial["C"] == probe["C"] else "") + trial["cut"],
            f"{trial['C']:g}",
            f"{trial['accuracy']:.3f} ± {trial['error']:.3f}",
            f"{trial['log_loss']:.3f}",
        ]
        for trial in probe["trials"]
    ]
    tried = f"<p class='soft'>{probe['configs_tried']} configurations were tried, none of them on the test.</p>"
    header = ["cut", "C", "accuracy in cross-validation", "log loss"]
    return "<h2>What was tried</h2>" + tried + _table(header, rows, numbers=(1, 2, 3))


def _notes(notes: Sequence[str]) -> str:
    return f"<h2>Notes</h2>{_list(notes)}" if notes else ""


def _timings(timings: Mapping[str, float]) -> str:
    rows = [[phase, f"{seconds:.2f} s"] for phase, seconds in timings.items()]
    return "<h2>Time</h2>" + _table(["phase", "took"], rows, numbers=(1,))


def _list(lines: Iterable[str]) -> str:
    items = "".join(f"<li>{escape(line)}</li>" for line in lines)
    return f"<ul>{items}</ul>" if items else ""


def _table(header: Sequence[str], rows: Sequence[Sequence[str]], numbers: Sequence[int] = ()) -> str:
    def line(cells: Sequence[str], tag: str) -> str:
        styled = (
            f"<{tag}{' class=n' if at in numbers else ''}>{escape(cell)}</{tag}>" for at, cell in enumerate(cells)
        )
        return f"<tr>{''.join(styled)}</tr>"

    body = "".join(line(row, "td") for row in rows)
    return f"<div class='wide'><table>{line(header, 'th')}{body}</table></div>"
