"""Cases of genesis.md, and the small network that the cases of other pages live in."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from functools import cache
from typing import Any

from spec import genesis as page
from spec.notation import (
    GENESIS,
    KEY_SET,
    SIGNED_KEY_SET,
    ZERO_HASH,
    signing_digest,
    ssz_encode,
    ssz_root,
    to_hex,
    to_json,
)
from spec.tdh2 import parameter_digest

from specs.generate.case import Case, Json, labelled

GWEI = 10**9
ETHER = 10**18
MEMBERS = tuple(f"member {j}" for j in range(1, 5))
NO_END = 2**64 - 1


def secret(name: str) -> bytes:
    return labelled(f"secp256k1 key of {name}")(32)


@cache
def address(name: str) -> bytes:
    return page.address_of_key(secret(name))


def genesis(**changes: Any) -> Json:
    """Four members, two accounts with an ether each, one token with a pool."""
    token, weth = b"\x70" * 20, b"\xc0" * 20
    accounts = [{"address": address(name), "balance": ETHER, "tokens": [1000]} for name in ("alice", "bob")]
    return {
        "chain_id": 31337,
        "timestamp_ms": 1_700_000_000_000,
        "accounts": accounts,
        "tokens": [{"address": token, "symbol": b"TKN", "decimals": 18}],
        "pools": [{"token0": token, "token1": weth, "reserve0": 2**90, "reserve1": 500 * ETHER}],
        "router": b"\x7a" * 20,
        "weth": weth,
        "base_fee": 10 * GWEI,
        "sequencer": address("sequencer"),
        "members": [address(name) for name in MEMBERS],
        "policy_id": 1,
        "policy_parameters": b"",
        "batch_limit": 8,
        "gas_limit": 21_000 * 64,
        "size_classes": [64, 256, 1024],
        "deadlines": {
            "include_heights": 16,
            "include_l1_blocks": 64,
            "reveal_l1_blocks": 32,
            "force_l1_blocks": 0,
            "l1_depth": 0,
            "l1_lag_blocks": 0,
        },
    } | changes


def key_set(of: Json, **changes: Any) -> Json:
    """The first key set of a network, for the scheme `clear` unless the changes say otherwise, not signed yet."""
    root, n = ssz_root(GENESIS, of), len(of["members"])
    draw = labelled("clear key")
    t = changes.get("t", page.default_threshold(n))
    made = {
        "genesis_root": root,
        "predecessor": ZERO_HASH,
        "epoch": 1,
        "scheme": page.CLEAR,
        "setup_kind": 1,
        "setup_privacy": 0,
        "n": n,
        "t": t,
        "reduced_threshold": int(t < page.default_threshold(n)),
        **{name: of[name] for name in ("members", "sequencer", "policy_id", "policy_parameters", "batch_limit")},
        "encryption_key": draw(48),
        "verification_keys": [draw(48) for _ in range(n)],
        "parameter_digest": parameter_digest(b""),
        "rounds": 0,
        "start_height": 1,
        "start_parent": root,
        "start_round": 0,
        "valid_until": NO_END,
    } | changes
    name = page.key_id(made["genesis_root"], made["scheme"], made["encryption_key"], made["parameter_digest"])
    return {"key_id": name} | made


def successor(before: Json, *, same_key: bool = False, **changes: Any) -> Json:
    """The key set after `before`, of the same members, from height 5 on; not signed yet."""
    draw = labelled(f"key after {before['epoch']}")
    other: Json = {"encryption_key": draw(48), "start_parent": ZERO_HASH, "start_round": 0}
    usual: Json = {"start_parent": draw(32), "start_round": before["start_round"] + 3} if same_key else other
    fields = {name: value for name, value in before.items() if name != "key_id"}
    made = fields | {
        "predecessor": ssz_root(KEY_SET, before),
        "epoch": before["epoch"] + 1,
        "verification_keys": [draw(48) for _ in before["members"]],
        "start_height": 5,
        **usual,
        **changes,
    }
    name = page.key_id(made["genesis_root"], made["scheme"], made["encryption_key"], made["parameter_digest"])
    return {"key_id": name} | made


def signed(of: Json, message: Json, signers: Sequence[str] = MEMBERS) -> Json:
    digest = signing_digest(KEY_SET, message, ssz_root(GENESIS, of))
    return {"message": message, "signatures": [page.sign_digest(secret(name), digest) for name in signers]}


def hexed(kind: Any, value: Any) -> str:
    return to_hex(ssz_encode(kind, value))


def cases() -> Iterator[Case]:
    yield from _genesis_root()
    yield from _read_genesis()
    yield from _names()
    yield from _signatures()
    yield from _check_key_set()
    yield from _check_successor()
    yield from _check_form()
    yield from _check_limits()
    yield from _erasures()


def _genesis_root() -> Iterator[Case]:
    def case(title: str, value: Json | bytes, *rules: str) -> Case:
        """A positive case where the rule is GEN-1 alone."""
        data = value if isinstance(value, bytes) else ssz_encode(GENESIS, value)
        given = {"genesis": to_hex(data)}
        return Case(operation="genesis_root", title=title, requirements=rules, input=given, refused=rules != ("GEN-1",))

    usual = genesis()
    first, second = usual["accounts"]
    pool, token = usual["pools"][0], usual["tokens"][0]
    yield case("a small network", usual, "GEN-1")
    yield case("no accounts, tokens and pools", genesis(accounts=[], tokens=[], pools=[]), "GEN-1")
    extremes = genesis(chain_id=2**64 - 1, base_fee=2**256 - 1, policy_id=3, batch_limit=4096, size_classes=[1, 65536])
    yield case("the largest integers and the third policy", extremes, "GEN-1")
    data = ssz_encode(GENESIS, usual)
    yield case("the last byte missing", data[:-1], "GEN-1", "SSZ-5")
    yield case("one byte too many", data + b"\0", "GEN-1", "SSZ-5")
    yield case("the first offset one too high", data[:16] + bytes([data[16] + 1]) + data[17:], "GEN-1", "SSZ-3")
    yield case(
        "one address with two accounts", genesis(accounts=[first, second | {"address": first["address"]}]), "GEN-3"
    )
    yield case(
        "an account without its amount of the token", genesis(accounts=[first, second | {"tokens": []}]), "GEN-4"
    )
    yield case("an account with two amounts of one token", genesis(accounts=[first | {"tokens": [1, 2]}]), "GEN-4")
    yield case("no size class", genesis(size_classes=[]), "GEN-5")
    yield case("size classes that descend", genesis(size_classes=[512, 256]), "GEN-5")
    yield case("a size class given twice", genesis(size_classes=[256, 256]), "GEN-5")
    yield case("a size class above 65,536", genesis(size_classes=[256, 65537]), "GEN-5")
    yield case("a batch limit of 0", genesis(batch_limit=0), "GEN-6")
    yield case("a batch limit of 4097", genesis(batch_limit=4097), "GEN-6")
    yield case("no member", genesis(members=[]), "GEN-7")
    yield case("a member given twice", genesis(members=[address("member 1")] * 2), "GEN-7")
    yield case("the policy 0", genesis(policy_id=0), "GEN-8")
    yield case("the policy 4", genesis(policy_id=4), "GEN-8")
    swapped = pool | {"token0": pool["token1"], "token1": pool["token0"]}
    yield case("a pool whose tokens descend", genesis(pools=[swapped]), "GEN-9")
    yield case("a pool of one token with itself", genesis(pools=[pool | {"token1": pool["token0"]}]), "GEN-9")
    yield case("a reserve of 2^112", genesis(pools=[pool | {"reserve1": 2**112}]), "GEN-9")
    yield case("two pools for one pair", genesis(pools=[pool, pool | {"reserve0": 1}]), "GEN-10")
    rich = [first | {"tokens": [5, 7]}]
    yield case("one token given twice", genesis(tokens=[token, token], accounts=rich), "GEN-11")
    most = second | {"balance": 2**256 - 1, "tokens": []}
    bare: Json = {"tokens": [], "pools": []}
    yield case("all that fits into 256 bits", genesis(accounts=[most], **bare), "GEN-1")
    one = first | {"balance": 1, "tokens": []}
    yield case("one wei more in another account", genesis(accounts=[one, most], **bare), "GEN-12")
    most = first | {"balance": 2**256 - 1 - 1000 - 2**90 - 500 * ETHER, "tokens": [1001]}
    yield case("a unit more, counting balances, tokens and reserves", genesis(accounts=[most]), "GEN-12")


def _document(of: Json) -> Json:
    """As a writer makes it: integers below 2^53 as numbers."""

    def plain(value: Any) -> Any:
        if isinstance(value, dict):
            return {name: plain(item) for name, item in value.items()}
        if isinstance(value, list):
            return [plain(item) for item in value]
        return int(value) if value.isdecimal() and int(value) < 2**53 else value

    made: Json = plain(to_json(GENESIS, of))
    return {"root": to_hex(ssz_root(GENESIS, of)), **made}


def _read_genesis() -> Iterator[Case]:
    def case(title: str, document: Json | str, *rules: str, refused: bool = True) -> Case:
        text = document if isinstance(document, str) else json.dumps(document)
        return Case(operation="read_genesis", title=title, requirements=rules, input={"text": text}, refused=refused)

    usual = _document(genesis())
    yield case("as a writer makes it", usual, "GEN-1", "GEN-2", refused=False)
    texts = {"root": usual["root"], **to_json(GENESIS, genesis())}
    yield case(
        "every integer as a string, the fields in another order", dict(reversed(texts.items())), "GEN-2", refused=False
    )
    yield case("the end of the text missing", json.dumps(usual)[:-1], "GEN-2")
    yield case("a list instead of an object", "[]", "GEN-2")
    yield case("another chain id than the root's", usual | {"chain_id": 1}, "GEN-2")
    yield case("another root than the contents'", usual | {"root": to_hex(ZERO_HASH)}, "GEN-2")
    yield case("no root", {name: value for name, value in usual.items() if name != "root"}, "GEN-2")
    yield case("no router", {name: value for name, value in usual.items() if name != "router"}, "GEN-2")
    yield case("an address without 0x", usual | {"router": usual["router"][2:]}, "GEN-2")
    yield case("an address of 19 bytes", usual | {"router": usual["router"][:-2]}, "GEN-2")
    yield case("an integer of more than 8 bytes", usual | {"chain_id": str(2**64)}, "GEN-2")
    yield case("a negative integer", usual | {"base_fee": -1}, "GEN-2")
    yield case("an integer in words", usual | {"base_fee": "ten"}, "GEN-2")
    yield case("contents that break GEN-6, under their own root", _document(genesis(batch_limit=0)), "GEN-6")


def _names() -> Iterator[Case]:
    root = ssz_root(GENESIS, genesis())
    members = [to_hex(address(name)) for name in MEMBERS]
    usual = {"genesis_root": to_hex(root), "scheme": "1", "epoch": "1", "members": members, "t": "3", "attempt": "1"}
    for title, changes in {
        "the first attempt of four members": {},
        "another epoch and threshold, three members": {"epoch": "258", "t": "2", "members": members[:3]},
    }.items():
        yield Case(operation="ceremony_id", title=title, requirements=("GEN-13",), input=usual | changes, refused=False)
    for n, title in {1: "alone", 3: "three: all", 4: "four", 7: "seven", 100: "a hundred", 1024: "the most"}.items():
        yield Case(
            operation="default_threshold", title=title, requirements=("KEY-4",), input={"n": str(n)}, refused=False
        )


def _public_key(key: bytes) -> bytes:
    point = page.curve_multiply(page.BASE, page.private_key(key))
    assert point is not None
    return point[0].to_bytes(32, "big") + point[1].to_bytes(32, "big")


def _signatures() -> Iterator[Case]:
    def given(operation: str, title: str, rule: str, refused: bool, **fields: bytes) -> Case:
        shown = {name: to_hex(value) for name, value in fields.items()}
        return Case(operation=operation, title=title, requirements=(rule,), input=shown, refused=refused)

    alice = secret("alice")
    public = _public_key(alice)
    yield given("address", "the base point", "SIG-3", False, public_key=_public_key(bytes(31) + b"\x01"))
    yield given("address", "some key", "SIG-3", False, public_key=public)
    yield given("address", "y one too high", "SIG-3", True, public_key=public[:-1] + bytes([public[-1] ^ 1]))
    yield given("address", "the last byte missing", "SIG-3", True, public_key=public[:-1])
    y = pow(8, (page.FIELD + 1) // 4, page.FIELD)
    beyond = (page.FIELD + 1).to_bytes(32, "big") + y.to_bytes(32, "big")
    yield given("address", "the point with x = 1, written as 1 + the field's order", "SIG-3", True, public_key=beyond)

    digest = hashlib.sha256(b"Satoshi Nakamoto").digest()
    small = bytes(31) + b"\x01"
    yield given("sign", "the key 1, SHA-256 of 'Satoshi Nakamoto'", "SIG-5", False, key=small, digest=digest)
    yield given("sign", "the key N-1", "SIG-5", False, key=(page.N - 1).to_bytes(32, "big"), digest=digest)
    yield given("sign", "some key, a digest of zeros", "SIG-5", False, key=alice, digest=ZERO_HASH)
    yield given("sign", "some key and digest", "SIG-4", False, key=alice, digest=hashlib.sha256(b"1").digest())
    yield given("sign", "the key 0", "SIG-6", True, key=ZERO_HASH, digest=digest)
    yield given("sign", "the key N", "SIG-6", True, key=page.N.to_bytes(32, "big"), digest=digest)
    yield given("sign", "a key of 31 bytes", "SIG-6", True, key=small[1:], digest=digest)

    by_v: dict[int, tuple[bytes, bytes]] = {}
    for number in range(64):
        candidate = hashlib.sha256(bytes([number])).digest()
        made = page.sign_digest(alice, candidate)
        by_v.setdefault(made[64], (candidate, made))
    for v in (27, 28):
        yield given("recover", f"v is {v}", "SIG-1", False, digest=by_v[v][0], signature=by_v[v][1])
    digest, made = by_v[27]
    r, s = int.from_bytes(made[:32], "big"), int.from_bytes(made[32:64], "big")

    def written(r: int, s: int, v: int) -> bytes:
        return r.to_bytes(32, "big") + s.to_bytes(32, "big") + bytes([v])

    half = written(r, page.N // 2, 27)
    yield given("recover", "s is the highest allowed", "SIG-1", False, digest=digest, signature=half)
    faults = {
        "the other s of the same signature": written(r, page.N - s, 28),
        "s is the lowest not allowed": written(r, page.N // 2 + 1, 27),
        "s is 0": written(r, 0, 27),
        "r is 0": written(0, s, 27),
        "r is N": written(page.N, s, 27),
        "r is the x of no point": written(5, s, 27),
        "v is 0": made[:64] + b"\x00",
        "v is 29": made[:64] + b"\x1d",
        "the last byte missing": made[:64],
        "one byte too many": made + b"\x00",
    }
    for title, signature in faults.items():
        yield given("recover", title, "SIG-1", True, digest=digest, signature=signature)
    nonce = 12345
    point = page.curve_multiply(page.BASE, nonce)
    assert point is not None
    s = int.from_bytes(digest, "big") * pow(nonce, -1, page.N) % page.N
    odd = point[1] % 2
    infinite = written(point[0], min(s, page.N - s), 27 + (odd if s <= page.N // 2 else 1 - odd))
    yield given(
        "recover", "the public key would be the point at infinity", "SIG-1", True, digest=digest, signature=infinite
    )


def _check_key_set() -> Iterator[Case]:
    usual = genesis()
    root = ssz_root(GENESIS, usual)

    def case(
        title: str,
        *rules: str,
        refused: bool = True,
        of: Json = usual,
        signers: Sequence[str] = MEMBERS,
        **changes: Any,
    ) -> Case:
        return over(title, signed(of, key_set(of, **changes), signers), *rules, refused=refused, of=of)

    def over(
        title: str, value: Json | bytes, *rules: str, refused: bool = True, of: Json = usual, **beside: str
    ) -> Case:
        data = value if isinstance(value, bytes) else ssz_encode(SIGNED_KEY_SET, value)
        given = {"genesis": hexed(GENESIS, of), "signed_key_set": to_hex(data)} | beside
        return Case(operation="check_key_set", title=title, requirements=rules, input=given, refused=refused)

    yield case("all four members signed", "KEY-1", "KEY-2", "KEY-3", "KEY-4", "KEY-6", "KEY-11", "SIG-2", refused=False)
    yield case("the last three of four members signed", "KEY-2", refused=False, signers=MEMBERS[1:])
    yield case("a stated threshold of 2 of 4", "KEY-4", refused=False, t=2, signers=MEMBERS[:3])
    yield case("ends at height 100", "KEY-11", refused=False, valid_until=100)
    alone = genesis(members=[address("member 1")])
    yield case("a committee of one", "KEY-4", refused=False, of=alone, signers=MEMBERS[:1])

    message = key_set(usual)
    good = signed(usual, message)
    data = ssz_encode(SIGNED_KEY_SET, good)
    yield over("the last byte missing", data[:-1], "SSZ-5", "KEY-2")
    yield over("the key set of another network", good, "KEY-1", of=genesis(timestamp_ms=1))
    yield case("nobody signed", "KEY-2", signers=())
    yield case("two of four members signed", "KEY-2", signers=MEMBERS[:2])
    yield case("two of four members signed that two suffice", "KEY-2", t=2, signers=MEMBERS[:2])
    yield case("signatures not in the members' order", "KEY-2", signers=[MEMBERS[j] for j in (0, 2, 1)])
    yield case("one member signed twice", "KEY-2", signers=[MEMBERS[0], MEMBERS[1], MEMBERS[1]])
    yield case("a stranger signed after all members", "KEY-2", signers=[*MEMBERS, "alice"])
    other = signed(usual, key_set(usual, setup_kind=2))
    yield over("signatures of another key set", {"message": message, "signatures": other["signatures"]}, "KEY-2")
    foreign = genesis(timestamp_ms=1)
    digest = signing_digest(KEY_SET, message, ssz_root(GENESIS, foreign))
    crossed = [page.sign_digest(secret(name), digest) for name in MEMBERS]
    yield over("signed for another network", {"message": message, "signatures": crossed}, "SIG-2", "KEY-2")
    broken = [good["signatures"][0][:64] + b"\x01", *good["signatures"][1:]]
    yield over("the first signature ends in 1", {"message": message, "signatures": broken}, "SIG-1")
    usurpers = [f"usurper {j}" for j in range(1, 5)]
    yield case("four strangers for members", "KEY-2", members=[address(name) for name in usurpers], signers=usurpers)
    yield case("the genesis' members in another order", "KEY-2", members=usual["members"][::-1], signers=MEMBERS[::-1])

    def renamed(**of_name: Any) -> bytes:
        fields = {"genesis_root": root, **{n: message[n] for n in ("scheme", "encryption_key", "parameter_digest")}}
        network, scheme, key, digest = (fields | of_name).values()
        return page.key_id(network, scheme, key, digest)

    yield case("a key id of zeros", "KEY-3", key_id=ZERO_HASH)
    yield case("the key id this key has in another network", "KEY-3", key_id=renamed(genesis_root=ZERO_HASH))
    yield case("the key id this key has under another scheme", "KEY-3", key_id=renamed(scheme=1))
    yield case("the key id of another key", "KEY-3", key_id=renamed(encryption_key=bytes(48)))
    digest = parameter_digest(b"parameters")
    yield case("the digest of other parameters, and the key id made with it", "KEY-3", parameter_digest=digest)

    keys = message["verification_keys"]
    members = usual["members"]
    yield case("t is 0", "KEY-4", t=0)
    yield case("t is above n", "KEY-4", t=5)
    yield case("n is above the lists", "KEY-4", n=5, t=4)
    yield case("n is below the lists", "KEY-4", n=3)
    yield case("a verification key missing", "KEY-4", verification_keys=keys[:3])
    yield case("a verification key too many", "KEY-4", verification_keys=[*keys, b""])
    yield case("one member twice", "KEY-4", members=[*members[:3], members[0]], signers=MEMBERS[:3])
    yield case("a reduced threshold that is not stated", "KEY-4", t=2, reduced_threshold=0)
    yield case("stated as reduced, and is not", "KEY-4", reduced_threshold=1)
    yield case("a flag of 2", "KEY-4", t=2, reduced_threshold=2)

    yield case("another sequencer", "KEY-6", sequencer=address("alice"))
    yield case("another policy", "KEY-6", policy_id=2)
    yield case("policy parameters", "KEY-6", policy_parameters=b"\x01")
    yield case("another batch limit", "KEY-6", batch_limit=9)
    yield case("the epoch 2", "KEY-6", epoch=2)
    yield case("a start at height 2", "KEY-6", start_height=2)
    yield case("a start from zero", "KEY-6", start_parent=ZERO_HASH)
    yield case("a start at round 1", "KEY-6", start_round=1)
    yield case("a predecessor that nobody knows", "KEY-2", predecessor=b"\x11" * 32)
    yield case("a shuffle that everybody can foresee", "KEY-4", of=genesis(policy_id=3))
    yield case("the scheme 5", "KEY-12", scheme=5)

    yield over("no parameters, handed over as such", good, "KEY-3", refused=False, parameters="0x")
    yield over("parameters that the key set does not name", good, "KEY-3", parameters="0x00")
    stated: Json = {"parameter_digest": parameter_digest(b"parameters"), "key_id": message["key_id"]}
    yield case("the digest of other parameters, beside the right key id", "KEY-3", **stated)
    for number in (page.IBE, page.FPTX):
        name = page.SCHEMES[number].name
        yield case(f"a reduced threshold of {name}, stated", "KEY-5", scheme=number, t=2, signers=MEMBERS[:3])
    yield case("rounds of a key that has none", "KEY-7", rounds=7)


def _check_successor() -> Iterator[Case]:
    usual = genesis()
    first = key_set(usual)

    def case(title: str, *rules: str, refused: bool = True, before: Json = first, **changes: Any) -> Case:
        signers = changes.pop("signers", MEMBERS)
        return over(title, signed(usual, successor(before, **changes), signers), *rules, refused=refused, before=before)

    def over(
        title: str, value: Json | bytes, *rules: str, refused: bool = True, before: Json = first, of: Json = usual
    ) -> Case:
        data = value if isinstance(value, bytes) else ssz_encode(SIGNED_KEY_SET, value)
        given = {
            "genesis": hexed(GENESIS, of),
            "predecessor": hexed(KEY_SET, before),
            "signed_key_set": to_hex(data),
        }
        return Case(operation="check_successor", title=title, requirements=rules, input=given, refused=refused)

    joining = [*usual["members"][1:], address("member 5")]
    new_key = successor(first)
    yield case("another key", "KEY-3", "KEY-8", "KEY-9", "KEY-11", refused=False)
    yield case("the same key, shared anew", "KEY-8", "KEY-9", refused=False, same_key=True)
    yield case("one member left, one joined: the old ones sign", "KEY-8", refused=False, members=joining)
    yield case(
        "another t of another n: the predecessor's count",
        "KEY-4",
        "KEY-8",
        refused=False,
        same_key=True,
        signers=MEMBERS[:3],
        n=7,
        t=5,
        members=[address(f"newcomer {j}") for j in range(7)],
        verification_keys=[b""] * 7,
    )
    yield case("another sequencer, policy and batch limit", "KEY-8", refused=False, sequencer=b"\1" * 20, policy_id=2)
    yield case("another key from a named commitment on", "KEY-9", refused=False, start_parent=b"\2" * 32)
    yield case("from the second height on", "KEY-9", refused=False, start_height=2)
    ends = key_set(usual, valid_until=9)
    yield case("right above the end of the predecessor", "KEY-9", refused=False, before=ends, start_height=10)
    begun = successor(first, same_key=True)
    third: Json = {"before": begun, "same_key": True, "start_height": 9}
    yield case("a successor of a successor, in the round of its start", "KEY-9", refused=False, start_round=3, **third)
    reduced = key_set(usual, t=2)
    yield case(
        "of a reduced threshold: three of four sign", "KEY-8", refused=False, before=reduced, signers=MEMBERS[1:]
    )

    good = signed(usual, new_key)
    yield over("the last byte missing", ssz_encode(SIGNED_KEY_SET, good)[:-1], "SSZ-5", "KEY-8")
    yield over("a first key set", signed(usual, first), "KEY-8")
    elsewhere = successor(first, genesis_root=ssz_root(GENESIS, genesis(timestamp_ms=1)))
    yield over("the successor of another network", signed(usual, elsewhere), "KEY-1")
    yield over("after another key set", signed(usual, successor(key_set(usual, setup_kind=2))), "KEY-8")
    yield case("the predecessor's own epoch", "KEY-8", epoch=1)
    yield case("an epoch left out", "KEY-8", epoch=3)
    yield case("nobody signed", "KEY-8", signers=())
    yield case("two of the predecessor's four members signed", "KEY-8", signers=MEMBERS[:2])
    yield case(
        "two of four, though the predecessor says that two suffice", "KEY-8", before=reduced, signers=MEMBERS[:2]
    )
    newcomers = [f"newcomer {j}" for j in range(4)]
    strangers = [address(name) for name in newcomers]
    yield case("its own members signed, who are others", "KEY-8", members=strangers, signers=newcomers)
    yield case("the joining member signed after all others", "KEY-8", members=joining, signers=[*MEMBERS, "member 5"])
    yield case("signatures not in the members' order", "KEY-8", signers=[MEMBERS[j] for j in (0, 2, 1)])
    yield case("one member signed twice", "KEY-8", signers=[MEMBERS[0], MEMBERS[1], MEMBERS[1]])
    broken = good | {"signatures": [good["signatures"][0][:64] + b"\x01", *good["signatures"][1:]]}
    yield over("the first signature ends in 1", broken, "SIG-1")
    yield case("at the predecessor's own start", "KEY-9", start_height=1)
    yield case("two above the end of the predecessor", "KEY-9", before=ends, start_height=11)
    yield case("the same key from zero", "KEY-9", same_key=True, start_parent=ZERO_HASH)
    yield case("the same key from an earlier round", "KEY-9", start_round=2, **third)
    yield case("another key from a later round", "KEY-9", start_round=1)
    yield case("a name of zeros for the other key", "KEY-3", key_id=ZERO_HASH)
    digest = parameter_digest(b"parameters")
    yield case("the digest of parameters that are not there", "KEY-3", parameter_digest=digest)
    yield case("t is above n", "KEY-4", t=5)
    yield case("a reduced threshold that is not stated", "KEY-4", t=2)
    yield case("another scheme, which needs the default threshold", "KEY-5", scheme=page.IBE, t=2, reduced_threshold=1)
    yield case("rounds of a key that has none", "KEY-7", rounds=1)
    yield case("the scheme 255", "KEY-12", scheme=255)


def _check_form() -> Iterator[Case]:
    usual = genesis()

    def case(title: str, *rules: str, refused: bool = False, of: Json = usual, **changes: Any) -> Case:
        given = {"genesis": hexed(GENESIS, of), "key_set": hexed(KEY_SET, key_set(of, **changes))}
        return Case(operation="check_form", title=title, requirements=rules, input=given, refused=refused)

    shuffled = genesis(policy_id=3)
    for number, scheme in page.SCHEMES.items():
        yield case(f"{scheme.name} with the default threshold", "KEY-4", "KEY-5", "KEY-12", scheme=number)
        refused = scheme.needs_default_threshold
        yield case(f"{scheme.name} with a reduced threshold", "KEY-5", refused=refused, scheme=number, t=2)
        yield case(f"{scheme.name} with a shuffle", "KEY-4", refused=not scheme.hides, of=shuffled, scheme=number)
    yield case("no such scheme", "KEY-12", refused=True, scheme=5)


def _check_limits() -> Iterator[Case]:
    def case(title: str, *limits: int | None, rounds: int = 0, refused: bool = False) -> Case:
        """`limits`: the key's largest batch and its rounds. The key set's batch limit is 8."""
        shown = [None if limit is None else str(limit) for limit in limits]
        given = {
            "key_set": hexed(KEY_SET, key_set(genesis(), rounds=rounds)),
            "limits": dict(zip(("batch", "rounds"), shown, strict=True)),
        }
        return Case(operation="check_limits", title=title, requirements=("KEY-7",), input=given, refused=refused)

    yield case("a key without limits", None, None)
    yield case("batches as large as the key opens", 8, None)
    yield case("smaller batches than the key opens", 9, None)
    yield case("the rounds of the key", None, 32, rounds=32)
    yield case("both limits", 8, 32, rounds=32)
    yield case("batches one larger than the key opens", 7, None, refused=True)
    yield case("one round more than the key has", None, 32, refused=True, rounds=33)
    yield case("one round fewer than the key has", None, 32, refused=True, rounds=31)
    yield case("rounds that are not stated", None, 32, refused=True)
    yield case("rounds of a key that does not limit them", 8, None, refused=True, rounds=32)


def _erasures() -> Iterator[Case]:
    usual = genesis()
    for title, message in {"of a first committee": key_set(usual), "of another": successor(key_set(usual))}.items():
        given = {"genesis_root": to_hex(message["genesis_root"]), "committee_id": to_hex(ssz_root(KEY_SET, message))}
        yield Case(operation="erasure_digest", title=title, requirements=("SIG-7",), input=given, refused=False)
