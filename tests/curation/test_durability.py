"""Every decision that was acknowledged is there, however often the server is killed."""

from __future__ import annotations

import http.client
import json
import os
import random
import signal
import socket
import subprocess
import sys
import threading
import time
import uuid
from pathlib import Path

import pytest

from curation.store import DecisionStore
from curation.store_place import store_path
from ledger.decisions import append_decisions, read_decisions
from ledger.run_directory import RunDirectory
from tests.conftest import REPOSITORY
from tests.curation.reviews import review_run
from tests.ledger.runs import sample_id

SERVER = """
import sys
from pathlib import Path
from curation.server import bind, serve
from curation.app import make_app
from functools import partial
from ledger.run_directory import RunDirectory
from tests.curation.reviews import open_review
review = open_review(RunDirectory.open(Path(sys.argv[1])))
serve(partial(make_app, review), bind("127.0.0.1", int(sys.argv[2])), review.bus.close)
"""
VERDICTS = ("pro", "keep", "reject", "skip", "undo")


class Server:
    """A server process that is killed and started again on the same port."""

    def __init__(self, run: Path) -> None:
        self.run = run
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.process = self._start()

    def kill_and_restart(self) -> None:
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()
        self.process = self._start()

    def _start(self) -> subprocess.Popen[bytes]:
        environment = {**os.environ, "PYTHONPATH": str(REPOSITORY), "OMP_NUM_THREADS": "1"}
        command = [sys.executable, "-c", SERVER, str(self.run), str(self.port)]
        return subprocess.Popen(command, env=environment, cwd=REPOSITORY)


class Client(threading.Thread):
    """Decides at random and asks again until it is told that the decision is stored."""

    def __init__(self, port: int, name: str, decisions: int, samples: int) -> None:
        super().__init__(daemon=True)
        self.port, self.reviewer, self.decisions, self.samples = port, name, decisions, samples
        self.acknowledged: dict[str, str] = {}
        self.problem = ""

    def run(self) -> None:
        chance = random.Random(self.reviewer)
        connection = None
        for _ in range(self.decisions):
            number, verdict = chance.randrange(self.samples), chance.choice(VERDICTS)
            name = str(uuid.UUID(int=chance.getrandbits(128), version=4))
            body = {"client_id": name, "sample_id": sample_id(number), "verdict": verdict, "reasons": []}
            while name not in self.acknowledged:
                try:
                    connection = connection or http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
                    headers = {"content-type": "application/json", "cookie": f"layerprism_reviewer={self.reviewer}"}
                    connection.request("POST", "/api/decisions", json.dumps({"events": [body]}), headers)
                    answer = connection.getresponse()
                    content = answer.read()
                    if answer.status != 200:
                        self.problem = content.decode()
                        return
                    for accepted in json.loads(content)["accepted"]:
                        self.acknowledged[accepted["client_id"]] = verdict
                except (OSError, http.client.HTTPException):
                    connection = None
                    time.sleep(0.05)


def hammer(run: RunDirectory, decisions: int, kills: int, samples: int) -> None:
    """Four clients, a server killed `kills` times while they work; then everything that was acknowledged is looked up.

    A kill comes when its share of all decisions was acknowledged, so that each hits a server at work.
    """
    server = Server(run.path)
    clients = [Client(server.port, f"reviewer-{number}", decisions // 4, samples) for number in range(4)]
    try:
        for client in clients:
            client.start()
        for kill in range(1, kills + 1):
            while sum(len(client.acknowledged) for client in clients) < kill * decisions // (kills + 1):
                assert any(client.is_alive() for client in clients), [client.problem for client in clients]
                time.sleep(0.01)
            server.kill_and_restart()
        for client in clients:
            client.join(timeout=600)
    finally:
        server.process.kill()
        server.process.wait()
    assert [client.problem for client in clients] == [""] * 4
    acknowledged = {name: verdict for client in clients for name, verdict in client.acknowledged.items()}
    assert len(acknowledged) == decisions
    store = DecisionStore(store_path(run))
    assert {event.event_id: event.verdict for event in store.all()} == acknowledged
    append_decisions(run.storage, store.to_push(10**6))
    assert {event.event_id for event in read_decisions(run.storage)} == acknowledged.keys()


def test_no_acknowledged_decision_is_lost_when_the_server_is_killed(tmp_path: Path) -> None:
    hammer(review_run(tmp_path / "run", count=6), decisions=200, kills=1, samples=6)


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_five_thousand_decisions_survive_ten_kills(tmp_path: Path) -> None:
    hammer(review_run(tmp_path / "run", count=12), decisions=5000, kills=10, samples=12)
