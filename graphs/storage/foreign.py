"""obstore's errors and S3's answers, mapped once to ours."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

from obstore.exceptions import (
    AlreadyExistsError,
    BaseError,
    PermissionDeniedError,
    PreconditionError,
    UnauthenticatedError,
)

from graphs.errors import (
    AlreadyExists,
    BucketNotFound,
    CredentialsRejected,
    ObjectNotFound,
    StorageError,
    Superseded,
)

_CREDENTIALS_REMEDY = (
    "Check AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_ENDPOINT_URL where this runs"
)
_FULL_REMEDY = "Free some space there, or write elsewhere, and run again: what is done stays done"
# ENOSPC, EDQUOT and EFBIG of a file system; what S3's servers say.
_FULL = re.compile(r"\(os error (28|122|27)\)|507 Insufficient Storage|StorageFull|QuotaExceeded")
_SLOW_REMEDY = (
    "It was asked again for a while; use fewer workers, spread the data over more prefixes, or "
    "raise the store's limits"
)
_SLOW = re.compile(r"SlowDown|503 Service Unavailable|429 Too Many Requests|TooManyRequests")
_REACH_REMEDY = "Check AWS_ENDPOINT_URL and that the store is up"
# What AWS calls it when it does not like who is asking, or what they ask for.
_REJECTED = re.compile(
    r"InvalidAccessKeyId|SignatureDoesNotMatch|AccessDenied|InvalidToken|ExpiredToken"
    r"|40[13] (Forbidden|Unauthorized)"
)
# With no credentials in the environment, the client asks the machine's metadata service.
_NO_CREDENTIALS = re.compile(
    r"169\.254\.|metadata endpoint|MissingCredentials|credentials? provider"
)


@contextmanager
def mapped_errors(where: str) -> Iterator[None]:
    """Raises our :class:`StorageError` family for whatever obstore raises inside.

    Args:
        where: URI of the object or prefix concerned, named in the error.
    """
    try:
        yield
    except (BaseError, OSError, ValueError, NotImplementedError) as error:
        raise _translate(error, where) from error


def _translate(error: Exception, where: str) -> StorageError:
    text = str(error)
    if "NoSuchBucket" in text:
        bucket = "/".join(where.split("/")[:3])
        return BucketNotFound(
            f"bucket {bucket!r} does not exist", where, "Create it, or fix the URI"
        )
    if isinstance(error, AlreadyExistsError):
        return AlreadyExists("an object is there already", where)
    if isinstance(error, PreconditionError):
        return Superseded("the object has changed or is gone", where)
    if _NO_CREDENTIALS.search(text):
        return CredentialsRejected("no credentials were found", where, _CREDENTIALS_REMEDY)
    if isinstance(error, PermissionDeniedError | UnauthenticatedError) or _REJECTED.search(text):
        return CredentialsRejected(
            f"the store rejects the credentials ({_summary(text)})", where, _CREDENTIALS_REMEDY
        )
    if _FULL.search(text):
        return StorageError(f"the disk is full ({_summary(text)})", where, _FULL_REMEDY)
    if _SLOW.search(text):
        return StorageError(f"the store throttles ({_summary(text)})", where, _SLOW_REMEDY)
    if isinstance(error, FileNotFoundError) or "canonicalize filesystem root" in text:
        return ObjectNotFound("there is no such object", where)
    if isinstance(error, PermissionError) or "Permission denied" in text:
        return CredentialsRejected("this user may not read or write there", where)
    remedy = _REACH_REMEDY if "error sending request" in text else ""
    return StorageError(_summary(text), where, remedy)


def _summary(text: str) -> str:
    """The one line of obstore's account that a reader needs: S3's code, or the first sentence."""
    code = re.search(r"<Code>(\w+)</Code>", text)
    message = re.search(r"<Message>([^<]+)</Message>", text)
    if code:
        return f"{code[1]}: {message[1]}" if message else code[1]
    head = text.split("\n\nDebug source")[0].strip()
    return re.sub(r"\s+", " ", head)[:300]
