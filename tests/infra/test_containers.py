"""The image, compose.yaml and Prefect's container pools, as files: nothing misspelt, published or given away."""

from __future__ import annotations

import copy
import json
import re
from fnmatch import fnmatch
from importlib import import_module
from importlib.machinery import ModuleSpec, PathFinder
from importlib.resources import files
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from tests.conftest import REPO
from tests.infra.reading import FILES, INFRA, SECRET, pin, read

VARIABLE = re.compile(r"\$\{(\w+)(:[-?])?([^}]*)\}")
DOCS = REPO / "docs" / "cluster.md"


def name(file: Path) -> str:
    return str(file.relative_to(REPO))


# compose


def compose_schema() -> Any:
    """The Compose Specification's own, from a wheel that carries it."""
    return json.loads((files("check_jsonschema") / "builtin_schemas" / "vendor" / "compose-spec.json").read_text())


def services() -> dict[str, Any]:
    found: dict[str, Any] = read("compose.yaml")["services"]
    return found


def test_compose_takes_the_file_and_refuses_a_typo() -> None:
    compose = read("compose.yaml")
    jsonschema.validate(compose, compose_schema())
    wrong = copy.deepcopy(compose)
    wrong["services"]["ray-head"]["comand"] = ["ray"]
    with pytest.raises(jsonschema.ValidationError, match="'comand' was unexpected"):
        jsonschema.validate(wrong, compose_schema())


def test_each_variable_has_a_default_or_says_how_to_set_it_and_no_secret_has_a_default() -> None:
    variables = VARIABLE.findall((INFRA / "compose.yaml").read_text())
    assert {name for name, *_ in variables if SECRET.search(name)} == {
        "POSTGRES_PASSWORD", "PREFECT_PASSWORD", "RAY_AUTH_TOKEN",
    }  # fmt: skip
    for variable, operator, rest in variables:
        assert rest and operator == (":?" if SECRET.search(variable) else ":-"), variable
        assert operator == ":-" or "docs/cluster.md" in rest


def test_every_secret_comes_from_a_variable() -> None:
    for service in services().values():
        for variable, value in service.get("environment", {}).items():
            assert not SECRET.search(variable) or VARIABLE.search(value), variable


def test_only_loopback_is_published_and_neither_the_database_nor_rays_port() -> None:
    published = [port for service in services().values() for port in service.get("ports", [])]
    assert published == ["127.0.0.1:4200:4200", "127.0.0.1:8265:8265"]


def test_services_run_the_image_that_the_dockerfile_makes_and_keep_folders_that_it_makes() -> None:
    made = set(re.findall(r"mkdir -p (.+)", (INFRA / "Dockerfile").read_text())[0].split())
    for service in services().values():
        if "build" in service:
            assert (INFRA / service["build"]["context"] / service["build"]["dockerfile"]).samefile(INFRA / "Dockerfile")
            own = [volume for volume in service["volumes"] if not volume.startswith("../")]
            assert {volume.split(":/app/")[1] for volume in own} <= made
    mounted = {volume.split(":")[0] for service in services().values() for volume in service["volumes"]}
    used = {name for name in mounted if not name.startswith("../")}
    assert used == {*read("compose.yaml")["volumes"]}


def test_a_service_waits_for_services_that_tell_of_their_health() -> None:
    for service in services().values():
        for other, how in service.get("depends_on", {}).items():
            assert how["condition"] == "service_healthy" and "healthcheck" in services()[other]


# Prefect


def test_prefect_knows_each_setting_that_it_is_given() -> None:
    from prefect.settings import Settings
    from prefect.settings.legacy import _get_settings_fields

    given = {name for file in FILES for name in re.findall(r"\bPREFECT_\w+(?=: )", file.read_text())}
    assert "PREFECT_SERVER_CSRF_PROTECTION_ENABLED" in given
    assert given <= {*_get_settings_fields(Settings)}


@pytest.mark.parametrize("group", ["server", "worker"])
def test_prefects_command_line_knows_each_option_that_it_is_given(group: str) -> None:
    app = getattr(import_module(f"prefect.cli.{group}"), f"{group}_app")
    words = " ".join(services()[f"prefect-{group}"]["command"]).split(f"prefect {group} ")[1].split()
    app.parse_args(words, exit_on_error=False, print_error=False)
    with pytest.raises(Exception, match="Unknown option"):
        app.parse_args([*words, "--pol", "a"], exit_on_error=False, print_error=False)


def unknown_keys(model: Any, given: Any) -> set[str]:
    """Prefect passes over keys that it does not know; here they are faults."""
    return {*given} - {*model.model_fields}


def check_deployments(file: Any) -> None:
    """By the model that `prefect deploy` reads a file with, and by what the kind of pool takes as job variables."""
    from prefect.cli.deploy._models import ConcurrencyLimitSpec, DeploymentConfig, PrefectYamlModel, WorkPoolConfig

    PrefectYamlModel.model_validate(file)
    assert not unknown_keys(PrefectYamlModel, file)
    for deployment in file["deployments"]:
        assert not unknown_keys(DeploymentConfig, deployment) | unknown_keys(WorkPoolConfig, deployment["work_pool"])
        assert not unknown_keys(ConcurrencyLimitSpec, deployment["concurrency_limit"])
        kind = deployment["work_pool"]["name"]
        pools = files("prefect.server.api.collections_data") / "views" / "aggregate-worker-metadata.json"
        template = json.loads(pools.read_text())[f"prefect-{kind}"][kind]["default_base_job_configuration"]
        variables = {**template["variables"], "additionalProperties": False}
        jsonschema.validate(deployment["work_pool"]["job_variables"], variables)


