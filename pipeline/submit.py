"""`layerprism submit`: a run as a Ray job, followed from here.

A job runs once; what makes a resubmission go on where the last one stopped is the run itself. Whether anybody drives
the run already is decided by the driver's lease, not here: a job of the same run that is still there is followed.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import re
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from layered.errors import FailedWorkError, UserError
from pipeline.local_ray import answer_of, local_ray, token_of_this_user
from pipeline.submission import Submission

NEW_LOCAL = "local"
"""In place of an address: a Ray of one's own, as in `ray.init`."""

USUAL_ADDRESS = "http://127.0.0.1:8265"
KEPT = "layerprism"
STOPPED = 130
COMMAND_NOT_FOUND = 127
WENT_WRONG = 1
SECONDS_BETWEEN_LOOKS = 1.0
SECONDS_OUT_OF_REACH = 120.0
"""A job server that is not reached for so long while a job is followed is given up."""

TALKATIVE = (
    *("ray.dashboard.modules.dashboard_sdk", "ray.dashboard.modules.job.sdk", "ray._private.runtime_env.packaging"),
)
"""Parts of Ray's client that report each upload and each closed connection."""

Say = Callable[[str], None]


@dataclass(frozen=True)
class JobServer:
    """The job server of a cluster.

    Attributes:
        token: lets us in; None where everybody may.
        started: whether this program started it, and ends it: its jobs end with it.
    """

    address: str
    token: str | None = None
    started: bool = False

    def follow_command(self, job: str) -> str:
        return f"layerprism submit --follow {job} --address {self.address}"

    def stop_command(self, job: str) -> str:
        return f"layerprism submit --stop {job} --address {self.address}"


@dataclass(frozen=True)
class SubmitOptions:
    """Where a run goes, and whether to wait for its end."""

    address: str | None = None
    wait: bool = True


def submit_run(submission: Submission, options: SubmitOptions, say: Say) -> int:
    """Submits a run and follows it; the exit code of the run, 130 when the person who follows has seen enough.

    Raises:
        UserError: when no job server is there, or none that outlives a submission that does not wait.
        FailedWorkError: when the job server refuses the job, or goes out of reach.
    """
    with job_server(options.address, submission) as server:
        if server.started and not options.wait:
            raise UserError(
                "--no-wait needs a cluster that stays when this command ends: start one (ray start --head) or give its "
                "--address"
            )
        if not (server.started or submission.is_shared):
            say(f"{submission.place}: a path that all machines of the cluster must share, or their work is lost to you")
        job = submit(submission, server, say)
        if not options.wait:
            say(f"follow it: {server.follow_command(job)}\nstop it:   {server.stop_command(job)}")
            return 0
        return _followed(server, job, say)


def follow_job(address: str | None, job: str, say: Say) -> int:
    """Follows a job that was submitted before; its exit code. Raises as `follow`."""
    with job_server(address, None) as server:
        return _followed(server, job, say)


def stop_job(address: str | None, job: str, say: Say) -> None:
    """Stops a job. Raises UserError when there is no such job."""
    with job_server(address, None) as server:
        say(f"{job} stops; the run can go on later" if stop(server, job) else f"{job} had ended before")


def _followed(server: JobServer, job: str, say: Say) -> int:
    try:
        return follow(server, job, write_to_terminal, say)
    except KeyboardInterrupt:
        if server.started:
            say("stopped, with the Ray that ran it; the same command goes on from here")
        else:
            say(f"{job} goes on. Follow it: {server.follow_command(job)}\nstop it: {server.stop_command(job)}")
        return STOPPED


