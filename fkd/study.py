"""Where Optuna keeps the trials of a sweep, for the sweep's processes and for the jobs that report to it."""

import optuna
from sqlalchemy.pool import NullPool

_TIMEOUT = 60.0  # seconds that a process waits for another one's write


def open_storage(url: str) -> optuna.storages.RDBStorage:
    """A database of trials, its tables made if need be.

    Args:
        url: in SQLAlchemy's words, e.g. ``sqlite:///outputs/study.db`` or ``postgresql://user@host/name``.
    """
    waits = {"connect_args": {"timeout": _TIMEOUT}} if url.startswith("sqlite") else {}
    # A connection for each transaction, since none may be open when a DataLoader forks its workers.
    return optuna.storages.RDBStorage(url, engine_kwargs={"poolclass": NullPool, **waits})
