"""The launchers' files, as far as they can be checked without a cloud or a Kubernetes."""

import os
import re
import subprocess
import threading
import tomllib
from collections.abc import Iterator, Mapping
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
import yaml
from packaging.version import Version
from ray.autoscaler._private.util import prepare_config, validate_config

from tests.cluster.machines import ROOT, script
from tests.commands import PATIENCE

LAUNCHED = ["cluster.yaml", "docs/cluster/on-premises.yaml"]
ALL = [*LAUNCHED, "docs/cluster/rayjob.yaml"]

# Of KubeRay's CRD reference for ray.io/v1, release 1.6.2 (docs/reference/api.md in its repository)
FIELDS = {
    "RayJob": "apiVersion kind metadata spec",
    "RayJobSpec": "activeDeadlineSeconds backoffLimit rayClusterSpec submitterPodTemplate metadata"
    " clusterSelector submitterConfig managedBy deletionStrategy entrypoint runtimeEnvYAML jobId"
    " submissionMode entrypointResources entrypointNumCpus entrypointNumGpus"
    " ttlSecondsAfterFinished preRunningDeadlineSeconds shutdownAfterJobFinishes suspend",
    "RayClusterSpec": "upgradeStrategy authOptions suspend managedBy autoscalerOptions"
    " headServiceAnnotations enableInTreeAutoscaling gcsFaultToleranceOptions headGroupSpec"
    " rayVersion workerGroupSpecs",
    "AuthOptions": "enableK8sTokenAuth secretName mode",
    "AutoscalerOptions": "resources image imagePullPolicy securityContext idleTimeoutSeconds"
    " upscalingMode version env envFrom volumeMounts",
    "HeadGroupSpec": "template headService enableIngress resources labels rayStartParams"
    " serviceType",
    "WorkerGroupSpec": "suspend groupName replicas minReplicas maxReplicas idleTimeoutSeconds"
    " resources labels rayStartParams template scaleStrategy numOfHosts",
}


def load(name: str) -> dict[str, Any]:
    first: dict[str, Any] = next(yaml.safe_load_all((ROOT / name).read_text()))
    return first


def texts(value: Any) -> Iterator[str]:
    """All texts in a file, comments not among them."""
    if isinstance(value, Mapping):
        for key, each in value.items():
            yield from texts(key)
            yield from texts(each)
    elif isinstance(value, list):
        for each in value:
            yield from texts(each)
    elif isinstance(value, str):
        yield value


@pytest.mark.parametrize("name", LAUNCHED)
def test_rays_own_schema_takes_the_file(name: str) -> None:
    validate_config(prepare_config(load(name)))


@pytest.mark.parametrize("name", LAUNCHED)
def test_ray_is_started_with_a_token_and_its_dashboard_on_loopback(name: str) -> None:
    config = load(name)
    kept = "~/.ray/auth_token"  # where Ray looks for it
    assert config["file_mounts"][kept] == kept
    assert "chmod 600 ~/.ray/auth_token" in config["setup_commands"]
    starts = [
        command
        for key in ("head_start_ray_commands", "worker_start_ray_commands")
        for command in config[key]
        if "ray start" in command
    ]
    assert len(starts) == 2
    for command in starts:
        assert re.search(r"^export .*\bRAY_AUTH_MODE=token[ ;]", command)
    assert "--dashboard-host=127.0.0.1 " in starts[0]
    assert "--dashboard-host" not in starts[1]


@pytest.mark.parametrize("name", ALL)
def test_nothing_is_opened_to_everybody(name: str) -> None:
    for document in yaml.safe_load_all((ROOT / name).read_text()):
        for text in texts(document):
            assert "0.0.0.0" not in text  # noqa: S104
            assert "::/0" not in text


@pytest.mark.parametrize("name", ALL)
def test_every_place_that_needs_the_user_is_marked(name: str) -> None:
    lines = (ROOT / name).read_text().splitlines()
    placeholder = r"(ami|sg)-0|10\.0\.0\.1|BUCKET/|\.example|Name: sweepboard-|2\.60\.0"
    for number, line in enumerate(lines):
        if re.search(placeholder, line) and not line.startswith("#"):
            near = "\n".join(lines[max(0, number - 5) : number + 1])
            assert "FILL IN" in near, line


