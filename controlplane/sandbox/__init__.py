"""Real servers from wheels, on free loopback ports, for the demo and the tests.

Nothing here needs root, Docker or a service that somebody started by hand. A server that is already there
can be used instead: `DMS_TEST_POSTGRES`, `DMS_TEST_MONGO`, `DMS_TEST_S3` and `DMS_TEST_REDIS` hold its URL.
"""

from controlplane.sandbox.keeper import Servers, ensure_servers, sandbox_env
from controlplane.sandbox.mongo import MongoServer, run_mongo
from controlplane.sandbox.postgres import PostgresServer, PostgresSettings, run_postgres
from controlplane.sandbox.process import SandboxError
from controlplane.sandbox.programs import program
from controlplane.sandbox.redis import RedisProcess, RedisServer, run_redis
from controlplane.sandbox.s3 import S3Process, S3Server, run_s3

__all__ = [
    "MongoServer",
    "PostgresServer",
    "PostgresSettings",
    "RedisProcess",
    "RedisServer",
    "S3Process",
    "S3Server",
    "SandboxError",
    "Servers",
    "ensure_servers",
    "program",
    "run_mongo",
    "run_postgres",
    "run_redis",
    "run_s3",
    "sandbox_env",
]
