"""What a thread of the lifecycle yields to."""

from __future__ import annotations

import os
import threading

import pytest

from service.application.workers import Workers


@pytest.mark.skipif(not hasattr(os, "getpriority"), reason="threads have no priorities here")
async def test_only_who_loads_a_graph_yields_to_requests() -> None:
    """Who holds the interpreter's lock and gets no processor keeps every request waiting."""
    workers = Workers(1)

    def niceness() -> int:
        return os.getpriority(os.PRIO_PROCESS, threading.get_native_id())

    own = niceness()
    assert await workers.load(niceness) == 10
    assert [await work(niceness) for work in (workers.look, workers.graft, workers.free)] == [own] * 3
    workers.close()


async def test_no_version_is_loaded_once_no_more_loads_begin() -> None:
    workers = Workers(1)
    workers.begin_no_more_loads()
    for load in (workers.load, workers.graft):
        with pytest.raises(RuntimeError):
            await load(int)
    assert await workers.free(int) == 0
    workers.close()
