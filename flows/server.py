"""The Prefect server that a run reports to: the one that PREFECT_API_URL names, `make serve`'s, or one of its own.

What makes a server safe stands in pyproject.toml, under tool.prefect, but for what is different each time.
"""

from __future__ import annotations

import atexit
import http.client
import os
import secrets
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import httpx
from filelock import FileLock, Timeout
from prefect.client.orchestration import get_client
from prefect.exceptions import PrefectHTTPStatusError
from prefect.settings import PREFECT_API_AUTH_STRING, PREFECT_API_URL, get_current_settings, temporary_settings

from flows.head import free_port
from flows.stage import stop_tree

RESTARTS = 5  # of a run's own server
START_SECONDS = 120  # the first one makes its database
AUTH = "PREFECT_SERVER_API_AUTH_STRING"
# In Prefect's home. `make serve` holds the lock while it runs; the address is there once its server answers.
SERVING, ADDRESS, PASSWORD = "serve.lock", "address", "password"
LOCAL = {"PREFECT_SERVER_SERVICES_SCHEDULER_ENABLED": "false"}  # of a run's own server, which no worker asks


DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # no proxy leads to this machine


class ServerError(RuntimeError):
    """No server can be used; the text says how to mend it."""


@contextmanager
def prefect_server(repo: Path) -> Iterator[None]:
    """Have a server for this block. Raises ServerError where there is none to be had, or it goes away for good.

    Prefect would start one by itself, but without a password, and in this process's group, where Ctrl-C ends it before
    the flow has told it of its own end: the flow then asks for minutes.
    """
    try:
        if get_current_settings().api.url:
            require_server()
            yield
            return
        home = get_current_settings().home.resolve()
        api, auth = served(home) or _started(repo, home)
        with temporary_settings({PREFECT_API_URL: api, PREFECT_API_AUTH_STRING: auth}):
            yield
    except httpx.TransportError as error:
        raise ServerError(f"Prefect's server went away ({error}); the same command goes on where it was") from None


def served(home: Path) -> tuple[str, str] | None:
    """The address, and user and password, of `make serve`'s server, once it answers; None if nothing is served.

    Two servers on one database would get in each other's way.
    """
    lock, deadline = FileLock(home / SERVING), time.monotonic() + START_SECONDS
    home.mkdir(parents=True, exist_ok=True)
    while time.monotonic() < deadline:
        with suppress(Timeout), lock.acquire(timeout=0):
            return None
        with suppress(FileNotFoundError):
            api = (home / ADDRESS).read_text()
            if healthy(api):
                return api, (home / PASSWORD).read_text()
        time.sleep(0.5)
    raise ServerError(f"`make serve` runs, but its server does not answer; its log: {home / 'server.log'}")


def _started(repo: Path, home: Path) -> tuple[str, str]:
    """The address, and user and password, of a server that ends with this process."""
    port, auth = free_port(), password(home)
    own = _Own(repo, port, auth, home / "server.log")
    own.log.write_bytes(b"")
    own.start()
    atexit.register(own.stop)  # not sooner: Prefect sends its last logs at exit
    api = f"http://127.0.0.1:{port}/api"
    wait_until_healthy(lambda: own.process.poll() is None, api, own.log)
    threading.Thread(target=own.keep, name="server's watch", daemon=True).start()
    return api, auth


class _Own:
    """A run's own server, which is started again where it dies: the run's reports wait for it, and its end is told."""

    def __init__(self, repo: Path, port: int, auth: str, log: Path) -> None:
        self.repo, self.port, self.auth, self.log = repo, port, auth, log
        self.stopping = False
        self.process: subprocess.Popen[bytes]

    def start(self) -> None:
        command = [sys.executable, "-m", "flows.end_with_parent", sys.executable, "-m", "prefect", "server", "start"]
        command += ["--host", "127.0.0.1", "--port", str(self.port)]
        with self.log.open("ab") as output:
            self.process = subprocess.Popen(
                command,
                cwd=self.repo,
                env={**LOCAL, **os.environ, **of_server(self.port, self.auth)},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )

    def keep(self) -> None:
        """Until it is stopped. It is given up where it dies again and again."""
        for _ in range(RESTARTS):
            self.process.wait()
            if self.stopping:
                return
            print("Prefect's server died; starting it again", file=sys.stderr, flush=True)
            self.start()

    def stop(self) -> None:
        self.stopping = True
        stop_tree(self.process.pid)


def of_server(port: int, auth: str) -> dict[str, str]:
    """The settings of a server on loopback, beside pyproject.toml's."""
    origin = os.environ.get("PREFECT_SERVER_CORS_ALLOWED_ORIGINS", f"http://127.0.0.1:{port}")
    return {AUTH: auth, "PREFECT_SERVER_CORS_ALLOWED_ORIGINS": origin}


def password(home: Path) -> str:
    """The user and password of this project's server, in a file which no one else may read."""
    file, given = home / PASSWORD, os.environ.get(AUTH)
    if given or not file.exists():
        write_secret(file, given or f"trainyard:{secrets.token_urlsafe(24)}")
    return file.read_text()


def write_secret(file: Path, text: str) -> None:
    """A file that no other user of this machine can read."""
    file.parent.mkdir(parents=True, exist_ok=True)
    part = file.with_name(f".{file.name}.{secrets.token_hex(4)}")
    part.touch(mode=0o600)
    part.write_text(text)
    part.replace(file)


def require_server() -> None:
    """Raises ServerError where the server of Prefect's settings is not there, or refuses their user and password."""
    api = get_current_settings().api.url
    if not api:
        raise ServerError("PREFECT_API_URL is not set; for `make serve`'s server: source .prefect/login.sh")
    try:
        with get_client(sync_client=True) as client:
            client.read_flows(limit=1)
    except PrefectHTTPStatusError as error:
        if error.response.status_code == httpx.codes.UNAUTHORIZED:
            raise ServerError(
                f"{api}: the server refuses PREFECT_API_AUTH_STRING, which has to be its user:password; for `make "
                "serve`'s: source .prefect/login.sh"
            ) from None
        raise ServerError(f"{api}: the server answers {error.response.status_code}; is it Prefect's?") from None
    except (httpx.HTTPError, httpx.InvalidURL, RuntimeError, ValueError) as error:
        raise ServerError(
            f"{api}: no Prefect server answers ({error}); start it, or unset PREFECT_API_URL to do without"
        ) from None


def healthy(api: str) -> bool:
    """Whether a server on loopback answers."""
    try:
        DIRECT.open(f"{api}/health", timeout=5).close()
    except (urllib.error.URLError, OSError, http.client.HTTPException):
        return False
    return True


def wait_until_healthy(alive: Callable[[], bool], api: str, log: Path) -> None:
    """Return once the server answers. Raises ServerError if it ends or does not within two minutes."""
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and alive():
        if healthy(api):
            return
        time.sleep(0.1)
    raise ServerError(f"Prefect's server did not start; its log: {log}")
