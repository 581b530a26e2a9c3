"""A node's link to the chain below: what is final there comes in, what is due there goes out.

While the chain cannot be reached a member votes for no commitment that has read further than itself, and a sequencer,
whose commitments would be out of date, makes none.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, TypeVar

from encmempool.errors import Conflict, EnvironmentProblem, Malformed, Rejected, StorageError
from encmempool.identity import Identity
from encmempool.network.config import L1Settings

if TYPE_CHECKING:
    from encmempool.network.nodes.core import Core
    from encmempool.network.nodes.service import Service
    from encmempool.settlement.keeper import Keeper
    from encmempool.types import KeySet

Result = TypeVar("Result")


class L1Link:
    def __init__(self, settings: L1Settings, identity: Identity, *, role: str) -> None:
        """EnvironmentProblem if what it needs is not installed. The file that names the contracts may come later."""
        from encmempool.settlement.l1 import L1

        self._contracts = settings.contracts
        self._l1 = L1(settings.url)
        self._pause_s = settings.poll_ms / 1e3
        self._identity = identity
        self._posts = role == "sequencer"
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="l1")
        self._problem: str | None = None
        self._keeper: Keeper | None = None

    @property
    def has_contracts(self) -> bool:
        """Whether there is a file that names them: a new network is there before its contracts are."""
        return self._contracts.exists()

    def close(self) -> None:
        self._thread.shutdown(wait=True)

    async def run(self, service: Service) -> None:
        while True:
            await asyncio.sleep(self._pause_s)
            if not service.core.has_network:
                continue
            try:
                if self._keeper is None:
                    self._keeper = await self._do(self._connect, service.core)
                await self._read_inbox(self._keeper, service)
                for step in await self._do(self._keeper.step, service.core.executed_height):
                    service.log.write(step.name, **step.fields)  # type: ignore[arg-type]
            except (EnvironmentProblem, Malformed) as error:
                if str(error) != self._problem:
                    self._problem = str(error)
                    service.log.write("l1", level="warning", reason=self._problem)
            except (StorageError, Conflict):
                continue  # it was logged, and comes again
            else:
                self._problem = None

    async def require_bonds(self, key_set: KeySet) -> None:
        """Raises Rejected NET-31 if somebody whom a key set names has no bond, and EnvironmentProblem while the chain
        cannot be asked."""
        if self._keeper is None:
            raise EnvironmentProblem(f"the contracts on {self._l1.url} were not found yet: {self._problem or 'wait'}")
        if short := await self._do(self._keeper.unbonded, key_set):
            named = ", ".join(f"0x{party.hex()}" for party in short)
            raise Rejected("NET-31", f"the next key set names who has no bond on the chain below: {named}")

    async def _read_inbox(self, keeper: Keeper, service: Service) -> None:
        inbox = service.core.inbox
        head, entries = await self._do(keeper.inbox, inbox.count, inbox.head)
        if head > inbox.head:
            await service.act(service.core.take_inbox, head, entries)
        inbox.looked_at = time.monotonic()

    def _connect(self, core: Core) -> Keeper:
        from encmempool.settlement.keeper import Keeper
        from encmempool.settlement.site import Site, connect

        genesis = core.committees[0].genesis
        return Keeper(
            connect(self._l1, Site.read(self._contracts), genesis),
            self._identity,
            core.history,
            committees=lambda: core.committees,
            evidence=lambda: core.evidence,
            posts=self._posts,
            depth=genesis.deadlines.l1_depth,
        )

    async def _do(self, call: Callable[..., Result], *arguments: Any) -> Result:
        return await asyncio.get_running_loop().run_in_executor(self._thread, call, *arguments)
