"""Message classes with and without TensorFlow beside them, each case in a process of its own."""

from __future__ import annotations

import subprocess
import sys

import pytest

PROTOS = "from service.tensorflow_protos import predict_pb2, tensor_pb2, types_pb2"
WITHOUT = "import sys; assert 'tensorflow' not in sys.modules, 'TensorFlow was imported'"
SAME = """
import tensorflow as tf
from tensorflow_serving.apis import predict_pb2 as theirs
assert theirs.PredictRequest is predict_pb2.PredictRequest
proto = tf.make_tensor_proto([1.0, 2.0])
assert type(proto) is tensor_pb2.TensorProto
request = predict_pb2.PredictRequest(inputs={"x": proto})
assert tf.make_ndarray(request.inputs["x"]).tolist() == [1.0, 2.0]
assert tf.constant(1).dtype.as_datatype_enum == types_pb2.DT_INT32
"""


def run(*lines: str) -> str:
    done = subprocess.run([sys.executable, "-c", "\n".join(lines)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_message_classes_come_without_tensorflow() -> None:
    run(PROTOS, WITHOUT, "assert predict_pb2.PredictRequest(inputs={'x': tensor_pb2.TensorProto(dtype=1)})")


@pytest.mark.parametrize(
    "order", [(PROTOS, WITHOUT, SAME), ("import tensorflow", PROTOS, SAME)], ids=["before", "after"]
)
def test_tensorflow_and_the_service_share_the_classes_whoever_comes_first(order: tuple[str, ...]) -> None:
    run(*order)


def test_tensorflow_is_as_whole_afterwards_as_it_would_have_been() -> None:
    names = "import tensorflow as tf; print(sorted(dir(tf)))"
    assert run(PROTOS, names) == run(names)


def test_a_thread_that_imports_tensorflow_meanwhile_gets_the_real_one() -> None:
    # The other thread imports between the stand-in's coming and its going: an import of the service's waits for it.
    run(
        """
import importlib.abc, sys, threading
told = []
def other():
    import tensorflow
    told.append(tensorflow)
class Meanwhile(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path, target=None):
        if name == "tensorflow.core.framework.types_pb2" and not threads:
            threads.append(threading.Thread(target=other))
            threads[0].start()
            while not told:
                pass
threads = []
sys.meta_path.insert(0, Meanwhile())
""",
        PROTOS,
        """
threads[0].join()
assert told[0].constant(3).numpy() == 3
import tensorflow
assert tensorflow.constant is told[0].constant
""",
    )
