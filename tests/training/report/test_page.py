"""The page: well formed, self-contained, nothing from data taken for markup, every figure named, verdict first."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from typing import Any

import pytest
import report_documents

from training.report import model_card, page
from training.report.figures.drawing import element, text

VOID = {"meta", "br", "img", "hr", "link", "input"}
EVIL = ("<script>alert(1)</script>", "a" * 300, "שלום \u202e(abc)", "'\" onload=x \x00 🐈‍⬛ 猫", "</title></svg>&amp;")


class Outline(HTMLParser):
    """Tags as they open and close; fails where they do not match."""

    def __init__(self, markup: str) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.seen: list[tuple[str, dict[str, str | None]]] = []
        self.named: dict[int, set[str]] = {}
        self.words: list[str] = []
        self.feed(markup)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if "svg" in self.open and tag in {"title", "desc"} and self.open[-1] == "svg":
            self.named.setdefault(self._svgs(), set()).add(tag)
        self.seen.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open, f"</{tag}> closes nothing"
        assert self.open[-1] == tag, f"</{tag}> closes <{self.open[-1]}>"
        self.open.pop()

    def handle_data(self, data: str) -> None:
        self.words.append(data)

    def _svgs(self) -> int:
        return sum(tag == "svg" for tag, _ in self.seen)


@pytest.fixture(scope="module", params=["multiclass", "binary", "many", "multilabel", "regression", "evil"])
def report(request: pytest.FixtureRequest) -> dict[str, Any]:
    """Reports of every task, small and large."""
    make = {
        "multiclass": report_documents.multiclass,
        "binary": lambda: report_documents.multiclass(2, 12),
        "many": lambda: report_documents.multiclass(50, 600),
        "multilabel": report_documents.multilabel,
        "regression": report_documents.regression,
        "evil": lambda: report_documents.multiclass(len(EVIL), 120, EVIL),
    }
    return make[request.param]()


def test_it_is_well_formed_and_needs_nothing_else(report: dict[str, Any]) -> None:
    markup = page(report)
    outline = Outline(markup)
    tags = {tag for tag, _ in outline.seen}
    assert not tags & {"script", "link", "iframe", "object", "embed", "form"}
    for _, attributes in outline.seen:
        assert not [name for name in attributes if name.startswith("on")]
        for name in ("src", "href", "xlink:href"):
            assert (attributes.get(name) or "data:").startswith("data:image/png;base64,") or name not in attributes
    assert "http:" not in markup
    assert "https:" not in markup
    assert "url(" not in markup
    assert len(markup.encode()) < 1_500_000
    policy = next(a["content"] for tag, a in outline.seen if tag == "meta" and "http-equiv" in a)
    assert policy is not None
    assert policy.startswith("default-src 'none'")


def test_every_figure_is_named_for_those_who_cannot_see_it(report: dict[str, Any]) -> None:
    outline = Outline(page(report))
    figures = [attributes for tag, attributes in outline.seen if tag == "svg"]
    assert figures
    for place, attributes in enumerate(figures, 1):
        assert attributes["role"] == "img"
        assert attributes["aria-label"]
        assert outline.named[place] == {"title", "desc"}


def test_no_number_is_missing_or_endless(report: dict[str, Any]) -> None:
    said = " ".join(Outline(page(report)).words)
    assert not re.search(r"\b(nan|inf|None|Infinity)\b", said)
    assert not re.search(r"\d\.\d{6,}", said)


def test_the_verdict_comes_first(report: dict[str, Any]) -> None:
    markup = page(report)
    places = [markup.index(part) for part in ("<h1>", "class='verdict", "class='lead'", "class='tiles'", "<svg")]
    assert places == sorted(places)


def test_what_data_says_is_shown_and_means_nothing() -> None:
    report = report_documents.multiclass(len(EVIL), 120, EVIL)
    report["notes"] = ["<img src=x onerror=alert(1)>"]
    report["recipe"]["name"] = "</pre><script>"
    outline = Outline(page(report))
    assert "<script>alert(1)</script>" in outline.words
    assert any("</pre><script>" in words for words in outline.words)
    assert "\x00" not in page(report)


def test_sections_without_data_are_not_there() -> None:
    report = report_documents.multiclass(3, 40)
    for key in ("histories", "layers", "confusion", "classes", "probabilities", "dataset", "repeats", "probe"):
        report.pop(key)
    report |= {"diagnoses": [], "configs_tried": None, "dataset": None, "timings_s": {}}
    said = page(report)
    titles = ("How it learned", "Layers", "What is taken for what", "Class by class", "How sure it is", "The data")
    assert not [title for title in titles if f"<h2>{title}" in said]
    assert "Beside the baselines" in said


def test_each_task_shows_what_it_has(report: dict[str, Any]) -> None:
    said = page(report)
    assert ("Label by label" in said) == (report["task"] == "multilabel")
    assert ("How far off it is" in said) == (report["task"] == "regression")
    assert ("What is taken for what" in said) == ("confusion" in report)
    assert "100 are needed" not in report["headline"]


def test_warnings_stand_on_the_first_screen() -> None:
    report = report_documents.multiclass(2, 12)
    assert report["warnings"]
    markup = page(report)
    assert markup.index("Beware") < markup.index("<h2>")


def test_the_card_is_readable_on_the_page(manifest_of_an_image_head: Any) -> None:
    report = report_documents.multiclass(3, 90)
    card = model_card(report, manifest_of_an_image_head)
    said = page(report, card)
    assert "Model card" in said
    assert all(limit.replace("'", "&#x27;") in said for limit in card["limits"])


def test_markup_escapes_attributes_and_words() -> None:
    assert element("a", x='"<') == '<a x="&quot;&lt;"/>'
    assert "&lt;b&gt;" in text("<b>", 0, 0, tip="'")


def test_intervals_are_called_what_they_are() -> None:
    report = report_documents.multiclass()
    assert "95 % interval" in page(report)
    surer = page({**report, "confidence": 0.99})
    assert "99 % interval" in surer
    assert "95 % interval" not in surer.replace(report["headline"], "")
