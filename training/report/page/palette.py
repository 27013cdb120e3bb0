"""The page's colours, light and dark, and its style.

Every colour that words are written in has a contrast of 4.5 to the paper, in both modes; the six series are told apart
by people who confuse red and green.
"""

from __future__ import annotations

from collections.abc import Mapping

LIGHT: Mapping[str, str] = {
    "ink": "#1b1f24",
    "soft": "#59636e",
    "paper": "#ffffff",
    "sheet": "#f4f6f8",
    "line": "#d5dae0",
    "grid": "#e8ebee",
    "good": "#12714a",
    "bad": "#b3261e",
    "unsure": "#855b00",
    "s0": "#1d63ad",
    "s1": "#b24a00",
    "s2": "#045d47",
    "s3": "#8a3f98",
    "s4": "#7c6200",
    "s5": "#66707b",
}
DARK: Mapping[str, str] = {
    "ink": "#e8ebee",
    "soft": "#a2adb8",
    "paper": "#14171b",
    "sheet": "#1d2126",
    "line": "#3a4149",
    "grid": "#262b31",
    "good": "#5ecb90",
    "bad": "#f58b82",
    "unsure": "#e5b850",
    "s0": "#7cb7f0",
    "s1": "#f2a26b",
    "s2": "#58cf9e",
    "s3": "#d7a0e4",
    "s4": "#dcc25c",
    "s5": "#97a2ad",
}
WORDS = ("ink", "soft", "good", "bad", "unsure", "s0", "s1", "s2", "s3", "s4", "s5")
"""Those that words are written in."""


def _variables(colours: Mapping[str, str]) -> str:
    return ";".join(f"--{name}:{colour}" for name, colour in colours.items())


