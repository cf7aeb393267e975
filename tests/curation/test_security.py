from collections.abc import Iterator
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from curation.server import bind, is_loopback
from layered.errors import UserError
from tests.curation.reviews import client_of, decide, event, open_review, review_run

TOKEN = "a-long-secret"


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    review = open_review(review_run(tmp_path_factory.mktemp("security") / "run", count=4))
    with client_of(review) as client:
        yield client


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "http://evil.example"},
        {"origin": "http://localhost:8080"},
        {"origin": "null"},
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
        {"content-type": "text/plain"},
        {"content-type": "application/x-www-form-urlencoded"},
        {"content-type": ""},
    ],
)
def test_another_site_changes_nothing(client: TestClient, headers: dict[str, str]) -> None:
    body = b'{"events":[]}'
    response = client.post("/api/decisions", content=body, headers={"content-type": "application/json", **headers})
    assert response.status_code in (403, 415)


def test_another_site_reads_nothing(client: TestClient) -> None:
    for path in ("/api/session", "/api/next?queue=undecided", "/api/export"):
        assert client.get(path, headers={"sec-fetch-site": "cross-site"}).status_code == 403
    assert client.get("/api/session").headers["cross-origin-resource-policy"] == "same-origin"


def test_a_link_to_the_page_may_be_followed(client: TestClient) -> None:
    headers = {"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate"}
    assert client.get("/", headers=headers).status_code == 200


def test_a_strangers_name_for_this_machine_is_refused(client: TestClient) -> None:
    assert client.get("/api/session", headers={"host": "evil.example:8765"}).status_code == 421
    assert client.get("/api/session", headers={"host": "localhost:8765"}).status_code == 200


def test_the_pages_own_requests_pass(client: TestClient) -> None:
    headers = {"origin": "http://localhost", "sec-fetch-site": "same-origin"}
    answer = client.post("/api/decisions", json={"events": [event(0, "keep")]}, headers=headers)
    assert answer.status_code == 200
    decide(client, event(0, "undo"))


def test_every_answer_carries_the_rules_of_the_page(client: TestClient) -> None:
    for path in ("/", "/api/session", "/nothing", "/static/nothing.js"):
        headers = client.get(path).headers
        assert headers["content-security-policy"].startswith("default-src 'self'")
        assert "unsafe" not in headers["content-security-policy"]
        assert headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize(
    "path",
    [
        "/static/../app.py",
        "/static/%2e%2e/app.py",
        "/static/..%2f..%2fpyproject.toml",
        "/image/x/../../../etc/passwd",
        "/image/0/s0000000/..%2f..%2frun.json",
        "/thumb/0/..%2f..%2frun.json/whole.webp",
        "/api/sample/..%2f..%2frun.json",
    ],
)
def test_nothing_outside_the_run_is_served(client: TestClient, path: str) -> None:
    response = client.get(path)
    assert response.status_code in (404, 422)
    assert "fingerprint" not in response.text


def test_another_address_needs_the_token(tmp_path: Path) -> None:
    review = open_review(review_run(tmp_path / "run", count=2))
    with client_of(review, TOKEN) as client:
        assert client.get("/api/session").status_code == 401
        assert client.get("/?token=wrong").status_code == 401
        assert client.post("/api/decisions?token=" + TOKEN, json={"events": []}).status_code == 401
        opened = client.get(f"/?token={TOKEN}&queue=audit", follow_redirects=False)
        assert (opened.status_code, opened.headers["location"]) == (303, "/?queue=audit")
        cookie = opened.headers["set-cookie"].lower()
        assert "httponly" in cookie
        assert "samesite=strict" in cookie
        assert client.get("/api/session").status_code == 200


def test_only_loopback_goes_without_a_token() -> None:
    assert [is_loopback(host) for host in ("127.0.0.1", "::1", "localhost", "127.8.8.8")] == [True] * 4
    assert [is_loopback(host) for host in ("0.0.0.0", "::", "192.168.1.7", "example.org")] == [False] * 4
    address, other = bind("127.0.0.1", 0), bind("0.0.0.0", 0)
    try:
        assert address.token is None
        assert address.url.startswith("http://127.0.0.1:")
        assert other.token is not None
        assert f"?token={other.token}" in other.url
        with pytest.raises(UserError, match="cannot serve on"):
            bind("127.0.0.1", address.listener.getsockname()[1])
    finally:
        address.listener.close()
        other.listener.close()
