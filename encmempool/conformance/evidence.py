"""The page `evidence`, answered by this package."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from encmempool import challenges
from encmempool.branches import fold, list_branch
from encmempool.conformance.voting import from_hex, to_hex
from encmempool.errors import Malformed
from encmempool.evidence import Evidence, examine
from encmempool.keysets import Committee, public_material, sign_key_set
from encmempool.types import Genesis, KeySet
from threshold.curve import DEFAULT_BACKEND
from threshold.schemes.registry import load_scheme, scheme_name

Json = dict[str, Any]

_QUESTIONS = ("InclusionQuestion", "ForcedQuestion", "RevealQuestion", "CertificateQuestion")
_ANSWERS = (
    "Included",
    "Inadmissible",
    "Settled",
    "Opening",
    "Released",
    "Abstained",
    "HandedOver",
    "Certified",
)


def _committees(given: Json, backend: str) -> tuple[Committee, ...]:
    """As a vector states them: checked already, so without their signatures."""
    genesis = Genesis.decode(from_hex(given["genesis"]))
    made = []
    for key_set in (KeySet.decode(from_hex(text)) for text in given["key_sets"]):
        scheme = load_scheme(scheme_name(key_set.scheme), backend)
        public_key = scheme.load_public_key(public_material(key_set), key_id=key_set.key_id)
        made.append(Committee(genesis=genesis, signed=sign_key_set(key_set, ()), scheme=scheme, public_key=public_key))
    return tuple(made)


def _typed(names: tuple[str, ...], given: Json) -> Any:
    if given["type"] not in names:
        raise Malformed(f"there is no {given['type']} here")
    return getattr(challenges, given["type"]).decode(from_hex(given["encoded"]))


def _list_branch(given: Json) -> Json:
    branch = list_branch([from_hex(leaf) for leaf in given["leaves"]], int(given["index"]), int(given["depth"]))
    return {"branch": [to_hex(one) for one in branch]}


def _fold(given: Json) -> Json:
    branch = [from_hex(one) for one in given["branch"]]
    return {"root": to_hex(fold(from_hex(given["leaf"]), int(given["index"]), branch))}


def operations(backend: str = DEFAULT_BACKEND) -> dict[str, Callable[[Json], Json]]:
    def judge(given: Json) -> Json:
        evidence = Evidence.decode(from_hex(given["evidence"]))
        finding = examine(evidence, _committees(given, backend))
        return {
            "kind": str(evidence.kind),
            "rule": finding.rule,
            "offender": to_hex(finding.offender),
            "member": None if finding.member is None else str(finding.member),
            "height": str(finding.height),
        }

    def due(given: Json) -> Json:
        found = challenges.due(_typed(_QUESTIONS, given["question"]), _committees(given, backend))
        return {
            "rule": found.rule,
            "parties": [to_hex(party) for party in found.parties],
            "l1_block": str(found.l1_block),
        }

    def freed(given: Json) -> Json:
        question, answer = _typed(_QUESTIONS, given["question"]), _typed(_ANSWERS, given["answer"])
        return {"parties": [to_hex(one) for one in challenges.freed(question, answer, _committees(given, backend))]}

    return {"examine": judge, "due": due, "freed": freed, "list_branch": _list_branch, "fold": _fold}
