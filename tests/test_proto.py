"""The generated code is what the proto files say, and needs nothing but protobuf and gRPC."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]


def test_the_generated_code_is_current(tmp_path: Path) -> None:
    """After a change of a proto file: ``python proto/generate.py``."""
    # In a process of its own: the compiler ends badly beside whatever other native code a test run has loaded.
    subprocess.run([sys.executable, "proto/generate.py", str(tmp_path)], cwd=ROOT, check=True)
    fresh = {path.relative_to(tmp_path): path.read_bytes() for path in tmp_path.rglob("*_pb2*")}
    committed = {path.relative_to(ROOT): path.read_bytes() for path in (ROOT / "service/pb").rglob("*_pb2*.py*")}
    committed = {path: content for path, content in committed.items() if path.suffix in (".py", ".pyi")}
    assert len(fresh) == 3 * len(list((ROOT / "proto").rglob("*.proto")))
    assert fresh == committed


def test_the_generated_code_is_imported_without_tensorflow() -> None:
    program = "import sys; from service.pb.graft.v1 import tuning_pb2_grpc; sys.exit('tensorflow' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], cwd=ROOT, check=False).returncode == 0
