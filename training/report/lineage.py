"""Where a model comes from: everything needed to make it again, or to find out what changed."""

from __future__ import annotations

import hashlib
import platform
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from service.domain.artifact import Manifest

FORMAT = "graft-lineage/v2"
LIBRARIES = ("tensorflow", "keras", "numpy", "scipy", "scikit-learn", "pillow")
LEAF, NODE = b"\x00", b"\x01"
"""Put before what is hashed, so that an inner node can never pass for an item."""


def merkle_root(digests: Iterable[str]) -> str:
    """One digest over item digests, in sorted order: equal for equal sets of items, however they came.

    A node is the hash of the two below it and an odd one moves up as it is, so that an item can be shown to belong to
    the data with a few hashes and without the rest.
    """
    level = [hashlib.sha256(LEAF + digest.encode()).digest() for digest in sorted(digests)]
    if not level:
        return hashlib.sha256(b"").hexdigest()
    while len(level) > 1:
        paired = [hashlib.sha256(NODE + a + b).digest() for a, b in zip(level[::2], level[1::2], strict=False)]
        level = paired + level[len(paired) * 2 :]
    return level[0].hex()


def split_digests(digests: Sequence[str], sides: Mapping[str, Sequence[int]]) -> dict[str, dict[str, Any]]:
    """Of each side of a split how many items it has, and their root."""
    return {
        side: {"items": len(items), "root": merkle_root(digests[item] for item in items)}
        for side, items in sides.items()
    }


def lineage(
    report: Mapping[str, Any],
    manifest: Manifest,
    *,
    digests: Sequence[str] = (),
    split: Mapping[str, Sequence[int]] | None = None,
) -> dict[str, Any]:
    """The lineage of a version.

    Args:
        digests: of every item of the data, in its order.
        split: which items, by their places, are on which side.
    """
    dataset, finetune = report["dataset"], report.get("finetune") or {}
    sides = {side: split[side] for side in split if len(split[side])} if split else {}
    return {
        "format": FORMAT,
        "base": report.get("base"),
        "cut": manifest.cut or report.get("cut"),
        "dataset": {
            "digest": dataset["digest"],
            "items": dataset["items"],
            "root": merkle_root(digests) if digests else None,
        }
        if dataset
        else None,
        "split": split_digests(digests, sides) if digests and sides else None,
        "unfrozen": list(finetune.get("unfrozen") or ()) if finetune.get("kept") else [],
        "seeds": {"recipe": report["recipe"].get("seed")},
        "deterministic": deterministic(),
        "provenance": dict(manifest.provenance),
        "libraries": libraries(),
        "machine": {
            "python": platform.python_version(),
            "system": f"{platform.system()} {platform.machine()}",
            "processor": processor(),
        },
        "code": code_digest(),
    }


def deterministic() -> str:
    """How the same recipe comes to the same weights: the mode matters, since two modes differ from each other."""
    import tensorflow as tf

    if not tf.config.list_physical_devices("GPU"):
        return "seeded, CPU"
    return "seeded, GPU: sums may be taken in another order"


def libraries() -> dict[str, str]:
    """Versions of the libraries that numbers depend on."""
    found = {}
    for name in LIBRARIES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def processor() -> str:
    """The processor's name, as its maker gives it where the system tells."""
    facts = Path("/proc/cpuinfo")
    if facts.exists():
        for line in facts.read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


@cache
def code_digest() -> str:
    """One digest over the trainer's and the domain's own source files."""
    import service.domain
    import training

    whole = hashlib.sha256()
    for package in (training, service.domain):
        home = Path(str(package.__file__)).parent
        for file in sorted(home.rglob("*.py")):
            whole.update(f"{file.relative_to(home).as_posix()}\0".encode() + file.read_bytes() + b"\0")
    return whole.hexdigest()
