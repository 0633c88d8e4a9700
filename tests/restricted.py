"""Commands run with more or less than the rights of the tests: on a disk of their own, or without root's."""

import os
import subprocess
from collections.abc import Sequence

import pytest

NO_MOUNT = 77
"""What a command ends with where it may not mount."""


def in_a_namespace(command: Sequence[str]) -> str:
    """What the command prints, run as root of a user namespace in which it may mount."""
    try:
        ran = subprocess.run(["unshare", "-Urm", *command], capture_output=True, text=True, check=False)
    except FileNotFoundError:
        pytest.skip("no user namespaces: unshare is not installed")
    if ran.returncode == NO_MOUNT or ran.stderr.startswith("unshare:"):
        pytest.skip("no user namespaces: " + ran.stderr.strip().splitlines()[0])
    assert ran.returncode == 0, ran.stderr
    return ran.stdout


def without_root(command: Sequence[str]) -> "subprocess.CompletedProcess[str]":
    """The command run to its end by one to whom permissions apply, also where the tests run as root."""
    prefix = ["setpriv", "--bounding-set=-dac_override,-dac_read_search"] if os.geteuid() == 0 else []
    try:
        return subprocess.run([*prefix, *command], capture_output=True, text=True, check=False)
    except FileNotFoundError:
        pytest.skip("tests run as root, and setpriv is not installed")
