"""One mapping from botocore's errors to ours. Their texts are never passed on: they can hold addresses and key ids."""

from __future__ import annotations

from dataclasses import dataclass

from botocore import exceptions as boto
from botocore.parsers import ResponseParserError

from connectors.destinations.s3.errors import ObjectChanged, ObjectMissing, Side, UploadMissing
from connectors.errors import (
    ConfigError,
    ConnectorError,
    DestinationAuthFailed,
    DestinationError,
    DestinationUnavailable,
)

#: What botocore raises when a request fails.
ERRORS = (boto.BotoCoreError, boto.ClientError, ResponseParserError)

# Codes of S3 by what they mean for us.
# Source: https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html
_TRANSIENT = {
    "BadDigest",
    "ConditionalRequestConflict",
    "IncompleteBody",
    "InternalError",
    "OperationAborted",
    "RequestLimitExceeded",
    "RequestTimeout",
    "ServiceUnavailable",
    "SlowDown",
    "Throttling",
    "ThrottlingException",
    "TooManyRequests",
}
_TRANSIENT_STATUS = {408, 409, 429, 500, 502, 503, 504}
_REGION = {"AuthorizationHeaderMalformed", "IllegalLocationConstraintException", "PermanentRedirect", "301"}
_CREDENTIALS = {
    "ExpiredToken": "the session token has expired",
    "ExpiredTokenException": "the session token has expired",
    "InvalidToken": "the session token is not valid",
    "TokenRefreshRequired": "the session token must be renewed",
    "InvalidAccessKeyId": "the store does not know the access key id",
    "SignatureDoesNotMatch": "the secret access key does not belong to the access key id",
    "RequestTimeTooSkewed": "this machine's clock differs too much from the store's",
}
_LONG_KEY = {"KeyTooLongError", "KeyTooLong"}
_BUCKET = {"NoSuchBucket", "InvalidBucketName", "InvalidBucketState"}
_SILENT = (boto.HTTPClientError, boto.ConnectionError, boto.IncompleteReadError, boto.ResponseStreamingError)
_NO_CREDENTIALS = (
    boto.NoCredentialsError,
    boto.PartialCredentialsError,
    boto.CredentialRetrievalError,
    boto.TokenRetrievalError,
    boto.NoAuthTokenError,
    boto.SSOError,
    boto.UnauthorizedSSOTokenError,
)
_READS = {"read", "read a part", "look at an object"}
#: The right that an operation needs, and what it is granted on.
#: Source: https://docs.aws.amazon.com/AmazonS3/latest/userguide/using-with-s3-policy-actions.html
_RIGHTS = {
    **dict.fromkeys(_READS, ("s3:GetObject", "{}/*")),
    "write the table's state": ("s3:PutObject", "{}/*"),
    "begin an upload": ("s3:PutObject", "{}/*"),
    "upload a part": ("s3:PutObject", "{}/*"),
    "complete an upload": ("s3:PutObject", "{}/*"),
    "abort an upload": ("s3:AbortMultipartUpload", "{}/*"),
    "delete a part": ("s3:DeleteObject", "{}/*"),
    "list the table's objects": ("s3:ListBucket", "{}"),
    "list the table's uploads": ("s3:ListBucketMultipartUploads", "{}"),
}
#: How a sentence begins that says which right the user lacks.
LACKS_RIGHT = "the store refused to"
_NO_STORE = "what answers at that address does not speak as an S3 store does; check `endpoint_url`"
_KEYS = "`access_key_id` and `secret_access_key`, or the standard AWS environment"


@dataclass(frozen=True, slots=True)
class Failure:
    """A failed request.

    Attributes:
        kind: Our error.
        message: Its sentence.
        is_transient: True when the same request may succeed later; whether it was carried out is unknown.
    """

    kind: type[ConnectorError]
    message: str
    is_transient: bool = False

    def error(self, side: Side) -> ConnectorError:
        """As an error of this side."""
        return side.error(self.kind, self.message)


