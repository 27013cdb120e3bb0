"""Builds all that the contract suite serves, and what TensorFlow itself answers to what the suite will ask.

Run as a program: ``python tests/support/contract_models.py DIRECTORY [--served-from PATH]``. In DIRECTORY then are
``models/<model>/<version>/``; ``models.config`` and ``monitoring.config`` for a server (``--served-from`` is how that
server calls DIRECTORY, when it sees it elsewhere); ``answers/``; and ``signatures/``, as the SavedModels have them.
"""

from __future__ import annotations

import argparse
import io
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

ROWS = 40
"""Rows of the large requests: more than a batch of the server has."""

CONFIG = """\
# What the suite's server serves; every lifecycle case starts from here and comes back to it.
model_config_list {{
  config {{
    name: "half" base_path: "{models}/half" model_platform: "tensorflow"
    model_version_policy {{ specific {{ versions: 1 versions: 2 }} }}
    version_labels {{ key: "stable" value: 1 }}
    version_labels {{ key: "canary" value: 2 }}
  }}
  config {{
    name: "every" base_path: "{models}/half" model_platform: "tensorflow"
    model_version_policy {{ all {{}} }}
  }}
  config {{
    name: "two" base_path: "{models}/half" model_platform: "tensorflow"
    model_version_policy {{ latest {{ num_versions: 2 }} }}
  }}
  config {{ name: "newest" base_path: "{models}/half" model_platform: "tensorflow" }}
  config {{ name: "a:b c/d" base_path: "{models}/half" model_platform: "tensorflow" }}
{rest}
}}
"""
PLAIN = (
    "many",
    "strings",
    "identity",
    "examples",
    "shapes",
    "words",
    "defaults",
    "slow",
    "lite",
    "digits",
    "digits-5-9",
    "alone",
)
"""Models of one version that are configured by their name alone."""


@dataclass(frozen=True)
class Question:
    """What is asked of one signature, and the name under which its answer is kept."""

    name: str
    model: str
    inputs: dict[str, Any]
    signature: str = "serving_default"
    version: int = 1


def array(values: Any, dtype: Any = np.float32) -> np.ndarray[Any, Any]:
    """Values as the tensor they stand for."""
    if dtype is not object:
        return np.array(values, dtype)
    found = np.empty(np.shape(values), object)
    found[...] = values
    return found


def example(**features: Any) -> bytes:
    """A serialized ``tf.Example``."""
    import tensorflow as tf

    made = tf.train.Example()
    for name, values in features.items():
        feature = made.features.feature[name]
        if isinstance(values[0], float):
            feature.float_list.value.extend(values)
        elif isinstance(values[0], int):
            feature.int64_list.value.extend(values)
        else:
            feature.bytes_list.value.extend(values)
    return made.SerializeToString()


def _floats(seed: int, *shape: int) -> np.ndarray[Any, Any]:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


AWKWARD = [0.1, -0.0, 1 / 3, 3.0, 9e6, 3e-5, 555557.5, 16777216.0, 3.4028235e38, 1e-45, float("nan"), float("inf")]
"""Floats whose shortest text takes some thought."""

BY_TYPE: dict[str, tuple[Any, list[Any]]] = {
    "float": (np.float32, [*AWKWARD, float("-inf")]),
    "double": (np.float64, [0.1, 1 / 3, 1e300, 5e-324, 2.0**53 + 2, float("nan"), float("-inf")]),
    "half": (np.float16, [0.5, -2.0, 65504.0, 0.1, 6e-8, float("inf")]),
    "int8": (np.int8, [-128, -1, 0, 127]),
    "int16": (np.int16, [-32768, 0, 32767]),
    "int32": (np.int32, [-(2**31), 0, 2**31 - 1]),
    "int64": (np.int64, [-(2**63), -1, 2**53 + 1, 2**63 - 1]),
    "uint8": (np.uint8, [0, 200, 255]),
    "uint16": (np.uint16, [0, 40000, 65535]),
    "uint32": (np.uint32, [0, 2**32 - 1]),
    "uint64": (np.uint64, [0, 2**63, 2**64 - 1]),
    "bool": (np.bool_, [True, False, True]),
    "string": (object, [b"plain", b"", "grüße".encode(), b'with "quotes" and \\ and \n']),
    "complex64": (np.complex64, [1 + 2j, -0.5j, 0]),
}
"""Values of each type, its limits among them."""


