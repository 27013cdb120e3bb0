"""What is published can be served by any TensorFlow: signatures, size, parity, and one decoder for both sides."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from labelled_data import png

from service.domain.artifact import GOLDEN, HEAD, KERAS_MODEL, MANIFEST, REPORT, WARMUP, Manifest, ModelKind
from service.domain.heads import AnswerForm, Head
from training.base_graph import BaseGraph
from training.builtin import digits
from training.pipeline import HeadRun
from training.recipe import parse_overrides
from training.task import Task
from training.verify import FreshProcess, damage, digests
from training.workarea import WorkArea


@pytest.fixture(scope="module")
def head_version(base_repository, digits_file: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A head on the small base, published by a run in this process."""
    return published_head(base_repository.base, digits_file, tmp_path_factory.mktemp("heads"))


def published_head(base: Path, file: Path, repository: Path) -> Path:
    task = Task("fives", "digits", 1, base, file, repository, job_id="j")
    finished = HeadRun(task, parse_overrides({}), WorkArea(repository / "work", {}), lambda event: None).run()
    assert finished.gate["verdict"] == "insufficient"
    return repository / "fives" / str(finished.version)


def manifest_of(version: Path) -> Manifest:
    return Manifest.from_json((version / MANIFEST).read_text())


def loaded(version: Path):
    import tensorflow as tf

    return tf.saved_model.load(str(version)).signatures


BASE_SIGNATURES = {
    "serving_default",
    "classify",
    "classify_bytes",
    "features",
    "features_from_examples",
    "features_from_bytes",
}


def test_a_base_says_what_it_is(base_repository) -> None:
    manifest = manifest_of(base_repository.base)
    assert manifest.kind is ModelKind.BASE
    assert manifest.labels == tuple("01234")
    assert dict(manifest.features) == {"flatten": 64, "dense": 32}
    assert damage(base_repository.base) is None
    for part in (GOLDEN, WARMUP, KERAS_MODEL, REPORT):
        assert (base_repository.base / part).exists()


def test_a_head_says_what_it_is(base_repository, head_version: Path) -> None:
    manifest = manifest_of(head_version)
    assert manifest.kind is ModelKind.HEAD
    assert manifest.labels == tuple("56789")
    assert manifest.base is not None
    assert manifest.base.digest == manifest_of(base_repository.base).digest
    assert {name: (route.via, route.form) for name, route in manifest.routes.items()} == {
        "serving_default": ("features", AnswerForm.PREDICT),
        "classify": ("features_from_examples", AnswerForm.CLASSIFY),
        "classify_bytes": ("features_from_bytes", AnswerForm.PREDICT),
    }
    assert manifest.job_id == "j"
    assert damage(head_version) is None


@pytest.mark.parametrize("which", ["base", "head"])
def test_signatures_are_as_promised(base_repository, head_version: Path, which: str) -> None:
    version = base_repository.base if which == "base" else head_version
    signatures = loaded(version)
    assert set(signatures) == BASE_SIGNATURES
    for name, signature in signatures.items():
        (alias, spec), *rest = signature.structured_input_signature[1].items()
        assert not rest
        assert alias == ("image_bytes" if name.endswith("bytes") else "inputs")
        assert spec.shape[0] is None
        outputs = signature.structured_outputs
        wanted = {
            "features": {"flatten", "dense"},
            "classify": {"classes", "scores"},
        }.get(name.split("_from_")[0], {"probabilities", "classes", "scores"})
        assert set(outputs) == wanted
        assert all(output.shape[0] is None for output in outputs.values())


def test_classify_has_tf_servings_method_name(base_repository, head_version: Path) -> None:
    from tensorflow.core.protobuf import saved_model_pb2

    for version in (base_repository.base, head_version):
        saved = saved_model_pb2.SavedModel()
        saved.ParseFromString((version / "saved_model.pb").read_bytes())
        methods = {name: s.method_name for name, s in saved.meta_graphs[0].signature_def.items()}
        assert methods["classify"] == "tensorflow/serving/classify"
        assert methods["serving_default"] == "tensorflow/serving/predict"


def test_each_weight_is_stored_once(base_repository, head_version: Path) -> None:
    import tensorflow as tf

    for version, parameters in (
        (base_repository.base, 8 * 10 + 16 * 73 + 64 * 32 + 32 + 32 * 5 + 5),
        (head_version, 0),
    ):
        reader = tf.train.load_checkpoint(str(version / "variables" / "variables"))
        shapes = reader.get_variable_to_shape_map()
        stored = sum(int(np.prod(s)) for name, s in shapes.items() if name != "_CHECKPOINTABLE_OBJECT_GRAPH")
        if parameters:
            assert stored == parameters
        size = (version / "variables" / "variables.data-00000-of-00001").stat().st_size
        assert size <= 1.1 * 4 * stored + 4096


