"""`layerprism submit`: followed faithfully, with the exit code of the run; on a real Ray with its job server (slow)."""

import functools
import os
import re
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import contextmanager
from enum import Enum
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from layered.errors import FailedWorkError, UserError
from pipeline import submit as submitting
from pipeline.executor_config import ExecutorConfig
from pipeline.local_ray import answer_of, local_ray, token_of_this_user
from pipeline.submission import Submission, prepare
from pipeline.submit import JobServer, follow, job_server, stop, submit
from tests.conftest import REPOSITORY

SIMULATED = REPOSITORY / "configs" / "simulation.yaml"
SMALL = ("plan.samples=12", "plan.chunk_layers=16", "executor.workers=2", "executor.light_workers=1")
SLOW_GENERATOR = ("layer_flux.batch_size=8", "layer_flux.simulated.seconds_per_batch=1")


class Status(Enum):
    RUNNING = "RUNNING"
    SUCCEEDED = "SUCCEEDED"
    FAILED = "FAILED"
    STOPPED = "STOPPED"

    def is_terminal(self) -> bool:
        return self is not Status.RUNNING


class FakeClient:
    """A job client. `breaks` are the characters after which a connection is lost, one after the other."""

    def __init__(self, log: str = "", status: Status = Status.SUCCEEDED, code: int | None = 0) -> None:
        self.log, self.status, self.code, self.breaks = log, status, code, list[int]()
        self.jobs: dict[str, Status] = {}
        self.submitted: list[dict[str, Any]] = []

    async def tail_job_logs(self, job: str) -> AsyncIterator[str]:
        end = self.breaks.pop(0) if self.breaks else len(self.log)
        for start in range(0, end, 7):
            yield self.log[start : min(start + 7, end)]
        if end < len(self.log):
            raise RuntimeError("WebSocket connection closed unexpectedly")

    def get_job_info(self, job: str) -> Any:
        if self.jobs and job not in self.jobs:
            raise RuntimeError(f"Request failed with status code 404: Job {job} does not exist.")
        return SimpleNamespace(status=self.status, driver_exit_code=self.code, message="the node is gone")

    def get_job_logs(self, job: str) -> str:
        return self.log

    def list_jobs(self) -> list[Any]:
        return [SimpleNamespace(submission_id=job, status=status) for job, status in self.jobs.items()]

    def submit_job(self, **what: Any) -> None:
        folder = Path(what["runtime_env"]["working_dir"])
        self.submitted.append({**what, "files": sorted(file.name for file in folder.iterdir())})

    def stop_job(self, job: str) -> bool:
        self.status = Status.STOPPED
        return True


@pytest.fixture
def client(monkeypatch: pytest.MonkeyPatch) -> FakeClient:
    fake = FakeClient()
    monkeypatch.setattr(submitting, "_client", lambda server: fake)
    monkeypatch.setattr(submitting, "SECONDS_BETWEEN_LOOKS", 0.0)
    return fake


SERVER = JobServer("http://head:8265")


def followed(client: FakeClient) -> tuple[int, str, list[str]]:
    written: list[str] = []
    said: list[str] = []
    code = follow(SERVER, "job-1", written.append, said.append)
    return code, "".join(written), said


