"""Revisions of price lists: the header in the rulebook names the revision of its entries that is in force."""

from datetime import datetime

from msgspec.structs import replace

from shared.catalogue import former_entries, price_lists
from shared.errors import NotFound, Superseded
from shared.postgres.pools import Conn
from shared.pricing.rulebook import PriceList, Rulebook
from shared.rulebook import store
from shared.rulebook.store import By, RulebookVersion
from shared.wording import meant


def in_force(conn: Conn, list_id: str) -> int:
    """The revision in force.

    Raises:
        NotFound: the rulebook has no such list.
    """
    return _header(store.active(conn).rulebook, list_id).revision


def currency(conn: Conn, list_id: str) -> str | None:
    """The list's currency; None: that of each product.

    Raises:
        NotFound: the rulebook has no such list.
    """
    return _header(store.active(conn).rulebook, list_id).currency


def begin(conn: Conn, list_id: str) -> int:
    """A new revision, to be loaded beside the one in force.

    Raises:
        NotFound: the rulebook has no such list.
    """
    return price_lists.next_revision(conn, list_id, in_force(conn, list_id))


def switch(
    conn: Conn,
    list_id: str,
    revision: int,
    by: By,
    import_id: str | None = None,
    began_at: datetime | None = None,
) -> RulebookVersion:
    """Put a loaded revision in force, for every product at once; the one before is kept for a week.

    Args:
        conn: In a transaction.
        list_id: The list.
        revision: The loaded revision.
        by: The author.
        import_id: The import that loaded it, which an undo names; None: another writer.
        began_at: When the import began; None: now.

    Raises:
        NotFound: the rulebook has no such list any more.
        Superseded: a later revision is in force.
    """
    price_lists.lock(conn, list_id)

    def revise(rulebook: Rulebook) -> Rulebook:
        if _header(rulebook, list_id).revision > revision:
            raise Superseded(f"another load of price list {list_id!r} began later and is in force")
        headers = (replace(one, revision=revision) if one.id == list_id else one for one in rulebook.price_lists)
        return replace(rulebook, price_lists=tuple(headers))

    former_entries.note(conn, list_id, in_force(conn, list_id), revision, import_id, began_at)
    price_lists.note_in_force(conn, list_id, revision)
    return store.change(conn, revise, by)


def _header(rulebook: Rulebook, list_id: str) -> PriceList:
    for header in rulebook.price_lists:
        if header.id == list_id:
            return header
    ids = [header.id for header in rulebook.price_lists]
    known = meant(list_id, ids) or (f"; there are {', '.join(ids[:10])}" if ids else "; there are none")
    raise NotFound(f"no price list {list_id!r}{known}")