def test_a_head_does_not_carry_the_bases_output_layer(head_version: Path) -> None:
    import tensorflow as tf

    reader = tf.train.load_checkpoint(str(head_version / "variables" / "variables"))
    shapes = [tuple(shape) for shape in reader.get_variable_to_shape_map().values()]
    assert (32, 5) not in shapes


def test_the_head_answers_as_its_graph(base_repository, head_version: Path) -> None:
    import tensorflow as tf

    manifest, images = manifest_of(head_version), digits(5, 9)[0][:64].astype(np.float32)
    with np.load(head_version / HEAD) as file:
        head = Head(file["weights"], file["bias"], manifest.labels)
    features = BaseGraph(base_repository.base).features(images)[str(manifest.cut)]
    expected = head.answer(features, AnswerForm.PREDICT)
    answered = loaded(head_version)["serving_default"](inputs=tf.constant(images))
    assert np.abs(answered["probabilities"].numpy() - expected["probabilities"]).max() < 1e-5
    assert (answered["classes"].numpy() == expected["classes"]).all()
    classified = head.answer(features, AnswerForm.CLASSIFY)
    examples = [example(image) for image in images]
    answered = loaded(head_version)["classify"](inputs=tf.constant(examples))
    assert np.abs(answered["scores"].numpy() - classified["scores"]).max() < 1e-5
    assert (answered["classes"].numpy() == classified["classes"]).all()


def example(image: np.ndarray) -> bytes:
    import tensorflow as tf

    values = tf.train.Feature(float_list=tf.train.FloatList(value=image.ravel().tolist()))
    return tf.train.Example(features=tf.train.Features(feature={"inputs": values})).SerializeToString()


def test_training_decodes_images_exactly_as_serving_does(base_repository) -> None:
    import tensorflow as tf

    image = digits(5, 5)[0][0]
    large = np.random.default_rng(0).integers(0, 256, (40, 20, 3))
    encoded = [png(image[:, :, 0]), png(large)]
    base = BaseGraph(base_repository.base)
    pixels = base.pixels(encoded)
    assert pixels.shape == (2, 8, 8, 1)
    assert (pixels[0] == image).all()
    signatures = loaded(base_repository.base)
    by_bytes = signatures["features_from_bytes"](image_bytes=tf.constant(encoded))
    by_pixels = signatures["features"](inputs=tf.constant(pixels))
    for cut in by_bytes:
        assert (by_bytes[cut].numpy() == by_pixels[cut].numpy()).all()
    with pytest.raises(ValueError, match="image"):
        base.pixels([b"no image"])


def test_the_keras_model_of_a_head_answers_the_same(head_version: Path) -> None:
    import keras
    import tensorflow as tf

    images = digits(5, 9)[0][:16].astype(np.float32)
    model = keras.saving.load_model(head_version / KERAS_MODEL, safe_mode=True)
    answered = loaded(head_version)["serving_default"](inputs=tf.constant(images))["probabilities"].numpy()
    assert np.abs(model.predict(images, verbose=0) - answered).max() < 1e-5


def test_a_fresh_process_without_keras_verifies_and_sees_damage(head_version: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-X", "importtime", "-m", "training", "verify", str(head_version)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    found = json.loads(done.stdout)
    assert found["largest_difference"] <= 1e-5
    assert found["problem"] is None
    assert set(found["signatures"]) == BASE_SIGNATURES
    assert "| keras" not in done.stderr
    copy = tmp_path / "copy"
    subprocess.run(["cp", "-r", str(head_version), str(copy)], check=True)
    (copy / "saved_model.pb").write_bytes(b"broken")
    done = subprocess.run([*command[:-1], str(copy)], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "saved_model.pb" in json.loads(done.stdout)["problem"]


def test_the_base_is_untouched_and_the_same_recipe_gives_the_same_head(
    base_repository, head_version: Path, digits_file: Path, tmp_path: Path
) -> None:
    before = digests(base_repository.base)
    again = published_head(base_repository.base, digits_file, tmp_path)
    assert digests(base_repository.base) == before
    assert manifest_of(again).files[str(HEAD)] == manifest_of(head_version).files[str(HEAD)]


def test_one_process_verifies_several(base_repository, head_version: Path) -> None:
    with FreshProcess() as checker:
        for version in (base_repository.base, head_version):
            assert checker.verify(version).largest_difference <= 1e-5


def test_documents(head_version: Path) -> None:
    report = json.loads((head_version / REPORT).read_text())
    assert report["headline"].startswith("fives answers 0.")
    assert set(report["arms"]) == {"candidate", "majority", "linear_raw"}
    page = (head_version / REPORT.with_suffix(".html")).read_text()
    assert page.startswith("<!doctype html>")
    assert "http:" not in page
    assert "https:" not in page
    assert page.index("insufficient") < page.index(report["headline"])
