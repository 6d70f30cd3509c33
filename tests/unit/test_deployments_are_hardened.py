"""deploy/: Kubernetes manifests and the systemd unit are confined, and name only what there is."""

from __future__ import annotations

import configparser
import re
import shutil
import subprocess
import sys
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner

from timeball.cli import cli
from timeball.dispatch.metrics import METRICS
from timeball.settings import Settings
from timeball.store import acl

DEPLOY = Path(__file__).parents[2] / "deploy"
DOCUMENTS: list[dict[str, Any]] = list(
    yaml.safe_load_all((DEPLOY / "kubernetes/timeball.yaml").read_text())
)
WORKLOADS = {
    d["metadata"]["name"]: d for d in DOCUMENTS if d["kind"] in ("Deployment", "StatefulSet")
}
NAMES = {f"TIMEBALL_{f.name.upper()}" for f in fields(Settings)}


def known(setting: str) -> bool:
    return setting in NAMES or setting.removesuffix("_FILE") in NAMES


@pytest.mark.parametrize("name", WORKLOADS)
def test_every_pod_is_confined(name: str) -> None:
    pod = WORKLOADS[name]["spec"]["template"]["spec"]
    assert pod["automountServiceAccountToken"] is False
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["runAsUser"] == 10001
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    [container] = pod["containers"]
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert container["resources"]["limits"]["memory"]
    assert container["resources"]["requests"]["cpu"]
    assert container["livenessProbe"]
    mounted = {mount["name"] for mount in container["volumeMounts"]}
    claimed = WORKLOADS[name]["spec"].get("volumeClaimTemplates", [])
    there = {v["name"] for v in pod["volumes"]} | {c["metadata"]["name"] for c in claimed}
    assert mounted == there


@pytest.mark.parametrize("name", [name for name in WORKLOADS if name != "redis"])
def test_roles_are_commands_and_stop_warmly(name: str) -> None:
    pod = WORKLOADS[name]["spec"]["template"]["spec"]
    [container] = pod["containers"]
    [grace] = [
        int(d["data"]["TIMEBALL_STOP_GRACE"])
        for d in DOCUMENTS
        if "TIMEBALL_STOP_GRACE" in d.get("data", {})
    ]
    assert pod["terminationGracePeriodSeconds"] > grace
    assert CliRunner().invoke(cli, [container["args"][0], "--help"]).exit_code == 0
    options = cli.commands[container["args"][0]].params
    known_options = {option for parameter in options for option in parameter.opts}
    assert {word for word in container["args"][1:] if word.startswith("--")} <= known_options
    # a Service named timeball would put unknown TIMEBALL_* variables into every pod
    assert pod["enableServiceLinks"] is False


def test_manifests_name_only_settings_that_there_are() -> None:
    named = {
        name for d in DOCUMENTS if d["kind"] == "ConfigMap" for name in d["data"] if name.isupper()
    }
    assert named
    assert all(known(name) for name in named)
    text = (DEPLOY / "kubernetes/timeball.yaml").read_text()
    assert "&" not in re.sub(r"#.*| &[*/]\S*|&&", "", text), "anchors do not cross documents"


def test_workers_scale_by_a_metric_that_there_is() -> None:
    [scaler] = [d for d in DOCUMENTS if d["kind"] == "HorizontalPodAutoscaler"]
    [metric] = scaler["spec"]["metrics"]
    assert metric["external"]["metric"]["name"] in {m.name for m in METRICS}
    assert scaler["spec"]["scaleTargetRef"]["name"] in WORKLOADS
    assert "replicas" not in WORKLOADS["worker"]["spec"]


def test_redis_keeps_what_it_is_given_and_lets_in_only_ours() -> None:
    [data] = [d["data"] for d in DOCUMENTS if "start.sh" in d.get("data", {})]
    for word in ("--appendonly yes", "--maxmemory-policy noeviction"):
        assert word in data["start.sh"]
    users = acl.file({user: f"@{user}@" for user in (acl.OPERATOR, *acl.ROLES)}).splitlines()
    assert data["users.acl"].splitlines() == [u for u in users if not u.startswith("user flower")]
    [policy] = [d for d in DOCUMENTS if d["kind"] == "NetworkPolicy"]
    [rule] = policy["spec"]["ingress"]
    [source] = rule["from"]
    [expression] = source["podSelector"]["matchExpressions"]
    assert set(expression["values"]) == set(WORKLOADS) - {"redis"}


@pytest.mark.parametrize("role", [name for name in WORKLOADS if name != "redis"])
def test_a_role_is_given_its_own_password_alone(role: str) -> None:
    pod = WORKLOADS[role]["spec"]["template"]["spec"]
    [volume] = [v["secret"] for v in pod["volumes"] if v["name"] == "secret"]
    keys = {item["key"] for item in volume["items"]}
    more = {"metrics_token"} if role == "api" else set()
    assert keys == {f"redis_url_{role}", "secret"} | more


def test_the_unit_starts_what_there_is() -> None:
    unit = configparser.RawConfigParser(strict=False)
    unit.optionxform = str
    unit.read(DEPLOY / "systemd/timeball.service")
    service = unit["Service"]
    program, command, *words = service["ExecStart"].split()
    assert program.endswith("/timeball")
    known_options = {o for parameter in cli.commands[command].params for o in parameter.opts}
    known_options |= {o for p in cli.commands[command].params for o in p.secondary_opts}
    assert {word for word in words if word.startswith("--")} <= known_options
    settings = [pair.partition("=")[0] for pair in service["Environment"].split()]
    assert all(known(name) for name in settings)
    for name in ("NoNewPrivileges", "PrivateTmp", "ProtectHome", "PrivateDevices"):
        assert service[name] == "yes"
    assert service["CapabilityBoundingSet"] == ""


def test_systemd_takes_the_unit(tmp_path: Path) -> None:
    if shutil.which("systemd-analyze") is None:
        pytest.skip("no systemd-analyze (apt: systemd)")
    text = (DEPLOY / "systemd/timeball.service").read_text()
    unit = tmp_path / "timeball.service"
    unit.write_text(text.replace("/opt/timeball/bin/timeball", "/bin/true"))
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", str(unit)],
        capture_output=True,
        text=True,
        timeout=60,
    )
    ours = [line for line in done.stderr.splitlines() if "timeball.service" in line]
    assert [line for line in ours if "Unknown" in line or "Failed to parse" in line] == []


@pytest.mark.parametrize("words", ["rules alerts.yml", "config --syntax-only scrape.yml"])
def test_prometheus_takes_its_files(words: str) -> None:
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("promtool is not installed")
    words_of = [promtool, "check", *words.split()]
    done = subprocess.run(words_of, cwd=DEPLOY / "prometheus", capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_hadolint_has_nothing_to_say_of_the_image() -> None:
    hadolint = Path(sys.executable).parent / "hadolint"
    done = subprocess.run([hadolint, "Dockerfile"], cwd=DEPLOY.parent, capture_output=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")
