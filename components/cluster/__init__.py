"""Ray: the settings that matter, each with its reason; joining a cluster; how many workers it can hold."""

from __future__ import annotations

import json
import logging
import os
import secrets
import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from components import surroundings
from components.errors import UserError

WORKERS_VARIABLE = "TRAINYARD_WORKERS"
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
PROBE_SECONDS = 10
LOOPBACK = ("127.0.0.1:", "localhost:", "[::1]:")


@dataclass(frozen=True)
class Placement:
    """How many workers, and what each holds."""

    workers: int
    cpus: int
    gpus: int

    @property
    def resources(self) -> dict[str, float]:
        """Of one worker, as Ray names them."""
        return {"CPU": self.cpus, **({"GPU": self.gpus} if self.gpus else {})}

    def __str__(self) -> str:
        workers = f"{self.workers} worker{'s' if self.workers > 1 else ''}"
        cores = f"{self.cpus} CPU core{'s' if self.cpus > 1 else ''}"
        return f"{workers} with {'a GPU and ' if self.gpus else ''}{cores} each"


@dataclass(frozen=True)
class Slots:
    """How many trials run at once, and what each holds.

    workers: processes of a trial by Ray Train; 0: the trial trains in its own.
    """

    at_once: int
    cpus: float
    gpus: float
    workers: int = 0

    @property
    def place(self) -> Placement | None:
        """Where a trial's workers go; None if it has none."""
        return Placement(self.workers, int(self.cpus), int(self.gpus)) if self.workers else None

    def __str__(self) -> str:
        trials = f"{self.at_once} trial{'s' if self.at_once > 1 else ''} at once"
        each = f"{self.cpus:g} CPU core{'s' if self.cpus != 1 else ''}"
        each += f" and {self.gpus:g} GPU" if self.gpus else ""
        return f"{trials}, with {each} {f'for each of {self.workers} workers' if self.workers else 'each'}"


def apply_settings(own_cluster: bool, starts_head: bool = False) -> None:
    """Into the environment, where Ray looks. What is already set there stays."""
    own = OWN_CLUSTER_SETTINGS if own_cluster else {}
    for name, value in {**SETTINGS, **own, **(NO_DASHBOARD_SETTINGS if starts_head else {})}.items():
        os.environ.setdefault(name, value)
    if starts_head:
        surroundings.shorten_temporary_folder()


def worker_environment() -> dict[str, str]:
    """What each worker's environment must hold, on whichever machine it is."""
    return {name: os.environ.get(name, SETTINGS[name]) for name in WORKER_SETTINGS}


def carried(address: str | None) -> dict[str, Any] | None:
    """What Ray brings to every process of a cluster: to one started elsewhere settings, and this project's code.

    What a job was submitted with it has already, and twice would be an error of Ray's.
    """
    if not address or address.startswith(LOOPBACK):
        # Started from here, as the pipeline's own cluster is, and with this environment.
        return surroundings.quoted_interpreter()
    job = json.loads(os.environ.get(IN_RAY_JOB, "{}")).get("runtime_env") or {}
    variables = {n: v for n, v in worker_environment().items() if n not in job.get("env_vars", {})}
    return {"env_vars": variables, **({} if IN_RAY_JOB in os.environ else {"working_dir": str(Path.cwd())})}


def connect() -> None:
    """Join the cluster at RAY_ADDRESS or start one in this process tree, on loopback with its own token.

    Raises UserError when nothing answers at RAY_ADDRESS.
    """
    address = os.environ.get("RAY_ADDRESS")
    apply_settings(own_cluster=not address or address.startswith(LOOPBACK), starts_head=not address)
    if not address:
        os.environ.setdefault("RAY_AUTH_TOKEN", secrets.token_hex(32))
    else:
        _probe(address)
    import ray  # after the settings, which it reads when imported

    try:
        ray.init(
            address=address or "local",
            runtime_env=carried(address),
            include_dashboard=None if address else False,
            log_to_driver=False,
            logging_level=logging.ERROR,
        )
    except (ConnectionError, RuntimeError, ValueError, ray.exceptions.RayError) as error:
        if not address:
            raise
        reason = str(error).strip().splitlines()[0]
        raise _cannot_join(address, reason) from None


def _probe(address: str) -> None:
    """Refuse an address where nothing listens; Ray itself would go on asking there for minutes."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if host and port.isdecimal():
        try:
            socket.create_connection((host.strip("[]"), int(port)), timeout=PROBE_SECONDS).close()
        except OSError as error:
            raise _cannot_join(address, error.strerror or str(error)) from None


def _cannot_join(address: str, reason: str) -> UserError:
    return UserError(
        f"RAY_ADDRESS: no joining the Ray cluster at {address}: {reason}\nUnset RAY_ADDRESS to train on this "
        "machine alone; a cluster with tokens needs RAY_AUTH_TOKEN, one without RAY_AUTH_MODE=disabled."
    )


def is_asked_for(gpus: int) -> bool:
    """Whether a training takes a cluster: one to join, several workers, or several of this machine's GPUs."""
    count = _count(os.environ.get(WORKERS_VARIABLE))
    return bool(os.environ.get("RAY_ADDRESS")) or (gpus if count is None else count) > 1


