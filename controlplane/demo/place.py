"""Where the demo lives: its directory, its servers, its two databases, and the variables that lead there."""

from __future__ import annotations

import fcntl
import json
import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import psycopg2
from psycopg2 import sql
from psycopg2.extensions import connection as Connection  # noqa: N812 - it is a class

from controlplane.demo import lake
from controlplane.sandbox import MongoServer, PostgresServer, S3Server, SandboxError, Servers, ensure_servers
from controlplane.sandbox.keeper import KeeperOptions, default_directory, read_servers, state_path, stop_keeper

SHOP, WAREHOUSE = "shop", "warehouse"
READER, WRITER = "shop_reader", "warehouse_writer"
SETTINGS_MODULE = "controlplane.settings"
#: File in the demo's directory with the variables that lead other commands there, for a shell to read.
ENVIRONMENT = "environment.sh"
_PASSWORDS = "passwords.json"

# What would lead the demo to a control database or keys that somebody works with.
_FOREIGN = ("DATABASE_URL", "SECRET_KEY", "DEBUG", "ALLOWED_HOSTS", "DJANGO_SETTINGS_MODULE")
_FOREIGN_BEGINNINGS = ("DMS_", "AWS_")


def demo_directory() -> Path:
    """Return where the demo of this checkout keeps its files."""
    return default_directory("demo")


@dataclass(frozen=True)
class Place:
    """The demo's directory and servers.

    Attributes:
        directory: Holds everything the demo writes.
        postgres: With both databases.
        mongo: With both stores, and the shop's reviews.
        s3: With the bucket.
        was_up: True when somebody had left the servers up.
        passwords: Of the two roles.
    """

    directory: Path
    postgres: PostgresServer
    mongo: MongoServer
    s3: S3Server
    was_up: bool
    passwords: dict[str, str] = field(repr=False)

    def connect(self, database: str) -> Connection:
        """Open a connection as the superuser. The caller closes it."""
        opened = psycopg2.connect(self.postgres.dsn(database), connect_timeout=10)
        opened.autocommit = True
        return opened

    def stored(self) -> tuple[int, int]:
        """Return how many documents the stores hold: positions of streams, and runs."""
        client = self.mongo.client()
        try:
            positions = client["dms_state"]["streams"].count_documents(
                {"last_migrated_record_for_id": {"$exists": True}}
            )
            return positions, client["dms_history"]["runs"].count_documents({})
        finally:
            client.close()

    def environment(self) -> dict[str, str]:
        """Return the variables that the example mappings and settings refer to, and where the control database is."""
        return {
            "DJANGO_SETTINGS_MODULE": SETTINGS_MODULE,
            "DMS_VAR_DIR": str(self.directory / "control"),
            "SOURCE_URL": self.postgres.address,
            "SOURCE_USERNAME": READER,
            "SOURCE_PASSWORD": self.passwords[READER],
            "DEST_URL": self.postgres.address,
            "DEST_USERNAME": WRITER,
            "DEST_PASSWORD": self.passwords[WRITER],
            "S3_BUCKET": lake.LAKE,
            "S3_ENDPOINT_URL": self.s3.endpoint_url,
            "S3_REGION": self.s3.region,
            "S3_ACCESS_KEY_ID": self.s3.access_key_id,
            "S3_SECRET_ACCESS_KEY": self.s3.secret_access_key,
            "MONGO_URL": self.mongo.url,
            "ENCRYPTION_STORE_URL": self.mongo.url,
            "DASHBOARD_STORE_URL": self.mongo.url,
        }


@contextmanager
def only_one(directory: Path) -> Iterator[None]:
    """Keep a second demo away from the same directory.

    Raises:
        SandboxError: Another demo is at work there.
    """
    try:
        # The servers have directories of their own inside. With root they run under an account that must pass here.
        for path in (*reversed(directory.parents), directory, directory / "servers"):
            if not path.exists():
                path.mkdir()
                path.chmod(0o711)
    except OSError as error:
        msg = f"Cannot make {directory}, where the demo keeps its files: {error.strerror}."
        raise SandboxError(msg) from error
    with (directory / "demo.lock").open("w") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            msg = "Another ./run demo is at work in this folder. Wait for its end, or use a second clone."
            raise SandboxError(msg) from None
        yield


