"""End the runs of the deployments at PREFECT_API_URL.

python -m flows.cancel 20      cancel what runs, and wait for its end, at most 20 seconds
python -m flows.cancel left    tell the server of runs that ended with the worker that was here before
"""

from __future__ import annotations

import sys
import time

import httpx
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterState, FlowRunFilterStateType
from prefect.client.schemas.objects import FlowRun, StateType
from prefect.exceptions import PrefectException
from prefect.states import Cancelled, Cancelling, Crashed

from flows.command import run_main
from flows.deploy import POOL
from flows.loopback import without_proxy
from flows.server import ServerError, require_server

ALIVE = [StateType.RUNNING, StateType.PENDING, StateType.CANCELLING]


def _alive(client: SyncPrefectClient) -> list[FlowRun]:
    """The runs of deployments that have begun and not ended, as far as the server knows."""
    state = FlowRunFilterState(type=FlowRunFilterStateType(any_=ALIVE))
    found = client.read_flow_runs(flow_run_filter=FlowRunFilter(state=state))
    return [run for run in found if run.deployment_id]


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
    """What an earlier worker began is dead with it, and keeps its deployment's only place; before the next one starts.

    One that had begun has crashed. One that had not, or was to be cancelled, is cancelled.
    """
    for run in _alive(client):
        if run.work_pool_name != POOL:
            continue
        end, name = (Crashed, "Crashed") if run.state_type == StateType.RUNNING else (Cancelled, "Cancelled")
        client.set_flow_run_state(run.id, end(message="its worker was stopped before its end"), force=True)
        print(f"{run.name} had not ended when its worker was stopped: {name}")


def main() -> None:
    without_proxy()
    try:
        require_server()
        with get_client(sync_client=True) as client:
            if sys.argv[1] == "left":
                end_left(client)
            else:
                cancel(client, float(sys.argv[1]))
    except (ServerError, TimeoutError, PrefectException, httpx.HTTPError) as error:
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    run_main(main)
