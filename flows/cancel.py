"""End the runs of the deployments at PREFECT_API_URL.

python -m flows.cancel 20      cancel what runs, and wait for its end, at most 20 seconds
python -m flows.cancel left    tell the server of runs that ended with the worker that was here before
"""

from __future__ import annotations

import json
import sys
import time
from contextlib import suppress
from pathlib import Path
from uuid import UUID

import httpx
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.actions import GlobalConcurrencyLimitUpdate
from prefect.client.schemas.filters import (
    FlowRunFilter,
    FlowRunFilterState,
    FlowRunFilterStateType,
    WorkPoolFilter,
    WorkPoolFilterName,
)
from prefect.client.schemas.objects import FlowRun, StateType
from prefect.exceptions import PrefectException
from prefect.settings import get_current_settings
from prefect.states import Cancelled, Cancelling, Crashed

from flows.command import run_main
from flows.deploy import POOL
from flows.loopback import without_proxy
from flows.server import ServerError, require_server

LEASES = "concurrency_leases"  # a folder in Prefect's home, where its file storage keeps one file a lease
ALIVE = [StateType.RUNNING, StateType.PENDING, StateType.CANCELLING]


def _alive(client: SyncPrefectClient) -> list[FlowRun]:
    """The runs of deployments that have begun and not ended, as far as the server knows."""
    state = FlowRunFilterState(type=FlowRunFilterStateType(any_=ALIVE))
    runs = client.read_flow_runs(flow_run_filter=FlowRunFilter(state=state))
    return [run for run in runs if run.deployment_id]


def cancel(client: SyncPrefectClient, seconds: float) -> None:
    """Cancel what runs. Raises TimeoutError, which names what has not ended in time."""
    deadline = time.monotonic() + seconds
    runs = _alive(client)
    for run in runs:
        client.set_flow_run_state(run.id, Cancelling(message="the server was stopped"))
    left = runs
    while left and time.monotonic() < deadline:
        time.sleep(0.5)
        alive = {run.id for run in _alive(client)}
        left = [run for run in runs if run.id in alive]
    if left:
        raise TimeoutError(f"still not ended after {seconds:.0f} s: {', '.join(run.name for run in left)}")
    if runs:
        print(f"cancelled: {', '.join(run.name for run in runs)}")


def end_left(client: SyncPrefectClient) -> None:
    """Free the places that a dead worker's runs keep, before the next worker starts.

    One that had begun has crashed. One that had not, or was to be cancelled, is cancelled.
    """
    for run in _alive(client):
        if run.work_pool_name != POOL:
            continue
        end, name = (Crashed, "Crashed") if run.state_type == StateType.RUNNING else (Cancelled, "Cancelled")
        client.set_flow_run_state(run.id, end(message="its worker was stopped before its end"), force=True)
        print(f"{run.name} had not ended when its worker was stopped: {name}")


def free_places(client: SyncPrefectClient, leases: Path) -> None:
    """Let each deployment of the pool run again. No run is left by now, but a place may still count as taken.

    That of a run of which the server lost sight, by a kill, would do so until its lease ends, and every run that falls
    due until then would be cancelled.
    """
    pool = WorkPoolFilter(name=WorkPoolFilterName(any_=[POOL]))
    limits = [deployment.global_concurrency_limit for deployment in client.read_deployments(work_pool_filter=pool)]
    own = {str(limit.id) for limit in limits if limit}
    for file in leases.glob("*.json"):
        with suppress(ValueError, KeyError, httpx.HTTPStatusError):  # the index of all, or one that has just ended
            if own.issuperset(json.loads(file.read_text())["resource_ids"]):
                client.release_concurrency_slots_with_lease(UUID(file.stem))
    for limit in limits:
        if limit and limit.active_slots:
            client.update_global_concurrency_limit(limit.name, GlobalConcurrencyLimitUpdate(active_slots=0))


def main() -> None:
    without_proxy()
    try:
        require_server()
        with get_client(sync_client=True) as client:
            if sys.argv[1] == "left":
                end_left(client)
                free_places(client, get_current_settings().home.resolve() / LEASES)
            else:
                cancel(client, float(sys.argv[1]))
    except (ServerError, TimeoutError, PrefectException, httpx.HTTPError) as error:
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    run_main(main)
