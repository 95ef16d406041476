"""A control plane that only disruptive tests use."""

from __future__ import annotations

import json
import shutil
import urllib.request
from pathlib import Path
from typing import Any

import trustme

from .control_planes import Cluster
from .loopback_ports import reserve_ports


class IsolatedCluster(Cluster):
    """Can be restored from a backup, get another CA and move to another port.

    The token of `remote_kubeconfig` stays valid.
    """

    def back_up(self) -> None:
        """Copy the data of etcd; the API server is down meanwhile."""
        self._stop_etcd()
        shutil.rmtree(self._backup, ignore_errors=True)
        shutil.copytree(self._data, self._backup)
        self._start_again()

    def restore(self) -> None:
        """Return to the data and the resourceVersions of the last backup."""
        self._stop_etcd()
        shutil.rmtree(self._data)
        shutil.copytree(self._backup, self._data)
        self._start_again()

    def compact(self) -> None:
        """Compact etcd and restart the API server, so that no watch can resume from before."""
        key = {"key": "AA==", "range_end": "AA==", "count_only": True}  # every key
        revision = self._etcd_call("kv/range", key)["header"]["revision"]
        self._etcd_call("kv/compaction", {"revision": revision, "physical": True})
        self.kill()
        self.restart()

    def rotate_authority(self) -> None:
        """Serve with a certificate of a new CA, which earlier kubeconfigs do not trust."""
        self._serving_authority = trustme.CA(organization_name=f"{self.name} renewed")
        self._write_serving_certificate()
        self._serve_anew()

    def move(self) -> None:
        """Serve on another port; nothing listens on the address in earlier kubeconfigs."""
        (self._port,) = reserve_ports(1)
        self.server = f"https://127.0.0.1:{self._port}"
        self._serve_anew()

    @property
    def _data(self) -> Path:
        return self._directory / "etcd"

    @property
    def _backup(self) -> Path:
        return self._directory / "backup"

    def _stop_etcd(self) -> None:
        assert self._etcd is not None, "an embedded API server has no etcd"
        self.kill()
        self._etcd.stop()

    def _start_again(self) -> None:
        assert self._etcd is not None, "an embedded API server has no etcd"
        self._etcd.start()
        self.restart()

    def _serve_anew(self) -> None:
        self.kill()
        self._reader_kubeconfig = None
        self._api_server = self._make_api_server()
        self.api = self._connect()
        self.restart()

    def _etcd_call(self, method: str, body: dict[str, Any]) -> dict[str, Any]:
        """Call etcd's gRPC API through its JSON gateway."""
        url = f"http://127.0.0.1:{self._etcd_port}/v3/{method}"
        with urllib.request.urlopen(url, json.dumps(body).encode(), timeout=10) as response:
            answer: dict[str, Any] = json.load(response)
        return answer
