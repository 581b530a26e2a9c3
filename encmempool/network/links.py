"""What one node tells another: in order, as long as it listens. Old news is dropped, for it asks for what it lacks."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable

from encmempool.network.peer import Peer, PeerProblem, Refused
from encmempool.ssz import SszObject

_CAPACITY = 256
_TRIES = 4
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.05, 1.0


class Link:
    """`tell` never waits. `run` sends until it is cancelled.

    fate(name, fields…)    is called with "sent", "refused" or "dropped"
    """

    def __init__(self, peer: Peer, *, fate: Callable[[str, str, str], None]) -> None:
        self.peer = peer
        self.reachable = True
        self._fate = fate
        self._waiting: deque[tuple[str, SszObject]] = deque()
        self._more = asyncio.Event()

    def tell(self, endpoint: str, message: SszObject) -> None:
        if len(self._waiting) >= _CAPACITY:
            self._fate("dropped", self._waiting.popleft()[0], "")
        self._waiting.append((endpoint, message))
        self._more.set()

    async def run(self) -> None:
        pause, tries = _FIRST_PAUSE_S, 0
        while True:
            while not self._waiting:
                self._more.clear()
                await self._more.wait()
            item = self._waiting[0]
            tries += 1
            try:
                await self.peer.call(item[0], body=item[1])
            except Refused as refused:
                if refused.status in (429, 503) and tries < _TRIES:
                    await asyncio.sleep(min(refused.retry_after_s or pause, _LONGEST_PAUSE_S))
                    continue
                self._fate("refused", item[0], f"{refused.rule or refused.code}: {refused.message}")
            except PeerProblem as problem:
                self.reachable = False
                await asyncio.sleep(pause)
                pause = min(2 * pause, _LONGEST_PAUSE_S)
                if tries < _TRIES:
                    continue
                self._fate("dropped", item[0], str(problem))
            else:
                self._fate("sent", item[0], "")
                self.reachable, pause = True, _FIRST_PAUSE_S
            tries = 0
            if self._waiting and self._waiting[0] is item:
                self._waiting.popleft()
