"""The fields of ray.io/v1 that the manifests may use, as in KubeRay's API reference. Pods are checked elsewhere.

A Kubernetes server drops a field that it does not know, silently; here it is a fault.
"""

from __future__ import annotations

from typing import Any

Schema = dict[str, Any]


def record(required: list[str], properties: dict[str, Schema]) -> Schema:
    """An object with these fields and no others."""
    return {"type": "object", "additionalProperties": False, "required": required, "properties": properties}


TEXT: Schema = {"type": "string", "minLength": 1}
FLAG: Schema = {"type": "boolean"}
COUNT: Schema = {"type": "integer", "minimum": 0}
NUMBER: Schema = {"type": "number", "minimum": 0}
TEXTS: Schema = {"type": "object", "additionalProperties": {"type": "string"}}
POD: Schema = {"type": "object", "required": ["spec"]}

METADATA = record(["name"], {"name": TEXT, "namespace": TEXT, "labels": TEXTS, "annotations": TEXTS})
AUTH = record(["mode"], {"mode": {"enum": ["token"]}, "secretName": TEXT})
HEAD = record(
    ["rayStartParams", "template"],
    {
        "rayStartParams": TEXTS,
        "template": POD,
        "serviceType": {"enum": ["ClusterIP", "NodePort", "LoadBalancer"]},
        "enableIngress": FLAG,
    },
)
WORKERS = record(
    ["groupName", "minReplicas", "maxReplicas", "rayStartParams", "template"],
    {
        "groupName": TEXT,
        "replicas": COUNT,
        "minReplicas": COUNT,
        "maxReplicas": COUNT,
        "numOfHosts": COUNT,
        "idleTimeoutSeconds": COUNT,
        "suspend": FLAG,
        "rayStartParams": TEXTS,
        "template": POD,
    },
)
CLUSTER = record(
    ["rayVersion", "authOptions", "headGroupSpec", "workerGroupSpecs"],
    {
        "rayVersion": TEXT,
        "authOptions": AUTH,
        "enableInTreeAutoscaling": FLAG,
        "suspend": FLAG,
        "headServiceAnnotations": TEXTS,
        "headGroupSpec": HEAD,
        "workerGroupSpecs": {"type": "array", "items": WORKERS},
    },
)
JOB = record(
    ["entrypoint", "rayClusterSpec"],
    {
        "entrypoint": TEXT,
        "runtimeEnvYAML": TEXT,
        "submissionMode": {"enum": ["K8sJobMode", "HTTPMode", "SidecarMode", "InteractiveMode"]},
        "shutdownAfterJobFinishes": FLAG,
        "ttlSecondsAfterFinished": COUNT,
        "activeDeadlineSeconds": COUNT,
        "backoffLimit": COUNT,
        "entrypointNumCpus": NUMBER,
        "entrypointNumGpus": NUMBER,
        "metadata": TEXTS,
        "suspend": FLAG,
        "rayClusterSpec": CLUSTER,
        "submitterPodTemplate": POD,
        "submitterConfig": record([], {"backoffLimit": COUNT}),
    },
)


def resource(kind: str, spec: Schema) -> Schema:
    return record(
        ["apiVersion", "kind", "metadata", "spec"],
        {"apiVersion": {"const": "ray.io/v1"}, "kind": {"const": kind}, "metadata": METADATA, "spec": spec},
    )


KINDS = {"RayCluster": resource("RayCluster", CLUSTER), "RayJob": resource("RayJob", JOB)}
