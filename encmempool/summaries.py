"""What stands for a long object under the same root: SSZ takes the root of a field in the field's place."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Annotated

from encmempool.ssz import U8, U32, U64, U256, Address, ByteList, Hash, Limit, SszObject
from encmempool.types import MAX_MEMBERS, Deadlines, Genesis


@dataclass(frozen=True, kw_only=True)
class GenesisSummary(SszObject):
    """A genesis with the roots of its long lists in their place: it has the same root, in a few hundred bytes."""

    chain_id: U64
    timestamp_ms: U64
    accounts: Hash
    tokens: Hash
    pools: Hash
    router: Address
    weth: Address
    base_fee: U256
    sequencer: Address
    members: Annotated[tuple[Address, ...], Limit(MAX_MEMBERS)]
    policy_id: U8
    policy_parameters: Annotated[bytes, ByteList(256)]
    batch_limit: U32
    gas_limit: U64
    size_classes: Annotated[tuple[U32, ...], Limit(32)]
    deadlines: Deadlines

    @classmethod
    def of(cls, genesis: Genesis) -> GenesisSummary:
        listed = ("accounts", "tokens", "pools")
        named = {field.name: getattr(genesis, field.name) for field in fields(genesis)}
        return cls(**named | {name: genesis.codec().field_root(genesis, name) for name in listed})
