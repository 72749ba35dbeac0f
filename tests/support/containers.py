"""Podman, for the tests that build and run the image of ``deploy/``."""

from __future__ import annotations

import contextlib
import functools
import json
import re
import shutil
import subprocess
import uuid
from collections.abc import Iterator
from typing import Any

from support.deployment import FILES
from support.waiting import until

IMAGE = "adjourn-test-shop"
DOCKERFILE = FILES / "docker" / "Dockerfile"
BUILD_BOUND = 900.0
"""Seconds for a build, which installs from PyPI."""
BOUND = 120.0
"""Seconds for everything else."""


def podman(*words: str, check: bool = True, bound: float = BOUND) -> subprocess.CompletedProcess[str]:
    """Run podman; the output of a failure is in the error.

    Raises
    ------
    AssertionError
        If it fails, and that is checked.
    """
    done = subprocess.run(["podman", *words], capture_output=True, text=True, check=False, timeout=bound)
    assert not check or done.returncode == 0, f"podman {' '.join(words)}: {done.stderr[-2000:]}"
    return done


@functools.cache
def hindrance() -> str:
    """Say why the image cannot be built and run here, or nothing."""
    if not shutil.which("podman"):
        return "podman is not installed here"
    bases = set(re.findall(r"^FROM (\S+)", DOCKERFILE.read_text("utf-8"), re.MULTILINE))
    for base in sorted(bases):
        if podman("image", "exists", base, check=False).returncode:
            return f"the image {base} is not here: podman pull {base}"
        tried = podman("run", "--rm", "--network=host", base, "true", check=False)
        if tried.returncode:
            return f"podman runs no containers here: {tried.stderr.strip()}"
    return ""


def build() -> str:
    """Build the image as its page says, and return its name."""
    words = ("--network=host", "--format=docker", f"--file={DOCKERFILE}", f"--tag={IMAGE}", str(FILES.parent))
    podman("build", *words, bound=BUILD_BOUND)
    return IMAGE


def inspected(name: str) -> dict[str, Any]:
    """Return what podman knows of a container."""
    found: dict[str, Any] = json.loads(podman("container", "inspect", name).stdout)[0]
    return found


@contextlib.contextmanager
def started(*words: str) -> Iterator[str]:
    """Start a container with the network of this machine, return its name, and remove it in the end."""
    name = f"adjourn-test-{uuid.uuid4().hex}"
    podman("run", "--detach", f"--name={name}", "--network=host", *words)
    try:
        yield name
    finally:
        # One that is just ending may not be removed at once.
        until(lambda: podman("rm", "--force", "--ignore", "--time=0", name, check=False).returncode == 0)
