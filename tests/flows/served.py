"""A project that `make serve` serves, and what its server's API tells of it."""

from __future__ import annotations

import base64
import os
import signal
import time
from collections.abc import Callable
from typing import Any

import httpx
import psutil
import pytest

from components.cluster.joining import free_port
from tests.conftest import Project, lines_until

ENDED = {"COMPLETED", "FAILED", "CANCELLED", "CRASHED"}


class Served:
    """A project that is served, and its server's API."""

    def __init__(self, project: Project, **environment: str) -> None:
        self.project, port = project, free_port()
        self.origin = f"http://127.0.0.1:{port}"
        self.process = project.start("flows.serve", "--port", str(port), **environment)
        self.said = "".join(lines_until(self.process, "Address:"))
        self.auth = (project.folder / ".prefect/password").read_text()

    def ask(self, method: str, path: str, body: Any = None, **headers: str) -> Any:
        """What the API answers, as the command line's client would ask. Raises HTTPStatusError."""
        sent = {"Authorization": "Basic " + encoded(self.auth), **headers}
        if method != "GET" and "Prefect-Csrf-Token" not in sent:
            given = self.ask("GET", "/csrf-token?client=tests")
            sent |= {"Prefect-Csrf-Token": given["token"], "Prefect-Csrf-Client": "tests"}
        answer = httpx.request(method, f"{self.origin}/api{path}", json=body, headers=sent, timeout=30)
        if answer.status_code == httpx.codes.SERVICE_UNAVAILABLE:  # its database is busy: ask again, as clients do
            time.sleep(1)
            return self.ask(method, path, body, **headers)
        answer.raise_for_status()
        return answer.json() if answer.content else None

    def page_settings(self) -> Any:
        """What the page asks its server for as it opens."""
        return httpx.get(f"{self.origin}/ui-settings", headers={"Authorization": "Basic " + encoded(self.auth)}).json()

    def deployment(self, name: str) -> str:
        return str(self.ask("GET", f"/deployments/name/{name}")["id"])

    def submit(self, name: str, **parameters: Any) -> str:
        made = self.ask("POST", f"/deployments/{self.deployment(name)}/create_flow_run", {"parameters": parameters})
        return str(made["id"])

    def runs(self, name: str = "") -> list[dict[str, Any]]:
        where = {"deployments": {"name": {"any_": [name]}}} if name else {}
        found: list[dict[str, Any]] = self.ask("POST", "/flow_runs/filter", {"sort": "START_TIME_ASC", **where})
        return found

    def state(self, run: str) -> dict[str, Any]:
        found: dict[str, Any] = self.ask("GET", f"/flow_runs/{run}")["state"]
        return found

    def until_ended(self, run: str, seconds: float) -> dict[str, Any]:
        waited_for(lambda: self.state(run)["type"] in ENDED, seconds)
        return self.state(run)

    def children(self, word: str) -> list[psutil.Process]:
        """The processes below the command, or left behind by it, with this word among their arguments."""
        own = str(self.project.folder)
        found = []
        for process in psutil.process_iter():
            try:
                if process.cwd().startswith(own) and word in " ".join(process.cmdline()):
                    found.append(process)
            except psutil.Error:
                continue
        return found

    def stop(self) -> str:
        """Ctrl-C; what it says from then on."""
        os.kill(self.process.pid, signal.SIGINT)
        return self.process.communicate(timeout=90)[0]


def encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def waited_for(holds: Callable[[], Any], seconds: float) -> None:
    """Return once it holds; the server may be gone for a while."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            if holds():
                return
        except httpx.TransportError:
            pass
        time.sleep(0.5)
    pytest.fail(f"not within {seconds} s")
