"""Servers on this machine are reached without a proxy, whatever the environment says of others."""

from __future__ import annotations

import os
from collections.abc import Mapping

NAMES = ("127.0.0.1", "localhost", "::1")
PROXIES = ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY")
EXCEPTIONS = ("no_proxy", "NO_PROXY")
_taken: dict[str, str] = {}


def without_proxy() -> None:
    """Set this process's environment so, before it asks any server.

    A SOCKS proxy is taken out of it, but for the commands that it starts (see `given_back`): Prefect's client cannot
    even be made where there is one.
    """
    given = [name.strip() for variable in EXCEPTIONS for name in os.environ.get(variable, "").split(",")]
    excepted = [*dict.fromkeys([*filter(None, given), *NAMES])]
    for variable in EXCEPTIONS:  # of the two spellings some programs read one, some the other
        os.environ[variable] = "*" if "*" in excepted else ",".join(excepted)
    for variable in PROXIES:
        if os.environ.get(variable, "").startswith("socks"):
            _taken[variable] = os.environ.pop(variable)


def given_back() -> Mapping[str, str]:
    """The variables that were taken out of the environment, for commands that fetch from elsewhere."""
    return dict(_taken)
