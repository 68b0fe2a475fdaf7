"""Ray's settings that matter, each with its reason."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from components.cluster import folders

SETTINGS = {
    "RAY_AUTH_MODE": "token",  # without it, anyone who reaches the port runs code here
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",  # silences a warning on machines with no GPU
    "RAY_TRAIN_HEALTH_CHECK_INTERVAL_S": "0.1",  # a report waits for the next poll, 2 s by default
    "RAY_TRAIN_METRICS_ENABLED": "0",  # Prometheus gauges that nothing here reads cost a second per fit
    "RAY_TRAIN_ENABLE_PREEMPTION_WATCHER": "0",  # an actor to start; a lost worker is noticed without it
    "RAY_USAGE_STATS_ENABLED": "0",  # nothing is sent from here
    "RAY_AIR_NEW_OUTPUT": "0",  # else Tune prints a box at its start, however quiet it is asked to be
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",  # files that nothing here reads, some written at each epoch
    "TUNE_GLOBAL_CHECKPOINT_S": "3600",  # Tune's record of a sweep, which ledger.py keeps better
    "CUBLAS_WORKSPACE_CONFIG": ":4096:8",  # cuBLAS repeats its results bit for bit only with this
}
WORKER_SETTINGS = ("CUBLAS_WORKSPACE_CONFIG",)  # carried to the workers of any cluster; Ray logs them
IN_RAY_JOB = "RAY_JOB_CONFIG_JSON_ENV_VAR"  # set by `ray job submit`: what the job was submitted with, as JSON

OWN_CLUSTER_SETTINGS = {  # for a cluster that lives and dies with one command, on this machine alone
    "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",  # else every server listens on all of the machine's addresses
    "RAY_worker_niceness": "0",  # at 15, Ray's choice, workers stand still beside one other busy process
    "RAY_GRACEFUL_SHUTDOWN_DRAIN_TIMEOUT_S": "0",  # else a head takes 30 s to stop
}
NO_DASHBOARD_SETTINGS = {  # for a head that is started here, without one
    # Train's cleaner asks the dashboard whether a training lives. It looks for one 40 s long, and each training
    # waits 12 s for it at its end. At this port nothing answers, and the cleaner is told so at once.
    "RAY_API_SERVER_ADDRESS": "http://127.0.0.1:9",
}
LOOPBACK = ("127.0.0.1:", "localhost:", "[::1]:")


def apply_settings(own_cluster: bool, starts_head: bool = False) -> None:
    """Into the environment, where Ray looks. What is already set there stays."""
    own = OWN_CLUSTER_SETTINGS if own_cluster else {}
    for name, value in {**SETTINGS, **own, **(NO_DASHBOARD_SETTINGS if starts_head else {})}.items():
        os.environ.setdefault(name, value)
    if starts_head:
        folders.shorten_temporary_folder()


def worker_environment() -> dict[str, str]:
    """The variables that each worker's environment must hold, on whichever machine it is."""
    return {name: os.environ.get(name, SETTINGS[name]) for name in WORKER_SETTINGS}


def carried(address: str | None) -> dict[str, Any] | None:
    """Ray's runtime environment of each process; on a cluster started elsewhere with settings, and this project's code.

    What a job was submitted with it has already, and twice would be an error of Ray's.
    """
    if not address or address.startswith(LOOPBACK):
        # Started from here, as the pipeline's own cluster is, and with this environment.
        return folders.quoted_interpreter()
    job = json.loads(os.environ.get(IN_RAY_JOB, "{}")).get("runtime_env") or {}
    variables = {n: v for n, v in worker_environment().items() if n not in job.get("env_vars", {})}
    return {"env_vars": variables, **({} if IN_RAY_JOB in os.environ else {"working_dir": str(Path.cwd())})}
