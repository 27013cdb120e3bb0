"""Where and how the gRPC server listens: port, Unix socket, TLS, and gRPC's own arguments."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import certificates
import grpc.aio
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from serving_fakes import Bench

from service.adapters.rpc.model_status import ModelStatusService
from service.adapters.rpc.prediction import PredictionService
from service.adapters.rpc.server import RpcServer, Tls
from service.application.reloading import Reloads

KEY, CERTIFICATE, AUTHORITY = (
    text.encode() for text in (certificates.SERVER_KEY, certificates.SERVER_CERTIFICATE, certificates.AUTHORITY)
)
LOCAL = "127.0.0.1:0"


@pytest.fixture
async def listen() -> AsyncIterator[Callable[..., Awaitable[RpcServer]]]:
    bench, servers = Bench(), []

    async def start(address: str | None = LOCAL, **options: Any) -> RpcServer:
        services = (
            PredictionService(bench.predictor),
            ModelStatusService(bench.models, Reloads(bench.models, bench.clock)),
        )
        servers.append(RpcServer(*services, address, **options))
        await servers[-1].start()
        return servers[-1]

    yield start
    for server in servers:
        await server.stop(0)
    await bench.close()


async def answers(channel: grpc.aio.Channel) -> bool:
    async with channel:
        stub = health_pb2_grpc.HealthStub(channel)
        answer = await stub.Check(health_pb2.HealthCheckRequest(), timeout=20)
        return answer.status == health_pb2.HealthCheckResponse.NOT_SERVING


async def test_a_socket_stands_beside_the_port_or_alone(
    listen: Callable[..., Awaitable[RpcServer]], tmp_path: Path
) -> None:
    both = await listen(socket=str(tmp_path / "both"))
    assert await answers(grpc.aio.insecure_channel(f"127.0.0.1:{both.port}"))
    assert await answers(grpc.aio.insecure_channel(f"unix:{tmp_path / 'both'}"))
    alone = await listen(None, socket=str(tmp_path / "alone"))
    assert alone.port == 0
    assert await answers(grpc.aio.insecure_channel(f"unix:{tmp_path / 'alone'}"))


async def test_a_socket_that_cannot_be_is_named(listen: Callable[..., Awaitable[RpcServer]], tmp_path: Path) -> None:
    with pytest.raises(OSError, match="nowhere"):
        await listen(socket=str(tmp_path / "nowhere" / "socket"))


async def test_with_a_key_it_speaks_tls_and_nothing_else(listen: Callable[..., Awaitable[RpcServer]]) -> None:
    server = await listen(tls=Tls(KEY, CERTIFICATE))
    address = f"localhost:{server.port}"
    assert await answers(grpc.aio.secure_channel(address, grpc.ssl_channel_credentials(AUTHORITY)))
    with pytest.raises(grpc.aio.AioRpcError):
        await answers(grpc.aio.insecure_channel(address))
    with pytest.raises(grpc.aio.AioRpcError):
        await answers(grpc.aio.secure_channel(address, grpc.ssl_channel_credentials()))


async def test_with_authorities_clients_must_show_a_certificate_of_theirs(
    listen: Callable[..., Awaitable[RpcServer]],
) -> None:
    server = await listen(tls=Tls(KEY, CERTIFICATE, AUTHORITY))
    address = f"localhost:{server.port}"
    known = grpc.ssl_channel_credentials(
        AUTHORITY, certificates.CLIENT_KEY.encode(), certificates.CLIENT_CERTIFICATE.encode()
    )
    assert await answers(grpc.aio.secure_channel(address, known))
    with pytest.raises(grpc.aio.AioRpcError):
        await answers(grpc.aio.secure_channel(address, grpc.ssl_channel_credentials(AUTHORITY)))


async def test_what_is_no_key_is_refused_at_the_start(listen: Callable[..., Awaitable[RpcServer]]) -> None:
    with pytest.raises(OSError, match="cannot listen"):
        await listen(tls=Tls(b"no key", b"no certificate"))


async def test_grpcs_own_arguments_win(listen: Callable[..., Awaitable[RpcServer]]) -> None:
    server = await listen(arguments=(("grpc.max_receive_message_length", 10), ("grpc.primary_user_agent", "x")))
    async with grpc.aio.insecure_channel(f"127.0.0.1:{server.port}") as channel:
        stub = health_pb2_grpc.HealthStub(channel)
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await stub.Check(health_pb2.HealthCheckRequest(service="x" * 100), timeout=20)
    assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
