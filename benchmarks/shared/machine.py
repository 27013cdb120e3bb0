"""One line about the machine a figure comes from."""

from __future__ import annotations

import os
import platform
import re
from pathlib import Path

_TOLD = {"avx2": "avx2", "avx512f": "avx512", "avx512_bf16": "bf16", "avx512_vnni": "vnni", "amx_tile": "amx"}
"""Flags of a processor that change what engines do on it, and the words people use for them."""


def cores() -> int:
    """Cores this process may use."""
    return len(os.sched_getaffinity(0))


def machine() -> str:
    """Cores, processor, what it can do, and how busy it was just now."""
    text = Path("/proc/cpuinfo").read_text() if Path("/proc/cpuinfo").exists() else ""
    name = re.search(r"^model name\s*:\s*(.+)$", text, re.MULTILINE)
    flags = re.search(r"^flags\s*:\s*(.+)$", text, re.MULTILINE)
    has = set(flags[1].split()) if flags else set()
    told = " ".join(word for flag, word in _TOLD.items() if flag in has)
    processor = " ".join(filter(None, [name[1] if name else platform.processor() or platform.machine(), told]))
    return f"{cores()} cores, {processor}, Python {platform.python_version()}, load average {os.getloadavg()[0]:.1f}"
