"""Evidence of a wrong share as the contract `openings` takes it (EVD-7)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from encmempool.branches import list_branch
from encmempool.evidence import WrongShare
from encmempool.keysets import Committee, public_material
from encmempool.settlement import decryption
from encmempool.settlement.decryption import Call
from encmempool.settlement.leaves import leaves, signature
from encmempool.ssz import ByteList, data_root, merkleize
from encmempool.types import BATCH_DEPTH, MAX_KEY_BYTES, MAX_MEMBERS, MAX_SHARE_BYTES
from threshold.curve import G1_BYTES
from threshold.pieces import row_branch
from threshold.schemes.base import Batch, Share

_SHARE_DEPTH = (MAX_SHARE_BYTES // 32 - 1).bit_length()
_MEMBERS_DEPTH = (MAX_MEMBERS - 1).bit_length()


@dataclass(frozen=True, slots=True, kw_only=True)
class Conviction:
    """
    shown      calls that show what the batch lists, each once for all; somebody else may have made them
    verdict    the call that convicts, after them
    """

    shown: tuple[Call, ...]
    verdict: Call


def share_bytes(scheme: str, count: int) -> int:
    """The size of a share of so many transactions."""
    return {"clear": 0, "tdh2": G1_BYTES * (count + 1)}.get(scheme, G1_BYTES)


def conviction(committee: Committee, evidence: WrongShare) -> Conviction:
    """Of evidence that was examined, by the committee that it names. ValueError for a batch that the contracts do not
    take: one longer than `decryption.LARGEST_BATCH`, unless the share has another size than it should."""
    key_set, share = committee.key_set, evidence.share.message
    name, tx_ids = committee.scheme.info.name, [transaction.tx_id for transaction in evidence.transactions]
    accusation = (
        leaves(share),
        signature(evidence.share.signature),
        leaves(evidence.commitment.message),
        signature(evidence.commitment.signature),
        leaves(key_set),
    )
    if len(share.data) != share_bytes(name, len(tx_ids)):
        sizes = (data_root(share.data, _SHARE_DEPTH), len(share.data), merkleize(tx_ids, BATCH_DEPTH), len(tx_ids))
        return Conviction(shown=(), verdict=_call("convict_size", accusation, *sizes))
    material = public_material(key_set, committee.parameters)
    commitment = evidence.commitment.message
    batch = Batch(
        key_id=key_set.key_id,
        height=commitment.height,
        round=commitment.round,
        entries=committee.verify_ciphertexts(evidence.transactions),
    )
    asked = decryption.verify_share(key_set.key_id, material, batch, Share(member=share.member, data=share.data))
    read = decryption.transaction_ids(material, batch)
    counts = [_entries(call) for call in read]
    shown = tuple(_show(name, call, commitment.batch_root, tx_ids, counts, at) for at, call in enumerate(read))
    return Conviction(shown=shown, verdict=_verdict(name, accusation, committee, share.member, counts, asked))


def _verdict(
    name: str,
    accusation: tuple[Any, ...],
    committee: Committee,
    member: int,
    counts: Sequence[int],
    asked: Call,
) -> Call:
    """With what `verify_share` takes, but for what the contract knows better."""
    given = asked.arguments
    match name:
        case "tdh2":
            *_, key, key_y, malformed, us, us_y, ids, data, data_y = given
            rest: tuple[Any, ...] = (
                _key(committee, member, key, key_y),
                counts,
                malformed,
                us,
                us_y,
                ids,
                data,
                data_y,
            )
        case "ibe":
            *_, key, key_y, data, y, malformed = given
            rest = (_key(committee, member, key, key_y), data, y, malformed)
        case "simple-bte":
            _, largest, _, _, data, malformed, entries, pairs, branch = given
            rest = (counts, largest, data, malformed, entries, pairs, branch)
        case _:
            _, (_, largest, rounds, _, branch), key, key_y, data, y, malformed, entries, terms = given
            shown_key = _key(committee, member, key, key_y)
            rest = (shown_key, counts, largest, rounds, data, y, malformed, entries, terms, branch)
    return _call(f"convict_{_suffix(name)}", accusation, *rest)


def _show(name: str, read: Call, batch_root: bytes, tx_ids: Sequence[bytes], counts: Sequence[int], at: int) -> Call:
    """The call that has the contract read one piece of the batch."""
    first, count = sum(counts[:at]), counts[at]
    place = (first, len(tx_ids), row_branch(b"".join(tx_ids), first, count, BATCH_DEPTH))
    if name == "tdh2":
        key_id, *entries = read.arguments
        return _call("show_tdh2", key_id, batch_root, place, *entries)
    return _call(f"show_{_suffix(name)}", batch_root, place, *read.arguments)


def _entries(read: Call) -> int:
    """How many entries a call of `transaction_ids` has."""
    if read.contract == "decryption_tdh2":
        return len(read.arguments[1]) // G1_BYTES
    return len(read.arguments[0]) // (32 if read.contract == "decryption_fptx" else G1_BYTES)


def _key(committee: Committee, member: int, key: bytes, y: bytes) -> tuple[Any, ...]:
    """A member's verification key, and the branch from there to the key set's list of them."""
    kind = ByteList(MAX_KEY_BYTES)
    roots = [kind.root(one) for one in committee.key_set.verification_keys]
    return key, y, list_branch(roots, member - 1, _MEMBERS_DEPTH)


def _suffix(name: str) -> str:
    return name.replace("-", "_")


def _call(function: str, *arguments: Any) -> Call:
    return Call(contract="openings", function=function, arguments=arguments)
