"""The files of deploy/ fit the code: command lines, variables, probes and grace periods."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import urllib.request
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import attrs
import pytest
import yaml

from adjourn import cli
from adjourn._domain.health import HealthLimits, Vitals, health_of
from adjourn.cli import flags, web
from adjourn.monitor import exports
from adjourn.worker.options import Options, checked_options
from adjourn.worker.probes import ProbeServer
from support.deployment import FILES, Command, commands, compose, objects, of_units

OURS = [each for each in commands() if each.is_ours]
WORKERS = [each for each in OURS if "worker" in each.words]
STOPPING = 5 + 15 + 5
"""Seconds that a worker may need after its graceful timeout: to cancel, to store outcomes, and some to spare."""


def by_place(commands: list[Command]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("command", commands, ids=[f"{each.place}: {each.words[1]}" for each in commands])


def options_of(command: Command) -> Any:
    """Read a command line and its environment, as the program does."""
    options = cli.make_parser().parse_args(list(command.words[1:]))
    options.parser.read_environment(options, command.environment)
    return options


def worker_options(command: Command) -> Options:
    names = {field.name for field in attrs.fields(Options)}
    given = {name: value for name, value in vars(options_of(command)).items() if name in names}
    return Options(**cast("dict[str, Any]", checked_options("worker", given)))


@by_place(OURS)
def test_each_command_line_is_one_that_the_program_takes(command: Command) -> None:
    assert options_of(command).run


@pytest.mark.parametrize(
    "wrong", [["worker", "--no-such-flag"], ["no-such-command"], ["worker", "--concurrency=many"]], ids=" ".join
)
def test_a_command_line_that_the_program_refuses_is_noticed(wrong: list[str]) -> None:
    with pytest.raises(SystemExit):
        options_of(Command("here", ["adjourn", *wrong]))


@by_place(OURS)
def test_each_variable_of_ours_is_one_that_the_program_reads(command: Command) -> None:
    parser = cli.make_parser()
    known = {variable.name for each in (parser, *parser.commands.values()) for variable in each.variables.values()}
    assert {name for name in command.environment if name.startswith(flags.PREFIX)} <= known


@by_place(WORKERS)
@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("ADJOURN_WORKER_CONCURRENCY", "many"),
        ("ADJOURN_WORKER_SHUTDOWN_GRACEFUL_TIMEOUT", "soon"),
        ("ADJOURN_WORKER_HTTP", "x"),
    ],
)
def test_a_value_that_is_none_is_refused_by_its_name_for_the_logs(
    command: Command, variable: str, value: str, tmp_path: Path
) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "adjourn", *without(variable, command.words[1:])],
        env={**os.environ, **command.environment, variable: value},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 2
    assert variable in done.stderr.splitlines()[-1]
    assert value in done.stderr


def without(variable: str, words: Sequence[str]) -> list[str]:
    """Return a command line without the flag that a variable stands for, which would win."""
    flag = "--" + variable.removeprefix("ADJOURN_WORKER_").lower().replace("_", "-")
    return [word for word in words if not word.startswith(f"{flag}=")]


def test_the_image_holds_no_compiler_and_runs_as_somebody_else_than_root() -> None:
    text = (FILES / "docker" / "Dockerfile").read_text("utf-8")
    _, build, final = re.split(r"^FROM ", text, flags=re.MULTILINE)
    assert build.splitlines()[0].endswith(" AS build")
    # The slim image has none, and nothing is installed into it.
    assert final.splitlines()[0].endswith("-slim")
    assert not re.search(r"\b(apt-get|apt|pip|apk|dnf)\b", final)
    (user,) = re.findall(r"^USER (\d+):(\d+)$", final, re.MULTILINE)
    assert "0" not in user


@by_place(WORKERS)
def test_each_worker_has_options_that_fit_together(command: Command) -> None:
    worker_options(command)


@by_place(WORKERS)
def test_each_worker_has_time_to_stop(command: Command) -> None:
    timeout = worker_options(command).shutdown_graceful_timeout
    assert timeout is not None, "without one, a long job is lost when the worker is killed"
    assert command.grace is not None
    assert command.grace >= timeout + STOPPING


@by_place([each for each in WORKERS if "startupProbe" in each.manifest])
def test_probes_ask_where_the_worker_answers(command: Command) -> None:
    ports = {each["name"]: each["containerPort"] for each in command.manifest["ports"]}
    address = worker_options(command).http
    assert address is not None
    host, _, port = address.rpartition(":")
    assert host == "0.0.0.0"
    server = ProbeServer("127.0.0.1:0", lambda: health_of(Vitals(), HealthLimits()))
    server.start()
    try:
        for name, path in (("startupProbe", "/readyz"), ("livenessProbe", "/livez"), ("readinessProbe", "/readyz")):
            probe = command.manifest[name]
            assert ports[probe["httpGet"]["port"]] == int(port)
            assert probe["httpGet"]["path"] == path
            assert probe["timeoutSeconds"] >= 3
            with urllib.request.urlopen(f"http://127.0.0.1:{server.port}{path}", timeout=10) as answer:
                assert answer.status == 200
    finally:
        server.close()
    assert command.manifest["livenessProbe"]["terminationGracePeriodSeconds"] >= STOPPING
    assert "lifecycle" not in command.manifest, "a second signal would end the worker at once"


WEB = [each for each in OURS if "web" in each.words]


@by_place(WEB)
def test_the_dashboard_has_a_port_that_others_know_and_asks_for_a_password(command: Command) -> None:
    options = options_of(command)
    host, port = options.bind
    assert {"ADJOURN_WEB_USER", "ADJOURN_WEB_PASSWORD"} <= set(command.environment)
    assert command.grace is not None
    assert command.grace > web.LEAVING + 5
    if "pod" in command.manifest:
        assert [each["containerPort"] for each in command.manifest["ports"]] == [port]
        (service,) = [
            each for each in objects() if each["kind"] == "Service" and each["metadata"]["name"] == "shop-web"
        ]
        assert service["spec"]["ports"][0]["targetPort"] == command.manifest["ports"][0]["name"]
    elif command.place.startswith("compose"):
        # On this machine alone: the password is sent in clear.
        assert command.manifest["ports"] == [f"127.0.0.1:{port}:{port}"]
    else:
        assert host == "127.0.0.1"


METRICS = [each for each in OURS if "metrics" in each.words]


@by_place(METRICS)
def test_the_exporter_is_asked_where_it_answers(command: Command) -> None:
    host, port = options_of(command).bind
    if "pod" in command.manifest:
        assert [each["containerPort"] for each in command.manifest["ports"]] == [port]
        # /readyz fails while the database is away, when figures are wanted most.
        assert {command.manifest[probe]["httpGet"]["path"] for probe in ("readinessProbe", "livenessProbe")} == {
            "/livez"
        }
    elif command.place.startswith("compose"):
        assert f"http://127.0.0.1:{port}" in str(command.manifest["healthcheck"]["test"])
    else:
        assert host == "127.0.0.1"


def test_prometheus_scrapes_what_compose_starts() -> None:
    config = yaml.safe_load((FILES / "prometheus" / "prometheus.yaml").read_text("utf-8"))
    (job,) = config["scrape_configs"]
    services = compose()
    (found,) = job["dns_sd_configs"]
    (worker,) = [each for each in WORKERS if each.place == "compose: worker"]
    assert (found["names"], str(found["port"])) == (["worker"], str(worker_options(worker).http).rpartition(":")[2])
    (target,) = job["static_configs"][0]["targets"]
    (exporter,) = [each for each in METRICS if each.place.startswith("compose")]
    assert target == f"metrics:{options_of(exporter).bind[1]}"
    assert "metrics" in services
    mounted = dict(
        volume.split(":")[1::-1] for name in ("prometheus", "grafana") for volume in services[name]["volumes"]
    )
    assert set(config["rule_files"]) <= set(mounted)
    for inside, outside in mounted.items():
        assert not outside.startswith("./") or (FILES / outside).exists(), inside
    assert services["grafana"]["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"] in mounted
    (provider,) = yaml.safe_load(
        (FILES / "grafana" / "provisioning" / "dashboards" / "adjourn.yaml").read_text("utf-8")
    )["providers"]
    assert f"{provider['options']['path']}/adjourn.json" in mounted


def test_monitors_find_pods_and_services_by_their_labels() -> None:
    made = list(objects())
    for each in made:
        if each["kind"] in ("PodMonitor", "ServiceMonitor"):
            labels = each["spec"]["selector"]["matchLabels"]
            kind = {"PodMonitor": "Deployment", "ServiceMonitor": "Service"}[each["kind"]]
            found = [
                other
                for other in made
                if other["kind"] == kind
                and labels == (other["spec"]["template"] if kind == "Deployment" else other)["metadata"].get("labels")
            ]
            assert [other["metadata"]["name"] for other in found] == [each["metadata"]["name"]]


def test_containers_are_confined_and_hold_no_secret() -> None:
    for each in commands():
        if "pod" in each.manifest:
            context = each.manifest["securityContext"]
            assert context["readOnlyRootFilesystem"] is True
            assert context["allowPrivilegeEscalation"] is False
            assert each.manifest["pod"]["securityContext"]["runAsNonRoot"] is True
            # Kubernetes would set variables that begin as ours do, such as ADJOURN_WEB_PORT.
            assert each.manifest["pod"]["enableServiceLinks"] is False
            assert {
                name
                for name, value in each.environment.items()
                if value and ("URL" in name or "PASSWORD" in name or "TOKEN" in name)
            } == set()
    for name, service in compose().items():
        for variable, value in service.get("environment", {}).items():
            if "PASSWORD" in variable or "URL" in variable:
                assert re.search(r"\$\{\w+:\?", value), name


def test_selectors_find_the_pods_of_their_deployments() -> None:
    found = {(each["kind"], each["metadata"]["name"]): each for each in objects() if "metadata" in each}
    for (kind, name), each in found.items():
        if kind == "Deployment":
            assert each["spec"]["selector"]["matchLabels"] == each["spec"]["template"]["metadata"]["labels"]
        elif kind == "PodDisruptionBudget":
            assert each["spec"]["selector"] == found["Deployment", name]["spec"]["selector"]
        elif kind == "HorizontalPodAutoscaler":
            assert ("Deployment", each["spec"]["scaleTargetRef"]["name"]) in found
            assert each["spec"]["minReplicas"] >= 1
            assert each["spec"]["behavior"]["scaleDown"]["stabilizationWindowSeconds"] >= 300
        elif kind == "ScaledObject":
            assert ("Deployment", each["spec"]["scaleTargetRef"]["name"]) in found
            assert each["spec"]["minReplicaCount"] >= 1
            for trigger in each["spec"]["triggers"]:
                assert ("TriggerAuthentication", trigger["authenticationRef"]["name"]) in found


def test_a_pod_that_is_started_for_jobs_ends_after_them_and_takes_no_others() -> None:
    found = {(each["kind"], each["metadata"]["name"]) for each in objects() if "metadata" in each}
    (scaled,) = [each for each in objects() if each["kind"] == "ScaledJob"]
    (command,) = [each for each in WORKERS if each.place == f"ScaledJob: {scaled['metadata']['name']}"]
    options = worker_options(command)
    assert not options.wait
    assert options.max_jobs is not None
    assert options.concurrency <= options.max_jobs
    assert options.queues is not None
    target = scaled["spec"]["jobTargetRef"]
    # Postgres has the job if a worker fails, and not Kubernetes.
    assert (target["backoffLimit"], command.manifest["pod"]["restartPolicy"]) == (0, "Never")
    assert scaled["spec"]["scalingStrategy"] == {"strategy": "default"}
    (trigger,) = scaled["spec"]["triggers"]
    assert ("TriggerAuthentication", trigger["authenticationRef"]["name"]) in found
    assert int(trigger["metadata"]["targetQueryValue"]) == options.max_jobs
    assert f"'{{{','.join(options.queues)}}}'" in trigger["metadata"]["query"]


def test_other_workers_leave_the_queue_of_such_pods_alone() -> None:
    (jobs,) = [each for each in WORKERS if each.place.startswith("ScaledJob")]
    text = (FILES / "kubernetes" / "keda-jobs" / "kustomization.yaml").read_text("utf-8")
    made = {(each["kind"], each["metadata"]["name"]): each for each in objects() if "metadata" in each}
    for patch in yaml.safe_load(text)["patches"]:
        patched = made[patch["target"]["kind"], patch["target"]["name"]]
        for change in yaml.safe_load(patch["patch"]):
            *way, last = change["path"].strip("/").split("/")
            place: Any = patched
            for step in way:
                place = place[int(step) if isinstance(place, list) else step]
            if change["op"] == "replace":
                # As it was, for some of the queues.
                assert change["value"] == place[last].replace("()", "('{mail}')")
            else:
                assert (change["op"], last) == ("add", "-")
                (given,) = options_of(Command("here", [*place, change["value"]])).queues
                assert given == "mail"
                assert given not in (worker_options(jobs).queues or ())


def test_an_autoscaler_asks_for_metrics_that_the_adapter_makes_of_ours() -> None:
    rules = yaml.safe_load((FILES / "prometheus" / "adapter.yaml").read_text("utf-8"))["rules"]["external"]
    declared = {family.name: {*family.labels, "namespace"} for family in exports.DECLARED}
    made = {}
    for rule in rules:
        queries = [
            rule["seriesQuery"],
            rule["metricsQuery"].replace("<<.Series>>", rule["seriesQuery"].partition("{")[0]),
        ]
        for query in queries:
            used = re.findall(r"(adjourn_\w+)\{([^}]*)\}", query)
            assert used, query
            for name, matchers in used:
                # Prometheus adds the namespace in which it has found what it asks.
                assert set(re.findall(r"(\w+)(?:=~|!=|=)", matchers)) <= declared[name], query
                assert set(re.findall(r'state=~?"([\w|]+)"', matchers)) <= {"ready", "ready|running"}
        assert all("<<.LabelMatchers>>" in matchers for _, matchers in re.findall(r"(\w+)\{([^}]*)\}", queries[1]))
        made[rule["name"]["as"]] = rule
    (scaler,) = [each for each in objects() if each["kind"] == "HorizontalPodAutoscaler"]
    asked = [metric["external"]["metric"]["name"] for metric in scaler["spec"]["metrics"]]
    assert sorted(asked) == sorted(made)
    page = (FILES.parent / "docs" / "how-to" / "deployment.md").read_text("utf-8")
    for name in ("deploy/kubernetes/hpa/hpa.yaml", "deploy/prometheus/adapter.yaml"):
        assert name in page


def test_units_are_as_systemd_wants_them(tmp_path: Path) -> None:
    analyze = shutil.which("systemd-analyze")
    if analyze is None:
        pytest.skip("systemd-analyze is not installed (package systemd)")
    for command in of_units():
        text = (FILES / "systemd" / command.place).read_text("utf-8").replace(command.words[0], sys.executable)
        (tmp_path / command.place).write_text(text, "utf-8")
    names = [str(tmp_path / each.place.replace("@.", "@mail.")) for each in of_units()]
    assert len(names) > 1
    done = subprocess.run(
        [analyze, "verify", "--man=no", *names], capture_output=True, text=True, check=False, timeout=60
    )
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize(
    "folder", sorted(path.parent.name for path in (FILES / "kubernetes").glob("*/kustomization.yaml"))
)
def test_kustomize_builds(folder: str) -> None:
    kubectl = shutil.which("kubectl")
    if kubectl is None:
        pytest.skip("kubectl is not installed")
    done = subprocess.run(
        [kubectl, "kustomize", str(FILES / "kubernetes" / folder)],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert (done.returncode, done.stderr) == (0, "")
    built = [each for each in yaml.safe_load_all(done.stdout) if each]
    assert built
    for each in built:
        if each["kind"] == "Deployment" and folder in ("hpa", "keda"):
            assert "replicas" not in each["spec"] or each["metadata"]["name"] != "shop-worker"


def test_every_yaml_parses_and_has_no_tab() -> None:
    for file in FILES.rglob("*.y*ml"):
        text = file.read_text("utf-8")
        assert "\t" not in text, file
        assert list(yaml.safe_load_all(text)), file