def placement() -> Placement:
    """Where the workers go on the joined cluster. Raises UserError if it is too small."""
    return place(nodes(), os.environ.get(WORKERS_VARIABLE))


def nodes() -> list[Mapping[str, float]]:
    """The resources of each node of the joined cluster."""
    import ray

    return [node["Resources"] for node in ray.nodes() if node["Alive"]]


def place(nodes: Sequence[Mapping[str, float]], asked: str | None) -> Placement:
    """The workers for nodes with these resources ({"CPU": 8, "GPU": 2}).

    One worker per GPU; without GPUs, one per node with all its cores. `asked`, the text of
    TRAINYARD_WORKERS, sets another number, and without GPUs each then gets as many cores as fit.
    Raises UserError when the nodes cannot hold that many.
    """
    count = _count(asked)
    gpus = [int(node.get("GPU", 0)) for node in nodes]
    cpus = [int(node.get("CPU", 0)) for node in nodes]
    if any(gpus):
        workers = count or sum(gpus)
        if workers > sum(gpus):
            raise _too_small(workers, "one GPU", f"{sum(gpus)} GPUs", nodes)
        # The node with the fewest cores per GPU decides, so that a worker fits on each.
        per_worker = max(1, min((c // g for c, g in zip(cpus, gpus, strict=True) if g), default=1))
        fitting = sum(min(g, c // per_worker) for c, g in zip(cpus, gpus, strict=True))
        if workers > fitting:
            raise _too_small(workers, "one GPU and one CPU core", f"cores for {fitting} of its GPUs", nodes)
        return Placement(workers, cpus=per_worker, gpus=1)
    with_cpus = [c for c in cpus if c]
    workers = count or len(with_cpus)
    for size in range(max(with_cpus, default=0), 0, -1):
        if sum(c // size for c in with_cpus) >= max(1, workers):
            return Placement(max(1, workers), cpus=size, gpus=0)
    raise _too_small(max(1, workers), "one CPU core", f"{sum(cpus)} cores", nodes)


def spans_machines() -> bool:
    """Whether the joined cluster has, or may get, nodes on other machines than this."""
    return len(nodes()) > 1 or not os.environ.get("RAY_ADDRESS", LOOPBACK[0]).startswith(LOOPBACK)


def slots(nodes: Sequence[Mapping[str, float]], cpus: int | None, gpus: float | None, workers: int) -> Slots:
    """How many trials of a sweep run at once on nodes with these resources.

    cpus, gpus: of a trial, or of each of its workers; None: a GPU where there are any, with the cores that fall to it;
                else one core. A GPU can be shared: 0.25 puts four trials on each.
    workers:    of a trial by Ray Train; 0: it trains in one process.
    Raises UserError when not even one trial fits.
    """
    there = sum(node.get("GPU", 0) for node in nodes)
    gpus = (1.0 if there else 0.0) if gpus is None else gpus
    if cpus is None:
        shares = [node.get("CPU", 0) * gpus / node["GPU"] for node in nodes if node.get("GPU")] if gpus else []
        cpus = max(1, int(min(shares, default=1)))
    each = {"CPU": cpus, **({"GPU": gpus} if gpus else {})}
    fitting = sum(min(int(node.get(name, 0) / share + 1e-9) for name, share in each.items()) for node in nodes)
    at_once = fitting // max(1, workers)
    if not at_once:
        cores = sum(int(node.get("CPU", 0)) for node in nodes)
        raise UserError(
            f"a trial takes {max(1, workers)} x {cpus} CPU cores and {gpus:g} GPU, but the Ray cluster has nodes with "
            f"{cores} cores and {there:g} GPUs in all; lower --cpus, --gpus or --workers, or add nodes"
        )
    return Slots(at_once, cpus, gpus, workers)


def _count(asked: str | None) -> int | None:
    if asked is None:
        return None
    if not asked.isdecimal() or int(asked) < 1:
        raise UserError(f"{WORKERS_VARIABLE}: {asked!r} is not allowed: it takes an integer >= 1")
    return int(asked)


def _too_small(workers: int, each: str, there: str, nodes: Sequence[Mapping[str, float]]) -> UserError:
    return UserError(
        f"{WORKERS_VARIABLE}: {workers} workers with {each} each were asked for, but the Ray cluster has "
        f"{there} on {len(nodes)} node{'s' if len(nodes) != 1 else ''}; ask for fewer workers, or add nodes"
    )


def free_port() -> int:
    """A port of the loopback address that nothing listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