_SERIES = "".join(
    f".s{n}{{stroke:var(--s{n})}}.fill{n}{{fill:var(--s{n})}}.ink{n}{{fill:var(--s{n})}}" for n in range(6)
)
STYLE = f"""
:root{{color-scheme:light dark;{_variables(LIGHT)}}}
@media screen and (prefers-color-scheme:dark){{:root{{{_variables(DARK)}}}}}
*{{box-sizing:border-box}}
body{{font:16px/1.5 system-ui,-apple-system,"Segoe UI",Roboto,"Noto Sans",sans-serif;color:var(--ink);
background:var(--paper);max-width:62rem;margin:0 auto;padding:1.5rem 1rem 4rem;overflow-wrap:anywhere}}
h1{{font-size:1.6rem;line-height:1.25;margin:0 0 .4rem}}
h2{{font-size:1.2rem;margin:2.4rem 0 .6rem;padding-top:.6rem;border-top:1px solid var(--line)}}
h3{{font-size:1rem;margin:1.4rem 0 .3rem}}p{{margin:.4rem 0;max-width:46rem}}ul{{margin:.4rem 0;padding-left:1.2rem}}
li{{margin:.15rem 0;max-width:46rem}}code,pre{{font:.85rem/1.45 ui-monospace,SFMono-Regular,Menlo,Consolas,monospace}}
pre{{white-space:pre-wrap;background:var(--sheet);padding:.8rem;border-radius:.4rem}}
.lead{{font-size:1.15rem;line-height:1.45}}.soft{{color:var(--soft)}}
.verdict{{display:inline-block;padding:.1rem .7rem;border:1.5px solid;border-radius:1rem;font-weight:600;
font-size:1.05rem;white-space:nowrap}}
.passed,.good{{color:var(--good)}}.rejected,.bad{{color:var(--bad)}}.insufficient,.unsure{{color:var(--unsure)}}
.notice{{border-left:3px solid var(--unsure);padding:.1rem 0 .1rem .8rem;margin:.9rem 0}}
.tiles{{display:flex;flex-wrap:wrap;gap:.6rem;margin:1rem 0}}
.tile{{background:var(--sheet);border-radius:.5rem;padding:.6rem .9rem;flex:1 1 9rem;min-width:8.5rem}}
.tile b{{display:block;font-size:1.45rem;line-height:1.25;font-weight:650;font-variant-numeric:tabular-nums}}
.tile span{{color:var(--soft);font-size:.85rem;display:block;line-height:1.35}}
.panels{{display:flex;flex-wrap:wrap;gap:1.2rem 2rem;margin:.8rem 0}}
.panels figure{{flex:1 1 20rem;min-width:0;max-width:29rem}}figure{{margin:0}}
figcaption::first-letter,dt::first-letter,th::first-letter,h3::first-letter{{text-transform:uppercase}}
figcaption{{font-weight:600;font-size:.95rem;margin-bottom:.3rem}}figcaption small{{display:block;font-weight:400;
font-size:.85rem;color:var(--soft)}}
svg{{display:block}}svg.panel{{width:100%;height:auto}}svg.natural{{max-width:none}}
svg text{{fill:var(--ink);font:12px system-ui,-apple-system,"Segoe UI",Roboto,"Noto Sans",sans-serif;
unicode-bidi:plaintext}}
svg .t8{{font-size:8px}}svg .t10{{font-size:10px}}svg .on,svg .off{{pointer-events:none}}
svg .mark{{fill:var(--soft);font-size:11px;font-variant-numeric:tabular-nums}}
svg .name{{fill:var(--soft);font-size:11.5px}}
svg .strong{{font-weight:600}}svg .halo{{paint-order:stroke;stroke:var(--paper);stroke-width:4px;stroke-linejoin:round}}
{_SERIES}
.grid{{stroke:var(--grid)}}.axis{{stroke:var(--soft)}}.line{{fill:none;stroke-width:1.8}}
.dashed{{stroke-dasharray:5 4;stroke-width:1.4}}.whisker{{stroke-width:2.5;fill:none}}
.point{{opacity:.62}}.box{{fill:var(--paper);stroke-width:1.5}}.ring{{fill:var(--paper);stroke:var(--ink);stroke-width:2}}
.backdrop{{fill:var(--line)}}.empty{{fill:var(--sheet)}}.right{{fill:var(--s0)}}.wrong{{fill:var(--s1)}}
svg text.on{{fill:var(--paper)}}
.wide{{overflow-x:auto;margin:.5rem 0}}
table{{border-collapse:collapse;font-variant-numeric:tabular-nums;font-size:.92rem}}
td,th{{overflow-wrap:break-word}}
td,th{{padding:.28rem 1.1rem .28rem 0;text-align:left;border-bottom:1px solid var(--line);vertical-align:top}}
th{{font-weight:600;color:var(--soft);font-size:.85rem;vertical-align:bottom}}
td.n,th.n{{text-align:right;white-space:nowrap}}td:not(.n){{overflow-wrap:anywhere;min-width:7rem;max-width:26rem}}
tr.main td{{font-weight:600}}
details{{margin:.6rem 0}}summary{{cursor:pointer;color:var(--s0)}}
.thumbs{{display:grid;grid-template-columns:repeat(auto-fill,minmax(9.5rem,1fr));gap:.8rem}}
.thumbs div{{font-size:.85rem}}.thumbs img{{width:2.9rem;height:2.9rem;object-fit:contain;image-rendering:pixelated;
background:var(--sheet);margin:0 .2rem .2rem 0}}
dl{{display:grid;grid-template-columns:max-content 1fr;gap:.15rem 1.2rem;margin:.5rem 0}}
dt{{color:var(--soft)}}dd{{margin:0}}
@media(max-width:34rem){{body{{padding:1rem .8rem 3rem}}h1{{font-size:1.35rem}}dl{{grid-template-columns:1fr;gap:0}}
dd{{margin-bottom:.4rem}}td,th{{padding-right:.8rem}}}}
@media print{{body{{max-width:none;padding:0}}h2,h3,figcaption{{break-after:avoid}}figure,tr{{break-inside:avoid}}
.wide{{overflow:visible}}details::details-content{{content-visibility:visible;block-size:auto}}summary{{list-style:none}}}}
"""
