"""Whether the page can be read: contrast of every colour words are written in, in both modes."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from training.report.figures.heatmap import DARK as TURN
from training.report.figures.heatmap import LEVELS, level
from training.report.page.palette import DARK, LIGHT, STYLE, WORDS

LEAST = 4.5
MODES = {"light": LIGHT, "dark": DARK}


def channels(colour: str) -> list[float]:
    return [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]


def luminance(shares: list[float]) -> float:
    linear = [share / 12.92 if share <= 0.04045 else ((share + 0.055) / 1.055) ** 2.4 for share in shares]
    return sum(weight * share for weight, share in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


def contrast(one: list[float], other: list[float]) -> float:
    dark, light = sorted((luminance(one), luminance(other)))
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("ground", ["paper", "sheet"])
def test_words_can_be_read(mode: str, ground: str) -> None:
    colours = MODES[mode]
    for name in WORDS:
        assert contrast(channels(colours[name]), channels(colours[ground])) >= LEAST, (mode, name, ground)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("shade", ["s0", "s1"])
def test_counts_can_be_read_on_every_cell_of_the_heat_map(mode: str, shade: str) -> None:
    colours = MODES[mode]
    for opacity in LEVELS:
        pairs = zip(channels(colours[shade]), channels(colours["sheet"]), strict=True)
        cell = [opacity * front + (1 - opacity) * back for front, back in pairs]
        words = colours["paper"] if opacity > TURN else colours["ink"]
        assert contrast(channels(words), cell) >= LEAST, (mode, shade, opacity)


def test_both_modes_know_the_same_colours_and_the_style_uses_no_other() -> None:
    assert set(LIGHT) == set(DARK)
    used = {part.split(")")[0] for part in STYLE.split("var(--")[1:]}
    assert used <= set(LIGHT)


@pytest.mark.parametrize("colours", MODES.values(), ids=MODES)
def test_the_series_differ_also_for_those_who_see_no_red_and_green(colours: Mapping[str, str]) -> None:
    # Dichromats of both kinds see blue against yellow, and light against dark; that is what is left here.
    seen = [(luminance(c), (c[0] + c[1]) / 2 - c[2]) for c in (channels(colours[f"s{n}"]) for n in range(6))]
    for at, (light, hue) in enumerate(seen):
        for other_light, other_hue in seen[at + 1 :]:
            assert abs(light - other_light) + abs(hue - other_hue) > 0.05


def test_shades_grow_with_the_share() -> None:
    shades = [level(share / 100) for share in range(101)]
    assert shades == sorted(shades)
    assert shades[0] == 0
    assert shades[1] > 0
    assert shades[100] == 1
