"""Sessions of the console: begun with a key or a link, ended with their key, closed to strangers and other sites."""

import os
import subprocess
import sys
from html import unescape

import pytest

from shared.access import keys
from shared.postgres import pools
from tests.e2e.console.browsing import key_with, visitor
from tests.support.engine import Engine
from tests.support.waiting import eventually

PRODUCT = "/console/products/P-100"


def test_the_root_leads_to_the_console_and_the_console_to_the_sign_in(engine: Engine) -> None:
    with visitor(engine) as guest:
        assert guest.http.get("/").headers["location"] == "/console"
        answer = guest.http.get("/console/products?q=lamp")
        assert (answer.status_code, answer.headers["location"]) == (
            303,
            "/console/sign-in?next=%2Fconsole%2Fproducts%3Fq%3Dlamp",
        )
        signed_in = guest.sign_in(engine.key, next="/console/products?q=lamp")
        assert signed_in.headers["location"] == "/console/products?q=lamp"
        assert "Sign out" in guest.page("/console")


def test_a_session_is_hidden_from_scripts_and_other_sites(engine: Engine) -> None:
    with visitor(engine) as guest:
        answer = guest.sign_in(engine.key)
        [cookie] = [one for one in answer.headers.get_list("set-cookie") if one.startswith("pricing_session=")]
        assert {"HttpOnly", "SameSite=strict", "Path=/console", "Max-Age=43200"} <= set(cookie.split("; "))
        assert "Secure" not in cookie
        guest.http.headers["x-forwarded-proto"] = "https"
        behind_tls = guest.sign_in(engine.key).headers.get_list("set-cookie")
        assert all("Secure" in one for one in behind_tls)


def test_a_wrong_key_is_told_at_its_field(engine: Engine) -> None:
    with visitor(engine) as guest:
        answer = guest.sign_in("pricing_wrong")
        assert answer.status_code == 401
        assert "not known, has expired or was revoked" in answer.text
        assert guest.http.get("/console").status_code == 303


@pytest.mark.parametrize("elsewhere", ["https://elsewhere.example", "//elsewhere.example", "/docs", "/console\\@x"])
def test_a_sign_in_leads_to_pages_of_the_console_only(engine: Engine, elsewhere: str) -> None:
    with visitor(engine) as guest:
        assert guest.sign_in(engine.key, next=elsewhere).headers["location"] == "/console"


def test_a_session_ends_with_its_key_at_once(engine: Engine) -> None:
    key_id, key = key_with(engine, "catalogue:read")
    with visitor(engine) as guest:
        guest.sign_in(key)
        assert guest.http.get("/console").status_code == 200
        with pools.connect(engine.settings, "tests") as conn:
            keys.revoke(conn, key_id)
        assert guest.http.get("/console").status_code == 303


def test_who_signs_out_is_out_also_with_the_old_cookie(engine: Engine) -> None:
    with visitor(engine, "catalogue:read") as person:
        token = person.http.cookies["pricing_session"]
        assert person.send("/console/sign-out").headers["location"] == "/console/sign-in"
        assert "pricing_session" not in person.http.cookies
        answer = person.http.get("/console", headers={"cookie": f"pricing_session={token}"})
        assert answer.status_code == 303


def test_the_database_holds_no_token(engine: Engine) -> None:
    with visitor(engine, "catalogue:read") as person:
        token = person.http.cookies["pricing_session"]
        assert not [row for row in engine.sql("SELECT * FROM sessions") if token in str(row)]


def test_a_link_of_just_console_signs_in_once(engine: Engine) -> None:
    environ = os.environ | {"PRICING_HOME": str(engine.home), "PRICING_DATABASE_URL": engine.settings.database_url}
    environ |= {"PRICING_PORT": str(engine.settings.port)}
    command = [sys.executable, "-m", "shared.commands", "console"]
    done = subprocess.run(command, env=environ, capture_output=True, text=True, check=True)
    path = done.stdout.strip().removeprefix(str(engine.http.base_url).rstrip("/"))
    assert path.startswith("/console/sign-in/"), done.stdout
    with visitor(engine) as guest, visitor(engine) as another:
        assert 'content="0;url=/console"' in guest.page(path)
        assert "Sign out" in guest.page("/console")
        assert "used already" in another.page(path, status=401)


def test_a_form_without_the_token_of_its_session_does_nothing_and_is_asked_about(engine: Engine) -> None:
    product = engine.put_product()["product_id"]
    path = f"/console/products/{product}/manual-price"
    with visitor(engine, "admin") as person, visitor(engine, "admin") as another:
        for csrf in ("", "x", another.send("/console/theme", theme="dark").request.content.decode()[5:69]):
            answer = person.http.post(path, data={"csrf": csrf, "price": "55.00", "reason": "typed before"})
            assert answer.status_code == 409
            assert "typed before" in answer.text
        assert engine.price(product, user_location="CHI")["final_price"] == "100.00"
    with visitor(engine) as guest:
        assert guest.http.post("/console/sign-in", data={"key": engine.key}).status_code == 409


def test_what_was_typed_in_a_session_that_has_ended_is_sent_behind_the_next_one(engine: Engine) -> None:
    product = engine.put_product()["product_id"]
    path = f"/console/products/{product}/manual-price"
    with visitor(engine) as person:
        answer = person.http.post(path, data={"csrf": "old", "price": "55.00", "reason": "typed before"})
        assert answer.status_code == 401
        typed = '[["price","55.00"],["reason","typed before"]]'
        assert typed in unescape(answer.text)
        wrong = person.sign_in("pricing_wrong", next=path, typed=typed)
        assert (wrong.status_code, typed in unescape(wrong.text), f'value="{path}"' in wrong.text) == (401, True, True)
        stale = person.http.post("/console/sign-in", data={"csrf": "old", "next": path, "typed": typed})
        assert (stale.status_code, typed in unescape(stale.text), f'value="{path}"' in stale.text) == (409, True, True)
        assert person.sign_in(engine.key, next=path, typed="[").status_code == 400
        again = person.sign_in(engine.key, next=path, typed=typed)
        assert (again.status_code, "typed before" in again.text) == (200, True)
        assert person.send(path, price="55.00", reason="typed before").status_code == 303
    assert engine.price(product, user_location="CHI")["final_price"] == "55.00"


def test_a_form_that_fails_as_a_whole_is_offered_to_be_sent_again(engine: Engine) -> None:
    with visitor(engine, "admin") as person:
        failed = person.send("/console/rules/plan", part_kind="nothing", percent="12")
        assert failed.status_code == 422
        assert '<form method="post" action="/console/rules/plan">' in failed.text
        assert '<input type="hidden" name="percent" value="12">' in failed.text


def test_a_body_that_is_no_form_is_refused(engine: Engine) -> None:
    with visitor(engine, "admin") as person:
        assert person.http.post("/console/theme", json={"theme": "dark"}).status_code == 415


def test_writes_are_in_the_audit_log_under_the_sessions_key(engine: Engine) -> None:
    key_id, key = key_with(engine, "admin")
    with visitor(engine) as person:
        person.sign_in(key)
        person.send("/console/theme", theme="dark")
    query = "SELECT request, outcome FROM audit_log WHERE key_id = %s ORDER BY id"
    eventually(lambda: len(engine.sql(query, key_id)) == 2, "two entries")
    assert [(row["request"], row["outcome"]) for row in engine.sql(query, key_id)] == [
        ("POST /console/sign-in", "303"),
        ("POST /console/theme", "303"),
    ]
