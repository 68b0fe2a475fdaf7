"""Clusters, as files: each is read by the checker that comes nearest to what will read it in use."""

from __future__ import annotations

import copy
import re
import shlex
import shutil
import subprocess
from pathlib import Path
from typing import Any

import jsonschema
import kubernetes_validate
import pytest

from tests.conftest import REPO
from tests.infra.kuberay_schema import KINDS
from tests.infra.reading import INFRA, SECRET, in_ray, loaded, read

KUBERNETES = "1.34"

RAY_UP = """
import json, sys
from ray.autoscaler._private.util import prepare_config, validate_config
said = []
for config in json.load(sys.stdin):
    try:
        validate_config(prepare_config(config))
        said.append("fine")
    except Exception as error:
        said.append(str(error).splitlines()[0])
print(json.dumps(said))
"""
RAY_START = """
import json, sys
from ray.scripts.scripts import start
said = []
for options in json.load(sys.stdin):
    try:
        start.make_context("start", options)
    except Exception as error:
        said.append(str(error))
print(json.dumps(said))
"""
RAY_PACKAGE = """
import json, sys
from pathlib import Path
from zipfile import ZipFile
from ray._private.runtime_env.packaging import create_package
folder, package = json.load(sys.stdin)
create_package(folder, Path(package), include_gitignore=True)
print(json.dumps([name for name in ZipFile(package).namelist() if not name.endswith("/")]))
"""


# ray up


def on_aws(config: Any) -> Any:
    lines = re.findall(r"^#\| (.*)$", (INFRA / "ray-cluster.yaml").read_text(), re.MULTILINE)
    return {**config, **loaded("\n".join(lines))}


def commands(config: Any) -> list[str]:
    return [command for key, value in config.items() if key.endswith("_commands") for command in value]


def test_ray_up_takes_the_cluster_file_and_its_aws_variant_and_refuses_a_typo() -> None:
    config = read("ray-cluster.yaml")
    said = in_ray(RAY_UP, [config, on_aws(config), {**config, "setup_comands": []}])
    assert said == ["fine", "fine", "Additional properties are not allowed ('setup_comands' was unexpected)"]


def test_the_cluster_files_commands_are_shell() -> None:
    for command in commands(read("ray-cluster.yaml")):
        assert not subprocess.run(["bash", "-n", "-c", command], check=False).returncode, command


def test_what_starts_or_joins_the_cluster_asks_for_the_token() -> None:
    config = read("ray-cluster.yaml")
    starting = [command for command in commands(config) if "ray start" in command]
    assert len(starting) == 2 and all("RAY_AUTH_MODE=token" in command for command in starting)
    assert config["file_mounts"]["~/.ray/auth_token"] == "~/.ray/auth_token"
    assert "chmod 600 ~/.ray/auth_token" in config["initialization_commands"]


def test_a_machine_gets_all_that_the_stages_read_and_none_of_what_they_write() -> None:
    mounts = read("ray-cluster.yaml")["file_mounts"]
    sent = {name: local for name, local in mounts.items() if not local.startswith("~")}
    assert all((REPO / local).exists() and name == f"~/trainyard/{local}" for name, local in sent.items())
    assert {"components", "flows", "dvc.yaml", "params.yaml", "pyproject.toml", "requirements.txt"} == {*sent.values()}
    assert not {"data", "features", "models"} & {*read("ray-cluster.yaml")["rsync_exclude"]}  # some are code


def start_options() -> list[list[str]]:
    """What follows `ray start` wherever it is written, and what KubeRay makes of its rayStartParams."""
    compose = [shlex.join(service.get("command", [])) for service in read("compose.yaml")["services"].values()]
    texts = [*commands(read("ray-cluster.yaml")), *compose]
    written = [re.split("&&|'", text.split("ray start ")[1])[0] for text in texts if "ray start " in text]
    group = read("kuberay/raycluster.yaml")["spec"]["headGroupSpec"]
    filled = [re.sub(r"\$\{\w+:-(\d+)\}", r"\1", text) for text in written]
    return [*map(shlex.split, filled), [f"--{key}={value}" for key, value in group["rayStartParams"].items()]]


