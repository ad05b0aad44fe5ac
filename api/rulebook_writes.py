"""Writes of the rulebook and of market values over HTTP: one transaction, then the announcement."""

from collections.abc import Sequence
from decimal import Decimal
from typing import NamedTuple

from api.http import etags
from api.services import Services
from shared.access.keys import LiveKey
from shared.catalogue import price_lists
from shared.catalogue.product_set import ProductSet
from shared.errors import InvalidInput
from shared.jobs import tasks
from shared.messaging.channel import announce_rulebook
from shared.plans import contents, trial
from shared.plans.changes import Change, RateChange
from shared.postgres.pools import Conn
from shared.prices import inputs
from shared.pricing.market import location_key
from shared.rulebook import documents, exchange_rates, parts, reductions, store, values
from shared.rulebook.exchange_rates import NewRate
from shared.rulebook.parts import Part, PartName
from shared.rulebook.store import RulebookVersion
from shared.rulebook.values import By, NewValue, Pair
from shared.telemetry import propagation
from shared.telemetry.tracing import current_trace_id


class Put(NamedTuple):
    """A part as it was written: the rulebook's version, and the part's entity tag."""

    version: int
    tag: str


def tag_of(version: RulebookVersion) -> str:
    """The entity tag of a version of the rulebook."""
    return etags.tag_of([version.version, version.at])


def put(
    services: Services,
    caller: LiveKey,
    name: PartName,
    part: Part,
    if_match: str | None,
    multiplier: Decimal | None = None,
    *,
    confirm: bool = True,
) -> Put:
    """Insert or replace a part, and with a market perhaps its multiplier.

    A policy by which prices are decided otherwise starts a recalculation of everything; a change of reductions starts
    one of the products that they reach.

    Raises:
        HTTPException: 412: the condition is false.
        InvalidInput: the part contradicts itself or another one.
        PlanFirst: it is not confirmed, and would move too many prices too far.
    """
    if not confirm:
        trial.check(services.transaction, *contents.changes_of(name, part, multiplier))
    by, values_version = _by(caller, str(name)), None
    with services.transaction() as conn:
        held = _locked(conn, name)
        _check(if_match, held, name)
        made = parts.put(conn, held, name, part, by)
        if multiplier is not None:
            values_version = values.add(conn, [NewValue("multiplier", name.key, multiplier)], by)
        _recalculate(conn, caller, held, made)
    _announce(services, held, made, values_version)
    written = parts.find(made.rulebook, name)
    assert written is not None  # noqa: S101 # it was put
    return Put(made.version, etags.tag_of_bytes(documents.encoded(written)))


def delete(services: Services, caller: LiveKey, name: PartName, if_match: str | None, *, confirm: bool = True) -> int:
    """Delete a part, and with a market its multiplier; returns the rulebook's version.

    Raises:
        HTTPException: 412: the condition is false.
        NotFound: there is no such part.
        StillInUse: another part refers to it.
        PlanFirst: it is not confirmed, and would move too many prices too far.
    """
    if not confirm:
        trial.check(services.transaction, *contents.changes_of(name, None))
    by, values_version = _by(caller, f"{name} deleted"), None
    with services.transaction() as conn:
        made = held = _locked(conn, name)
        _check(if_match, held, name)
        is_in_rulebook = parts.find(held.rulebook, name) is not None
        if is_in_rulebook or not _has_multiplier(conn, name):
            made = parts.drop(conn, held, name, by)
            _recalculate(conn, caller, held, made)
        if name.kind == "market":
            values_version = values.add(conn, [NewValue("multiplier", name.key, None)], by)
    _announce(services, held, made, values_version)
    return made.version


def put_rates(services: Services, caller: LiveKey, rates: Sequence[NewRate], *, confirm: bool = True) -> int:
    """Put exchange rates in force; returns the version of the market values.

    Raises:
        InvalidInput: a rate is wrong, there twice, or contradicts another one.
        PlanFirst: they are not confirmed, and would move too many prices too far.
    """
    if (index := exchange_rates.repeated((rate.source, rate.target) for rate in rates)) is not None:
        raise InvalidInput("must name each pair once; take this one out", f"$.rates[{index}]")
    exchange_rates.check(rates)
    if not confirm:
        changes = [RateChange(source=rate.source, target=rate.target, rate=rate.rate) for rate in rates]
        trial.check(services.transaction, *(Change(exchange_rate=each) for each in changes))
    with services.transaction() as conn:
        version = exchange_rates.put(conn, rates, _by(caller, "exchange rates"))
        _convert_again(conn, caller)
    announce_rulebook(services.events, values_version=version)
    return version


def delete_rate(services: Services, caller: LiveKey, pair: Pair, *, confirm: bool = True) -> int:
    """Let a pair have no rate from now on; returns the version of the market values.

    Raises:
        NotFound: it has none.
        PlanFirst: it is not confirmed, and too many prices would move too far, or be gone.
    """
    if not confirm:
        trial.check(services.transaction, contents.value_change("exchange_rate", "/".join(pair), None))
    with services.transaction() as conn:
        version = exchange_rates.delete(conn, pair, _by(caller, f"exchange rate {'/'.join(pair)} deleted"))
        _convert_again(conn, caller)
    announce_rulebook(services.events, values_version=version)
    return version


def _recalculate(conn: Conn, caller: LiveKey, held: RulebookVersion, made: RulebookVersion) -> None:
    if (products := reductions.changed(held.rulebook, made.rulebook, made.at)) is not None:
        tasks.create(conn, "recalculation", products, propagation.current()["traceparent"], key_id=caller.id)


def _convert_again(conn: Conn, caller: LiveKey) -> None:
    """Decide everything anew where offers are converted at the rates."""
    if inputs.are_converted(conn):
        tasks.create(conn, "recalculation", ProductSet(), propagation.current()["traceparent"], key_id=caller.id)


def _locked(conn: Conn, name: PartName) -> RulebookVersion:
    """The active rulebook, locked after the list: in the order of those who load entries."""
    if name.kind == "price_list":
        price_lists.lock(conn, name.key)
    return store.locked(conn)


def _by(caller: LiveKey, cause: str) -> By:
    return By(caller.name, cause, current_trace_id())


def _check(if_match: str | None, held: RulebookVersion, name: PartName) -> None:
    """Raise HTTPException, 412, where `If-Match` names neither the part as it is nor the rulebook as it is."""
    part = parts.find(held.rulebook, name)
    tags = [tag_of(held)] if part is None else [tag_of(held), etags.tag_of_bytes(documents.encoded(part))]
    etags.check_match(if_match, tags, exists=part is not None)


def _has_multiplier(conn: Conn, name: PartName) -> bool:
    """Whether it is a market that an event has made, which is not in the rulebook."""
    if name.kind != "market":
        return False
    return location_key(name.key) in map(location_key, values.in_force(conn, "multiplier"))


def _announce(services: Services, held: RulebookVersion, made: RulebookVersion, values_version: int | None) -> None:
    version = made.version if made.version != held.version else None
    if version is not None or values_version is not None:
        announce_rulebook(services.events, version, values_version)
