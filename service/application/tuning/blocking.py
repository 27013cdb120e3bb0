"""Work that blocks, done on threads, and never left alone: whoever is cancelled waits for its end first."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractContextManager, asynccontextmanager
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")


async def on_thread(function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Run something that blocks, and wait for its end even when cancelled: it may be using what its caller closes."""
    running = asyncio.ensure_future(asyncio.to_thread(function, *args, **kwargs))
    try:
        return await asyncio.shield(running)
    except asyncio.CancelledError:
        await asyncio.gather(running, return_exceptions=True)
        raise


@asynccontextmanager
async def held(manager: AbstractContextManager[T]) -> AsyncIterator[T]:
    """A context manager that blocks, entered and left on a thread."""
    entering = asyncio.ensure_future(asyncio.to_thread(manager.__enter__))
    try:
        entered = await asyncio.shield(entering)
    except asyncio.CancelledError:
        await asyncio.gather(entering, return_exceptions=True)
        if not entering.cancelled() and entering.exception() is None:
            await on_thread(manager.__exit__, None, None, None)
        raise
    error: BaseException | None = None
    try:
        yield entered
    except BaseException as raised:
        error = raised
        raise
    finally:
        await on_thread(manager.__exit__, type(error) if error else None, error, None)