def test_ray_start_knows_each_option_that_it_is_given() -> None:
    assert len(start_options()) == 6
    said = in_ray(RAY_START, [*start_options(), ["--head", "--num-cpu=0"]])
    assert len(said) == 1 and "No such option" in said[0] and "--num-cpu" in said[0]


def test_a_job_ships_the_code_and_neither_data_nor_secrets(tmp_path: Path) -> None:
    kept = ["params.yaml", "components/data/arrays.py", "components/models/families/cnn.py", ".dvc/config"]
    left = [".git/HEAD", ".venv/bin/python", "data/raw/a", ".runs/a", ".prefect/a", ".dvc/cache/a", ".dvc/config.local"]
    left += ["infra/.env", ".env", "components/__pycache__/a.pyc", ".mypy_cache/a"]
    for name in kept + left:
        (tmp_path / "project" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "project" / name).touch()
    for name in (".rayignore", ".gitignore"):
        shutil.copyfile(REPO / name, tmp_path / "project" / name)
    shipped = in_ray(RAY_PACKAGE, [str(tmp_path / "project"), str(tmp_path / "job.zip")])
    assert {*shipped} == {*kept, ".rayignore", ".gitignore"}


# Kubernetes


def pods(manifest: Any) -> dict[str, Any]:
    spec = manifest["spec"]
    cluster = spec.get("rayClusterSpec", spec)
    groups = {group["groupName"]: group["template"] for group in cluster["workerGroupSpecs"]}
    submitter = {"submitter": spec["submitterPodTemplate"]} if "submitterPodTemplate" in spec else {}
    return {"head": cluster["headGroupSpec"]["template"], **groups, **submitter}


def check_pod(name: str, template: Any) -> None:
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, **template}
    kubernetes_validate.validate(pod, KUBERNETES, strict=True)


MANIFESTS = pytest.mark.parametrize("name", ["raycluster.yaml", "rayjob.yaml"])


@MANIFESTS
def test_kuberay_takes_the_manifest(name: str) -> None:
    manifest = read(f"kuberay/{name}")
    jsonschema.validate(manifest, KINDS[manifest["kind"]])
    for pod, template in pods(manifest).items():
        check_pod(pod, template)


@MANIFESTS
def test_a_typo_in_a_manifest_or_in_its_pods_is_caught(name: str) -> None:
    manifest = read(f"kuberay/{name}")
    wrong = copy.deepcopy(manifest)
    wrong["spec"].get("rayClusterSpec", wrong["spec"])["authOption"] = {"mode": "token"}
    with pytest.raises(jsonschema.ValidationError, match="'authOption' was unexpected"):
        jsonschema.validate(wrong, KINDS[manifest["kind"]])
    for pod, template in pods(manifest).items():
        template["spec"]["containers"][0]["resource"] = {}
        with pytest.raises(kubernetes_validate.ValidationError, match="'resource' was unexpected"):
            check_pod(pod, template)


@MANIFESTS
def test_no_pod_runs_as_root_or_holds_a_secret(name: str) -> None:
    for template in pods(read(f"kuberay/{name}")).values():
        (container,) = template["spec"]["containers"]
        assert template["spec"]["securityContext"]["runAsNonRoot"]
        assert container["securityContext"] == {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}
        assert not [variable for variable in container.get("env", []) if SECRET.search(variable["name"])]
        assert container["resources"]["requests"] and container["resources"]["limits"]


def test_the_head_trains_nothing_and_gpu_workers_wait_until_asked_for() -> None:
    cluster = read("kuberay/raycluster.yaml")["spec"]
    assert cluster["headGroupSpec"]["rayStartParams"]["num-cpus"] == "0"
    cpu, gpu = cluster["workerGroupSpecs"]
    limits = [group["template"]["spec"]["containers"][0]["resources"]["limits"] for group in (cpu, gpu)]
    assert (cpu["replicas"], gpu["replicas"]) == (2, 0)
    assert "nvidia.com/gpu" not in limits[0] and limits[1]["nvidia.com/gpu"] == "1"


def test_a_job_has_the_cluster_that_raycluster_yaml_describes_and_is_tried_again() -> None:
    job = read("kuberay/rayjob.yaml")["spec"]
    assert job["rayClusterSpec"] == read("kuberay/raycluster.yaml")["spec"]
    assert (job["backoffLimit"], job["shutdownAfterJobFinishes"]) == (2, True)
