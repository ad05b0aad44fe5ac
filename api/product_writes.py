"""Writes of single products over HTTP: PostgreSQL first, then Redis; after a crash in between a task does the rest."""

from uuid import UUID, uuid4

import msgspec
import redis
import structlog

from api import cache_sync
from api.http import etags
from api.services import Services
from shared.catalogue import products
from shared.errors import NotFound, UnusableProduct
from shared.postgres.pools import Conn
from shared.prices import published
from shared.prices.new_versions import Cause, StoredSheet
from shared.prices.published import Repriced
from shared.pricing.product import ProductInput
from shared.rulebook import store as rulebook

log = structlog.get_logger(__name__)


class Conditions(msgspec.Struct, frozen=True):
    """The headers `If-Match` and `If-None-Match` of a write."""

    if_match: str | None = None
    if_none_match: str | None = None


def write(services: Services, product: ProductInput, conditions: Conditions) -> None:
    """Insert or replace a product, and decide its price in the same transaction.

    Raises:
        HTTPException: 412: a condition is false.
        InvalidInput: the policy has no such strategy.
        UnusableProduct: its price cannot be decided.
    """
    claimed: list[UUID] = []
    with services.transaction() as conn:
        must_create = _check(conn, product.product_id, conditions)
        policy, cause = rulebook.active_policy(conn), Cause("write", str(uuid4()))
        rulebook.check_strategy(policy, product)
        repriced = published.write_products(conn, [product], policy, cause)
        if repriced.failed:
            raise UnusableProduct(f"the price of product {product.product_id!r} cannot be decided")
        if must_create and not repriced.created:
            raise etags.failed("it exists already: another request has created it meanwhile")
        if _is_update(repriced):
            claimed = cache_sync.begin(conn, repriced.changed)
    if repriced.created:
        _note_creation(services)
    cache_sync.run(services, claimed, list(repriced.sheets.values()))


def delete(services: Services, product_id: str, conditions: Conditions) -> StoredSheet:
    """Delete a product; the deletion has the product's next version.

    Raises:
        HTTPException: 412: a condition is false.
        NotFound: there is no such product.
    """
    with services.transaction() as conn:
        _check(conn, product_id, conditions)
        deletion = published.delete(conn, product_id)
        if deletion is None:
            raise NotFound(f"no product {product_id!r}")
        claimed = cache_sync.begin(conn, [product_id])
    cache_sync.run(services, claimed, [deletion])
    return deletion


def _check(conn: Conn, product_id: str, conditions: Conditions) -> bool:
    """Whether the write must create the product.

    The product is locked first. True conditions stay true, and the policy read next is not older than the one of a
    decision that this write waited for.

    Raises:
        HTTPException: 412: a condition is false.
    """
    is_there = bool(products.lock(conn, [product_id]))
    if conditions.if_match is None and conditions.if_none_match is None:
        return False
    current = etags.tag_of(products.view(conn, product_id)) if is_there else None
    etags.check_write(conditions.if_match, conditions.if_none_match, current)
    return not is_there


def _note_creation(services: Services) -> None:
    try:
        services.writer.created()
    except redis.RedisError as error:
        log.warning("redis away, queries may not find the new product for some seconds", error=str(error))


def _is_update(repriced: Repriced) -> bool:
    return bool(set(repriced.changed) - set(repriced.created))
