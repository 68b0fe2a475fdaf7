"""A Prefect server, a worker and this project's deployments on this machine, until Ctrl-C.

    python -m flows.serve [--port 4200]

Everything listens on loopback and asks for a password, made at the first start. SQLite keeps what the server knows;
PREFECT_SERVER_DATABASE_CONNECTION_URL=postgresql+asyncpg://… makes it Postgres.
"""

from __future__ import annotations

import argparse
import os
import shlex
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout
from prefect.settings import get_current_settings

from flows.command import run_main
from flows.deploy import POOL, DeployError, deploy
from flows.loopback import without_proxy
from flows.server import (
    ADDRESS,
    PASSWORD,
    SERVING,
    ServerError,
    of_server,
    password,
    wait_until_healthy,
    write_secret,
)
from flows.stage import stop_tree

REPO = Path(__file__).resolve().parent.parent
RESTARTS, WITHIN_SECONDS = 5, 300.0
STOP_SECONDS = 20
PROMPT = {
    "PREFECT_WORKER_QUERY_SECONDS": "2",
    "PREFECT_WORKER_CANCELLATION_POLL_SECONDS": "2",  # its trainers are to stop within 10 s
    "PREFECT_SERVER_SERVICES_SCHEDULER_LOOP_SECONDS": "10",
}


class ServeError(RuntimeError):
    """A fault that the user can mend; the text says how."""


@dataclass
class Kept:
    """A process that is started again when it dies."""

    name: str
    command: list[str]
    environment: Mapping[str, str]
    log: Path
    process: subprocess.Popen[bytes] | None = None
    starts: list[float] = field(default_factory=list)

    def start(self) -> None:
        self.starts.append(time.monotonic())
        with self.log.open("ab") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "flows.end_with_parent", sys.executable, *self.command],
                cwd=REPO,
                env=dict(self.environment),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,  # Ctrl-C ends the runs first, then these
            )

    def alive(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def restart(self) -> None:
        """Start it anew. Raises ServeError where it has died too often."""
        recent = [begun for begun in self.starts if time.monotonic() - begun < WITHIN_SECONDS]
        if len(recent) > RESTARTS:
            raise ServeError(f"the {self.name} died {len(recent)} times in {WITHIN_SECONDS:.0f} s; its log: {self.log}")
        print(f"The {self.name} died; starting it again", flush=True)
        self.start()

    def stop(self) -> None:
        if self.process is not None:
            stop_tree(self.process.pid)
            self.process.wait()


def settings(port: int, home: Path) -> dict[str, str]:
    """The environment of the server, the worker and its runs; what the user has set stays."""
    auth = password(home)
    reached = {"PREFECT_API_AUTH_STRING": auth, "PREFECT_API_URL": f"http://127.0.0.1:{port}/api"}
    return {**PROMPT, **os.environ, **of_server(port, auth), **reached}


@contextmanager
def _alone(home: Path) -> Iterator[None]:
    """Raises ServeError where this project is served already: each would take the other's runs for dead."""
    home.mkdir(parents=True, exist_ok=True)
    lock = FileLock(home / SERVING)
    try:
        lock.acquire(timeout=2)
    except Timeout:
        raise ServeError("`make serve` runs already in this project; stop that one first (Ctrl-C)") from None
    (home / ADDRESS).unlink(missing_ok=True)  # of one that was killed
    try:
        yield
    finally:
        (home / ADDRESS).unlink(missing_ok=True)
        lock.release()


def _refuse_taken(port: int) -> None:
    """Raises ServeError."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            raise ServeError(f"port {port}: {error.strerror}; give another one: --port {port + 1}") from None


def serve(port: int) -> None:
    """Start everything, keep it up, and stop it in order. Raises ServeError, ServerError or DeployError."""
    home = get_current_settings().home.resolve()
    with _alone(home):
        _refuse_taken(port)
        environment = settings(port, home)
        server = ["-m", "prefect", "server", "start", "--host", "127.0.0.1", "--port", str(port)]
        worker = ["-m", "prefect", "worker", "start", "--pool", POOL, "--type", "process"]
        worker += ["--prefetch-seconds", "0", "--name", "this-machine"]
        kept = [Kept("server", server, environment, home / "server.log")]
        kept.append(Kept("worker", worker, environment, home / "worker.log"))
        try:
            kept[0].start()
            api = environment["PREFECT_API_URL"]
            wait_until_healthy(kept[0].alive, api, kept[0].log)
            names = deploy(REPO, environment)
            write_secret(home / ADDRESS, api)
            _end_runs("left", environment)
            kept[1].start()
            _tell(port, home, environment, names)
            _keep(kept)
        finally:
            if kept[0].alive():
                _end_runs(str(STOP_SECONDS), environment)
            for each in reversed(kept):
                each.stop()


def _keep(kept: list[Kept]) -> None:
    """Start again what dies, until Ctrl-C. Raises ServeError."""
    while True:
        for each in kept:
            if not each.alive():
                each.restart()
        time.sleep(1)


def _tell(port: int, home: Path, environment: Mapping[str, str], names: list[str]) -> None:
    """Leave what a command needs that joins, and tell where it is."""
    login = home / "login.sh"
    names_of_it = ("PREFECT_API_URL", "PREFECT_API_AUTH_STRING")
    write_secret(login, "".join(f"export {name}={shlex.quote(environment[name])}\n" for name in names_of_it))
    shown = login.relative_to(REPO) if login.is_relative_to(REPO) else login
    print(f"Deployments: {', '.join(names)}")
    print(f"Start one:   source {shown} && prefect deployment run {names[0]}")
    print(f"Address:     http://127.0.0.1:{port}   user and password: {shown.with_name(PASSWORD)}", flush=True)


def _end_runs(which: str, environment: Mapping[str, str]) -> None:
    """As flows.cancel does, in whose process the server's settings are the environment's."""
    command = [sys.executable, "-m", "flows.cancel", which]
    done = subprocess.run(command, cwd=REPO, env=dict(environment), text=True, capture_output=True, check=False)
    if done.stdout.strip() or done.returncode:
        print(done.stdout.strip() or done.stderr.strip(), flush=True)


def _stop(*_: Any) -> None:
    raise KeyboardInterrupt


def _port(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= 65535:
        raise argparse.ArgumentTypeError(f"{text!r} is no port; it takes 1 to 65535")
    return int(text)


def main() -> None:
    without_proxy()
    parser = argparse.ArgumentParser(prog="python -m flows.serve", description="Serve this project's deployments.")
    parser.add_argument("--port", type=_port, default=4200, help="of the server on 127.0.0.1, 1 to 65535")
    port = parser.parse_args().port
    signal.signal(signal.SIGTERM, _stop)
    signal.signal(signal.SIGINT, _stop)
    try:
        serve(port)
    except KeyboardInterrupt:
        print("stopped; `make serve` goes on with the same schedules", file=sys.stderr)
        sys.exit(130)
    except (ServeError, ServerError, DeployError) as error:
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    run_main(main)
