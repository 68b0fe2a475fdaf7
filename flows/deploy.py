"""Register infra/prefect.yaml's deployments at the server of PREFECT_API_URL, with what a server needs for them.

    python -m flows.deploy [--prune]

--prune deletes deployments of this project's flows that the file no longer has: only where no other project shares the
server.

`prefect deploy --all` does the first half. The rest: parameters are checked against params.yaml's own ranges when a run
is submitted, and a run whose machine died is found dead by its silence.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from flows.command import run_main
from flows.graph import DvcError, upstream
from flows.loopback import without_proxy
from flows.server import ServerError, require_server

FILE = Path("infra/prefect.yaml")
POOL = "trainyard"
SILENT_SECONDS = 90  # three heartbeats; then a run is taken for dead
ENDED = ("Completed", "Failed", "Cancelled", "Crashed")


class DeployError(RuntimeError):
    """Prefect or a file refused; the text is what it said."""


def deploy(repo: Path, environment: Mapping[str, str]) -> list[str]:
    """Register everything at a server that is this project's alone; the deployments' names. Raises DeployError."""
    command = [sys.executable, "-m", "flows.deploy", "--prune"]
    done = subprocess.run(command, cwd=repo, env=dict(environment), text=True, capture_output=True, check=False)
    if done.returncode:
        raise DeployError((done.stderr or done.stdout).strip().removeprefix("error: "))
    return done.stdout.split()


def schemas(repo: Path) -> dict[str, dict[str, Any]]:
    """Flow → the JSON schema of its parameters: what exists, within the ranges of params.yaml, and nothing else."""
    stages = [*upstream(repo)]
    groups = dict.fromkeys(stage.partition("@")[0] for stage in stages)
    command = [sys.executable, "-m", "components.params", "--schema"]
    told = subprocess.run(command, cwd=repo, text=True, capture_output=True, check=True).stdout
    values = json.loads(told)
    targets = {"type": "array", "items": {"enum": [*groups, *stages]}, "title": "Stages or groups; all if none"}
    models = [stage.partition("@")[2] for stage in stages if stage.startswith("train@")]
    count = {"type": "integer", "minimum": 1}
    return {
        "pipeline": _schema(
            {
                "targets": targets,
                "params": {"type": "object", **values["schema"], "title": "In place of params.yaml's values"},
                "promote": {"type": "boolean", "title": "Promote models that are as good as the promoted ones"},
            },
            definitions=values["definitions"],
        ),
        "sweep": _schema(
            {
                "model": {"enum": models},
                "trials": count,
                "grow": {"type": "boolean"},
                "apply": {"type": "boolean"},
                "cpus": count,
                "gpus": {"type": "number", "minimum": 0},
                "workers": {"type": "integer", "minimum": 0},
            },
            required=["model"],
        ),
    }


def _schema(properties: dict[str, Any], required: list[str] | None = None, **rest: Any) -> dict[str, Any]:
    named = {"title": "Parameters", "type": "object", "properties": properties, "required": required or [], **rest}
    return {**named, "additionalProperties": False}


def _register(repo: Path, prune: bool) -> list[str]:
    """All of it, at the server that Prefect's settings name."""
    from prefect.client.orchestration import get_client
    from prefect.client.schemas.actions import WorkPoolCreate

    own = _in_file(repo)
    with get_client(sync_client=True) as client:
        client.create_work_pool(WorkPoolCreate(name=POOL, type="process"), overwrite=True)
        command = [sys.executable, "-m", "prefect", "--no-prompt", "deploy", "--all", "--prefect-file", str(FILE)]
        environment = {**os.environ, "PREFECT_CLI_COLORS": "false", "COLUMNS": "200"}
        done = subprocess.run(command, cwd=repo, env=environment, text=True, capture_output=True, check=False)
        if done.returncode:
            raise DeployError((done.stdout + done.stderr).strip())
        strict = schemas(repo)
        flows = {flow.id: flow.name for flow in client.read_flows()}
        for deployment in client.read_deployments():
            flow = flows[deployment.flow_id]
            name = f"{flow}/{deployment.name}"
            if name in own:
                _restrict(client, deployment.id, name, strict[flow])
            elif prune and flow in strict:
                client.delete_deployment(deployment.id)
        _watch_for_silence()
    return sorted(own)


def _in_file(repo: Path) -> set[str]:
    """The deployments of infra/prefect.yaml as "flow/name"; a flow is called as its function is. Raises DeployError."""
    try:
        listed = YAML(typ="safe").load((repo / FILE).read_text(encoding="utf-8"))["deployments"]
        return {f"{each['entrypoint'].partition(':')[2]}/{each['name']}" for each in listed}
    except (OSError, YAMLError) as error:
        raise DeployError(f"{FILE} cannot be read: {error}") from None
    except (KeyError, TypeError) as error:
        raise DeployError(f"{FILE}: each of its `deployments` needs a name and an entrypoint ({error})") from None


def _restrict(client: Any, deployment: Any, name: str, schema: dict[str, Any]) -> None:
    """Give a deployment the schema of its parameters, which its own have to obey. Raises DeployError."""
    from prefect.exceptions import PrefectHTTPStatusError

    body = {"parameter_openapi_schema": schema, "enforce_parameter_schema": True}
    try:
        client.request("PATCH", "/deployments/{id}", path_params={"id": deployment}, json=body)
    except PrefectHTTPStatusError as error:
        reason = error.response.json().get("detail", str(error))
        raise DeployError(f"{FILE}: {name}: {str(reason).removeprefix('Error updating deployment: ')}") from None


def _watch_for_silence() -> None:
    """The automation that marks a run as Crashed once its heartbeats stop without an end."""
    from prefect.automations import Automation
    from prefect.client.schemas.objects import StateType
    from prefect.events.actions import ChangeFlowRunState
    from prefect.events.schemas.automations import EventTrigger, Posture
    from prefect.events.schemas.events import ResourceSpecification

    name, beat = "Silent runs crashed", "prefect.flow-run.heartbeat"
    wanted = Automation(
        name=name,
        trigger=EventTrigger(
            after={beat},
            expect={beat, *(f"prefect.flow-run.{state}" for state in ENDED)},
            match=ResourceSpecification({"prefect.resource.id": ["prefect.flow-run.*"]}),
            for_each={"prefect.resource.id"},
            posture=Posture.Proactive,
            threshold=1,
            within=timedelta(seconds=SILENT_SECONDS),
        ),
        actions=[
            ChangeFlowRunState(
                name=None,
                state=StateType.CRASHED,
                force=False,
                message=f"no sign of life for {SILENT_SECONDS} s: its machine or process died",
            )
        ],
    )
    try:
        known: Any = Automation.read(name=name)
    except ValueError:
        wanted.create()
    else:
        wanted.id = known.id
        wanted.update()


def main() -> None:
    without_proxy()
    parser = argparse.ArgumentParser(prog="python -m flows.deploy", description="Register infra/prefect.yaml.")
    parser.add_argument("--prune", action="store_true", help="delete this project's deployments that are not in it")
    prune = parser.parse_args().prune
    try:
        require_server()
        print(*_register(Path.cwd(), prune))
    except (DeployError, DvcError, ServerError) as error:
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    run_main(main)