@pytest.mark.parametrize("kind", ["docker", "kubernetes"])
def test_prefect_takes_the_deployments_and_a_typo_is_caught(kind: str) -> None:
    file = read(f"prefect-{kind}.yaml")
    check_deployments(file)
    for place, key in ((file["deployments"][0], "entry_point"), (file["deployments"][0]["work_pool"], "job_variable")):
        place[key] = "a"
        with pytest.raises(AssertionError, match=key):
            check_deployments(file)
        del place[key]
    file["deployments"][0]["work_pool"]["job_variables"]["imagee"] = "a"
    with pytest.raises(jsonschema.ValidationError, match="'imagee' was unexpected"):
        check_deployments(file)


@pytest.mark.parametrize("kind", ["docker", "kubernetes"])
def test_deployments_name_a_flow_and_steps_that_exist(kind: str) -> None:
    file = read(f"prefect-{kind}.yaml")
    for deployment in file["deployments"]:
        flow_file, flow = deployment["entrypoint"].split(":")
        assert f"\ndef {flow}(" in (REPO / flow_file).read_text()
    for step in file["pull"]:
        module, _, function = next(iter(step)).rpartition(".")
        assert callable(getattr(import_module(module), function))


# The image


def dockerfile(instruction: str) -> list[list[str]]:
    """The words after each such instruction, in order."""
    text = (INFRA / "Dockerfile").read_text().replace("\\\n", " ")
    return [line.split()[1:] for line in text.splitlines() if line.startswith(f"{instruction} ")]


def sources() -> list[str]:
    return [word for words in dockerfile("COPY") for word in words[:-1] if not word.startswith("--")]


def reaches_docker(path: str) -> bool:
    """Whether .dockerignore lets a path through: the last pattern that matches it or a folder above it decides."""
    above = [path, *map(str, Path(path).parents)]
    through = True
    for line in (REPO / ".dockerignore").read_text().splitlines():
        pattern = line.removeprefix("!").removeprefix("**/")
        names = Path(path).parts if "**/" in line else above
        if line and not line.startswith("#") and any(fnmatch(part, pattern) for part in names if part != "."):
            through = line.startswith("!")
    return through


def test_what_the_image_copies_exists_and_reaches_docker() -> None:
    assert all((REPO / source).exists() for source in sources())
    assert all(reaches_docker(source) for source in sources() if (REPO / source).is_file())
    assert reaches_docker("components/data/arrays.py") and reaches_docker("flows/pipeline.py")
    assert reaches_docker("data/sources/mnist.yaml")


@pytest.mark.parametrize(
    "path",
    [
        *(".git/HEAD", ".env", "infra/.env", ".dvc/config.local", ".dvc/cache/a", ".venv/bin/python"),
        *("data/raw/a", ".runs/a", ".prefect/a", "components/__pycache__/a.pyc"),
    ],
)
def test_secrets_data_and_history_do_not_reach_docker(path: str) -> None:
    assert not reaches_docker(path)


def test_the_image_installs_hashed_pins_before_the_code_and_runs_as_a_numbered_user() -> None:
    text = (INFRA / "Dockerfile").read_text()
    assert sources()[0] == "requirements.txt"
    assert text.index("--no-deps --require-hashes") < text.index("COPY --chown=1000:1000 components")
    assert dockerfile("USER") == [["1000"]]
    words = [word for instruction in ("ENV", "ARG") for line in dockerfile(instruction) for word in line]
    assert not [word for word in words if SECRET.search(word) or word.startswith("PYTHONDONTWRITEBYTECODE")]


# All of them


@pytest.mark.parametrize("file", [*FILES, DOCS], ids=name)
def test_a_module_that_is_run_exists(file: Path) -> None:
    for module in re.findall(r"python -m ([\w.]+)", file.read_text()):
        assert spec(module), module


def spec(module: str) -> ModuleSpec | None:
    """By the path alone, and nothing imported: setuptools' own finder warns of pip beside distutils."""
    package = module.rpartition(".")[0]
    parent = spec(package) if package else None
    return PathFinder.find_spec(module, parent.submodule_search_locations if parent else None)


@pytest.mark.parametrize("file", [*FILES, DOCS], ids=name)
def test_versions_are_those_of_the_project(file: Path) -> None:
    text = file.read_text()
    project = (REPO / "pyproject.toml").read_text()
    for package, version in re.findall(r"\b(ray|prefect)(?:==|:)(\d[\w.]+)", text):
        assert version == pin(package)
    for version in re.findall(r'rayVersion: "(.+)"', text):
        assert version == pin("ray")
    for version in re.findall(r"trainyard:(\d[\w.]+)", text):
        assert f'\nversion = "{version}"\n' in project
    for version in re.findall(r"python:?(3\.\d+)", text):
        assert f'requires-python = ">={version}"' in project


@pytest.mark.parametrize("file", [*FILES, DOCS], ids=name)
def test_no_package_index_and_no_path_of_a_developers_machine_is_named(file: Path) -> None:
    assert not re.search(r"pypi|index-url|/work/|/home/|/root/", file.read_text())