def _pictures(number: int) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """Digits 5-9 as the numbers and as the PNG files that a digits model takes."""
    from PIL import Image
    from sklearn.datasets import load_digits

    data = load_digits()
    pixels = np.round(data.images[data.target >= 5][:number] * 255 / 16).astype(np.uint8)
    files = np.empty(number, object)
    for at, one in enumerate(pixels):
        stream = io.BytesIO()
        Image.fromarray(one).save(stream, "PNG")
        files[at] = stream.getvalue()
    return pixels[..., np.newaxis].astype(np.float32), files


def questions() -> list[Question]:
    """Everything whose answer a case compares."""
    asked = [Question(f"half-{v}", "half", {"x": array([1, 2, 5])}, version=v) for v in (1, 2, 3)]
    asked.append(Question("half-rows", "half", {"x": _floats(0, ROWS)}, version=2))
    asked.append(Question("many", "many", {"a": array([[1, 2], [3, 4.5]]), "b": array([3, -2], np.int32)}))
    asked.append(
        Question("many-rows", "many", {"a": _floats(1, ROWS, 2), "b": np.arange(ROWS, dtype=np.int32)}),
    )
    texts = array([b"abc", "grüße".encode(), b""], object)
    raw = array([b"\xff\xfe\x00\x80", b"plain", bytes(range(256))], object)
    asked += [
        Question("strings", "strings", {"text": texts}),
        Question("echo", "strings", {"text": texts}, "echo"),
        Question("picture", "strings", {"image_bytes": raw}, "picture"),
        Question("text-table", "strings", {"table": array([[b"a", b"b"], [b"c", b"d"]], object)}, "table"),
    ]
    asked += [Question(f"identity-{n}", "identity", {"x": array(v, t)}, n) for n, (t, v) in BY_TYPE.items()]
    serialized = array([example(x=[0.25]), example(x=[1.0])], object)
    for signature in ("serving_default", "scores_only", "classes_only", "regress", "regress_flat", "predict"):
        asked.append(Question(f"examples-{signature}", "examples", {"inputs": serialized}, signature))
    others = {
        "words": [example(word=[b"left"]), example(word=[b"right"])],
        "regress_int": [example(n=[80]), example(n=[-3])],
        "regress_pair": [example(pair=[1.5, 2.5])],
        "regress_shifted": [example(x=[1.0], shift=[0.5]), example(x=[2.0])],
    }
    for signature, ones in others.items():
        asked.append(Question(f"examples-{signature}", "examples", {"inputs": array(ones, object)}, signature))
    vector = array([1.5, -2.0, 4.0])
    asked += [
        Question("no-input", "shapes", {}, "no_input"),
        Question("any-rank", "shapes", {"x": _floats(2, 2, 1, 3)}, "any_rank"),
        Question("any-rank-scalar", "shapes", {"x": array(3.5)}, "any_rank"),
        Question("table", "shapes", {"x": _floats(3, 2, 4)}, "table"),
        Question("fixed", "shapes", {"x": _floats(4, 2, 3)}, "fixed"),
        Question("scalar-in", "shapes", {"x": array(3.5)}, "scalar_in"),
        Question("scalar-out", "shapes", {"x": vector}, "scalar_out"),
        Question("scalar-among", "shapes", {"x": vector}, "scalar_among"),
        Question("uneven", "shapes", {"x": vector}, "uneven"),
        Question("doubled", "shapes", {"x": vector}, "doubled"),
        Question("other", "shapes", {"x": vector}, "other"),
        Question("product", "shapes", {"a": _floats(5, 3, 2), "b": _floats(6, 2, 3)}, "product"),
        Question("broadcast", "shapes", {"x": vector, "y": array([10.0])}, "sum"),
        Question("words", "words", {"text": array([b"two", b"nothing", b"zero"], object)}),
        Question("words-back", "words", {"number": array([1, 9], np.int64)}, "back"),
        Question("defaults", "defaults", {"a": array([1, 2]), "b": array(7.0)}),
        Question("lite-rows", "lite", {"x": _floats(7, ROWS, 3)}),
    ]
    numbers, files = _pictures(ROWS)
    flat = numbers.reshape(ROWS, -1).tolist()
    for model in ("digits", "digits-5-9", "alone"):
        asked += [
            Question(f"{model}-rows", model, {"inputs": numbers}),
            Question(f"{model}-bytes", model, {"image_bytes": files[:5]}, "classify_bytes"),
            Question(
                f"{model}-classify",
                model,
                {"inputs": array([example(inputs=row) for row in flat[:5]], object)},
                "classify",
            ),
        ]
    return asked


