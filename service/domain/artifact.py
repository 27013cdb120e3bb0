"""A published version on disk: where its parts lie, what its manifest says, and how it is named by its content.

    <repository>/<model>/<version>/saved_model.pb, variables/, assets/    complete: any TensorFlow can load it
                                   assets.extra/tf_serving_warmup_requests
                                   assets.extra/graft/manifest.json         written last
                                   assets.extra/graft/{golden.npz, head.npz, report.json, ...}

A head may be *thin* instead: ``assets.extra/graft/`` alone, which answers through its base and not without it.

The trainer writes this and the service reads it; it is one of the two places where they meet. A directory without a
manifest, made by anyone, is a version too: then TensorFlow's own file is all there is to know.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from pathlib import PurePosixPath
from typing import Any, TypeVar

from service.domain.errors import InvalidInput
from service.domain.learning import LearningTask
from service.domain.replies import AnswerForm

Value = TypeVar("Value")

FORMAT = "graft/v1"
SAVED_MODEL = PurePosixPath("saved_model.pb")
TFLITE_MODEL = PurePosixPath("model.tflite")
"""A version's other form, or its only one; as TF Serving names it."""
EXTRA = PurePosixPath("assets.extra/graft")
WARMUP = PurePosixPath("assets.extra/tf_serving_warmup_requests")
MANIFEST = EXTRA / "manifest.json"
GOLDEN = EXTRA / "golden.npz"
HEAD = EXTRA / "head.npz"
REPORT = EXTRA / "report.json"
REPORT_PAGE = EXTRA / "report.html"
MODEL_CARD = EXTRA / "model_card.json"
LINEAGE = EXTRA / "lineage.json"
REFERENCE = EXTRA / "reference.npz"
"""What training features looked like, for telling strange items; the service does not read it."""
KERAS_MODEL = EXTRA / "model.keras"
CHECKSUMS = EXTRA / "SHA256SUMS"
REFUSED = PurePosixPath(".refused")
"""In place of a version: why whoever brings versions here did not let it in."""
OF_EVERY_HEAD = (HEAD, GOLDEN)
"""What a head's manifest must list: its numbers, and the answers that prove them."""
MAX_VERSION = 2**63 - 1
"""What the wire has room for."""
HIDDEN_PREFIX = "."
"""A version under construction is a sibling whose name starts with this; nobody lists it."""


class ModelKind(StrEnum):
    """What a published version is."""

    BASE = "base"
    HEAD = "head"
    FULL = "full"


class InputKind(StrEnum):
    """What one item of input is."""

    IMAGE = "image"
    """[height, width, channels] float32 on the scale 0..255; encoded PNG or JPEG where a signature takes bytes."""
    VECTOR = "vector"
    """[width] float32, named columns."""
    TEXT = "text"
    """One string in UTF-8; the shape is ()."""
    TOKENS = "tokens"
    """[length] int32, numbers of tokens; 0 fills up."""


@dataclass(frozen=True, slots=True)
class InputSpec:
    """One item of a model's input, without the batch dimension."""

    kind: InputKind
    shape: tuple[int, ...]
    name: str = "inputs"
    columns: tuple[str, ...] = ()
    """Names of a vector's entries, in order, where they are known."""

    @property
    def dtype(self) -> str:
        """The type of its numbers as TensorFlow names it; ``string`` where it is a text."""
        return {InputKind.TEXT: "string", InputKind.TOKENS: "int32"}.get(self.kind, "float32")

    @property
    def width(self) -> int:
        """How many numbers one item holds."""
        width = 1
        for size in self.shape:
            width *= size
        return width


@dataclass(frozen=True, slots=True)
class BaseRef:
    """The base version a head was grown on: by name for people, by digest for machines."""

    model: str
    version: int
    digest: str


@dataclass(frozen=True, slots=True)
class Route:
    """How the service answers one signature of a head from its base: run ``via`` on the base, take output ``cut``,
    apply the head, give the outputs of ``form``.
    """

    via: str
    form: AnswerForm