def failure_of(error: Exception, operation: str, bucket: str) -> Failure:
    """What one of botocore's errors means.

    Args:
        error: One of ERRORS.
        operation: What was asked for, in words such as ``read``.
        bucket: Its name.
    """
    if isinstance(error, boto.ClientError):
        return _of_answer(error, operation, bucket)
    if isinstance(error, boto.SSLError):
        message = "TLS failed; check `endpoint_url`, and that this machine trusts the store's certificate"
        return Failure(ConfigError, message)
    if isinstance(error, boto.ProfileNotFound):
        message = "the AWS configuration has no profile of the name in AWS_PROFILE; add it there, or unset AWS_PROFILE"
        return Failure(DestinationAuthFailed, message)
    if isinstance(error, _NO_CREDENTIALS):
        return Failure(DestinationAuthFailed, f"no credentials were found; set {_KEYS}")
    if isinstance(error, _SILENT):
        return Failure(DestinationUnavailable, _silence(error), is_transient=True)
    if isinstance(error, ResponseParserError):
        return Failure(ConfigError, _NO_STORE)
    message = (
        f"the request to {operation} could not be made ({type(error).__name__}); check `endpoint_url`, `region`"
        " and `s3_bucket_name`"
    )
    return Failure(ConfigError, message)


def _silence(error: Exception) -> str:
    if isinstance(error, (boto.EndpointConnectionError, boto.ConnectTimeoutError)):
        return "the store cannot be reached; check `endpoint_url`, `region`, name resolution and firewalls"
    if isinstance(error, boto.ProxyConnectionError):
        return "the proxy of the environment cannot be reached; check HTTP_PROXY, HTTPS_PROXY and NO_PROXY"
    return "the store did not answer in time, or cut the connection; it can succeed when tried again"


def _of_answer(error: boto.ClientError, operation: str, bucket: str) -> Failure:
    code = str(error.response.get("Error", {}).get("Code", ""))
    status = int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
    answer = f"{status} {code}".strip()
    if code in _BUCKET:
        message = f"the bucket {bucket} does not exist, or its name is not valid; check `s3_bucket_name`"
        return Failure(ConfigError, message)
    if code in _LONG_KEY:
        message = (
            "the name of an object would have more than 1,024 bytes; partition by other columns, or set a shorter"
            " `s3_suffix`"
        )
        return Failure(ConfigError, message)
    if code in _REGION:
        return Failure(ConfigError, f"the bucket {bucket} is in another region; set `region` to the bucket's")
    if code in _TRANSIENT or status in _TRANSIENT_STATUS:
        message = f"the store answered {answer} to the request to {operation}; it can succeed when tried again"
        return Failure(DestinationUnavailable, message, is_transient=True)
    if code in _CREDENTIALS:
        return Failure(DestinationAuthFailed, f"{_CREDENTIALS[code]}; check {_KEYS}")
    if status in {401, 403}:
        message = f"{LACKS_RIGHT} {operation} in bucket {bucket} ({answer}); {_remedy(operation, bucket)}"
        return Failure(DestinationAuthFailed, message)
    return _of_state(code, status, operation, answer)


def _remedy(operation: str, bucket: str) -> str:
    right, where = _RIGHTS[operation]
    sentence = f"grant the user the right {right} on {where.format(bucket)}"
    if operation in _READS:
        sentence += f", and s3:ListBucket on {bucket}, without which a missing object looks like a refusal"
    return sentence


def _of_state(code: str, status: int, operation: str, answer: str) -> Failure:
    """Refusals that say in which state an object or upload is."""
    if code == "NoSuchUpload":
        message = (
            f"the store knows the upload to {operation} no more; see that nothing else aborts uploads in the bucket"
        )
        return Failure(UploadMissing, message)
    if code == "404" and operation.startswith("read"):
        # A store names the reason in the answer's body; only those to HEAD have none.
        return Failure(ConfigError, _NO_STORE)
    if status in {404, 410}:
        message = f"the store has nothing there to {operation}; find out with `manifest --check` what is missing"
        return Failure(ObjectMissing, message)
    if status in {304, 412}:
        message = (
            f"the store refused to {operation}, as the object is another than before; find out with"
            " `manifest --check` what was changed in the table"
        )
        return Failure(ObjectChanged, message)
    message = (
        f"the store answered {answer} to the request to {operation}; check that it is an S3 store with multipart"
        " uploads and conditional writes (If-Match)"
    )
    return Failure(DestinationError, message)
