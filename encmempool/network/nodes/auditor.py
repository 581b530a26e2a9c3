"""An auditor's part: follow like everyone, and look at what others let pass."""

from __future__ import annotations

from encmempool.network.nodes.core import Core, Outbox
from encmempool.reveal import Executed
from encmempool.types import ShareRelease


class AuditorCore(Core):
    """Checks every member's share, also those that were not needed to open a batch and those that come late."""

    def take_share(self, release: ShareRelease) -> Outbox:
        out = super().take_share(release)
        for share in [happening.fields for happening in out.happenings if happening.name == "share"]:
            height, member = int(share["height"]), int(share["member"])
            if share["late"] and self.follower.wrong_shares(height, only=member):
                self._found_wrong_share(height, member, out)
        return out

    def _after_execution(self, done: Executed, out: Outbox) -> None:
        super()._after_execution(done, out)
        height = done.ready.commitment.height
        for member in self.follower.wrong_shares(height):
            self._found_wrong_share(height, member, out)
