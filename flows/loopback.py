"""Servers on this machine are reached without a proxy, whatever the environment says of others."""

from __future__ import annotations

import os
from collections.abc import Mapping

NAMES = ("127.0.0.1", "localhost", "::1")
PROXIES = ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY")
_taken: dict[str, str] = {}


def without_proxy() -> None:
    """Set this process's environment so, before it asks any server.

    A SOCKS proxy is taken out of it, but for the commands that it starts (see `given_back`): Prefect's client cannot
    even be made where there is one.
    """
    for variable in ("no_proxy", "NO_PROXY"):
        listed = [name for name in os.environ.get(variable, "").split(",") if name.strip()]
        os.environ[variable] = ",".join([*listed, *(name for name in NAMES if name not in listed)])
    for variable in PROXIES:
        if os.environ.get(variable, "").startswith("socks"):
            _taken[variable] = os.environ.pop(variable)


def given_back() -> Mapping[str, str]:
    """What was taken out of the environment, for commands that fetch from elsewhere."""
    return dict(_taken)