@contextmanager
def job_server(address: str | None, submission: Submission | None) -> Iterator[JobServer]:
    """The job server at an address; without one that of this machine, which is started when none runs.

    ``local`` for an address always starts one.

    Args:
        submission: None when nothing is submitted: then nothing is started.

    Raises:
        UserError: when none answers, or none can be started.
    """
    given = address or os.environ.get("RAY_API_SERVER_ADDRESS")
    if given is not None and given != NEW_LOCAL:
        server = given if "://" in given else f"http://{given}"
        if not server.startswith(("http://", "https://")):
            raise UserError(f"--address {given}: the job server's address is wanted, such as {USUAL_ADDRESS}")
        answer = answer_of(server, seconds=10)
        if answer == "none":
            raise UserError(
                f"no Ray job server answers at {server}: is the cluster up, and the port forwarded (ray dashboard)?"
            )
        yield JobServer(server, _token(server) if answer == "token wanted" else None)
    elif given is None and (answer := answer_of(USUAL_ADDRESS)) != "none":
        yield JobServer(USUAL_ADDRESS, _token(USUAL_ADDRESS) if answer == "token wanted" else None)
    elif submission is None:
        raise UserError(f"no Ray job server answers at {USUAL_ADDRESS}: give its --address")
    else:
        with local_ray(submission.config.executor) as (started, token):
            yield JobServer(started, token, started=True)


def _token(server: str) -> str:
    """This user's token. Raises UserError when there is none."""
    token = token_of_this_user()
    if token is None:
        raise UserError(
            f"{server} wants a token: put the cluster's into RAY_AUTH_TOKEN or ~/.ray/auth_token "
            "(on its head: ray get-auth-token)"
        )
    return token


def submit(submission: Submission, server: JobServer, say: Say) -> str:
    """Gives a run to a cluster, or finds the job of the same run that is there already.

    Returns:
        The job's id.
    """
    client = _client(server)
    jobs = _jobs_of(client, submission.base_id)
    if running := [job for job, status in jobs.items() if not status.is_terminal()]:
        say(f"{submission.place} has a job already, {running[0]}: following it")
        return running[0]
    job = f"{submission.base_id}-{1 + max((_number(job) for job in jobs), default=0)}"
    with tempfile.TemporaryDirectory() as folder:
        submission.write(Path(folder))
        try:
            client.submit_job(
                entrypoint=submission.command,
                submission_id=job,
                # What the executor gives to its workers must not stand here: Ray refuses the same name twice.
                runtime_env={"working_dir": folder, "env_vars": {"PYTHONUNBUFFERED": "1"}},
                metadata={"run": submission.place, "name": submission.config.name},
            )
        except RuntimeError as error:
            if job not in _jobs_of(client, submission.base_id):
                raise FailedWorkError(f"{server.address} did not take the job: {_last_line(error)}") from error
            say(f"{job} was submitted by somebody else at the same time: following it")
            return job
    say(f"submitted {job} to {server.address}")
    return job


def follow(server: JobServer, job: str, write: Say, say: Say) -> int:
    """Writes a job's log as it grows, until the job ends. A connection that breaks is taken up again.

    Args:
        write: gets pieces of the log, lines or not.
        say: gets lines of our own.

    Returns:
        The exit code of the job's command; 128 + the signal that killed it, 130 when the job was stopped.

    Raises:
        UserError: when there is no such job.
        FailedWorkError: when the job server has been out of reach for too long.
    """
    client = _client(server)
    _details(client, server, job)
    log, out_of_reach_since = _Log(write), None
    while True:
        try:
            asyncio.run(log.tail(client, job))
            details = _details(client, server, job)
        except (RuntimeError, OSError) as error:  # aiohttp's and requests' errors are among them
            now = time.monotonic()
            out_of_reach_since = out_of_reach_since or now
            if now - out_of_reach_since > SECONDS_OUT_OF_REACH:
                raise FailedWorkError(
                    f"{server.address} is out of reach ({_last_line(error)}); the job may well go on: "
                    f"{server.follow_command(job)}"
                ) from error
            time.sleep(SECONDS_BETWEEN_LOOKS)
            continue
        out_of_reach_since = None
        if details.status.is_terminal():
            # The last lines may have been written between the last look at the log and the end.
            log.tell(client.get_job_logs(job), 0)
            return _exit_code(details, say)
        time.sleep(SECONDS_BETWEEN_LOOKS)


def stop(server: JobServer, job: str) -> bool:
    """Asks a job to stop; the run stays as it is and can go on. False when the job had ended before."""
    client = _client(server)
    if _details(client, server, job).status.is_terminal():
        return False
    return bool(client.stop_job(job))


