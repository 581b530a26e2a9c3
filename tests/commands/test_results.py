"""What commands do beyond the tour: amounts, swaps, transfers, batches, waiting."""

from __future__ import annotations

import re

import pytest

from cli.amounts import ETHER, Asset, parse, parse_gwei, shown
from cli.io import Packed
from encmempool.ethereum import decode_signed
from encmempool.execution import router
from encmempool.execution.router import SwapKind

KNOWN = {"ETH": ETHER, "USD": Asset(symbol="USD", decimals=2, address=b"\1" * 20)}


@pytest.mark.parametrize(
    ("text", "units"),
    [
        ("1.5 ETH", 15 * 10**17),
        ("0.000000000000000001ETH", 1),
        (" 1_000 eth ", 10**21),
        ("0.1 ETH", 10**17),
        ("123456789012345678901234567890.05 USD", 12345678901234567890123456789005),
    ],
)
def test_amount_is_exact(text, units) -> None:
    assert parse(text, KNOWN)[0] == units


@pytest.mark.parametrize(
    "text", ["", "ETH", "1", "1. ETH", ".5 ETH", "+1 ETH", "1 ETH ETH", "١ ETH", "0x1 ETH", "nan ETH"]
)
def test_amount_that_is_not_plain_is_refused(text) -> None:
    with pytest.raises(ValueError, match="no amount"):
        parse(text, KNOWN)


def test_fees_are_read_in_gwei() -> None:
    assert parse_gwei("1.5") == 1_500_000_000
    with pytest.raises(ValueError, match="10 decimal places"):
        parse_gwei("0.0000000001")


def test_amounts_are_shown_rounded_down() -> None:
    assert shown(4_485_158_489_999_999, 12) == "4,485.158489"
    assert shown(10**18, 18) == "1"


@pytest.mark.parametrize(
    ("arguments", "kind", "path"),
    [
        (["--sell", "1 ETH"], SwapKind.EXACT_ETH_FOR_TOKENS, ("weth", "token")),
        (["--sell", "1 TKN"], SwapKind.EXACT_TOKENS_FOR_ETH, ("token", "weth")),
        (["--sell", "1 TKN", "--for", "weth"], SwapKind.EXACT_TOKENS_FOR_TOKENS, ("token", "weth")),
        (["--sell", "1 WETH"], SwapKind.EXACT_TOKENS_FOR_TOKENS, ("weth", "token")),
    ],
)
def test_sign_makes_the_swap_that_was_asked_for(arguments, kind, path, run, home) -> None:
    from encmempool.home import Home

    genesis = Home(home).genesis()
    tokens = {"weth": genesis.weth, "token": genesis.tokens[0].address}
    outcome = run("tx", "sign", "--key", "dev-1", *arguments, "--slippage-bps", "100", "--json")
    transaction = decode_signed(bytes.fromhex(outcome.json["transaction"][2:]))
    swap = router.decode(transaction.data, transaction.value)
    assert (swap.kind, swap.path) == (kind, tuple(tokens[name] for name in path))
    assert swap.exact == 10**18
    assert swap.bound == int(outcome.json["swap"]["quote_out"]) * 99 // 100
    assert swap.recipient == transaction.sender == Home(home).account_address("dev-1")
    assert (transaction.gas_limit, transaction.max_fee_per_gas) == (168_000, 20 * 10**9)


def test_sign_takes_the_smallest_output_literally(run) -> None:
    outcome = run("tx", "sign", "--key", "alice", "--sell", "1 ETH", "--min-out", "2999.5 TKN", "--json")
    assert outcome.json["swap"]["min_out"] == "2999500000000000000000"


def test_sign_makes_a_raw_call(run) -> None:
    target = "0x" + "Ab" * 20
    arguments = ["--to", target, "--value", "0.1 ETH", "--data", "0x1234", "--nonce", "7", "--gas-limit", "50000"]
    fees = ["--max-fee-gwei", "11.5", "--priority-fee-gwei", "0"]
    raw = run("tx", "sign", "--key", "alice", *arguments, *fees).out.strip()
    transaction = decode_signed(bytes.fromhex(raw[2:]))
    assert (transaction.to, transaction.value, transaction.data) == (b"\xab" * 20, 10**17, b"\x12\x34")
    assert (transaction.nonce, transaction.gas_limit) == (7, 50_000)
    assert (transaction.max_fee_per_gas, transaction.max_priority_fee_per_gas) == (11_500_000_000, 0)


def test_next_nonce_counts_what_is_waiting(run, files) -> None:
    assert run("tx", "sign", "--key", "alice", "--sell", "1 ETH", "--json").json["nonce"] == 1


def test_valid_until_is_taken(run, files) -> None:
    assert run("encrypt", files["tx"], "--valid-until", "5", "--json").json["valid_until"] == 5


