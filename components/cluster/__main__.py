"""The commands of components/cluster.

python -m components.cluster --port 6380      a head on loopback, for as long as this command runs
python -m components.cluster --plan           where a training's workers would go
"""

from __future__ import annotations

import argparse
import os
import sys

from components.cluster.joining import free_port
from components.cluster.plan import plan
from components.cluster.settings import apply_settings
from components.process.command import run


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m components.cluster", description="Start a Ray head, or plan.")
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--port", type=int, help="the port that stages join the head by")
    what.add_argument("--plan", action="store_true", help="print where a training's workers would go; train nothing")
    parser.add_argument("--nodes", help='of a cluster that is not there: "8 CPU 2 GPU, 8 CPU 2 GPU, 16 CPU"')
    given = parser.parse_args()
    if given.plan:
        print(plan(given.nodes))
        return
    apply_settings(own_cluster=True, starts_head=True)
    command = [sys.executable, "-m", "ray.scripts.scripts", "start", "--head", "--block", f"--port={given.port}"]
    # Ports of its own for what nothing here uses, so that two pipelines can run on one machine.
    command += [f"--ray-client-server-port={free_port()}", f"--dashboard-agent-listen-port={free_port()}"]
    command += ["--include-dashboard=false"]
    os.execv(sys.executable, command)


if __name__ == "__main__":
    run(main)