class _Log:
    """Writes a log piece by piece and each character once, although the job server tells it from its beginning."""

    def __init__(self, write: Say) -> None:
        self._write, self._written = write, 0

    async def tail(self, client: Any, job: str) -> None:
        """Writes what is new until the log ends. Raises RuntimeError or OSError when the connection breaks."""
        from aiohttp import ClientError

        told = 0
        try:
            async for piece in client.tail_job_logs(job):
                self.tell(piece, told)
                told += len(piece)
        except ClientError as error:
            raise ConnectionError(str(error)) from error

    def tell(self, piece: str, start: int) -> None:
        """Writes what of a piece, which begins `start` characters into the log, has not been written."""
        new = piece[max(0, self._written - start) :]
        if new:
            self._write(new)
            self._written = start + len(piece)


def _exit_code(details: Any, say: Say) -> int:
    """What the job's command ended with, as a shell would tell it."""
    status, code = str(details.status.value), cast(int | None, details.driver_exit_code)
    if status == "STOPPED":
        say("the job was stopped; the same submission goes on from here")
        return STOPPED
    if status == "SUCCEEDED":
        return 0
    if code is None:
        say(f"the job failed: {_last_line(details.message or 'nobody knows why')}")
        return WENT_WRONG
    if code == COMMAND_NOT_FOUND:
        say("the cluster does not know the command layerprism: install the project where its Ray is installed")
    if code < 0 or code > 128:
        signal = -code if code < 0 else code - 128
        say(f"the job was killed by signal {signal}; the same submission goes on from here")
        return 128 + signal
    return code or WENT_WRONG


def _client(server: JobServer) -> Any:
    """Raises UserError when Ray's job client is not installed or the server does not take it."""
    try:
        from ray.exceptions import AuthenticationError
        from ray.job_submission import JobSubmissionClient
    except ImportError as error:
        raise UserError(f"{_last_line(error)}: pip install 'layerprism[cluster]'") from error
    for name in TALKATIVE:
        logging.getLogger(name).setLevel(logging.WARNING)
    headers = {"Authorization": f"Bearer {server.token}"} if server.token else None
    # The client would rather believe these than the address that it is given.
    with _without_environment("RAY_ADDRESS", "RAY_API_SERVER_ADDRESS"):
        try:
            return JobSubmissionClient(server.address, headers=headers)
        except AuthenticationError as error:
            raise UserError(f"{server.address} refuses the token that is here: take the cluster's") from error
        except (RuntimeError, ConnectionError) as error:
            raise UserError(f"{server.address}: {_last_line(error)}") from error


def _details(client: Any, server: JobServer, job: str) -> Any:
    try:
        return client.get_job_info(job)
    except RuntimeError as error:
        if "does not exist" in str(error) or "404" in str(error):
            known = ", ".join(sorted(_jobs_of(client, KEPT))) or "none"
            raise UserError(f"{server.address} knows no job {job}; those of layerprism: {known}") from error
        raise


def _jobs_of(client: Any, base_id: str) -> dict[str, Any]:
    """The jobs of a run, whatever became of them: id → status."""
    jobs = {job.submission_id: job.status for job in client.list_jobs() if job.submission_id}
    return {job: status for job, status in jobs.items() if job.startswith(f"{base_id}-")}


def _number(job: str) -> int:
    found = re.search(r"-(\d+)$", job)
    return int(found[1]) if found else 0


def _last_line(error: object) -> str:
    lines = [line for line in str(error).strip().splitlines() if line.strip()]
    return lines[-1].strip() if lines else type(error).__name__


@contextmanager
def _without_environment(*names: str) -> Iterator[None]:
    kept = {name: os.environ.pop(name) for name in names if name in os.environ}
    try:
        yield
    finally:
        os.environ.update(kept)


def write_to_terminal(piece: str) -> None:
    """A piece of a log as it came, at once."""
    with contextlib.suppress(BrokenPipeError):
        sys.stdout.write(piece)
        sys.stdout.flush()
