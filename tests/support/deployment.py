"""What the files of ``deploy/`` start: each command line with its environment, and how long it may take to stop."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

FILES = Path(__file__).parents[2] / "deploy"


@dataclass(frozen=True)
class Command:
    """A command that a file starts.

    Attributes
    ----------
    place
        The file, and the name of the service in it.
    words
        The command line.
    environment
        What is set for it; a value that comes from elsewhere is empty.
    grace
        Seconds between the signal that stops it and the one that kills it; None if the file does not say.
    manifest
        Its container, service or section.
    """

    place: str
    words: Sequence[str]
    environment: Mapping[str, str] = field(default_factory=dict)
    grace: float | None = None
    manifest: Mapping[str, Any] = field(default_factory=dict)

    @property
    def is_ours(self) -> bool:
        """Whether it starts adjourn."""
        return Path(self.words[0]).name == "adjourn"


def seconds(text: str | int) -> float:
    """Read a duration as systemd, Docker and Compose write it."""
    units = {"": 1, "s": 1, "m": 60, "min": 60, "h": 3600}
    return sum(int(number) * units[unit] for number, unit in re.findall(r"(\d+)([a-z]*)", str(text)))


def commands() -> list[Command]:
    """All commands of all files."""
    return [*of_dockerfile(), *of_units(), *of_compose(), *of_kubernetes()]


def of_dockerfile() -> Iterator[Command]:
    """Yield what the image runs, and how Docker asks for its health."""
    text = re.sub(r"\\\n", " ", (FILES / "docker" / "Dockerfile").read_text("utf-8"))
    environment: dict[str, str] = {}
    for line in re.findall(r"^ENV (.*)$", text, re.MULTILINE):
        environment.update((name, value) for name, _, value in (pair.partition("=") for pair in shlex.split(line)))
    for words in re.findall(r"^(?:HEALTHCHECK .*)?CMD (\[.*\])$", text, re.MULTILINE):
        found = re.search(r"docker stop --time=(\d+)", text)
        yield Command("Dockerfile", json.loads(words), environment, float(found[1]) if found else None)


def unit(file: Path) -> dict[str, list[str]]:
    """Read a unit of systemd: the values of each key."""
    found: dict[str, list[str]] = {}
    for key, value in re.findall(r"^(\w+)=(.*)$", file.read_text("utf-8"), re.MULTILINE):
        found.setdefault(key, []).append(value)
    return found


def of_units() -> Iterator[Command]:
    """Yield what systemd starts."""
    for file in sorted((FILES / "systemd").glob("*.service")):
        keys = unit(file)
        own = {name: value for name, _, value in (pair.partition("=") for pair in keys.get("Environment", ()))}
        for name in keys["EnvironmentFile"]:
            sample = FILES / "systemd" / Path(name).name
            if sample.exists():
                own.update(re.findall(r"^(\w+)=(.*)$", sample.read_text("utf-8"), re.MULTILINE))
        (line,) = keys["ExecStart"]
        (grace,) = keys.get("TimeoutStopSec", [None])
        yield Command(file.name, shlex.split(line), own, None if grace is None else seconds(grace), {"keys": keys})


def compose() -> dict[str, Any]:
    """Return the services of the compose file, by name."""
    found: dict[str, Any] = yaml.safe_load((FILES / "compose.yaml").read_text("utf-8"))["services"]
    return found


def of_compose() -> Iterator[Command]:
    """Yield what Compose starts, and how it asks for health."""
    for name, service in compose().items():
        environment = {key: str(value) for key, value in service.get("environment", {}).items()}
        grace = service.get("stop_grace_period")
        for words in (service.get("command"), service.get("healthcheck", {}).get("test", ())[1:]):
            if words:
                yield Command(
                    f"compose: {name}", words, environment, None if grace is None else seconds(grace), service
                )


def objects() -> Iterator[dict[str, Any]]:
    """Yield the objects of Kubernetes."""
    for file in sorted((FILES / "kubernetes").rglob("*.yaml")):
        yield from (each for each in yaml.safe_load_all(file.read_text("utf-8")) if each)


def of_kubernetes() -> Iterator[Command]:
    """Yield what Kubernetes starts."""
    for each in objects():
        spec = each.get("spec", {})
        pod = spec.get("jobTargetRef", spec).get("template", {}).get("spec")
        for container in () if pod is None else pod["containers"]:
            environment = {variable["name"]: str(variable.get("value", "")) for variable in container.get("env", ())}
            yield Command(
                f"{each['kind']}: {each['metadata']['name']}",
                container["args"],
                environment,
                pod.get("terminationGracePeriodSeconds", 30),
                {**container, "pod": pod},
            )
