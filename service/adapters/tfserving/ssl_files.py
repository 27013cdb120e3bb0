"""TF Serving's SSL configuration: the key and certificates themselves, inline, and whether clients must show theirs."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from service.adapters.tfserving.text_files import UnreadableFile, read_message


@dataclass(frozen=True, slots=True)
class ServerIdentity:
    """What a server shows to its clients, and asks of them. All in PEM."""

    key: bytes = field(repr=False)
    certificates: bytes
    client_authorities: bytes | None
    """Whose clients may come, when they must show a certificate."""


def read_identity(file: Path) -> ServerIdentity:
    """The identity in a file.

    Raises:
        UnreadableFile
    """
    message: Any = read_message(file, "SSLConfig")
    if not message.server_key or not message.server_cert:
        raise UnreadableFile(f"{file}: server_key and server_cert must both be there")
    if message.client_verify and not message.custom_ca:
        raise UnreadableFile(f"{file}: client_verify needs custom_ca, the authorities whose clients may come")
    authorities = message.custom_ca.encode() if message.client_verify else None
    return ServerIdentity(message.server_key.encode(), message.server_cert.encode(), authorities)
