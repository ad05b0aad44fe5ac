"""A plan in the terminal: its counts, its histogram, and the largest moves with both explanations."""

import difflib
from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Any

from shared.commands.terminal import add_row, out, print_line, table
from shared.plans.views import PlanView
from shared.pricing.money import percent

BAR = 40
STYLES = {"-": "red", "+": "green"}


def show(plan: PlanView) -> None:
    """Print a plan: its counts and, where it is ready, all that it found."""
    print_line(f"plan {plan.plan_id} by {plan.author}, {plan.created_at:%F %T} UTC: {plan.status}", out, "bold")
    if plan.error is not None:
        print_line(f"{plan.error.type}: {plan.error.message}", out)
    if plan.result is None:
        return
    result, public = plan.result, plan.result["public"]
    _counts(result)
    _groups(public["markets"])
    _queries(result["queries"])
    for finding in result["findings"]:
        print_line(f"{finding['code']}: {finding['part']}: {finding['reason']}", out, "yellow")
    for name, part in (("published prices", result), ("public prices", public)):
        _histogram(name, part["histogram"])
    for name, part in (("published", result), ("public", public)):
        for way in ("falls", "rises"):
            _movers(f"the largest {way} of {name} prices", part["movers"][way])
    if plan.redecided:
        print_line(f"{plan.redecided:,} prices were decided anew at the application", out)
    if plan.status == "ready":
        how = "of chosen products only: it cannot be applied"
        print_line(how if plan.is_partial else f"to publish it: just apply {plan.plan_id}", out)


def _counts(result: Mapping[str, Any]) -> None:
    rows = table("products", "number")
    for name in ("products", "rise", "fall", "stay", "created", "held", "released", "failed"):
        if result[name] or name not in ("created", "released", "failed"):
            add_row(rows, name, f"{result[name]:,}")
    for name, count in result["bounds"].items():
        add_row(rows, f"at the {name}", f"{count:,}")
    for name, count in result["undo"].items():
        add_row(rows, name, f"{count:,}")
    out.print(rows, soft_wrap=False)


def _groups(markets: Iterable[Mapping[str, Any]]) -> None:
    if not markets:
        return
    rows = table("public prices in", "move", "rise", "fall", "mean change")
    for each in markets:
        counts = (f"{each[name]:,}" for name in ("products", "rise", "fall"))
        add_row(rows, each["market"], *counts, percent(Decimal(each["mean_change"])))
    out.print(rows, soft_wrap=False)


def _queries(queries: Mapping[str, Mapping[str, Any]]) -> None:
    if not queries:
        return
    rows = table("query", "rise", "fall", "currency", "revenue", "margin")
    for name, each in queries.items():
        for currency, money in each["money"].items():
            both = (f"{money[f'{of}_before']} → {money[f'{of}_after']}" for of in ("revenue", "margin"))
            add_row(rows, name, f"{each['rise']:,}", f"{each['fall']:,}", currency, *both)
    out.print(rows, soft_wrap=False)


def _histogram(name: str, classes: list[Mapping[str, Any]]) -> None:
    if not classes:
        return
    most = max(each["products"] for each in classes)
    rows = table(f"change of {name}", "products", "")
    for each in classes:
        bar = "█" * max(1, round(BAR * each["products"] / most))
        add_row(rows, _class(each["from"], each["to"]), f"{each['products']:,}", bar)
    out.print(rows, soft_wrap=False)


def _class(first: str | None, last: str | None) -> str:
    if first is None:
        return f"below {percent(Decimal(last or 0))}"
    if last is None:
        return f"above {percent(Decimal(first))}"
    return f"{percent(Decimal(first))} to {percent(Decimal(last))}"


def _movers(title: str, movers: Iterable[Mapping[str, Any]]) -> None:
    for index, each in enumerate(movers):
        if not index:
            print_line(title, out, "bold")
        market = f" in {each['market']}" if each["market"] else ""
        prices = f"{each['old_price']} → {each['new_price']} {each['currency']}"
        print_line(f"{each['product_id']}{market}: {prices}, {percent(round(Decimal(each['change']), 4))}", out, "cyan")
        old, new = ([_step(step) for step in each[name]] for name in ("old_steps", "new_steps"))
        for line in [*difflib.unified_diff(old, new, n=len(old) + len(new), lineterm="")][3:]:
            print_line(f"{line[0]} {line[1:]}", out, STYLES.get(line[0], ""))


def _step(step: Mapping[str, Any]) -> str:
    return f"{step['before']} → {step['after']} {step['rule']}: {step['reason']}"
