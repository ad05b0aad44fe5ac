"""Hostile HTTP requests, as the bytes that go over the connection."""

from urllib.parse import quote_from_bytes

from hypothesis import strategies as st
from hypothesis.strategies import DrawFn

from tests.fuzz.documents import Document, hostile

QUERY: Document = {
    "product_id": "P-100", "user_location": "NY", "is_prime_member": True, "quantity": 3, "currency": "USD",
}  # fmt: skip
PRODUCT: Document = {
    "product_id": "F-1", "name": "Fuzz", "currency": "USD", "base_price": "10.00", "category": "fuzz", "cost": "5",
    "stock": 3, "min_price": "1", "max_price": "100", "tiers": [{"min_quantity": 10, "discount_rate": "0.1"}],
}  # fmt: skip
EVENT: Document = {
    "type": "competitor_price_changed",
    "data": {"product_id": "P-100", "competitor": "acme", "price": "9.99", "currency": "USD"},
    "event_id": "fuzz", "source": "fuzz", "time": "2026-01-01T00:00:00Z",
}  # fmt: skip
RECALCULATION: Document = {"product_ids": ["P-100"], "category": "fuzz"}
KEY: Document = {"name": "fuzz", "scopes": ["prices:read"], "expires_at": "2026-01-01T00:00:00Z"}

# Each path with the documents that it takes, and how often it is asked.
PATHS: tuple[tuple[str, list[Document], int], ...] = (
    ("/api/v1/price", [QUERY], 6),
    ("/api/v1/prices", [{"items": [QUERY, QUERY]}], 3),
    ("/api/v1/products/{}", [PRODUCT], 4),
    ("/api/v1/products/{}/price-history", [{}], 1),
    ("/api/v1/publish-market-event", [EVENT], 4),
    ("/api/v1/market-events/{}", [{}], 1),
    ("/api/v1/recalculate", [RECALCULATION], 1),
    ("/api/v1/tasks/{}", [{}], 1),
    ("/api/v1/tasks", [{}], 1),
    ("/api/v1/keys", [KEY], 1),
    ("/{}", [{}], 1),
    ("/docs/{}", [{}], 1),
    ("/assets/swagger-ui/{}", [{}], 1),
    ("/health/ready", [{}], 1),
)
METHODS = ("POST",) * 6 + ("GET",) * 4 + ("PUT",) * 4 + ("HEAD", "OPTIONS", "PATCH", "DELETE", "BREW")
HEADERS: dict[str, tuple[str, ...]] = {
    "content-type": (
        "application/json", "application/cloudevents-batch+json", "application/x-www-form-urlencoded", "text/html",
        "multipart/form-data; boundary=x", "application/json; charset=utf-16", "", "*/*", "\xff",
    ),
    "accept": ("application/json", "text/html", "*/*;q=0", "application/xml", "", "a" * 3_000),
    "traceparent": ("00-" + "1" * 32 + "-" + "2" * 16 + "-00", "00-0-0-01", "ff" * 40, "", "\xe9"),
    "authorization": ("Bearer", "Bearer ", "Basic YTpi", "Bearer nobody", "Bearer \xff", "bearer " + "x" * 2_000),
    "if-match": ('"1"', "*", "W/", "\xff", ""),
    "if-none-match": ("*", '"1", "2"', ""),
    "idempotency-key": ("fuzz", "", "x" * 1_000, "\xff"),
    "origin": ("null", "https://evil.example", ""),
    "x-forwarded-for": ("1.2.3.4, ::1", "nobody", "," * 500),
    "forwarded": ("for=\"[::1]\"", ";;;=", "for=" + "x" * 500),
    "accept-encoding": ("gzip", "br, gzip;q=x", "identity;q=0"),
    "last-event-id": ("1", "-1", "x"),
}  # fmt: skip
ODD = st.one_of(st.binary(max_size=30), st.sampled_from([b"P-100", b"F-1", b"%", b"..", b"a/b", b"\x00", b"x" * 300]))


@st.composite
def requests(draw: DrawFn, key: str) -> tuple[str, bytes]:
    """A method, and a whole request with it.

    Args:
        key: A valid API key, which half of the requests have.
    """
    template, documents, _ = draw(st.sampled_from([each for each in PATHS for _ in range(each[2])]))
    method = draw(st.sampled_from(METHODS))
    path = template.format(quote_from_bytes(draw(ODD), safe=""))
    query = draw(
        st.sampled_from(("",) * 6 + ("?explain=true", "?explain=x", "?limit=-1", "?limit=9e9", "?%ff=%00", "?"))
    )
    body = draw(hostile(documents)) if method not in {"GET", "HEAD", "OPTIONS"} or draw(st.booleans()) else b""
    lines = [f"{method} {path}{query} HTTP/1.1", "host: x"]
    names = draw(st.lists(st.sampled_from(sorted(HEADERS)), max_size=3, unique=True))
    lines += [f"{name}: {draw(st.sampled_from(HEADERS[name]))}" for name in names]
    if "authorization" not in names and draw(st.booleans()):
        lines.append(f"authorization: Bearer {key}")
    if body and draw(st.integers(0, 9)) == 0:
        lines.append("transfer-encoding: chunked")
        body = b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body)
    else:
        lines.append(f"content-length: {len(body)}")
    return method, "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + body
