"""Work on several processes of this machine, or on a Dask cluster: for every command that offers --scheduler."""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import Iterator
from concurrent.futures import Executor, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing import get_context, parent_process
from threading import Thread
from urllib.parse import urlsplit

from encmempool.errors import EnvironmentProblem

_SCHEDULER_TIMEOUT_S = 5


@contextmanager
def interruptions_held() -> Iterator[None]:
    """Processes that start meanwhile never see the terminal's Ctrl-C: the run itself ends them. Its own is put off."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _end_with_the_run() -> None:
    """A worker waits for its next chunk for ever, also if the run was killed."""
    run = parent_process()
    assert run is not None

    def wait() -> None:
        run.join()
        os._exit(1)

    Thread(target=wait, daemon=True).start()


@contextmanager
def executor(workers: int, scheduler: str | None, *, advice: str) -> Iterator[Executor]:
    """Takes jobs while the block lasts; whatever ends it early ends its processes.

    workers      processes of this machine
    scheduler    address of a Dask cluster to use instead
    advice       what to do when a process was killed

    Raises EnvironmentProblem where the cluster is missing or a process dies, ValueError for an impossible address.
    """
    if scheduler is not None:
        with _cluster(scheduler) as pool:
            yield pool
        return
    pool = ProcessPoolExecutor(max_workers=workers, mp_context=get_context("spawn"), initializer=_end_with_the_run)
    try:
        yield pool
    except BaseException as error:
        # Whatever stopped the run, nobody waits for work that will not be used.
        with interruptions_held():
            for process in list((getattr(pool, "_processes", None) or {}).values()):
                process.terminate()
            pool.shutdown(cancel_futures=True)
        if isinstance(error, BrokenProcessPool):
            raise EnvironmentProblem(f"a worker process was killed, perhaps for lack of memory: {advice}") from error
        raise
    pool.shutdown()


@contextmanager
def _cluster(address: str) -> Iterator[Executor]:
    try:
        from distributed import Client
    except ImportError:
        raise EnvironmentProblem("--scheduler needs the extra: pip install 'encmempool[measure,distributed]'") from None
    _check_reachable(address)
    try:
        client = Client(address, timeout=_SCHEDULER_TIMEOUT_S, set_as_default=False)
    except (OSError, ValueError) as error:
        raise EnvironmentProblem(f"the scheduler at {address} does not answer as one of Dask: {error}") from error
    with client:
        try:
            client.wait_for_workers(1, timeout=_SCHEDULER_TIMEOUT_S)
        except TimeoutError:
            raise EnvironmentProblem(
                f"the scheduler at {address} has no worker: start one with `dask worker {address}`"
            ) from None
        yield client.get_executor()


def _check_reachable(address: str) -> None:
    """Dask would try again and again, and say less."""
    url = urlsplit(address)
    try:
        host, port = url.hostname, url.port
    except ValueError:
        host, port = None, None
    if url.scheme not in ("tcp", "tls") or not host or not port:
        raise ValueError(f"{address!r} is no scheduler's address: tcp://host:port is expected")
    try:
        with socket.create_connection((host, port), timeout=_SCHEDULER_TIMEOUT_S) as connection:
            if url.scheme == "tcp":
                connection.recv(1)  # a scheduler speaks first; to a server that is silent Dask would listen for ever
    except OSError as error:
        raise EnvironmentProblem(f"the scheduler at {address} cannot be reached: {error.strerror or error}") from error
