"""A control plane to which things are done that no other test should notice."""

from __future__ import annotations

import json
import shutil
import urllib.request
from pathlib import Path
from typing import Any

import trustme

from .control_planes import Cluster, reserve_ports


class FragileCluster(Cluster):
    """Can be set back to a backup, get another CA, and move. Tokens of `remote_kubeconfig` stay valid throughout."""

    def back_up(self) -> None:
        """Keep a copy of everything it holds. It is away for some seconds."""
        self._stop_etcd()
        shutil.rmtree(self._backup, ignore_errors=True)
        shutil.copytree(self._data, self._backup)
        self._start_again()

    def restore(self) -> None:
        """It holds again what it held at the last backup, under resourceVersions of then."""
        self._stop_etcd()
        shutil.rmtree(self._data)
        shutil.copytree(self._backup, self._data)
        self._start_again()

    def compact(self) -> None:
        """Nothing before now can be watched any more: etcd and the API server, which is started anew, forget it."""
        key = {"key": "AA==", "range_end": "AA==", "count_only": True}  # every key there is
        revision = self._etcd_call("kv/range", key)["header"]["revision"]
        self._etcd_call("kv/compaction", {"revision": revision, "physical": True})
        self.kill()
        self.restart()

    def rotate_authority(self) -> None:
        """Serve with a certificate of a new CA; kubeconfigs made before do not know it."""
        self._serving_authority = trustme.CA(organization_name=f"{self.name} renewed")
        self._write_serving_certificate()
        self._serve_anew()

    def move(self) -> None:
        """Serve on another port; kubeconfigs made before lead to nothing."""
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
        """One call of etcd's gRPC API, by its JSON gateway."""
        url = f"http://127.0.0.1:{self._etcd_port}/v3/{method}"
        with urllib.request.urlopen(url, json.dumps(body).encode(), timeout=10) as response:
            answer: dict[str, Any] = json.load(response)
        return answer
