"""The pictures of an experiment as SVG texts that read well on light and on dark paper.

Box plots show every point, and say what their whiskers are; axes have names and units.
"""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray

from training.errors import BadRecipe
from training.seeds import generator

INK = "#7d8590"
"""A grey with enough contrast on white and on near-black alike; no picture has a ground of its own."""
COLOURS = ("#3b82c4", "#d9822b", "#3a9d5d", "#c2504f", "#8e6bbf", "#a07a5a", "#d173b1", "#8a8f98", "#a8a433", "#2fa5b5")
WHISKERS = "box: quartiles and median; whiskers: to the last point within 1.5 times the box; all points shown"
WIDTH = 7.5
"""Inches; an SVG grows with the page anyway."""
MOST_POINTS = 400


def box_plot(scores: Mapping[str, Sequence[float]], name: str) -> str:
    """One box an arm with its points; the same sideways spread each time."""

    def draw(axes: Any) -> None:
        axes.boxplot(
            list(scores.values()),
            orientation="horizontal",
            whis=1.5,
            showfliers=False,
            widths=0.6,
            boxprops={"color": INK},
            whiskerprops={"color": INK},
            capprops={"color": INK},
            medianprops={"color": COLOURS[1], "linewidth": 2},
        )
        random = generator(0, "box plot points")
        for place, own in enumerate(scores.values(), start=1):
            heights = place + random.uniform(-0.18, 0.18, len(own))
            axes.scatter(own, heights, s=10, alpha=0.6, color=COLOURS[0], linewidths=0, zorder=3)
        axes.set_yticks(range(1, len(scores) + 1), list(scores))
        axes.invert_yaxis()
        axes.set_xlabel(f"accuracy on the test, share of items\n{WHISKERS}")
        axes.grid(axis="y", visible=False)

    return _svg(draw, name, 1.0 + 0.38 * len(scores))


def learning_curves(curves: Mapping[str, Sequence[Sequence[Any]]], name: str, watched: str) -> str:
    """Loss above, accuracy below, against steps: the mean over repeats of each arm, and between quarters shaded.

    Args:
        curves: by arm its repeats' points, as ``fitting.Training.curve``.
    """

    def draw(axes: Any) -> None:
        above, below = axes
        for place, (arm, repeats) in enumerate(curves.items()):
            colour = COLOURS[place % len(COLOURS)]
            least = min(len(one) for one in repeats)
            steps = np.array([point[0] for point in repeats[0][:least]])
            values = np.array([[point[3] for point in one[:least]] for one in repeats])
            below.plot(steps, values.mean(axis=0), color=colour, label=arm)
            if len(repeats) > 1:
                low, high = np.quantile(values, [0.25, 0.75], axis=0)
                below.fill_between(steps, low, high, color=colour, alpha=0.15, linewidth=0)
            losses = np.array([[np.nan if p[2] is None else p[2] for p in one[:least]] for one in repeats])
            known = ~np.isnan(losses).all(axis=0)
            above.plot(steps[known], np.nanmean(losses[:, known], axis=0), color=colour, label=arm)
        above.set_ylabel("training loss, nats")
        below.set_ylabel(f"accuracy on the\n{watched} items, share")
        below.set_xlabel("steps (mean over repeats; shaded: middle half)")
        below.legend(fontsize=7, ncols=2)

    return _svg(draw, name, 5.2, rows=2)


def bars(values: Mapping[str, Sequence[float]], name: str, unit: str) -> str:
    """The median of each arm as a bar, every run as a point."""

    def draw(axes: Any) -> None:
        middles = [float(np.median(own)) for own in values.values()]
        axes.barh(range(len(values)), middles, color=COLOURS[0], alpha=0.55, height=0.6)
        for place, own in enumerate(values.values()):
            shown = np.sort(np.asarray(own))
            axes.scatter(shown, np.full(len(shown), place), s=8, color=INK, linewidths=0, zorder=3)
        axes.set_yticks(range(len(values)), list(values))
        axes.invert_yaxis()
        axes.set_xlabel(f"{unit} (bar: median; points: every run)")
        axes.grid(axis="y", visible=False)

    return _svg(draw, name, 0.9 + 0.32 * len(values))


def scatter(x: NDArray[Any], y: NDArray[np.int64], labels: Sequence[str], name: str) -> str:
    """Items as points coloured by class: two numbers as they are, more by the first two principal components."""
    rows = x.reshape(len(x), -1).astype(np.float64)
    names = ("first number", "second number")
    if rows.shape[1] > 2:
        centred = rows - rows.mean(axis=0)
        _, _, directions = np.linalg.svd(centred, full_matrices=False)
        rows, names = centred @ directions[:2].T, ("first principal component", "second principal component")

    def draw(axes: Any) -> None:
        for place, label in enumerate(labels):
            own = rows[y == place][:MOST_POINTS]
            colour = COLOURS[place % len(COLOURS)]
            axes.scatter(own[:, 0], own[:, 1], s=9, alpha=0.7, color=colour, linewidths=0, label=label)
        axes.set_xlabel(names[0])
        axes.set_ylabel(names[1])
        axes.legend(title="class", fontsize=7)

    return _svg(draw, name, 3.6)