def test_status_follows_a_transaction(run, files) -> None:
    def state() -> str:
        return run("status", files["receipt"], "--json").json["state"]

    assert state() == "received"
    assert run("sequencer", "commit").code == 0
    assert state() == "committed"
    assert run("committee", "reveal").code == 0
    assert state() == "executed"


@pytest.mark.parametrize("command", ["status", "wait"])
def test_receipt_shows_the_height_it_promises(command, run, files) -> None:
    run("sequencer", "commit")
    run("committee", "reveal")
    by_receipt, by_envelope = run(command, files["receipt"]), run(command, files["envelope"])
    assert "commit by    height 16\n" in by_receipt.out
    assert "commit by" not in by_envelope.out
    assert run(command, files["receipt"], "--json").json["include_by_height"] == 16
    assert run(command, files["envelope"], "--json").json["include_by_height"] is None


def test_wait_gives_up_after_its_timeout(run, files, is_problem) -> None:
    is_problem(run("wait", files["receipt"], "--timeout", "0"), 3, "still received", "sequencer commit")


def test_reverted_swap_is_executed_and_says_why(run) -> None:
    raw = run("tx", "sign", "--key", "alice", "--sell", "1 ETH", "--min-out", "5000 TKN").out
    receipt = run("submit", "-", stdin=run("encrypt", "-", stdin=raw).out).out
    run("sequencer", "commit")
    revealed = run("committee", "reveal")
    assert "failed: UniswapV2Router:" in revealed.out
    status = run("status", "-", "--json", stdin=receipt)
    assert (status.code, status.json["success"]) == (0, False)
    assert status.json["reason"] == "UniswapV2Router: INSUFFICIENT_OUTPUT_AMOUNT"


def test_reveal_of_several_heights_and_an_empty_one(run, files) -> None:
    assert run("sequencer", "commit", "--json").json["tx_ids"]
    assert run("sequencer", "commit", "--json").json["tx_ids"] == []
    heights = run("committee", "reveal", "--json").json["heights"]
    assert [(h["height"], len(h["transactions"])) for h in heights] == [(1, 1), (2, 0)]
    again = run("committee", "reveal")
    assert (again.code, again.out) == (0, "")
    assert "nothing to reveal" in again.err
    assert run("committee", "reveal", "--json").json["heights"] == []


def test_reveal_names_the_next_command_when_something_waits(run, files) -> None:
    assert "1 waiting; next: encmempool" in run("committee", "reveal").err


def test_empty_batch_is_said_to_be_one(run) -> None:
    assert run("sequencer", "commit").err.startswith("height 1 commits to an empty batch\n")


def test_reveal_starts_with_its_first_height(run, files) -> None:
    run("sequencer", "commit")
    run("sequencer", "commit")
    out = run("committee", "reveal").out
    assert out.startswith("Height 1: 1 executed; 3 votes\n")
    assert "\n\nHeight 2: an empty batch; 3 votes\n" in out


def test_hints_name_the_files_of_the_tour(run, tmp_path) -> None:
    raw = run("tx", "sign", "--key", "alice", "--sell", "1 ETH").out
    encrypted = run("encrypt", "-", stdin=raw)
    assert encrypted.err.endswith(" submit envelope.hex > receipt.hex\n")
    assert run("submit", "-", stdin=encrypted.out).err.endswith(" sequencer commit > commitment.hex\n")
    assert run("committee", "reveal").err.endswith(" sequencer commit > commitment.hex\n")


def test_export_to_standard_output_hints_nothing(run) -> None:
    outcome = run("audit", "export", "-o", "-")
    assert "next:" not in outcome.err
    assert "to standard output" in outcome.err


@pytest.mark.parametrize("columns", ["40", "60", "80"])
def test_hex_is_never_broken(columns, run, files, monkeypatch) -> None:
    monkeypatch.setenv("COLUMNS", columns)
    shown_set, shown_keys = run("committee", "show"), run("key", "show")
    fields, keys = run("committee", "show", "--json").json, run("key", "show", "--json").json["keys"]
    for value in (fields["network_root"], fields["sequencer"], *(m["address"] for m in fields["member_list"])):
        assert value in shown_set.out
    for each in keys:
        assert each["address"] in shown_keys.out
    assert run("status", files["receipt"], "--json").json["tx_id"] in run("status", files["receipt"]).out
    facts = shown_set.out.partition("\n\n")[0].splitlines()
    assert max(len(line) for line in facts if "0x" not in line) <= int(columns)


