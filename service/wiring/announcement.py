"""What ``graft serve`` says on standard output once it can be reached: where."""

from __future__ import annotations

from service.settings import ServeSettings


def addresses(settings: ServeSettings, rest_port: int, grpc_port: int) -> tuple[str, str]:
    """Where REST and gRPC listen, as people write it."""
    host = literal(settings.host)
    return f"http://{host}:{rest_port}", f"{host}:{grpc_port}" if grpc_port else f"unix:{settings.grpc_socket}"


def literal(host: str) -> str:
    """A host as it stands before a port."""
    return f"[{host}]" if ":" in host else host


def announce(settings: ServeSettings, rest: str, rpc: str) -> None:
    """Say it. Whoever started the server reads this line."""
    print(f"graft serves {settings.source}: REST {rest}  gRPC {rpc}", flush=True)