def grid(x: NDArray[Any], y: NDArray[np.int64], labels: Sequence[str], name: str, columns: int = 8) -> str:
    """Pictures of each class, a row a class."""

    def draw(axes: Any) -> None:
        for row, label in zip(axes, labels, strict=True):
            own = x[y == labels.index(label)][:columns]
            for place, cell in enumerate(row):
                cell.set_axis_off()
                if place < len(own):
                    picture = own[place].astype(np.float64) / 255
                    grey = {"cmap": "gray", "vmin": 0, "vmax": 1} if picture.shape[-1] == 1 else {}
                    cell.imshow(picture.squeeze(), **grey)
            row[0].set_title(label, fontsize=8, loc="left")

    return _svg(draw, name, 0.85 * len(labels) + 0.4, rows=len(labels), columns=columns)


def pairs(x: Sequence[float], y: Mapping[str, Sequence[float]], name: str, x_name: str, y_name: str) -> str:
    """Points of several arms over one number, such as a source's own score."""

    def draw(axes: Any) -> None:
        for place, (arm, own) in enumerate(y.items()):
            axes.scatter(x, own, s=16, alpha=0.75, color=COLOURS[place % len(COLOURS)], linewidths=0, label=arm)
        axes.set_xlabel(x_name)
        axes.set_ylabel(y_name)
        axes.legend(fontsize=7)

    return _svg(draw, name, 3.8)


def against_size(found: Mapping[str, Sequence[tuple[float, float, float | None, float | None]]], name: str) -> str:
    """Mean accuracy with its 95 % interval against labelled items a class, a line an arm.

    Args:
        found: by arm: items a class, mean, low, high.
    """

    def draw(axes: Any) -> None:
        for place, (arm, points) in enumerate(found.items()):
            colour = COLOURS[place % len(COLOURS)]
            # Moved a little sideways so that intervals at one size can be told apart.
            sizes = np.array([point[0] for point in points]) * 1.03 ** (place - len(found) / 2)
            means = np.array([point[1] for point in points])
            low = np.array([point[1] if point[2] is None else point[2] for point in points])
            high = np.array([point[1] if point[3] is None else point[3] for point in points])
            axes.errorbar(
                sizes,
                means,
                [np.maximum(means - low, 0), np.maximum(high - means, 0)],
                color=colour,
                label=arm,
                marker="o",
                markersize=3,
                linewidth=1.2,
                capsize=2,
            )
        axes.set_xscale("log")
        ticks = sorted({point[0] for points in found.values() for point in points})
        axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
        axes.minorticks_off()
        axes.set_xlabel("labelled items a class (logarithmic)")
        axes.set_ylabel("accuracy on the test, share of items\n(mean and its 95 % interval)")
        axes.legend(fontsize=7, ncols=2)

    return _svg(draw, name, 4.4)


def _svg(draw: Callable[[Any], None], name: str, height: float, rows: int = 1, columns: int = 1) -> str:
    with _style() as pyplot:
        figure, axes = pyplot.subplots(rows, columns, figsize=(WIDTH, height))
        try:
            draw(np.atleast_2d(axes) if columns > 1 else axes)
            figure.suptitle(name, fontsize=10)
            figure.tight_layout()
            page = io.StringIO()
            figure.savefig(page, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
        finally:
            pyplot.close(figure)
    text = page.getvalue()
    # The size on the page is the page's business; what precedes the picture is not for a picture within a page.
    text = re.sub(r"<metadata>.*?</metadata>\s*", "", text[text.index("<svg") :], flags=re.DOTALL)
    return re.sub(
        r'(<svg[^>]*?) height="[^"]*"([^>]*?) width="[^"]*"|(<svg[^>]*?) width="[^"]*"([^>]*?) height="[^"]*"',
        lambda found: "".join(part or "" for part in found.groups()),
        text,
        count=1,
    )


@contextmanager
def _style() -> Iterator[Any]:
    try:
        import matplotlib as mpl
    except ImportError as error:
        raise BadRecipe("pictures need matplotlib: install graft[experiments]") from error
    mpl.use("svg")
    from matplotlib import pyplot

    settings = {
        "font.size": 8,
        "text.color": INK,
        "axes.labelcolor": INK,
        "axes.edgecolor": INK,
        "xtick.color": INK,
        "ytick.color": INK,
        "axes.grid": True,
        "grid.color": INK,
        "grid.alpha": 0.2,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "legend.frameon": False,
        "svg.fonttype": "none",
        "svg.hashsalt": "graft",
        "font.family": "sans-serif",
        "image.interpolation": "nearest",
    }
    with mpl.rc_context(settings):
        yield pyplot
