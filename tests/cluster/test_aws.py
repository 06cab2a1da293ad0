"""cluster.yaml as Ray turns it into requests to AWS, answered by a stand-in (moto): no network."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
import yaml
from moto import mock_aws
from ray.autoscaler._private.aws.config import bootstrap_aws
from ray.autoscaler._private.aws.node_provider import AWSNodeProvider
from ray.autoscaler._private.util import prepare_config
from ray.autoscaler.tags import TAG_RAY_NODE_NAME, TAG_RAY_USER_NODE_TYPE

from tests.cluster.machines import ROOT


@pytest.fixture
def ec2(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    monkeypatch.setenv("HOME", str(tmp_path))  # Ray keeps the key that it makes there
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "anybody")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "anything")
    (tmp_path / ".ssh").mkdir()
    with mock_aws():
        for name in ("sweepboard-head", "sweepboard-worker"):
            boto3.client("iam").create_instance_profile(InstanceProfileName=name)
        yield boto3.client("ec2", "us-west-2")


def test_ray_starts_the_machines_that_the_file_means(ec2: Any) -> None:
    config = yaml.safe_load((ROOT / "cluster.yaml").read_text())
    group = ec2.create_security_group(GroupName="sweepboard", Description="as docs/cluster says")
    image = ec2.describe_images()["Images"][0]["ImageId"]
    for node_type in config["available_node_types"].values():
        node_type["node_config"] |= {"ImageId": image, "SecurityGroupIds": [group["GroupId"]]}
    config = bootstrap_aws(prepare_config(config))
    provider = AWSNodeProvider(config["provider"], config["cluster_name"])
    for name, node_type in config["available_node_types"].items():
        tags = {TAG_RAY_USER_NODE_TYPE: name, TAG_RAY_NODE_NAME: name}
        provider.create_node(node_type["node_config"], tags, 1)

    instances = [
        instance
        for reservation in ec2.describe_instances()["Reservations"]
        for instance in reservation["Instances"]
    ]
    found = {
        (
            i["InstanceType"],
            i.get("InstanceLifecycle", "on demand"),
            i["IamInstanceProfile"]["Arn"].rpartition("/")[2],
        )
        for i in instances
    }
    assert found == {
        ("m6i.large", "on demand", "sweepboard-head"),
        ("g5.xlarge", "on demand", "sweepboard-worker"),
        ("g5.xlarge", "spot", "sweepboard-worker"),
    }
    for instance in instances:
        assert [g["GroupId"] for g in instance["SecurityGroups"]] == [group["GroupId"]]
        assert instance["MetadataOptions"]["HttpTokens"] == "required"
    [ours] = ec2.describe_security_groups(GroupIds=[group["GroupId"]])["SecurityGroups"]
    assert ours["IpPermissions"] == []  # Ray has opened nothing
