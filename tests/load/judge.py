"""The limits, and what a run says about them."""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from tests.load.histogram import Histogram

# A limit is not judged on a machine where doing nothing takes this much of it.
CONTROL_SHARE = 1 / 3


class Verdict(StrEnum):
    """What a run says about a limit."""

    WITHIN = "within"
    BEYOND = "beyond"
    INCONCLUSIVE = "inconclusive"


EXIT_CODES = {Verdict.WITHIN: 0, Verdict.BEYOND: 1, Verdict.INCONCLUSIVE: 2}


@dataclass(frozen=True)
class Judgement:
    """A verdict, and why it is not `within`."""

    verdict: Verdict
    reason: str = ""


def latency(limit_s: float, measured: Histogram | None, control: Histogram) -> Judgement:
    """Whether the P95 is below a limit; inconclusive where the control alone takes over a third of it.

    Args:
        limit_s: What the P95 must stay below.
        measured: What the server measured; None where it does not measure this.
        control: The same server's requests that ask nothing of it.
    """
    if measured is None:
        return Judgement(Verdict.INCONCLUSIVE, "the server does not measure this")
    if not measured.count or not control.count:
        return Judgement(Verdict.INCONCLUSIVE, "no requests" if not measured.count else "no control")
    noise = control.quantile(0.95)
    if noise > limit_s * CONTROL_SHARE:
        return Judgement(
            Verdict.INCONCLUSIVE, f"the control alone takes {milliseconds(noise)}, over a third of the limit"
        )
    p95 = measured.quantile(0.95)
    if p95 < limit_s:
        return Judgement(Verdict.WITHIN)
    return Judgement(Verdict.BEYOND, f"{milliseconds(p95)} is not below {milliseconds(limit_s)}")


def failures(count: int) -> Judgement:
    """There must be none, however noisy the machine."""
    return Judgement(Verdict.BEYOND, f"{count} requests failed") if count else Judgement(Verdict.WITHIN)


def overall(verdicts: Iterable[Verdict]) -> Verdict:
    """One limit exceeded is enough; what is not known comes next."""
    found = set(verdicts)
    return next((v for v in (Verdict.BEYOND, Verdict.INCONCLUSIVE) if v in found), Verdict.WITHIN)


def milliseconds(seconds: float) -> str:
    """For people; a dash for NaN."""
    return "–" if math.isnan(seconds) else f"{seconds * 1000:.2f} ms"
