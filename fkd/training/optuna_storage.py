"""Where Optuna keeps the trials of a sweep, for the sweep's processes and for the jobs that report to it."""

import re
from collections.abc import Iterator
from contextlib import contextmanager

import optuna
from optuna.exceptions import StorageInternalError
from sqlalchemy.exc import ArgumentError, SQLAlchemyError
from sqlalchemy.pool import NullPool

from fkd.errors import UserError

_TIMEOUT = 60.0  # seconds that a process waits for another one's write


def open_storage(url: str) -> optuna.storages.RDBStorage:
    """A database of trials, its tables made if need be.

    Args:
        url: in SQLAlchemy's words, e.g. ``sqlite:///outputs/study.db`` or ``postgresql+psycopg://user@host/name``.

    Raises:
        UserError: there is no such kind of database, its driver is not installed, or it cannot be used.
    """
    waits = {"connect_args": {"timeout": _TIMEOUT}} if url.startswith("sqlite") else {}
    with reached(url):
        try:
            # A connection for each transaction, since none may be open when a DataLoader forks its workers.
            return optuna.storages.RDBStorage(url, engine_kwargs={"poolclass": NullPool, **waits})
        except (ArgumentError, ValueError) as error:
            raise UserError(
                f"{named(url)}: expected a URL that SQLAlchemy takes, found another ({error}); give e.g. "
                "sqlite:///DIR/study.db or postgresql+psycopg://user@host/name"
            ) from None
        except ImportError as error:
            missing = getattr(error.__cause__, "name", None)
            raise UserError(
                f"{named(url)}: expected a database whose driver is installed, found no module {missing}; "
                'install it, e.g. pip install "psycopg[binary]" for postgresql+psycopg://user@host/name'
            ) from None
        except RuntimeError as error:
            raise UserError(f"{named(url)}: expected a study of the Optuna that is installed: {error}") from None


@contextmanager
def reached(url: str) -> Iterator[None]:
    """A block that uses a storage.

    Raises:
        UserError: the database is not there, is none, or refuses what the block asks.
    """
    try:
        yield
    except (StorageInternalError, SQLAlchemyError) as error:
        refused = error.__cause__ if isinstance(error, StorageInternalError) else error
        reason = " ".join(str(getattr(refused, "orig", None) or refused).split())
        raise UserError(
            f"{named(url)}: expected a database that can be read and written, found none ({reason}); "
            "see to it, or give another one"
        ) from error


def named(url: str) -> str:
    """The key of the config and its value, as it may stand in a message: without the password."""
    return "hydra.sweeper.storage=" + re.sub(r"(://[^:/@]*):[^@]*@", r"\1:***@", url)
