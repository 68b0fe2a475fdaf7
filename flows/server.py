"""The Prefect server of one pipeline run, where no other is set up."""

from __future__ import annotations

import atexit
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from prefect.settings import PREFECT_API_URL, get_current_settings, temporary_settings

from flows.head import free_port
from flows.stage import stop_tree

START_SECONDS = 120  # the first one makes its database


@contextmanager
def prefect_server(repo: Path) -> Iterator[None]:
    """Start a server for this block, on loopback. Where PREFECT_API_URL is set already, that one is used.

    Prefect would start one by itself, but in this process's group, where Ctrl-C ends it before the flow has
    told it of its own end: the flow then asks for minutes.
    """
    if get_current_settings().api.url:
        yield
        return
    port = free_port()
    log = get_current_settings().home / "server.log"
    log.parent.mkdir(exist_ok=True)
    command = [sys.executable, "-m", "flows.child", sys.executable, "-m", "prefect", "server", "start"]
    command += ["--host", "127.0.0.1", "--port", str(port)]
    with log.open("wb") as output:
        server = subprocess.Popen(
            command, cwd=repo, stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True
        )
    atexit.register(stop_tree, server.pid)  # not sooner: Prefect sends its last logs at exit
    api = f"http://127.0.0.1:{port}/api"
    wait_until_healthy(server, api, log)
    with temporary_settings({PREFECT_API_URL: api}):
        yield


def wait_until_healthy(server: subprocess.Popen[bytes], api: str, log: Path) -> None:
    """Return once the server answers. Raises RuntimeError if it ends or does not within two minutes."""
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and server.poll() is None:
        try:
            urllib.request.urlopen(f"{api}/health", timeout=5).close()
        except (urllib.error.URLError, OSError):
            time.sleep(0.1)
        else:
            return
    raise RuntimeError(f"Prefect's server did not start; its log: {log}")
