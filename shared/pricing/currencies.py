"""Currencies: the active codes of ISO 4217 and their decimals."""

from typing import Annotated

from msgspec import Meta

CurrencyCode = Annotated[
    str,
    Meta(pattern="^[A-Z]{3}$", description="Active ISO 4217 code in capitals.", examples=["USD"]),
]

# ISO 4217 list one (active codes, funds included) by number of decimals, as of 2026. Metals, bond
# units and test codes are left out: they have no minor unit.
_CODES = {
    0: "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF",
    2: """AED AFN ALL AMD AOA ARS AUD AWG AZN BAM BBD BDT BMD BND BOB BOV BRL BSD BTN BWP BYN BZD CAD CDF
        CHE CHF CHW CNY COP COU CRC CUP CVE CZK DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD
        GTQ GYD HKD HNL HTG HUF IDR ILS INR IRR JMD KES KGS KHR KPW KYD KZT LAK LBP LKR LRD LSL MAD MDL
        MGA MKD MMK MNT MOP MRU MUR MVR MWK MXN MXV MYR MZN NAD NGN NIO NOK NPR NZD PAB PEN PGK PHP PKR
        PLN QAR RON RSD RUB SAR SBD SCR SDG SEK SGD SHP SLE SOS SRD SSP STN SVC SYP SZL THB TJS TMT TOP
        TRY TTD TWD TZS UAH USD USN UYU UZS VED VES WST XAD XCD XCG YER ZAR ZMW ZWG""",
    3: "BHD IQD JOD KWD LYD OMR TND",
    4: "CLF UYW",
}
EXPONENTS = {code: digits for digits, codes in _CODES.items() for code in codes.split()}


class UnknownCurrency(ValueError):
    """The code is not an active ISO 4217 currency with a minor unit."""


def exponent(currency: str) -> int:
    """Decimals of the currency's minor unit by ISO 4217: JPY 0, USD 2, KWD 3, CLF 4.

    Raises:
        UnknownCurrency: the code is not an active ISO 4217 code in capitals.
    """
    try:
        return EXPONENTS[currency]
    except KeyError:
        raise UnknownCurrency(f"{currency!r} is not an active ISO 4217 currency code") from None


def known_currency(field: str, code: str) -> None:
    """Raise ValueError unless `code` is an active ISO 4217 currency."""
    if code not in EXPONENTS:
        raise UnknownCurrency(f"`{field}` must be an active ISO 4217 code such as USD")