HEAD_ROUTES: Mapping[str, Route] = {
    "serving_default": Route("features", AnswerForm.PREDICT),
    "classify": Route("features_from_examples", AnswerForm.CLASSIFY),
    "regress": Route("features_from_examples", AnswerForm.REGRESS),
    "classify_bytes": Route("features_from_bytes", AnswerForm.PREDICT),
}
"""The signatures of heads, as far as their base offers what it takes, and their task has an answer of that form."""


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a published version says of itself."""

    kind: ModelKind
    task: str
    labels: tuple[str, ...]
    input: InputSpec
    digest: str
    files: Mapping[str, str]
    """sha256 of every other file, by path relative to the version's directory."""
    features: Mapping[str, int] = field(default_factory=dict)
    """A base's cuts: output name of the ``features`` signature to its width."""
    base: BaseRef | None = None
    cut: str | None = None
    routes: Mapping[str, Route] = field(default_factory=dict)
    temperature: float = 1.0
    provenance: Mapping[str, Any] = field(default_factory=dict)
    """Dataset digest, recipe, seeds, library versions, job id, time."""

    def __post_init__(self) -> None:
        if self.kind is ModelKind.HEAD and (self.base is None or self.cut is None or not self.routes):
            raise InvalidInput("a head's manifest needs its base, its cut and its routes")
        if self.kind is ModelKind.BASE and not self.features:
            raise InvalidInput("a base's manifest needs its features")

    @property
    def thin(self) -> bool:
        """Whether it is a head without a graph of its own."""
        return self.kind is ModelKind.HEAD and str(SAVED_MODEL) not in self.files

    @property
    def job_id(self) -> str | None:
        """The tuning job that published this, if one did: what makes publishing idempotent."""
        job = self.provenance.get("job_id")
        return str(job) if job else None

    def to_json(self) -> str:
        """The file's text."""
        return json.dumps({"format": FORMAT, **asdict(self)}, indent=1, sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> Manifest:
        """Read the file's text.

        Raises:
            InvalidInput: it is not a manifest of this format.
        """
        try:
            raw = json.loads(text)
            if not isinstance(raw, dict) or raw.pop("format", None) != FORMAT:
                raise InvalidInput(f"not a manifest of format {FORMAT}")
            base = raw.pop("base")
            return cls(
                kind=ModelKind(raw.pop("kind")),
                task=_text(raw.pop("task")),
                labels=_texts(raw.pop("labels")),
                input=_input_spec(raw.pop("input")),
                digest=_text(raw.pop("digest")),
                files=_each(raw.pop("files"), _text),
                features=_each(raw.pop("features", {}), _whole),
                base=None if base is None else _base_ref(base),
                cut=None if (cut := raw.pop("cut", None)) is None else _text(cut),
                routes=_each(raw.pop("routes"), _route),
                temperature=_number(raw.pop("temperature", 1.0)),
                provenance=_each(raw.pop("provenance", {}), lambda value: value),
                **raw,
            )
        except (KeyError, TypeError, ValueError, OverflowError, RecursionError) as error:
            raise InvalidInput(f"the manifest cannot be read: {error!r}") from error


@dataclass(frozen=True, slots=True)
class GoldenKey:
    """What an array in ``golden.npz`` is, by its name there: ``serving_default/inputs/image``."""

    signature: str
    side: str
    alias: str

    def __str__(self) -> str:
        return f"{self.signature}/{self.side}/{self.alias}"

    @classmethod
    def read(cls, name: str) -> GoldenKey | None:
        """The inverse; None: it is no part of a golden pair."""
        signature, _, rest = name.partition("/")
        side, _, alias = rest.partition("/")
        known = side in ("inputs", "outputs") or (side, alias) == (OF_BASE, "base")
        return cls(signature, side, alias) if known and alias else None


OF_BASE = "inputs_of"
"""In place of inputs, in a thin head: they are those of its base's golden pair, whose file has this sha256."""


# A manifest may come from anywhere: what is let in here is believed everywhere else.


def _text(value: Any) -> str:
    if type(value) is not str:
        raise TypeError(f"{value!r} is not a text")
    value.encode()  # half a surrogate pair could not be written to any door
    return value


def _texts(value: Any) -> tuple[str, ...]:
    if type(value) is not list:
        raise TypeError(f"{value!r} is not a list")
    return tuple(map(_text, value))


def _whole(value: Any) -> int:
    if type(value) is not int:
        raise TypeError(f"{value!r} is not a whole number")
    return value


def _number(value: Any) -> float:
    if type(value) not in (int, float):
        raise TypeError(f"{value!r} is not a number")
    return float(value)


def _each(value: Any, read: Callable[[Any], Value]) -> dict[str, Value]:
    if type(value) is not dict:
        raise TypeError(f"{value!r} is not an object")
    return {_text(name): read(item) for name, item in value.items()}


def _input_spec(value: Any) -> InputSpec:
    if type(value["shape"]) is not list:
        raise TypeError(f"{value['shape']!r} is not a shape")
    return InputSpec(
        kind=InputKind(value["kind"]),
        shape=tuple(map(_whole, value["shape"])),
        name=_text(value["name"]),
        columns=_texts(value["columns"]),
    )


def _base_ref(value: Any) -> BaseRef:
    return BaseRef(model=_text(value["model"]), version=_whole(value["version"]), digest=_text(value["digest"]))


def _route(value: Any) -> Route:
    return Route(via=_text(value["via"]), form=AnswerForm(value["form"]))


def content_digest(manifest: Manifest) -> str:
    """The digest that names a version: sha256 over what decides its answers.

    Of its files that is the graph, its variables and assets and the head's numbers, each as ``sha256  path``; of the
    manifest what the service reads an answer by, as one line of JSON. Reports and cards may be written again, and a
    base may move, without a new name.
    """
    behaviour = {
        path: digest
        for path, digest in manifest.files.items()
        if not path.startswith("assets.extra/") or path == str(HEAD)
    }
    meaning: dict[str, Any] = {
        "kind": manifest.kind,
        "labels": manifest.labels,
        "input": {name: getattr(manifest.input, name) for name in manifest.input.__slots__},
        "features": dict(manifest.features),
        "base": manifest.base.digest if manifest.base else None,
        "cut": manifest.cut,
        "routes": {signature: {"via": route.via, "form": route.form} for signature, route in manifest.routes.items()},
    }
    # Versions older than the other tasks keep their names.
    if manifest.task != LearningTask.MULTICLASS:
        meaning["task"] = manifest.task
    return hashlib.sha256(f"{checksums(behaviour)}{json.dumps(meaning, sort_keys=True)}\n".encode()).hexdigest()


def version_number(name: str) -> int | None:
    """The number of the version that lies in a directory of this name; None when none does."""
    if not (name.isascii() and name.isdigit()):
        return None
    number = int(name)
    return number if number <= MAX_VERSION else None


def checksums(files: Mapping[str, str]) -> str:
    """The text of ``SHA256SUMS``, as ``sha256sum --check`` reads it."""
    return "".join(f"{digest}  {path}\n" for path, digest in sorted(files.items()))
