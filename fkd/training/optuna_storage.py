"""The database of a study, for the processes of a sweep and for the jobs that report to it."""

import re
from collections.abc import Iterator
from contextlib import contextmanager

import optuna
from optuna.exceptions import StorageInternalError
from sqlalchemy.exc import ArgumentError, SQLAlchemyError
from sqlalchemy.pool import NullPool

from fkd.errors import UserError

_TIMEOUT = 60.0  # seconds to wait while another process writes


def open_storage(url: str) -> optuna.storages.RDBStorage:
    """Open a database of trials; missing tables are created.

    Args:
        url: URL for SQLAlchemy, e.g. ``sqlite:///outputs/study.db`` or ``postgresql+psycopg://user@host/name``.

    Raises:
        UserError: the kind of database is unknown, its driver is not installed, or the database cannot be used.
    """
    waits = {"connect_args": {"timeout": _TIMEOUT}} if url.startswith("sqlite") else {}
    with reached(url):
        try:
            # One connection for each transaction, since none may be open when a DataLoader forks its workers.
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
    """Turn the database errors of a block into a UserError.

    Raises:
        UserError: the database is missing, broken, or refuses a query.
    """
    try:
        yield
    except (StorageInternalError, SQLAlchemyError) as error:
        refused = error.__cause__ if isinstance(error, StorageInternalError) else error
        reason = " ".join(str(getattr(refused, "orig", None) or refused).split())
        raise UserError(
            f"{named(url)}: expected a database that can be read and written, found none ({reason}); "
            "repair it, or give another one"
        ) from error


def named(url: str) -> str:
    """The config key with its value for messages, without the password."""
    return "hydra.sweeper.storage=" + re.sub(r"(://[^:/@]*):[^@]*@", r"\1:***@", url)
