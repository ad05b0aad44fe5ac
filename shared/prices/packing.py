"""Sheets in the price history, packed: most of a sheet's text is the same for all products."""

import zlib

from lz4.block import LZ4BlockError, compress, decompress

from shared.errors import UnusableProduct

# Rows are kept for years: this text never changes. Another text takes another first byte. A longer one takes longer for
# each sheet.
_MARK, _DEFLATED = b"\x03", b"\x02"  # by the version before
_COMMON = (
    b'{"product_id":"P-0000001","version":3,"policy_version":4,"currency":"EUR","currency":"USD","list_price":"11.00",'
    b'"published_price":"10.3455","floor":"5.25","ceiling":null,"tiers":[{"up_to":9,"unit_price":"11"},'
    b'{"up_to":null,"unit_price":"10"}],"membership_rate":"0.05","rounding":"HALF_UP",'
    b'"computed_at":"2026-11-27T00:00:00.000000Z","valid_until":"2026-11-27T00:00:00.000000Z",'
    b'"steps":[{"rule":"list_price","before":"11.00","after":"11.00","reason":"list price; strategy standard"},'
    b'{"rule":"competitor","before":"11.00","after":"10.3455","reason":"lowest competitor acme at 10.45, 1 % less"}],'
    b'"cost":"5"}'
)


def packed(sheet: str) -> bytes:
    """The bytes of a sheet's JSON, a third of it where it is a usual one."""
    return _MARK + bytes(compress(sheet.encode(), dict=_COMMON))


def unpacked(stored: bytes) -> bytes:
    """The JSON of a sheet that was packed, or stored as it is.

    Raises:
        UnusableProduct: the bytes cannot be read.
    """
    try:
        if stored.startswith(_MARK):
            return bytes(decompress(stored[len(_MARK) :], dict=_COMMON))
        if stored.startswith(_DEFLATED):
            return zlib.decompressobj(-12, _COMMON).decompress(stored[len(_DEFLATED) :])
    except (LZ4BlockError, ValueError, zlib.error):
        raise UnusableProduct("a sheet of the price history cannot be read") from None
    return stored
