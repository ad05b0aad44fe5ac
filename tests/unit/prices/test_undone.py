"""The price to which an undo goes back, against a model: undos in any order among automation's and people's changes."""

from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from shared.prices.undone import PastChange, look

# A run of automation, a person's write, or the undo of the run of this number.
steps = st.lists(st.one_of(st.just("run"), st.just("write"), st.integers(0, 6)), max_size=14)


class History:
    """A product's history, and a model of what is in force: its changes without those that are undone."""

    def __init__(self) -> None:
        self.rows = [PastChange(1, None, "write", "first")]
        self.in_force: list[tuple[str, Decimal]] = [("write", Decimal(0))]
        self.runs = 0

    @property
    def price(self) -> Decimal:
        return self.in_force[-1][1]

    def change(self, cause: str, cause_id: str, price: Decimal, back_to: int | None = None) -> None:
        self.rows.append(PastChange(len(self.rows) + 1, self.price, cause, cause_id, back_to))
        if back_to is None:
            self.in_force.append((cause_id if cause == "task" else "write", price))

    def undo(self, run: str) -> None:
        """Undo a run; the function finds what the model says."""
        found = look(self.rows, lambda change: (change.cause, change.cause_id) == ("task", run))
        causes = [cause for cause, _ in self.in_force]
        if run not in causes:
            assert found is None
        elif "write" in causes[(place := causes.index(run)) :]:
            assert found is not None
            assert found.found == "left"
        else:
            before = self.in_force[place - 1][1]
            assert found is not None
            assert (found.found, found.price) == ("restored", before)
            self.change("plan", f"undo {run}", before, found.back_to)
            del self.in_force[place:]
            assert look(self.rows, lambda change: change.cause_id == run) is None


@given(steps)
def test_undos_in_any_order_go_back_to_the_price_before(taken: list[str | int]) -> None:
    history = History()
    for number, step in enumerate(taken, 1):
        if step == "run":
            history.change("task", f"run {history.runs}", Decimal(number))
            history.runs += 1
        elif step == "write":
            history.change("write", f"write {number}", Decimal(number))
        else:
            history.undo(f"run {step}")


def test_a_product_without_a_price_before_is_listed_as_created() -> None:
    past = look([PastChange(1, None, "import", "i")], lambda change: change.cause == "import")
    assert past is not None
    assert past.found == "created"
