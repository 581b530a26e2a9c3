"""The page multiparty against the production code: whole ceremonies, restarts, and random faults.

Inputs come from a printed seed.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from random import Random
from typing import Any

import pytest

from encmempool.conformance import serve
from encmempool.network.ceremony import Addresses
from specs import build
from specs.generate import multiparty as inputs
from threshold.curve import DEFAULT_BACKEND
from threshold.keys import Limits, Seat
from threshold.sansio import Effect, Persist, Send
from threshold.schemes.registry import load_scheme
from threshold.setup.multiparty import JOURNAL_RECORD, SEED_RECORD, Party

genesis, notation, page = map(build.load, ("genesis", "notation", "multiparty"))

SEED = 20_261_120
SCHEME = load_scheme("simple-bte")
Json = dict[str, Any]


@pytest.fixture
def random(request: pytest.FixtureRequest) -> Random:
    """Another stream for each test; the seed is printed where a test fails."""
    seed = f"{SEED} {request.node.name}"
    print(f"seed: {seed!r}")  # noqa: T201
    return Random(seed)


def hexed(data: bytes) -> str:
    return "0x" + data.hex()


def agreed(operation: str, given: Json) -> Json:
    """What both answer: an output, or an error's kind and rule."""
    try:
        specs = {"output": page.OPERATIONS[operation](given)}
    except notation.Refused as error:
        specs = {"error": {"kind": error.kind, "rule": error.rule}}
    production = serve.answer("multiparty", operation, given, backend=DEFAULT_BACKEND)
    if "error" in production:
        production = {"error": {name: production["error"][name] for name in ("kind", "rule")}}
    assert production == specs
    return specs


class Identity:
    def __init__(self, member: int) -> None:
        self.member = member

    def sign(self, digest: bytes) -> bytes:
        signature: bytes = genesis.sign_digest(inputs.identity_key(self.member), digest)
        return signature


class Ceremony:
    """Production parties that hear everything at once. `seeds` has what each draws."""

    def __init__(self, n: int, t: int, batch: int, seeds: Callable[[int], bytes]) -> None:
        self.n, self.t, self.batch, self.seeds = n, t, batch, seeds
        self.named = inputs.named(inputs.of(n, t, batch)) | inputs.addresses(inputs.of(n, t, batch))
        self.effects: dict[int, list[Effect]] = {member: [] for member in range(1, n + 1)}
        self.parties = {member: self.party(member) for member in range(1, n + 1)}
        self.queue: deque[tuple[int, bytes]] = deque()
        for member, party in self.parties.items():
            self.perform(member, party.start(now=0.0))
        while self.queue:
            sender, data = self.queue.popleft()
            for member, party in self.parties.items():
                if member != sender:
                    self.perform(member, party.receive(sender, data, now=0.0))

    def party(self, member: int, resume: Iterable[Persist] = ()) -> Party:
        made = SCHEME.key_generation(
            Seat(
                index=member,
                n=self.n,
                t=self.t,
                network=inputs.NETWORK,
                ceremony_id=inputs.CEREMONY_ID,
                signer=Identity(member),
                peers=Addresses([inputs.address(m) for m in range(1, self.n + 1)]),
                random=lambda size: self.seeds(member)[:size],
                round_seconds=1.0,
                limits=Limits(batch=self.batch),
                resume=tuple(resume),
            )
        )
        assert isinstance(made, Party)
        return made

    def perform(self, member: int, effects: Iterable[Effect]) -> None:
        for effect in effects:
            self.effects[member].append(effect)
            if isinstance(effect, Send):
                self.queue.append((member, effect.message))

    def sent(self, member: int) -> list[bytes]:
        return [effect.message for effect in self.effects[member] if isinstance(effect, Send)]

    def records(self, member: int) -> list[Persist]:
        return [effect for effect in self.effects[member] if isinstance(effect, Persist)]

    def asked(self, member: int) -> Json:
        """What the member concludes, as a question."""
        records = self.records(member)
        (drawn,) = (record.value[8:] for record in records if record.kind == SEED_RECORD)
        taken = [hexed(record.value) for record in records if record.kind == JOURNAL_RECORD]
        place = {"network": hexed(inputs.NETWORK), "index": str(member), "seed": hexed(drawn)}
        return self.named | place | {"messages": taken}


def test_schedule_is_equal_and_leaves_the_hole_out() -> None:
    """MPC-15, MPC-16: every power but B + 1 is made once, from powers that were made before."""
    for batch in range(1, 70):
        output = agreed("schedule", inputs.named(inputs.of(4, 3, batch)))["output"]
        made = [1]
        for number in output["rounds"]:
            new = [(int(product["left"]), int(product["right"])) for product in number["products"]]
            assert all(a in made and b in made for a, b in new)
            made += [a + b for a, b in new]
        assert sorted(made) == [i for i in range(1, 2 * batch + 1) if i != batch + 1]


def test_production_says_the_bytes_of_the_page_in_every_round() -> None:
    """MPC-14, MPC-15, MPC-17 to MPC-21, MPC-25."""
    played = inputs.honest()
    ceremony = Ceremony(3, 2, 2, inputs.seed)
    for member in ceremony.parties:
        expected = [inputs.signed(inputs.SMALL, number, member, said[member]) for number, said in played.said.items()]
        assert ceremony.sent(member) == [message.encode() for message in expected]


@pytest.mark.parametrize(("n", "t", "batch"), [(3, 3, 1), (4, 2, 2)])
def test_page_concludes_what_production_concludes(random: Random, n: int, t: int, batch: int) -> None:
    """MPC-12, MPC-19, MPC-22, MPC-23: from the records of a production member."""
    seeds = {member: random.randbytes(32) for member in range(1, n + 1)}
    ceremony = Ceremony(n, t, batch, seeds.__getitem__)
    member = random.randint(1, n)
    result = ceremony.parties[member].result
    assert result is not None
    output = agreed("conclude", ceremony.asked(member))["output"]
    assert output["material"] == hexed(result.public.encode())
    assert output["secret"] == hexed(result.share.secret_bytes())
    assert output["transcript"] == hexed(result.transcript)
    assert output["blamed"] == []
    verified = agreed("verify_transcript", ceremony.named | {"transcript": output["transcript"]})["output"]
    assert int(verified["batch"]) == batch


def test_restarted_member_sends_the_bytes_it_sent_before() -> None:
    """MPC-20, MPC-26: from its records, wherever it was stopped."""
    ceremony = Ceremony(3, 2, 2, inputs.seed)
    records, sent = ceremony.records(1), ceremony.sent(1)
    for kept in range(2, len(records), 4):
        again = ceremony.party(1, records[:kept]).start(now=0.0)
        said = [effect.message for effect in again if isinstance(effect, Send)]
        assert said
        assert said == sent[: len(said)]


def test_both_judge_what_was_spoilt_at_random_alike(random: Random) -> None:
    """MPC-4 to MPC-8, MPC-10 to MPC-12: one bit of what member 3 says to member 1, rightly signed."""
    whole = inputs.conclusion("", ("MPC-12",), inputs.SMALL, inputs.heard(inputs.honest())).input
    rules = set()
    for number in (*range(1, 6), 6, 6, 6):
        size = len(inputs.honest().said[number][3])
        if 1 < number < inputs.PUBLISH:
            size = 32 + inputs.SMALL.box_bytes(number)
        position = random.randrange(size)
        journal = inputs.cut(number, {3: inputs.at(position)})
        output = agreed("conclude", whole | {"messages": [hexed(message.encode()) for message in journal]})["output"]
        rules.add(output.get("failed"))
    assert len(rules) > 2
