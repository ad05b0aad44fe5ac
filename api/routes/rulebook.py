"""The rulebook: read whole, by version and by instant; its versions, and what differs between two of them."""

from datetime import datetime
from typing import Annotated, Any

import msgspec
from litestar import Response, Router, get
from litestar.params import Parameter, QueryParameter
from msgspec import UNSET, Meta, UnsetType

from api import rulebook_writes
from api.edge.identity import needs
from api.http import cursors
from api.http.json_values import VALUE
from api.http.problems import documented
from api.routes.audit_log import INSTANT, instant
from api.routes.lists import Cursor, Limit, Next
from api.services import Services
from shared.errors import InvalidInput
from shared.pricing.rulebook import MarketRules, PriceList, Promotion, RulebookPolicy
from shared.rulebook import diff, documents, store
from shared.rulebook.store import RulebookVersion, VersionView
from shared.wire.fields import AT

LARGEST_VERSION = 2**53 - 1
VersionNumber = Annotated[int, Meta(description="Version of the rulebook.", examples=[7])]


class RulebookAnswer(msgspec.Struct, frozen=True):
    """A version of the rulebook."""

    version: VersionNumber
    author: Annotated[str, Meta(description="The key's name, or just (USER): a command.", examples=["shop"])]
    cause: Annotated[str, Meta(description="The change that made this version.", examples=["policy"])]
    at: Annotated[datetime, Meta(description="The time from which it is in force.", examples=[AT])]
    policy: Annotated[RulebookPolicy, Meta(description="The policy.")]
    markets: Annotated[dict[str, MarketRules], Meta(description="Markets by code, without their multipliers.")]
    price_lists: Annotated[tuple[PriceList, ...], Meta(description="Price lists, without their entries.")]
    promotions: Annotated[tuple[Promotion, ...], Meta(description="Promotions.")]


class VersionList(msgspec.Struct, frozen=True):
    """A page of versions of the rulebook."""

    items: Annotated[list[VersionView], Meta(description="Newest first")]
    next: Next


class DifferenceView(msgspec.Struct, frozen=True):
    """A field that differs between two versions."""

    path: Annotated[
        str, Meta(description="The field; price lists and promotions by id", examples=["$.promotions.spring.percent"])
    ]
    before: Annotated[
        Any | UnsetType, Meta(description="The earlier value; missing: there was none", extra_json_schema=VALUE)
    ] = UNSET
    after: Annotated[
        Any | UnsetType, Meta(description="The later value; missing: there is none", extra_json_schema=VALUE)
    ] = UNSET


class Diff(msgspec.Struct, frozen=True, rename={"from_": "from"}):
    """The differences between two versions of the rulebook."""

    from_: Annotated[int, Meta(description="The one version.", examples=[6])]
    to: Annotated[int, Meta(description="The other version.", examples=[7])]
    changes: Annotated[list[DifferenceView], Meta(description="The fields that differ.")]


@get(
    "/rulebook",
    guards=[needs("catalogue:read")],
    security=[{"key": ["catalogue:read"]}],
    sync_to_thread=True,
    operation_id="getRulebook",
    responses=documented(401, 403, 404, 422, 503),
    summary="The rulebook: policy, markets, price lists, promotions",
    description="The active version, or an earlier one: by `version`, or the one in force `at` an instant. Multipliers "
    "of markets and exchange rates are market values and no part of it. Any part can be written where `If-Match` has "
    "this `ETag`.",
)
def get_rulebook(
    services: Services,
    version: Annotated[int | None, Parameter(ge=1, le=LARGEST_VERSION, description="This version")] = None,
    at: Annotated[
        str | None, Parameter(pattern=INSTANT, description="The version in force at this time, with UTC offset")
    ] = None,
) -> Response[RulebookAnswer]:
    """Look up a version."""
    if version is not None and at is not None:
        raise InvalidInput("must not stand beside version; leave one of them out", "$.at")
    moment = instant("at", at)
    with services.transaction() as conn:
        if version is not None:
            found = store.by_version(conn, version)
        else:
            found = store.active(conn) if moment is None else store.as_of(conn, moment)
    return _answer(found)


@get(
    "/rulebook/versions",
    guards=[needs("catalogue:read")],
    security=[{"key": ["catalogue:read"]}],
    sync_to_thread=True,
    operation_id="listRulebookVersions",
    responses=documented(401, 403, 422, 503),
    summary="The versions of the rulebook",
    description="Newest first, each with its author, cause and time.",
)
def list_versions(services: Services, limit: Limit = 100, cursor: Cursor = None) -> VersionList:
    """List versions."""
    before: int | None = cursors.decode(cursor, Annotated[int, Meta(ge=1, le=LARGEST_VERSION)])
    with services.transaction() as conn:
        items, last = cursors.split(store.listed(conn, limit + 1, before), limit)
    return VersionList(items, cursors.encode(last.version) if last else None)


@get(
    "/rulebook/diff",
    guards=[needs("catalogue:read")],
    security=[{"key": ["catalogue:read"]}],
    sync_to_thread=True,
    operation_id="diffRulebooks",
    responses=documented(401, 403, 404, 422, 503),
    summary="The differences between two versions of the rulebook",
    description="Field by field. Price lists and promotions are compared by their ids.",
)
def diff_versions(
    services: Services,
    one: Annotated[int, QueryParameter(name="from", ge=1, le=LARGEST_VERSION, description="The one version")],
    other: Annotated[
        int | None,
        QueryParameter(name="to", ge=1, le=LARGEST_VERSION, description="The other version. Default: the active one"),
    ] = None,
) -> Response[Diff]:
    """Compare two versions."""
    with services.transaction() as conn:
        before = store.by_version(conn, one)
        after = store.active(conn) if other is None else store.by_version(conn, other)
    changes = diff.differences(before.rulebook, after.rulebook)
    return _json({"from": before.version, "to": after.version, "changes": changes})


def _answer(found: RulebookVersion) -> Response[Any]:
    about = {"version": found.version, "author": found.author, "cause": found.cause, "at": found.at}
    tag = {"etag": rulebook_writes.tag_of(found), "cache-control": "private, no-cache"}
    return _json(about | documents.builtins(found.rulebook), tag)


def _json(content: dict[str, Any], headers: dict[str, str] | None = None) -> Response[Any]:
    return Response(documents.NUMBERS.encode(content), media_type="application/json", headers=headers)


router = Router("/api/v1", route_handlers=[get_rulebook, list_versions, diff_versions], tags=["Rulebook"])
