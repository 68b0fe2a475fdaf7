"""torch.distributed among the workers of a training. Its store listens on the address by which Ray knows the first."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import ray
import torch
from ray.train import get_context
from ray.train.collective import broadcast_from_rank_zero
from torch import distributed

WAIT = timedelta(seconds=300)  # a worker that waits longer for the others takes them for lost


@contextmanager
def joined(device: torch.device) -> Iterator[None]:
    """Be a member of the group: gloo's on CPUs, NCCL's on GPUs. One worker alone has nobody to talk to, and gets none.

    Not by Ray's TorchConfig: that has the training's controller import torch, and the workers wait for it meanwhile.
    """
    rank, world = get_context().get_world_rank(), get_context().get_world_size()
    if world == 1:
        yield
        return
    backend = "nccl" if device.type == "cuda" else "gloo"
    distributed.init_process_group(backend, store=_store(rank, world), rank=rank, world_size=world, timeout=WAIT)
    yield
    # Not after an error: others may still wait for this worker, and Ray ends the process with all its connections.
    distributed.destroy_process_group()


def _store(rank: int, world: int) -> Any:
    """Where the workers find each other's addresses; the first one serves it."""
    listening = socket.create_server((ray.util.get_node_ip_address(), 0)) if rank == 0 else None
    host, port = broadcast_from_rank_zero(listening.getsockname()[:2] if listening else None)
    return distributed.TCPStore(  # type: ignore[attr-defined]  # torch's stubs lack it
        host,
        port,
        world,
        is_master=rank == 0,
        timeout=WAIT,
        master_listen_fd=listening.detach() if listening else None,
    )
