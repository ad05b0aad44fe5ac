"""Hash tags of a Redis Cluster."""

import re
from collections import Counter

import pytest
from redis.crc import key_slot

from shared.cache import contracts, sheets, tags


def test_each_64th_of_the_slots_has_one_tag() -> None:
    slots = [key_slot(tag.removesuffix(":").encode()) for tag in tags.ALL]
    assert [slot * tags.TAGS // tags.SLOTS for slot in slots] == list(range(tags.TAGS))


@pytest.mark.parametrize("product_id", ["P-1", "{x}y", "}{", "{}", "a{b}c", "ü{ñ}", "{0}:"])
def test_all_keys_of_a_product_have_the_slot_of_its_tag_whatever_its_braces(product_id: str) -> None:
    tag = tags.of(product_id)
    keys = [sheets.key(product_id, tag), sheets.generation_key(tag), contracts.key(product_id, "{c}", tag)]
    # Redis hashes what stands between the first brace and the next closing one.
    hashed = {found[1] for key in keys if (found := re.search(r"{([^}]+)}", key))}
    assert hashed == {tag[1:-2]}


def test_products_spread_over_all_tags() -> None:
    counts = Counter(tags.of(f"P-{number}") for number in range(64_000))
    assert counts.keys() == set(tags.ALL)
    assert 800 < min(counts.values()) <= max(counts.values()) < 1_200


def test_without_a_cluster_keys_have_no_tag() -> None:
    assert tags.grouped(["b", "a"], str, is_cluster=False) == {"": ["b", "a"]}
    assert (sheets.key("{x}"), sheets.generation_key()) == ("pricing:sheet:{x}", "pricing:generation")
    assert contracts.key("p", "c") == "pricing:contract:1:p:c"
