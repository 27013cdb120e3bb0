"""A service process that only tunes, to be killed: ``python -m tests.application.tuning_program DIRECTORY [DATABASE]``,
on the directory's own database or on that of a URL.
"""

import asyncio
import os
import sys
from pathlib import Path

from service.adapters.trainers import ProcessTrainer
from tests.application.tuning_fakes import Bench

ACTOR = Path(__file__).parents[1] / "adapters" / "trainer_program.py"


def bench_in(directory: Path, database: str | None = None) -> Bench:
    command = (sys.executable, str(ACTOR))
    return Bench(directory, ProcessTrainer(directory / "jobs", command, orphan_grace_s=2.0), database)


async def main(directory: Path, database: str | None = None) -> None:
    bench = bench_in(directory, database)
    tuning = bench.service(f"service-{os.getpid()}", lost_after_s=0.5, most_attempts=1000)
    print("at work", flush=True)
    await tuning.work()


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), *sys.argv[2:]))
