"""Cancel every run of the server at PREFECT_API_URL and wait for its end.

python -m flows.cancel 20      at most 20 seconds
"""

from __future__ import annotations

import sys
import time

from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterState, FlowRunFilterStateType
from prefect.client.schemas.objects import FlowRun, StateType
from prefect.states import Cancelling

ALIVE = [StateType.RUNNING, StateType.PENDING, StateType.CANCELLING]


def _alive(client: SyncPrefectClient) -> list[FlowRun]:
    state = FlowRunFilterState(type=FlowRunFilterStateType(any_=ALIVE))
    return client.read_flow_runs(flow_run_filter=FlowRunFilter(state=state))


def main() -> None:
    deadline = time.monotonic() + float(sys.argv[1])
    with get_client(sync_client=True) as client:
        runs = [run for run in _alive(client) if run.deployment_id]
        for run in runs:
            client.set_flow_run_state(run.id, Cancelling(message="the server was stopped"))
        while runs and time.monotonic() < deadline:
            time.sleep(0.5)
            left = {run.id for run in _alive(client)}
            if not left & {run.id for run in runs}:
                print(f"cancelled: {', '.join(run.name for run in runs)}")
                return
    if runs:
        sys.exit(f"still not ended after {sys.argv[1]} s: {', '.join(run.name for run in runs)}")


if __name__ == "__main__":
    main()