def test_schemes_say_what_a_small_threshold_does(run) -> None:
    shown = {info["name"]: info for info in run("schemes", "--json").json["schemes"]}
    assert {name for name, info in shown.items() if info["needs_default_threshold"]} == {"ibe", "fptx"}
    assert {name: info["setup_privacy"].split(";")[0] for name, info in shown.items()} == {
        "clear": "none",
        "tdh2": "t",
        "ibe": "t",
        "simple-bte": "min(t, floor((n+1)/2))",
        "fptx": "t",
    }
    rows = {line[:29].strip(): line[29:].split() for line in run("schemes").out.splitlines()}
    assert rows["colluders to learn the key"][:2] == ["0", "t"]
    assert rows["threshold below floor(2n/3)+1"].count("refused") == 2


def test_packed_items_are_never_broken() -> None:
    items = ["keygen 331", "encrypt 33", "admit 72"]
    for width in range(1, 50):
        lines = Packed(items).lines(width)
        assert " · ".join(lines).split(" · ") == items
        assert all(len(line) <= width or " · " not in line for line in lines)
    assert Packed(items).lines(23) == ["keygen 331 · encrypt 33", "admit 72"]


def test_committee_shows_a_key_set_anyone_can_decode(run) -> None:
    from encmempool.types import SignedKeySet

    shown_set = run("committee", "show", "--json").json
    key_set = SignedKeySet.decode(bytes.fromhex(shown_set["key_set"][2:])).message
    assert "0x" + key_set.root.hex() == shown_set["committee_id"]
    assert [member["signed"] for member in shown_set["member_list"]] == [True] * 4


def test_development_accounts_are_labelled(run) -> None:
    listing = run("key", "show")
    assert "DEVELOPMENT KEY, PUBLICLY KNOWN" in listing.out
    keys = run("key", "show", "--json").json["keys"]
    assert {key["name"]: key["development"] for key in keys} == {
        "alice": False,
        **{f"dev-{i}": True for i in range(10)},
    }
    assert {key["balances"]["ETH"] for key in keys} == {str(10_000 * 10**18)}


def test_single_member_network_works(invoked, tmp_path) -> None:
    home = tmp_path / "one"
    for arguments in (["committee", "create", "--members", "1"], ["sequencer", "commit"], ["committee", "reveal"]):
        assert invoked(home, *arguments).code == 0


@pytest.mark.parametrize("order", ["priority_fee", "shuffle"])
def test_orders_other_than_arrival_work(order, invoked, tmp_path) -> None:
    home = tmp_path / order
    assert invoked(home, "committee", "create", "--order", order).code == 0
    for name in ("dev-0", "dev-1"):
        raw = invoked(home, "tx", "sign", "--key", name, "--sell", "1 ETH").out
        assert invoked(home, "submit", "-", stdin=invoked(home, "encrypt", "-", stdin=raw).out).code == 0
    assert invoked(home, "sequencer", "commit", "--json").json["order"] == order
    assert len(invoked(home, "committee", "reveal", "--json").json["heights"][0]["transactions"]) == 2


@pytest.mark.usefixtures("brief_training")
def test_demo_and_bench_print_tables(run) -> None:
    shown_demo = run("demo", "--transactions", "2")
    assert shown_demo.code == 0
    for words in ("plaintext", "encrypted", "One market is an illustration, not evidence."):
        assert words in " ".join(shown_demo.out.split())
    assert "encmempool --home" in shown_demo.err
    assert re.search(r"attack, encrypted +after training on \d+ markets it chose: ", shown_demo.out)
    assert "Users lose more or less than the attacker gains" in " ".join(shown_demo.out.split())
    shown_bench = run("bench", "pipeline", "--batch", "2")
    assert "transactions a second" in shown_bench.out
    assert "commitment to reveal is from commit to store, without encrypt and admit" in " ".join(
        shown_bench.out.split()
    )


@pytest.mark.usefixtures("brief_training")
def test_demo_of_one_swap_without_encryption_names_what_it_shows(run) -> None:
    shown_demo = run("demo", "--transactions", "1", "--scheme", "clear").out
    assert shown_demo.startswith("1 swap, a sequencer")
    assert "plaintext" in shown_demo.splitlines()[2]
    assert "clear" in shown_demo.splitlines()[2]
    assert "attack, clear" in shown_demo
    assert "encrypted" not in shown_demo


@pytest.mark.usefixtures("brief_training")
def test_demo_never_parts_a_stage_from_its_time(run, monkeypatch) -> None:
    for columns in ("40", "60"):
        monkeypatch.setenv("COLUMNS", columns)
        out = run("demo", "--transactions", "2").out
        for stage in (
            "keygen",
            "encrypt",
            "admit",
            "commit",
            "vote",
            "share",
            "combine",
            "decrypt",
            "execute",
            "audit",
        ):
            assert re.search(rf"\b{stage} [\d.,]+", out), stage
