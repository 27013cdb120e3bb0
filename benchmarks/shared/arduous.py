"""``arduous``: ``strenuous`` with four times the layers, about 50 ms of a core a row; beside it the cost of refusing a
request, which depends on no model, weighs a quarter.

``x`` float32 [rows, 4] -> ``scores`` float32 [rows, 3], which sum to one.
"""

from __future__ import annotations

import sys
from pathlib import Path

from shared import strenuous
from shared.places import made_once

NAME = "arduous"
_LAYERS = 160


def arduous() -> Path:
    """Its directory, ``.../arduous`` with version 1 in it; made when it is missing."""
    return made_once(NAME, "shared.arduous")


if __name__ == "__main__":
    strenuous.export(Path(sys.argv[1]), _LAYERS)
