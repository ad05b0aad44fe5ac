"""Open-loop reads: each is sent when it is due, whether or not those before it were answered."""

import asyncio
import json
import time
from collections.abc import Callable, Sequence

CONNECTIONS = 32
LOOK_EVERY = 100


def latencies_ms(
    port: int, product_ids: Sequence[str], per_s: int, seconds: float, goes_on: Callable[[], bool]
) -> list[float]:
    """Ask for prices at a steady rate; milliseconds from when each was due to its answer.

    Args:
        port: Where the API listens.
        product_ids: Asked for in turn.
        per_s: Requests a second.
        seconds: For how long.
        goes_on: Asked twice a second; False ends it earlier.
    """
    return asyncio.run(_latencies(port, product_ids, per_s, seconds, goes_on))


async def _latencies(
    port: int, product_ids: Sequence[str], per_s: int, seconds: float, goes_on: Callable[[], bool]
) -> list[float]:
    free: asyncio.Queue[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = asyncio.Queue()
    for _ in range(CONNECTIONS):
        free.put_nowait(await asyncio.open_connection("127.0.0.1", port))
    latencies: list[float] = []
    asked: list[asyncio.Task[None]] = []

    async def ask(product_id: str, due: float) -> None:
        reader, writer = await free.get()
        writer.write(_request(product_id))
        await _answer(reader)
        latencies.append((time.perf_counter() - due) * 1000)
        free.put_nowait((reader, writer))

    begun = time.perf_counter()
    for number in range(int(per_s * seconds)):
        due = begun + number / per_s
        await asyncio.sleep(max(0.0, due - time.perf_counter()))
        asked.append(asyncio.create_task(ask(product_ids[number % len(product_ids)], due)))
        if number % LOOK_EVERY == 0 and not await asyncio.to_thread(goes_on):
            break
    await asyncio.gather(*asked)
    while not free.empty():
        free.get_nowait()[1].close()
    return latencies


def _request(product_id: str) -> bytes:
    body = json.dumps({"product_id": product_id, "user_location": "NY"}).encode()
    head = (
        f"POST /api/v1/price HTTP/1.1\r\nhost: bench\r\ncontent-type: application/json\r\ncontent-length: {len(body)}"
    )
    return head.encode() + b"\r\n\r\n" + body


async def _answer(reader: asyncio.StreamReader) -> None:
    head = await reader.readuntil(b"\r\n\r\n")
    assert b" 200 " in head.split(b"\r\n", 1)[0], head
    length = next(int(line[15:]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:"))
    await reader.readexactly(length)