class TestFollowing:
    def test_a_log_is_written_once_whatever_breaks(self, client: FakeClient) -> None:
        client.log, client.breaks = "one\ntwo\nthree\nfour\n", [5, 3, 16]
        assert followed(client)[:2] == (0, client.log)

    def test_what_was_written_after_the_last_look_is_not_lost(self, client: FakeClient) -> None:
        client.log = "first\n"

        async def only_the_first(job: str) -> AsyncIterator[str]:
            yield "first\n"
            client.log = "first\nthe error\n"

        client.tail_job_logs = only_the_first  # type: ignore[method-assign]
        assert followed(client)[1] == "first\nthe error\n"

    @pytest.mark.parametrize(
        ("status", "code", "ends_with", "said"),
        [
            (Status.SUCCEEDED, 0, 0, ""),
            (Status.FAILED, 1, 1, ""),
            (Status.FAILED, 2, 2, ""),
            (Status.FAILED, 130, 130, "killed by signal 2"),
            (Status.FAILED, -9, 137, "killed by signal 9; the same submission goes on from here"),
            (Status.FAILED, 137, 137, "killed by signal 9"),
            (Status.FAILED, 127, 127, "does not know the command layerprism"),
            (Status.FAILED, None, 1, "the node is gone"),
            (Status.STOPPED, None, 130, "was stopped; the same submission goes on from here"),
        ],
    )
    def test_the_exit_code_is_passed_on(
        self, client: FakeClient, status: Status, code: int | None, ends_with: int, said: str
    ) -> None:
        client.status, client.code = status, code
        ended, _, lines = followed(client)
        assert ended == ends_with
        assert said in " ".join(lines)

    def test_a_server_out_of_reach_for_too_long_is_given_up(
        self, client: FakeClient, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(submitting, "SECONDS_OUT_OF_REACH", -1.0)
        client.log, client.breaks = "one\n", [1]
        with pytest.raises(FailedWorkError, match=r"out of reach .* layerprism submit --follow job-1"):
            followed(client)

    def test_an_unknown_job_is_told_with_those_that_there_are(self, client: FakeClient) -> None:
        client.jobs = {"layerprism-big-1": Status.RUNNING, "other": Status.RUNNING}
        with pytest.raises(UserError, match="no job job-1; those of layerprism: layerprism-big-1"):
            followed(client)


class TestSubmitting:
    def submission(self) -> Submission:
        return prepare(SIMULATED, ["plan.samples=4"], "s3://bucket/big")

    def test_a_job_has_the_runs_name_and_the_next_number(self, client: FakeClient) -> None:
        base = self.submission().base_id
        client.jobs = {f"{base}-1": Status.FAILED, f"{base}-2": Status.SUCCEEDED, "layerprism-x-9": Status.RUNNING}
        assert submit(self.submission(), SERVER, print) == f"{base}-3"
        (job,) = client.submitted
        assert job["entrypoint"] == "exec layerprism run run.yaml --out s3://bucket/big"
        assert job["files"] == ["run.yaml"]
        assert "OMP_NUM_THREADS" not in job["runtime_env"]["env_vars"]  # the executor's own; Ray refuses it twice

    def test_a_run_that_has_a_job_is_followed(self, client: FakeClient) -> None:
        base = self.submission().base_id
        client.jobs = {f"{base}-4": Status.RUNNING}
        said: list[str] = []
        assert submit(self.submission(), SERVER, said.append) == f"{base}-4"
        assert not client.submitted
        assert "has a job already" in said[0]

    def test_of_two_who_submit_at_once_one_follows_the_other(self, client: FakeClient) -> None:
        base = self.submission().base_id

        def too_late(**_: Any) -> None:
            client.jobs[f"{base}-1"] = Status.RUNNING
            raise RuntimeError("a job with this id exists already")

        client.submit_job = too_late  # type: ignore[method-assign]
        assert submit(self.submission(), SERVER, print) == f"{base}-1"

    def test_a_server_that_refuses_is_told(self, client: FakeClient) -> None:
        def refuses(**_: Any) -> None:
            raise RuntimeError("Traceback …\nno room")

        client.submit_job = refuses  # type: ignore[method-assign]
        with pytest.raises(FailedWorkError, match="did not take the job: no room"):
            submit(self.submission(), SERVER, print)

    def test_stopping_says_whether_there_was_anything_to_stop(self, client: FakeClient) -> None:
        client.status = Status.RUNNING
        assert stop(SERVER, "job-1")
        assert not stop(SERVER, "job-1")


class TestServer:
    def test_nobody_at_the_address_is_told_at_once(self) -> None:
        with pytest.raises(UserError, match="no Ray job server answers"), self.at("127.0.0.1:9"):
            pass

    def test_another_kind_of_address_is_refused(self) -> None:
        with pytest.raises(UserError, match="the job server's address is wanted"), self.at("ray://head:10001"):
            pass

    def test_a_token_is_wanted_and_named_when_missing(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        monkeypatch.setattr(submitting, "answer_of", lambda address, seconds=2.0: "token wanted")
        monkeypatch.setenv("RAY_AUTH_TOKEN_PATH", str(tmp_path / "token"))
        monkeypatch.delenv("RAY_AUTH_TOKEN", raising=False)
        with pytest.raises(UserError, match="wants a token"), self.at("http://head:8265"):
            pass
        (tmp_path / "token").write_text("secret\n")
        with self.at("http://head:8265") as server:
            assert server == JobServer("http://head:8265", "secret")
        monkeypatch.setenv("RAY_AUTH_TOKEN", "nearer")
        assert token_of_this_user() == "nearer"

    @contextmanager
    def at(self, address: str) -> Iterator[JobServer]:
        with job_server(address, None) as server:
            yield server


def test_a_wrong_configuration_is_told_in_seconds_and_nothing_is_submitted(tmp_path: Path) -> None:
    """No server is at the address: it is not even asked."""
    began = time.monotonic()
    done = layerprism(
        "submit", str(SIMULATED), *out(tmp_path / "run", "plan.sample=3"), "--address", "http://127.0.0.1:9"
    )
    assert done.returncode == 2
    assert done.stderr.startswith("error: unknown key `plan.sample`")
    assert "did you mean `samples`" in done.stderr
    assert time.monotonic() - began < 60
    assert not (tmp_path / "run").exists()


@pytest.fixture(scope="module")
def cluster() -> Iterator[dict[str, str]]:
    """A Ray head with a job server: its address, and the environment of those who may use it."""
    with local_ray(ExecutorConfig(num_cpus=4)) as (address, token):
        assert answer_of(address) == "token wanted"
        yield {"RAY_API_SERVER_ADDRESS": address, "RAY_AUTH_TOKEN": token}
    assert answer_of(address) == "none"


@pytest.mark.slow
@pytest.mark.timeout(600)
class TestOnRay:
    def test_a_killed_job_is_resumed_by_the_same_submission_to_the_same_bytes(
        self, cluster: dict[str, str], tmp_path: Path
    ) -> None:
        overrides = (*SMALL, *SLOW_GENERATOR)
        arguments = ("submit", str(SIMULATED), *out(tmp_path / "run", *overrides))
        first = starting(*arguments, environment=cluster)
        wait_for(lambda: list((tmp_path / "run" / "chunks").glob("*.parquet")))
        os.kill(driver_of(cluster, first), signal.SIGKILL)
        output, errors = first.communicate(timeout=120)
        assert first.returncode == 137, output + errors
        assert "killed by signal 9; the same submission goes on from here" in errors
        done = set((tmp_path / "run" / "chunks").iterdir())

        again = layerprism(*arguments, environment=cluster)
        assert again.returncode == 0, again.stdout + again.stderr
        assert "-2 to http://" in again.stderr
        assert re.search(r";\s+\d+\s+chunks\s+are\s+done", again.stdout)
        assert set((tmp_path / "run" / "chunks").iterdir()) > done

        undisturbed = layerprism("run", str(SIMULATED), *out(tmp_path / "inline", *overrides, "executor.kind=inline"))
        assert undisturbed.returncode == 0, undisturbed.stderr
        for folder in ("chunks", "shards"):
            assert contents(tmp_path / "run" / folder) == contents(tmp_path / "inline" / folder)

    def test_a_job_is_left_to_itself_followed_again_and_stopped(self, cluster: dict[str, str], tmp_path: Path) -> None:
        endless = ("layer_flux.simulated.seconds_per_batch=600",)
        arguments = ("submit", str(SIMULATED), *out(tmp_path / "run", *SMALL, *endless))
        first = starting(*arguments, environment=cluster)
        wait_for(lambda: (tmp_path / "run" / "run.json").exists())
        first.send_signal(signal.SIGINT)
        _, errors = first.communicate(timeout=60)
        assert first.returncode == 130
        assert "goes on. Follow it: layerprism submit --follow" in errors
        (job,) = set(re.findall(r"--follow (\S+)", errors))

        second = starting(*arguments, environment=cluster)  # the same run: no second job
        follower = starting("submit", "--follow", job, environment=cluster)
        assert second.stderr is not None
        assert any("has a job already" in line for line in second.stderr)
        stopped = layerprism("submit", "--stop", job, environment=cluster)
        assert f"{job} stops" in stopped.stderr
        for each in (second, follower):
            _, errors = each.communicate(timeout=120)
            assert each.returncode == 130
            assert "was stopped" in errors
        assert "had ended before" in layerprism("submit", "--stop", job, environment=cluster).stderr

    def test_what_goes_wrong_on_the_cluster_comes_back_with_its_code(
        self, cluster: dict[str, str], tmp_path: Path
    ) -> None:
        """A run of another seed: only there can it be seen."""
        fast = ("layer_flux.simulated.seconds_per_batch=0", "layer_flux.simulated.seconds_per_layer=0")
        made = layerprism("run", str(SIMULATED), *out(tmp_path / "run", *SMALL, *fast, "executor.kind=inline"))
        assert made.returncode == 0, made.stderr
        arguments = out(tmp_path / "run", *SMALL, *fast, "seed=8")
        other = layerprism("submit", str(SIMULATED), *arguments, environment=cluster)
        assert other.returncode == 2
        assert "is another run: seed is 7 there, 8 here" in other.stdout

    def test_without_waiting_the_commands_to_follow_and_stop_are_told_and_metrics_reach_rays_exporter(
        self, cluster: dict[str, str], tmp_path: Path
    ) -> None:
        arguments = out(tmp_path / "run", *SMALL, *SLOW_GENERATOR)
        left = layerprism("submit", str(SIMULATED), *arguments, "--no-wait", environment=cluster)
        assert left.returncode == 0
        (job,) = set(re.findall(r"--follow (\S+)", left.stderr))
        wait_for(lambda: "ray_layerprism_items_total{" in exported(cluster))
        text = exported(cluster)
        assert re.search(r'ray_layerprism_busy_seconds_total\{.*stage="layer_flux".*\} [1-9]', text)
        assert layerprism("submit", "--follow", job, environment=cluster).returncode == 0


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_where_no_ray_runs_one_is_started_and_ended_again(tmp_path: Path) -> None:
    arguments = ("submit", str(SIMULATED), *out(tmp_path / "run", "plan.samples=2", "executor.kind=inline"))
    done = layerprism(*arguments, "--address", "local")
    assert done.returncode == 0, done.stdout + done.stderr
    (address,) = re.findall(r"submitted \S+ to (\S+)", done.stderr)
    assert answer_of(address) == "none"
    refused = layerprism(*arguments, "--address", "local", "--no-wait")
    assert refused.returncode == 2
    assert "--no-wait needs a cluster that stays" in refused.stderr


def out(run: Path, *overrides: str) -> list[str]:
    return ["--out", str(run), *(word for each in overrides for word in ("--set", each))]


def command_line(arguments: Sequence[str], environment: dict[str, str] | None) -> dict[str, Any]:
    program = [str(Path(sys.executable).with_name("layerprism")), *arguments]
    settings = {**os.environ, "OMP_NUM_THREADS": "1", **(environment or {})}
    return {"args": program, "env": settings, "text": True}


def layerprism(*arguments: str, environment: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(**command_line(arguments, environment), capture_output=True, check=False)


def starting(*arguments: str, environment: dict[str, str]) -> subprocess.Popen[str]:
    command = command_line(arguments, environment)
    # What is started from a script in the background is deaf to Ctrl-C, and so would be all that it starts.
    hear = functools.partial(signal.signal, signal.SIGINT, signal.SIG_DFL)
    return subprocess.Popen(**command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, preexec_fn=hear)


def wait_for(what: Callable[[], object], seconds: float = 180) -> None:
    deadline = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < deadline, "it never came"
        time.sleep(0.2)


def driver_of(cluster: dict[str, str], submitting_process: subprocess.Popen[str]) -> int:
    """The process of the one job that runs, as the job server tells it."""
    from ray.job_submission import JobSubmissionClient

    assert submitting_process.poll() is None
    headers = {"Authorization": f"Bearer {cluster['RAY_AUTH_TOKEN']}"}
    jobs = JobSubmissionClient(cluster["RAY_API_SERVER_ADDRESS"], headers=headers).list_jobs()
    (running,) = [job for job in jobs if job.submission_id and not job.status.is_terminal()]
    return int(running.driver_info.pid)


def exported(cluster: dict[str, str]) -> str:
    """What the exporter of the head's node serves to Prometheus."""
    from ray.job_submission import JobSubmissionClient

    headers = {"Authorization": f"Bearer {cluster['RAY_AUTH_TOKEN']}"}
    client = JobSubmissionClient(cluster["RAY_API_SERVER_ADDRESS"], headers=headers)
    nodes = client._do_request("GET", "/nodes?view=summary").json()["data"]["summary"]
    port = nodes[0]["raylet"]["metricsExportPort"]
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as response:
        return str(response.read().decode())


def contents(folder: Path) -> dict[str, bytes]:
    return {str(file.relative_to(folder)): file.read_bytes() for file in folder.rglob("*") if file.is_file()}
