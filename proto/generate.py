"""Write ``service/pb`` anew from the files beside this one: ``python proto/generate.py``."""

from __future__ import annotations

import sys
from importlib.resources import files
from pathlib import Path

from grpc_tools import protoc

HERE = Path(__file__).parent
PACKAGE = Path("service/pb")


def generate(into: Path) -> None:
    """Generated code for every proto file, at its mirrored path under ``into/service/pb``.

    Raises:
        RuntimeError: the compiler refused one; it has said why on standard error.
    """
    # As if they lay in the package: then the generated modules import one another by their real names.
    sources = [str(PACKAGE / path.relative_to(HERE)) for path in sorted(HERE.rglob("*.proto"))]
    includes = [f"-I{PACKAGE}={HERE}", f"-I{files('grpc_tools') / '_proto'}"]
    outputs = [f"--{kind}_out={into}" for kind in ("python", "pyi", "grpc_python")]
    if protoc.main(["protoc", *includes, *outputs, *sources]):
        raise RuntimeError("protoc failed")


if __name__ == "__main__":
    generate(Path(sys.argv[1]) if len(sys.argv) > 1 else HERE.parent)