def build(directory: Path, served_from: str) -> None:
    """Everything, in an empty ``directory``."""
    models = directory / "models"
    models.mkdir(parents=True)
    train = [Path(sys.executable).with_name("graft"), "train", "digits", "--repository", str(models)]
    # Meanwhile, on the other core. Leaving the block waits for it.
    with subprocess.Popen(train, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as trainer:
        _draw(directory)
        said, _ = trainer.communicate()
    if trainer.returncode:
        raise SystemExit(said[-3000:])
    # The head's own complete SavedModel, with nothing of ours beside it: the answers of the two are the same.
    alone = shutil.ignore_patterns("assets.extra")
    shutil.copytree(models / "digits-5-9/1", models / "alone/1", ignore=alone)
    _answer(directory, {"lite": directory / "lite"})
    _configure(directory, served_from)


def _draw(directory: Path) -> None:
    import contract_graphs as graphs

    models = directory / "models"
    for version, addend in ((1, 2.0), (2, 3.0), (3, 4.0)):
        graphs.half_plus(models / "half" / str(version), addend)
    (models / "half" / "not-a-version").mkdir()
    for draw in (
        graphs.many,
        graphs.strings,
        graphs.identity,
        graphs.examples,
        graphs.shapes,
        graphs.words,
        graphs.defaults,
        graphs.slow,
    ):
        draw(models / draw.__name__ / "1")
    graphs.lite(directory / "lite", models / "lite/1")


def _answer(directory: Path, elsewhere: dict[str, Path]) -> None:
    import tensorflow as tf
    from tensorflow.core.protobuf import saved_model_pb2
    from tensorflow_serving.apis import get_model_metadata_pb2

    (directory / "answers").mkdir()
    (directory / "signatures").mkdir()
    loaded: dict[Path, Any] = {}
    for asked in questions():
        version = elsewhere.get(asked.model) or directory / "models" / asked.model / str(asked.version)
        if version not in loaded:
            loaded[version] = tf.saved_model.load(str(version))
            saved = saved_model_pb2.SavedModel.FromString((version / "saved_model.pb").read_bytes())
            # What initialises a graph is no way to call it; a documented difference leaves it out.
            callable_ones = {n: d for n, d in saved.meta_graphs[0].signature_def.items() if not n.startswith("__")}
            said = get_model_metadata_pb2.SignatureDefMap(signature_def=callable_ones)
            (directory / "signatures" / f"{asked.model}.pb").write_bytes(said.SerializeToString())
        run = loaded[version].signatures[asked.signature]
        outputs = run(**{alias: tf.constant(value) for alias, value in asked.inputs.items()})
        kept = {f"in:{alias}": value for alias, value in asked.inputs.items()}
        kept |= {f"out:{alias}": value.numpy() for alias, value in outputs.items()}
        np.savez(directory / "answers" / asked.name, **kept)


def _configure(directory: Path, served_from: str) -> None:
    models = f"{served_from}/models"
    plain = "\n".join(
        f'  config {{ name: "{name}" base_path: "{models}/{name}" model_platform: "tensorflow" }}' for name in PLAIN
    )
    (directory / "models.config").write_text(CONFIG.format(models=models, rest=plain))
    page = 'prometheus_config { enable: true path: "/monitoring/prometheus/metrics" }\n'
    (directory / "monitoring.config").write_text(page)


def main() -> None:
    """The program."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("directory", type=Path, help="where to build; must not exist or be empty")
    parser.add_argument("--served-from", help="the same directory as the server will see it")
    options = parser.parse_args()
    directory = options.directory.resolve()
    build(directory, options.served_from or str(directory))


if __name__ == "__main__":
    main()
