"""Hash tags: in a Redis Cluster all keys of a product have one, and those of a slot go into one command.

A tag stands before the id, as in `pricing:{17}:sheet:{product_id}`; Redis reads the first pair of braces, so that ids
may hold braces. The 64 tags are those of the smallest numbers of which each lies in another 64th of the slots: nodes
that have equal shares of the slots then have equal shares of the tags. Without a cluster the tag is empty.
"""

import zlib
from collections.abc import Callable, Iterable, Iterator
from itertools import count
from typing import TypeVar

from redis.crc import key_slot

T = TypeVar("T")
R = TypeVar("R")

TAGS = 64
SLOTS = 16_384
NONE = ""


def _spread() -> tuple[str, ...]:
    found: dict[int, str] = {}
    numbers = count()
    while len(found) < TAGS:
        number = next(numbers)
        found.setdefault(key_slot(b"%d" % number) * TAGS // SLOTS, f"{{{number}}}:")
    return tuple(found[part] for part in range(TAGS))


ALL = _spread()


def of(product_id: str) -> str:
    """The tag of a product, with its colon."""
    return ALL[zlib.crc32(product_id.encode()) % TAGS]


def grouped(items: Iterable[T], id_of: Callable[[T], str], is_cluster: bool) -> dict[str, list[T]]:
    """Things by the tags of their products, in their order; without a cluster all have the empty tag."""
    if not is_cluster:
        return {NONE: list(items)}
    groups: dict[str, list[T]] = {}
    for item in items:
        groups.setdefault(of(id_of(item)), []).append(item)
    return groups


def each(groups: dict[str, list[T]], replies: Iterable[Iterable[R]]) -> Iterator[tuple[T, R]]:
    """Each thing of the groups, with its element of its group's reply."""
    for items, reply in zip(groups.values(), replies, strict=True):
        yield from zip(items, reply, strict=True)
