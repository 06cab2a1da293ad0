"""An S3 server of the tests' own, on loopback, and sweeps whose directories are on it."""

import logging
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import boto3
import pytest
from moto.server import ThreadedMotoServer

from tests.drivers import RunningRay
from tests.faults.conftest import Sweep, end, undisturbed

__all__ = ["undisturbed"]

KEY = "canary-of-the-bucket-77a1"


class Bucket:
    """A bucket, and what a program needs in its environment to reach it."""

    name = "bucket"

    def __init__(self) -> None:
        logging.getLogger("werkzeug").setLevel(logging.ERROR)
        self._server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
        self._server.start()
        self.host, self.port = self._server.get_host_and_port()
        self.env = {
            "AWS_ACCESS_KEY_ID": "anybody",
            "AWS_SECRET_ACCESS_KEY": KEY,
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_ENDPOINT_URL": f"http://127.0.0.1:{self.port}",
        }
        self.client = boto3.client(
            "s3",
            endpoint_url=self.env["AWS_ENDPOINT_URL"],
            aws_access_key_id="anybody",
            aws_secret_access_key=KEY,
            region_name="us-east-1",
        )
        self.client.create_bucket(Bucket=self.name)

    def files(self, below: str) -> dict[str, bytes]:
        """The objects below a prefix, by what follows it; markers of folders are none."""
        pages = self.client.get_paginator("list_objects_v2").paginate(
            Bucket=self.name, Prefix=f"{below}/"
        )
        keys = [found["Key"] for page in pages for found in page.get("Contents", ())]
        files: dict[str, bytes] = {}
        for key in keys:
            with suppress(self.client.exceptions.NoSuchKey):  # deleted since it was listed
                if not key.endswith("/"):
                    files[key.removeprefix(f"{below}/")] = self.read(key)
        return files

    def read(self, key: str) -> bytes:
        content: bytes = self.client.get_object(Bucket=self.name, Key=key)["Body"].read()
        return content

    def write(self, key: str, content: bytes) -> None:
        self.client.put_object(Bucket=self.name, Key=key, Body=content)

    def stop(self) -> None:
        """Be out of reach; what was written stays."""
        self._server.stop()

    def start(self) -> None:
        """Be there again, at the same address."""
        self._server = ThreadedMotoServer(ip_address="127.0.0.1", port=self.port, verbose=False)
        self._server.start()


@pytest.fixture(scope="session")
def bucket() -> Iterator[Bucket]:
    started = Bucket()
    yield started
    started.stop()


class InBucket(Sweep):
    """A sweep in a working folder of its own, whose directory will be in the bucket."""

    def __init__(self, folder: Path, ray: RunningRay) -> None:
        super().__init__(folder, ray)
        self.key = f"{folder.name}/chained"
        self.uri = f"s3://{Bucket.name}/{self.key}"


@pytest.fixture
def sweep(tmp_path: Path, ray_of_tests: RunningRay) -> Iterator[InBucket]:
    started = InBucket(tmp_path, ray_of_tests)
    yield started
    end(started)