@pytest.mark.parametrize("name", LAUNCHED)
def test_what_an_installation_needs_is_copied_and_one_version_of_ray_installed(name: str) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    config = load(name)
    needed = {"pyproject.toml", project["project"]["readme"], *project["project"]["license-files"]}
    needed |= {*project["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]}
    copied = {local for to, local in config["file_mounts"].items() if "sweepboard" in to}
    assert needed <= copied
    assert all((ROOT / local).exists() for local in copied)
    commands = " ".join(config["setup_commands"] + config["head_setup_commands"])
    [found] = set(re.findall(r"ray(?:\[default\])?==([\d.]+)", commands))
    assert Version("2.60") <= Version(found) < Version("3")


def test_on_aws_trials_run_on_machines_with_gpus_alone() -> None:
    config = load("cluster.yaml")
    groups = config["available_node_types"]
    head = groups.pop(config["head_node_type"])
    assert head["resources"] == {"CPU": 0}
    assert all(group["resources"]["GPU"] >= 1 for group in groups.values())
    spot = groups["gpu-spot"]["node_config"]["InstanceMarketOptions"]
    assert spot == {"MarketType": "spot"}
    assert "InstanceMarketOptions" not in groups["gpu-on-demand"]["node_config"]
    assert groups["gpu-spot"]["min_workers"] == 0 < groups["gpu-on-demand"]["min_workers"]


def unknown(kind: str, value: Mapping[str, Any]) -> set[str]:
    return {f"{kind}.{key}" for key in value if key not in FIELDS[kind].split()}


def test_the_manifest_has_kuberays_fields_alone_and_asks_for_the_token() -> None:
    job = load("docs/cluster/rayjob.yaml")
    assert (job["apiVersion"], job["kind"]) == ("ray.io/v1", "RayJob")
    spec, cluster = job["spec"], job["spec"]["rayClusterSpec"]
    assert not unknown("RayJob", job) | unknown("RayJobSpec", spec)
    assert not unknown("RayClusterSpec", cluster) | unknown("AuthOptions", cluster["authOptions"])
    assert not unknown("AutoscalerOptions", cluster["autoscalerOptions"])
    assert not unknown("HeadGroupSpec", cluster["headGroupSpec"])
    for group in cluster["workerGroupSpecs"]:
        assert not unknown("WorkerGroupSpec", group)
    assert cluster["authOptions"]["mode"] == "token"
    assert cluster["headGroupSpec"]["serviceType"] == "ClusterIP"
    assert cluster["headGroupSpec"]["rayStartParams"]["num-cpus"] == "0"
    groups = [cluster["headGroupSpec"], *cluster["workerGroupSpecs"]]
    images = {group["template"]["spec"]["containers"][0]["image"] for group in groups}
    assert len(images) == 1
    policy = list(yaml.safe_load_all((ROOT / "docs/cluster/rayjob.yaml").read_text()))[1]
    assert policy["kind"] == "NetworkPolicy"
    assert all(rule["from"] for rule in policy["spec"]["ingress"])


class Metadata(BaseHTTPRequestHandler):
    """What an AWS machine asks about itself; a spot notice comes with the third question."""

    asked = 0

    def do_PUT(self) -> None:
        self._answer(200, b"of-this-session")

    def do_GET(self) -> None:
        Metadata.asked += 1
        assert self.path == "/latest/meta-data/spot/instance-action"
        assert self.headers["X-aws-ec2-metadata-token"] == "of-this-session"
        self._answer(200 if Metadata.asked >= 3 else 404, b'{"action": "terminate"}')

    def _answer(self, status: int, content: bytes) -> None:
        self.send_response(status)
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: Any) -> None: ...


def test_a_spot_notice_is_passed_on_to_ray(tmp_path: Path) -> None:
    script(tmp_path / "ray", f'echo "$RAY_ADDRESS: $@" >{tmp_path}/told')
    server = HTTPServer(("127.0.0.1", 0), Metadata)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        subprocess.run(
            [ROOT / "docs/cluster/spot-notice.sh"],
            env={
                "HOME": str(tmp_path),
                "PATH": f"{tmp_path}:{os.environ['PATH']}",
                "METADATA": f"http://127.0.0.1:{server.server_port}",
                "EVERY": "0",
            },
            check=True,
            timeout=PATIENCE,
        )
    finally:
        server.shutdown()
        server.server_close()
    assert Metadata.asked == 3
    told = (tmp_path / "told").read_text()
    assert told.startswith("auto: drain-node --reason DRAIN_NODE_REASON_PREEMPTION ")
    assert "--deadline-remaining-seconds 60" in told
