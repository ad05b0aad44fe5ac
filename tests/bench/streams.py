"""What a thousand slow readers of the stream of changes cost the process that serves them."""

import resource
import select
import socket
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from decimal import Decimal
from urllib.parse import urlsplit

from shared.changes import entries, log
from shared.changes.entries import MOST_PRODUCTS, PriceItem
from shared.postgres import pools
from shared.settings import Settings
from tests.bench import arena, catalogue, wrk
from tests.bench.judge import Bar, of_rounds
from tests.bench.outcome import CONTROL, Options, Outcome
from tests.bench.series import FIGURES, Series, known
from tests.bench.server import Server

READERS = 1_000
# An entry of 1,000 products is about 130 kB: more than a reader takes before the next one.
ENTRIES_PER_S = 2
READ_BYTES, READ_EVERY_S = 256, 0.5
RECEIVE_BUFFER = 4_096
# Every reader is behind by then.
BEHIND_S = 3.0
# So long a reader may take nothing: none is ended while it is measured.
TIMEOUT_S = 600
FILES = READERS + 500


def run(options: Options) -> Outcome:
    """Measure queries of one process with slow readers and without them, in turns, while prices change."""
    rounds, window_s = options.rounds or (3 if options.quick else 15), 1 if options.quick else 3
    _allow_files()
    options.say(f"PostgreSQL, Redis and an API process; {ENTRIES_PER_S} entries a second of {MOST_PRODUCTS:,} prices")
    with arena.opened(options.cores, 0) as place, ExitStack() as undo:
        hot = place.write("hot", catalogue.hot_queries(10_000))
        server = undo.enter_context(
            place.engine("api", {"PRICING_STREAM_TIMEOUT_S": TIMEOUT_S, "PRICING_MAX_STREAMS": 2 * READERS})
        )
        undo.enter_context(_changes(place.settings))
        without = Series("without", "near cache, no reader", server, lambda _: hot)
        beside = Series("beside", f"near cache, {READERS:,} slow readers", server, lambda _: hot)
        again = Series("again", "near cache, no reader, again", server, lambda _: hot)
        without.measure(0, window_s, options.cores)
        with _readers(server, place.key):
            beside.measure(0, window_s, options.cores)
        before = server.rss_bytes()
        largest, ended = before, 0
        for number in range(1, rounds + 1):
            without.windows.append(without.measure(number, window_s, options.cores))
            with _readers(server, place.key) as readers:
                beside.windows.append(beside.measure(number, window_s, options.cores))
                largest = max(largest, server.rss_bytes())
                ended += sum(map(_has_ended, readers))
            again.windows.append(again.measure(number, window_s, options.cores))
            shown = (f"{one.windows[-1].cpu_us_per_request:.1f}" for one in (without, beside, again))
            options.say(f"round {number} of {rounds}, CPU µs/request without, with, without: {', '.join(shown)}")
    one, other, between = (found.each(FIGURES["cpu_us_per_request"]) for found in (without, again, beside))
    neighbours = [(first + second) / 2 for first, second in zip(one, other, strict=True)]
    dearer, control = of_rounds(between, neighbours), of_rounds(one, other)
    grown = (largest - before) / 1e6
    return Outcome(
        bars=[
            Bar("readers : no readers, CPU time per request", dearer, "≤", 1.05),
            Bar(f"memory for {READERS:,} readers, largest", grown, "≤", 100, " MB"),
            Bar("readers that were ended", ended, "≤", 0),
        ],
        figures={"readers": READERS, "cpu_ratio": known(dearer), "control": known(control), "grown_mb": known(grown)},
        series=[without, beside, again],
        controls=[Bar("control: no readers : no readers", max(control, 1 / control), "≤", CONTROL)],
    )


def _allow_files() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < FILES:
        raise wrk.CannotMeasure(f"{FILES} open files are needed, {hard} are allowed: ulimit -n")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, FILES), hard))


@contextmanager
def _changes(settings: Settings) -> Iterator[None]:
    """Prices change within the block: entries of the log, as the workers and the listener write them."""
    stop = threading.Event()
    items = [PriceItem(f"C-{n}", 1, "USD", Decimal("10.00"), Decimal("11.00"), "toys") for n in range(MOST_PRODUCTS)]
    data = entries.priced(items)

    def write() -> None:
        with pools.connect(settings, "bench") as conn:
            while not stop.wait(1 / ENTRIES_PER_S):
                with conn.transaction():
                    conn.execute("INSERT INTO changes (type, data) VALUES ('prices', %s)", [data])
                with conn.transaction():
                    log.give_ids(conn)

    thread = threading.Thread(target=write, daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join(timeout=30)


@contextmanager
def _readers(server: Server, key: str) -> Iterator[Sequence[socket.socket]]:
    """Readers that take a few bytes now and then, and are all behind when the block begins."""
    stop = threading.Event()
    with ExitStack() as undo:
        readers = [undo.enter_context(_connected(server, key)) for _ in range(READERS)]
        for reader in readers:
            if not reader.recv(READ_BYTES).startswith(b"HTTP/1.1 200"):
                raise wrk.CannotMeasure("a stream was refused")
            reader.setblocking(False)

        def read() -> None:
            while not stop.wait(READ_EVERY_S):
                for reader in readers:
                    _take(reader)

        thread = threading.Thread(target=read, daemon=True)
        thread.start()
        try:
            time.sleep(BEHIND_S)  # until all are behind
            yield readers
        finally:
            stop.set()
            thread.join(timeout=30)


def _connected(server: Server, key: str) -> socket.socket:
    address = urlsplit(server.url)
    found = socket.socket()
    found.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER)
    found.settimeout(30)
    found.connect((address.hostname, address.port))
    found.sendall(
        f"GET /api/v1/price-changes HTTP/1.1\r\nhost: bench\r\naccept: text/event-stream\r\n"
        f"authorization: Bearer {key}\r\n\r\n".encode()
    )
    return found


def _take(reader: socket.socket) -> None:
    try:
        reader.recv(READ_BYTES)
    except OSError:
        return


def _has_ended(reader: socket.socket) -> bool:
    """Whether the server has closed the connection, behind what is not read yet."""
    poll = select.poll()
    poll.register(reader, select.POLLRDHUP)
    return bool(poll.poll(0))
