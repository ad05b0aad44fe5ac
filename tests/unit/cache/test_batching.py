"""One look-up for all who ask at the same time."""

import asyncio
from collections.abc import Callable, Coroutine, Mapping

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider

from shared.cache.batching import Batcher


class Shelf:
    """What is looked up, and every look-up that came; they answer when the test says so."""

    def __init__(self) -> None:
        self.asked: list[list[str]] = []
        self.traces: list[int] = []
        self.running = self.most = 0
        self.error: Exception | None = None
        self.open = asyncio.Event()
        self.open.set()

    async def load(self, keys: list[str]) -> Mapping[str, str]:
        self.asked.append(keys)
        self.traces.append(trace.get_current_span().get_span_context().trace_id)
        self.running += 1
        self.most = max(self.most, self.running)
        await self.open.wait()
        self.running -= 1
        if self.error:
            raise self.error
        return {key: key.upper() for key in keys if not key.startswith("no-")}


Test = Callable[[Shelf], Coroutine[None, None, None]]


def run(test: Test) -> None:
    async def body() -> None:
        await test(Shelf())

    asyncio.run(body())


def test_a_turn_of_the_loop_is_one_look_up() -> None:
    async def test(shelf: Shelf) -> None:
        batcher = Batcher(shelf.load, max_concurrency=1, batch=100)
        found = await asyncio.gather(*(batcher.get(key) for key in ("a", "b", "no-c", "a")))
        assert found == ["A", "B", None, "A"]
        assert shelf.asked == [["a", "b", "no-c"]]

    run(test)


def test_a_thousand_who_ask_for_one_key_cause_one_look_up() -> None:
    async def test(shelf: Shelf) -> None:
        batcher = Batcher(shelf.load, max_concurrency=4, batch=100)
        shelf.open.clear()
        waiting = [batcher.get("a") for _ in range(500)]
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        waiting += [batcher.get("a") for _ in range(500)]
        await asyncio.sleep(0)
        shelf.open.set()
        assert set(await asyncio.gather(*waiting)) == {"A"}
        assert shelf.asked == [["a"]]
        # Who asks afterwards is given what is there then.
        assert await batcher.get("a") == "A"
        assert shelf.asked == [["a"], ["a"]]

    run(test)


def test_those_who_come_while_all_slots_are_taken_share_the_next_look_up() -> None:
    async def test(shelf: Shelf) -> None:
        batcher = Batcher(shelf.load, max_concurrency=2, batch=3)
        shelf.open.clear()
        waiting = []
        for key in "abcdefgh":
            waiting.append(batcher.get(key))
            for _ in range(3):
                await asyncio.sleep(0)
        shelf.open.set()
        assert await asyncio.gather(*waiting) == list("ABCDEFGH")
        assert shelf.asked == [["a"], ["b"], ["c", "d", "e"], ["f", "g", "h"]]
        assert shelf.most == 2

    run(test)


def test_an_error_reaches_all_who_wait_and_nobody_after() -> None:
    async def test(shelf: Shelf) -> None:
        batcher = Batcher(shelf.load, max_concurrency=1, batch=100)
        shelf.error = ValueError("away")
        answers = await asyncio.gather(batcher.get("a"), batcher.get("b"), return_exceptions=True)
        assert [str(answer) for answer in answers] == ["away", "away"]
        with pytest.raises(ValueError, match="away"):
            await batcher.get_all(["a", "b"])
        shelf.error = None
        assert await batcher.get("a") == "A"

    run(test)


def test_one_who_gives_up_takes_nothing_from_the_others() -> None:
    async def test(shelf: Shelf) -> None:
        batcher = Batcher(shelf.load, max_concurrency=1, batch=100)
        shelf.open.clear()
        impatient, patient = (batcher.get("a") for _ in range(2))
        await asyncio.sleep(0)
        impatient.cancel()
        await asyncio.sleep(0)
        shelf.open.set()
        assert await patient == "A"
        assert impatient.cancelled()
        assert await batcher.get("a") == "A"

    run(test)


def test_many_keys_are_asked_for_together_and_those_without_a_value_left_out() -> None:
    async def test(shelf: Shelf) -> None:
        batcher = Batcher(shelf.load, max_concurrency=2, batch=2)
        assert await batcher.get_all(["a", "no-b", "c"]) == {"a": "A", "c": "C"}
        assert shelf.asked == [["a", "no-b"], ["c"]]
        assert await batcher.get_all([]) == {}

    run(test)


def test_a_look_up_stands_in_the_first_trace_that_is_recorded() -> None:
    async def test(shelf: Shelf) -> None:
        tracer = TracerProvider().get_tracer("test")
        batcher = Batcher(shelf.load, max_concurrency=1, batch=100)
        plain = asyncio.create_task(batcher.get_all(["a"]))
        with tracer.start_as_current_span("recorded") as span:
            recorded = asyncio.create_task(batcher.get_all(["b"]))
            await asyncio.gather(plain, recorded)
        await batcher.get("c")
        assert shelf.asked == [["a", "b"], ["c"]]
        assert shelf.traces == [span.get_span_context().trace_id, 0]

    run(test)
