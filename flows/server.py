"""The Prefect server that a run reports to: the one that PREFECT_API_URL names, `make serve`'s, or one of its own."""

from __future__ import annotations

import atexit
import base64
import os
import secrets
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from prefect.settings import PREFECT_API_AUTH_STRING, PREFECT_API_URL, get_current_settings, temporary_settings

from flows.head import free_port
from flows.stage import stop_tree

START_SECONDS = 120  # the first one makes its database
ADDRESS = "address"  # the file in Prefect's home that holds where `make serve` listens
SAFE = {
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "PREFECT_SERVER_CSRF_PROTECTION_ENABLED": "true",  # a page of another site cannot post with a visitor's login
    "PREFECT_SERVER_UI_V2_ENABLED": "false",  # that page calls a company's analytics from the browser, this one nobody
    # In memory, as by default, a server that is started again ends every run minutes later.
    "PREFECT_SERVER_CONCURRENCY_LEASE_STORAGE": "prefect.server.concurrency.lease_storage.filesystem",
}


class ServerError(RuntimeError):
    """No server can be used; the text says how to mend it."""


@contextmanager
def prefect_server(repo: Path) -> Iterator[None]:
    """Have a server for this block. Raises ServerError where PREFECT_API_URL names one that cannot be used.

    Prefect would start one by itself, but without a password, and in this process's group, where Ctrl-C ends it before
    the flow has told it of its own end: the flow then asks for minutes.
    """
    current = get_current_settings()
    if current.api.url:
        require_server()
        yield
        return
    home = current.home.resolve()
    auth = password(home)
    api = _served(home, auth) or _start(repo, home, auth)
    with temporary_settings({PREFECT_API_URL: api, PREFECT_API_AUTH_STRING: auth}):
        yield


def _served(home: Path, auth: str) -> str | None:
    """The address of `make serve`'s server, if it runs: two servers on one database would get in each other's way."""
    try:
        api = (home / ADDRESS).read_text()
        _refuse_unusable(api, auth)
    except (OSError, ServerError):
        return None
    return api


def _start(repo: Path, home: Path, auth: str) -> str:
    """Start a server that ends with this process, and return its address."""
    port = free_port()
    log = home / "server.log"
    command = [sys.executable, "-m", "flows.child", sys.executable, "-m", "prefect", "server", "start"]
    command += ["--host", "127.0.0.1", "--port", str(port)]
    with log.open("wb") as output:
        server = subprocess.Popen(
            command,
            cwd=repo,
            env={**os.environ, **of_server(port, auth)},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    atexit.register(stop_tree, server.pid)  # not sooner: Prefect sends its last logs at exit
    api = f"http://127.0.0.1:{port}/api"
    wait_until_healthy(server, api, log)
    return api


def of_server(port: int, auth: str) -> dict[str, str]:
    """The settings of a server on loopback; what the user has set stays."""
    given = {
        **SAFE,
        "PREFECT_SERVER_API_AUTH_STRING": auth,
        "PREFECT_SERVER_CORS_ALLOWED_ORIGINS": f"http://127.0.0.1:{port}",
    }
    return {name: os.environ.get(name, value) for name, value in given.items()}


def password(home: Path) -> str:
    """The user and password of this project's server, which no one else may read."""
    if given := os.environ.get("PREFECT_SERVER_API_AUTH_STRING"):
        return given
    file = home / "password"
    if not file.exists():
        write_secret(file, f"trainyard:{secrets.token_urlsafe(24)}")
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
    api = get_current_settings().api
    if not api.url:
        raise ServerError("PREFECT_API_URL is not set; for `make serve`'s server: source .prefect/login.sh")
    _refuse_unusable(api.url, api.auth_string.get_secret_value() if api.auth_string else "")


def _refuse_unusable(api: str, auth: str) -> None:
    request = urllib.request.Request(f"{api}/admin/version")
    if auth:
        request.add_header("Authorization", "Basic " + base64.b64encode(auth.encode()).decode())
    try:
        urllib.request.urlopen(request, timeout=10).close()
    except urllib.error.HTTPError as error:
        error.close()
        if error.code == 401:
            raise ServerError(
                f"{api}: the server refuses PREFECT_API_AUTH_STRING, which has to be its user:password; for `make "
                "serve`'s: source .prefect/login.sh"
            ) from None
        raise ServerError(f"{api}: the server answers {error.code} {error.reason}; is it Prefect's?") from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "reason", error)
        raise ServerError(
            f"{api}: no server answers ({reason}); start it, or unset PREFECT_API_URL to do without"
        ) from None


def wait_until_healthy(server: subprocess.Popen[bytes], api: str, log: Path) -> None:
    """Return once the server answers. Raises ServerError if it ends or does not within two minutes."""
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and server.poll() is None:
        try:
            urllib.request.urlopen(f"{api}/health", timeout=5).close()
        except (urllib.error.URLError, OSError):
            time.sleep(0.1)
        else:
            return
    raise ServerError(f"Prefect's server did not start; its log: {log}")