@contextmanager
def prepared(directory: Path, *, keep: bool) -> Iterator[Place]:
    """Start the servers, make empty databases, point the environment there; stop the servers at the end.

    Args:
        directory: Where the demo keeps its files.
        keep: Leave the servers up.

    Raises:
        SandboxError: A server does not start.
    """
    state = state_path(directory)
    was_up = read_servers(state) is not None
    # A directory for the servers alone: with root, they run under another account.
    options = KeeperOptions(state, directory=directory / "servers", watched_pid=None if keep else os.getpid())
    servers = ensure_servers(options)
    try:
        place = _place(directory, servers, was_up=was_up)
        _start_anew(place)
        _point_environment_at(place)
        yield place
    finally:
        if not keep and not was_up:
            stop(directory)


def revisited(directory: Path) -> Place:
    """Return the place that a demo left up, and point the environment there.

    Raises:
        SandboxError: Nothing is up.
    """
    servers = read_servers(state_path(directory))
    if servers is None:
        msg = "The demo's servers are down. Start them, and leave them up, with: ./run demo --keep"
        raise SandboxError(msg)
    place = _place(directory, servers, was_up=True)
    _grant(place)
    _point_environment_at(place)
    return place


def stop(directory: Path) -> bool:
    """Stop servers that were left up. False when there were none."""
    was_up = stop_keeper(state_path(directory))
    for name in (_PASSWORDS, ENVIRONMENT):
        (directory / name).unlink(missing_ok=True)
    return was_up


def _place(directory: Path, servers: Servers, *, was_up: bool) -> Place:
    if servers.postgres is None or servers.mongo is None or servers.s3 is None:
        msg = f"The servers in {directory} are not the demo's. Stop them with: ./run demo --stop"
        raise SandboxError(msg)
    passwords = _passwords(directory, was_up=was_up)
    return Place(directory, servers.postgres, servers.mongo, servers.s3, was_up, passwords)


def _passwords(directory: Path, *, was_up: bool) -> dict[str, str]:
    """Those of the roles; the same as long as the servers are up, so that shells which know them stay useful."""
    path = directory / _PASSWORDS
    if was_up and path.exists():
        known: dict[str, str] = json.loads(path.read_text())
        return known
    passwords = {role: secrets.token_urlsafe(18) for role in (READER, WRITER)}
    write_private(path, json.dumps(passwords))
    return passwords


def write_private(path: Path, text: str) -> None:
    """Write a file that only its owner can read."""
    path.unlink(missing_ok=True)
    path.touch(mode=0o600)
    path.write_text(text, encoding="utf-8")


def _start_anew(place: Place) -> None:
    """Empty databases, stores, bucket and control database, whatever an earlier demo left, also one that was killed."""
    shutil.rmtree(place.directory / "control", ignore_errors=True)
    for database in (SHOP, WAREHOUSE):
        place.postgres.drop_database(database)
        place.postgres.create_database(database)
    client = place.mongo.client()
    try:
        for database in (SHOP, "dms_state", "dms_history"):
            client.drop_database(database)
    finally:
        client.close()
    lake.make_empty(place.s3)
    _grant(place)


def _grant(place: Place) -> None:
    """The rights that a reader and a writer need, and no more."""
    connection = place.connect("postgres")
    try:
        with connection.cursor() as cursor:
            for role, password in place.passwords.items():
                cursor.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", [role])
                verb = "CREATE" if cursor.fetchone() is None else "ALTER"
                cursor.execute(
                    sql.SQL("{} ROLE {} LOGIN PASSWORD {}").format(
                        sql.SQL(verb), sql.Identifier(role), sql.Literal(password)
                    )
                )
            # pg_read_all_stats shows when the transactions of others began: the watermark hangs on that.
            cursor.execute(
                sql.SQL("GRANT pg_read_all_data, pg_read_all_stats TO {}").format(sql.Identifier(READER)),
            )
            cursor.execute(
                sql.SQL("ALTER DATABASE {} OWNER TO {}").format(sql.Identifier(WAREHOUSE), sql.Identifier(WRITER))
            )
    finally:
        connection.close()


def _point_environment_at(place: Place) -> None:
    for name in list(os.environ):
        if name in _FOREIGN or (name.startswith(_FOREIGN_BEGINNINGS) and not name.startswith("DMS_LOG_")):
            del os.environ[name]
    os.environ.update(place.environment())
