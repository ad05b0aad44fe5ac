"""The metrics port of workers and listener: idle connections hold no thread for long."""

import socket

import httpx

from deploy import ports
from shared.telemetry import heartbeats, metrics_server
from tests.support.waiting import DEADLINE_S


def test_a_connection_without_a_whole_request_is_closed_and_others_are_served() -> None:
    port = ports.free_port()
    server = metrics_server.start("127.0.0.1", port, lambda: heartbeats.health([]), idle_s=0.2)
    try:
        for sent in (b"", b"GET /metrics HT", b"GET /metrics HTTP/1.1\r\nhost: "):
            with socket.create_connection(("127.0.0.1", port), timeout=DEADLINE_S) as idle:
                idle.sendall(sent)
                assert httpx.get(f"http://127.0.0.1:{port}/metrics", trust_env=False).status_code == 200
                assert idle.recv(1_000) == b""
    finally:
        server.shutdown()
        server.server_close()
