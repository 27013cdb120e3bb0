"""One thread at a time imports from TensorFlow.

Its modules import each other in circles. Two threads that begin at different ends each hold what the other one waits
for; Python notices, and fails one of the imports.
"""

from __future__ import annotations

import threading

IMPORTING = threading.Lock()
"""To be held by whoever imports any part of TensorFlow that is not its message classes."""
