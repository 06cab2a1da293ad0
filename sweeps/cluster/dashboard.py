"""The dashboard of a Ray cluster: asked over HTTP, each request with a time limit and the token."""

import json
import re
import urllib.error
import urllib.request
from collections.abc import Mapping
from http.client import HTTPException
from importlib.metadata import version
from typing import Any

from sweeps.cluster import remote
from sweeps.errors import ClusterError

LONGEST = 10 * 2**20
"""Bytes of an answer that are read."""


class _Here(urllib.request.HTTPRedirectHandler):
    """Goes nowhere else: the token is for this address."""

    def redirect_request(self, *_: Any) -> None:
        return None


_open = urllib.request.build_opener(_Here).open


class Lost(ClusterError):
    """The dashboard does not answer, or not any more."""


class Dashboard:
    """What answers at ``http://HOST:PORT``.

    Raises:
        ClusterError: of all its methods: nothing answers there, or it is no Ray that we can use.
    """

    def __init__(self, address: str) -> None:
        self.address = address.rstrip("/")
        if not re.fullmatch(r"https?://[^\s/@]+", self.address):
            raise ClusterError(
                "--address must be that of the cluster's dashboard, http://HOST:PORT, got"
                f" {re.sub(r'//.*@', '//...@', address)!r}"
            )
        remote.check_auth_mode()

    @property
    def headers(self) -> dict[str, str]:
        """What a request proves itself with, if a token is found."""
        token = remote.token()
        return {"Authorization": f"Bearer {token}"} if token else {}

    def check(self) -> None:
        """Make sure that it is a Ray of our version, before anything is sent."""
        found = self.ask("/api/version")
        if not isinstance(found, Mapping) or "ray_version" not in found:
            raise ClusterError(self._no_dashboard())
        remote.check_version(self.address, str(found["ray_version"]), version("ray"))

    def ask(self, path: str, method: str = "GET") -> Any:
        """The JSON that it answers with; ``None`` if it knows of nothing by this path."""
        request = urllib.request.Request(  # noqa: S310
            self.address + path, headers=self.headers, method=method
        )
        try:
            with _open(request, timeout=remote.ANSWER_WITHIN) as answer:
                return json.loads(answer.read(LONGEST))
        except urllib.error.HTTPError as error:
            if error.code == 404:
                return None
            raise self._refused(error) from None
        except (ValueError, HTTPException) as error:
            if isinstance(error, ConnectionError):
                raise self._unreachable(error) from None
            raise ClusterError(self._no_dashboard()) from None
        except OSError as error:
            raise self._unreachable(error) from None

    def _refused(self, error: urllib.error.HTTPError) -> ClusterError:
        with error:
            said = " ".join(error.read(1000).decode(errors="replace").split())
        if error.code in (401, 403):
            sent = bool(self.headers)
            return ClusterError(remote.refusal(self.address, "UNAUTHENTICATED", sent))
        if error.code >= 500:
            return Lost(f"the Ray dashboard at {self.address} failed ({error.code}): {said}")
        return ClusterError(self._no_dashboard())

    def _unreachable(self, error: OSError) -> Lost:
        reason = getattr(error, "reason", error)
        return Lost(
            f"cannot connect to a Ray dashboard at {self.address}: {reason}; open a tunnel to it"
            " with `ray dashboard cluster.yaml` or `ssh -L 8265:localhost:8265 HEAD`, and give its"
            " end here with --address"
        )

    def _no_dashboard(self) -> str:
        return (
            f"what listens at {self.address} is not a Ray dashboard; `sweeps submit` takes the"
            " address of the dashboard (port 8265 unless told otherwise), `sweeps run` that of the"
            " head (6379)"
        )
