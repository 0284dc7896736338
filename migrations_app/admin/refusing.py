"""What the planes below refuse, as the pages tell it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from connectors.errors import ConnectorError
from connectors.mapping import MappingError
from migrations_app.admin.posting import Refused
from migrations_app.admin.slots import BusyError, one_of_few
from migrations_app.runs import AlreadyRunningError
from migrations_app.secrets import SecretUnreadableError
from migrations_app.verbs.checking import CheckGoesOnError, NothingToCancelError


@contextmanager
def refusing() -> Iterator[None]:
    """Turn what is raised inside for people into a refusal, whose sentence the page shows."""
    try:
        yield
    except MappingError as error:
        raise Refused("; ".join(str(issue) for issue in error.issues)) from error
    except (ConnectorError, SecretUnreadableError, BusyError) as error:
        raise Refused(str(error)) from error
    except (AlreadyRunningError, CheckGoesOnError, NothingToCancelError) as error:
        raise Refused(str(error)) from error


@contextmanager
def asking_others() -> Iterator[None]:
    """The same for what asks servers of other people: a few do so at a time, the others are told to try again."""
    with refusing(), one_of_few():
        yield
