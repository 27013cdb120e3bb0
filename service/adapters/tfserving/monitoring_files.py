"""TF Serving's monitoring configuration: whether its metrics are shown, and where."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from service.adapters.tfserving.text_files import UnreadableFile, read_message

DEFAULT_PATH = "/monitoring/prometheus/metrics"


def monitoring_path(file: Path) -> str | None:
    """The path at which its metrics are to be shown; None when the file does not turn them on.

    Raises:
        UnreadableFile
    """
    message: Any = read_message(file, "MonitoringConfig")
    if not message.prometheus_config.enable:
        return None
    path = str(message.prometheus_config.path or DEFAULT_PATH)
    if not path.startswith("/"):
        raise UnreadableFile(f"{file}: the path {path!r} does not begin with a slash")
    return path
