"""A service process that only tunes, to be killed: ``python -m tests.application.tuning_program DIRECTORY``."""

import asyncio
import os
import sys
from pathlib import Path

from service.adapters.trainers import ProcessTrainer
from tests.application.tuning_fakes import Bench

ACTOR = Path(__file__).parents[1] / "adapters" / "trainer_program.py"


def bench_in(directory: Path) -> Bench:
    command = (sys.executable, str(ACTOR))
    return Bench(directory, ProcessTrainer(directory / "jobs", command, orphan_grace_s=2.0))


async def main(directory: Path) -> None:
    bench = bench_in(directory)
    tuning = bench.service(f"service-{os.getpid()}", lost_after_s=0.5, most_attempts=1000)
    print("at work", flush=True)
    await tuning.work()


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1])))
