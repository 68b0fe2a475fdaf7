"""Joining a Ray cluster, or starting one for a single command; and what it consists of."""

from __future__ import annotations

import logging
import os
import secrets
import socket
from collections.abc import Mapping

from components.cluster.placement import WORKERS_VARIABLE, Placement, place
from components.cluster.settings import LOOPBACK, apply_settings, carried
from components.errors import UserError

PROBE_SECONDS = 10


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


def placement() -> Placement:
    """Where the workers go on the joined cluster. Raises UserError if it is too small."""
    return place(nodes(), os.environ.get(WORKERS_VARIABLE))


def nodes() -> list[Mapping[str, float]]:
    """The resources of each node of the joined cluster."""
    import ray

    return [node["Resources"] for node in ray.nodes() if node["Alive"]]


def spans_machines() -> bool:
    """Whether the joined cluster has, or may get, nodes on other machines than this."""
    return len(nodes()) > 1 or not os.environ.get("RAY_ADDRESS", LOOPBACK[0]).startswith(LOOPBACK)


def free_port() -> int:
    """A port of the loopback address that nothing listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
