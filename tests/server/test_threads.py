"""Work runs in the event loop while it is quick, and in a thread otherwise."""

import asyncio
import threading
from types import SimpleNamespace

import pytest

from lexidex.server import threads as module
from lexidex.server.threads import QUICK, Threads


@pytest.fixture
def threads():
    made = Threads(2)
    yield made
    made.close()


async def places(threads, work, n):
    """The threads in which `n` runs of `work` took place."""
    return [
        await threads.run_quick("work", lambda: (work(), threading.current_thread())[1])
        for _ in range(n)
    ]


def test_quick_work_moves_into_the_loop_and_slow_work_out_of_it(threads, monkeypatch):
    now = [0.0]
    clocks = SimpleNamespace(perf_counter=lambda: now[0], thread_time=lambda: now[0])
    monkeypatch.setattr(module, "time", clocks)

    def slow_work():
        now[0] += 30 * QUICK  # one run this slow outweighs all the quick ones before it

    async def scenario():
        here = threading.current_thread()
        quick = await places(threads, lambda: None, 3)
        slow = await places(threads, slow_work, 2)
        return [place is here for place in quick + slow]

    assert asyncio.run(scenario()) == [False, True, True, True, False]


def test_slow_work_does_not_hold_up_the_loop(threads):
    async def scenario():
        released = threading.Event()
        slow = asyncio.create_task(threads.run(lambda: released.wait(20)))
        await asyncio.sleep(0)
        # Reached only because the loop goes on while the thread waits.
        released.set()
        return await slow

    assert asyncio.run(scenario())


def test_errors_come_through_from_both_places(threads):
    def fail():
        raise ValueError("wrong")

    async def scenario():
        for _ in range(2):
            with pytest.raises(ValueError, match="wrong"):
                await threads.run_quick("work", fail)
            await threads.run_quick("work", lambda: None)

    asyncio.run(scenario())
