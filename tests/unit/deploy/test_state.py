"""What the native stack chooses for itself."""

from pathlib import Path

import pytest

from deploy import ports
from deploy.native import state
from deploy.native.state import State
from shared.offers.keys import OfferKeys


@pytest.fixture
def few_ports(monkeypatch: pytest.MonkeyPatch) -> range:
    """Just enough of them that the same one would be drawn again soon."""
    few = range(20_000, 20_006)
    monkeypatch.setattr(ports, "CHOICE", few)
    monkeypatch.setattr(ports, "_given", set())
    monkeypatch.setattr(ports, "port_is_free", lambda port: True)
    return few


def ports_of(known: State) -> list[int]:
    return [known.postgres_port, known.redis_port, known.supervisor_port]


def test_no_two_servers_of_a_stack_have_the_same_port(few_ports: range) -> None:
    assert sorted(ports_of(State()) + ports_of(State())) == list(few_ports)


def test_a_port_that_replaces_a_taken_one_is_no_other_servers(
    few_ports: range, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = State(postgres_port=20_000, redis_port=20_001, supervisor_port=20_002)
    monkeypatch.setattr(ports, "port_is_free", lambda port: port != kept.redis_port)
    replaced = state.with_free_ports(kept, living=set(), supervisor_pid=None)
    assert (replaced.postgres_port, replaced.supervisor_port) == (20_000, 20_002)
    assert replaced.redis_port in set(few_ports) - set(ports_of(kept))


def test_a_port_that_the_engine_itself_is_to_have_is_no_servers(few_ports: range) -> None:
    kept = State(postgres_port=20_000, redis_port=20_001, supervisor_port=20_002)
    chosen = state.with_free_ports(kept, living={"redis"}, supervisor_pid=None, reserved={20_000, 20_001, 20_003})
    assert (chosen.redis_port, chosen.supervisor_port) == (20_001, 20_002)
    assert chosen.postgres_port in {20_004, 20_005}


def test_a_rotation_puts_a_new_key_of_offers_before_the_kept_ones(tmp_path: Path) -> None:
    assert not state.rotate_offer_keys(tmp_path)
    state.save(tmp_path, State())
    before = OfferKeys(state.load(tmp_path).offer_keys)
    assert state.rotate_offer_keys(tmp_path)
    after = OfferKeys(state.load(tmp_path).offer_keys)
    assert (len(after.ids), after.ids[1:]) == (2, before.ids)
