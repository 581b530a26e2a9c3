"""`shutter`: hex in and out, its mistakes, and what is refused."""

from __future__ import annotations

import json

import pytest

from cli.io import hexed
from threshold.curve import load_backend
from threshold.schemes import shutter

BACKEND = load_backend()
SECRET = 0x5EC2E7
PREIMAGE = shutter.gnosis_preimage(bytes(range(32)), b"\xaa" * 20)
EON_KEY = hexed(BACKEND.g2.encode(BACKEND.g2.multiply(BACKEND.g2.generator, SECRET)))
IDENTITY = hexed(PREIMAGE)
SIGMA = hexed(bytes(range(100, 132)))
KEY = hexed(shutter.key_share(BACKEND, SECRET, PREIMAGE))
MESSAGE = "0x1c"
CIPHERTEXT = hexed(shutter.encrypt(BACKEND, bytes.fromhex(EON_KEY[2:]), PREIMAGE, b"\x1c", bytes.fromhex(SIGMA[2:])))

ENCRYPT = ("shutter", "encrypt", "--eon-key", EON_KEY, "--identity", IDENTITY)
VERIFY = ("shutter", "verify-key", "--eon-key", EON_KEY, "--identity", IDENTITY, "--key")
DECRYPT = ("shutter", "decrypt", "--key")


@pytest.fixture
def run(invoked, tmp_path):
    """In a home that does not exist: none is needed."""
    return lambda *arguments, **options: invoked(tmp_path / "nowhere", *arguments, **options)


@pytest.fixture(autouse=True)
def _files(tmp_path):
    """The secrets, in the directory where the commands run."""
    for name, text in {"sigma": SIGMA, "key": KEY, "message": MESSAGE, "ciphertext": CIPHERTEXT}.items():
        (tmp_path / name).write_text(text + "\n")


def changed(text, at):
    return text[:at] + format(int(text[at], 16) ^ 1, "x") + text[at:][1:]


def test_encrypt_prints_the_ciphertext(run) -> None:
    outcome = run(*ENCRYPT, "--sigma", "sigma", "--message", "message")
    assert (outcome.code, outcome.out, outcome.err) == (0, CIPHERTEXT + "\n", "")


def test_decrypt_prints_the_message(run) -> None:
    outcome = run(*DECRYPT, "key", "--ciphertext", "ciphertext")
    assert (outcome.code, outcome.out, outcome.err) == (0, MESSAGE + "\n", "")


def test_verify_key_accepts_the_identitys_key(run, tmp_path) -> None:
    outcome = run(*VERIFY, "key")
    assert (outcome.code, outcome.out, outcome.err) == (0, "verdict  valid\n", "")
    assert not (tmp_path / "nowhere").exists()


def test_json_fits_the_schemas(run, fits_schema) -> None:
    for arguments, field, value in (
        ((*ENCRYPT, "--sigma", "sigma", "--message", "message"), "ciphertext", CIPHERTEXT),
        ((*DECRYPT, "key", "--ciphertext", "ciphertext"), "message", MESSAGE),
        ((*VERIFY, "key"), "valid", True),
    ):
        document = run(*arguments, "--json").json
        fits_schema(document)
        assert document[field] == value


def test_every_file_may_be_standard_input(run) -> None:
    for arguments, stdin, out in (
        ((*ENCRYPT, "--sigma", "-", "--message", "message"), SIGMA, CIPHERTEXT),
        ((*ENCRYPT, "--sigma", "sigma", "--message", "-"), MESSAGE, CIPHERTEXT),
        ((*DECRYPT, "-", "--ciphertext", "ciphertext"), KEY, MESSAGE),
        ((*DECRYPT, "key", "--ciphertext", "-"), CIPHERTEXT, MESSAGE),
        ((*VERIFY, "-"), KEY, "verdict  valid"),
    ):
        for given in (stdin, bytes.fromhex(stdin[2:])):
            assert run(*arguments, stdin=given).out == out + "\n"


def test_sigma_is_drawn_afresh_when_it_is_not_given(run) -> None:
    first, second = (run(*ENCRYPT, "--message", "message").out for _ in range(2))
    assert first != second
    for data in (first, second):
        assert run(*DECRYPT, "key", "--ciphertext", "-", stdin=data).out == MESSAGE + "\n"


def test_empty_message_returns(run) -> None:
    data = run(*ENCRYPT, "--message", "-", stdin="0x").out
    assert run(*DECRYPT, "key", "--ciphertext", "-", stdin=data).out == "0x\n"


def test_backend_option_gives_the_same_bytes(run) -> None:
    outcome = run(*ENCRYPT, "--sigma", "sigma", "--message", "message", "--backend", "reference")
    assert outcome.out == CIPHERTEXT + "\n"


@pytest.mark.parametrize("file", ["shlib_v0.1.19_testdata.json", "shutter-sdk_test-data.json"])
def test_commands_print_what_the_vectors_have(file, run, vectors, tmp_path) -> None:
    cases = json.loads((vectors / "shutter" / file).read_text())[:18]
    for encryption, decryption in zip(cases[::2], cases[1::2], strict=True):
        given, opened = encryption["test_data"], decryption["test_data"]
        for name, text in {**given, **opened}.items():
            (tmp_path / name).write_text(text)
        options = ("--eon-key", given["eon_public_key"], "--identity", given["epoch_id"])
        data = run("shutter", "encrypt", *options, "--sigma", "sigma", "--message", "message").out
        assert data == given["expected"] + "\n"
        assert run(*DECRYPT, "epoch_secret_key", "--ciphertext", "cipher").out == opened["expected"] + "\n"
        assert run("shutter", "verify-key", *options, "--key", "epoch_secret_key").code == 0


# --- what was checked is wrong: exit code 1 --------------------------------------------------------------------------


@pytest.mark.parametrize("at", [-1, 197, 260])
def test_changed_ciphertext_does_not_open(at, run, is_problem, fits_schema) -> None:
    """C2, the last byte and so the padding's count, and the message itself."""
    stdin = changed(CIPHERTEXT, at)
    is_problem(run(*DECRYPT, "key", "--ciphertext", "-", stdin=stdin), 1, "does not open", "[SHU-3]")
    document = run(*DECRYPT, "key", "--ciphertext", "-", "--json", stdin=stdin).json
    assert document["rule"] == "SHU-3"
    fits_schema(document)


def test_tampered_c1_of_the_vectors_does_not_open(run, is_problem, vectors, tmp_path) -> None:
    file = json.loads((vectors / "shutter" / "shlib_v0.1.19_testdata.json").read_text())
    (tampered,) = (case["test_data"] for case in file if "illegal modification" in case["description"])
    (tmp_path / "key").write_text(tampered["epoch_secret_key"])
    for switch in ((), ("--lax-padding",)):
        outcome = run(*DECRYPT, "key", "--ciphertext", "-", *switch, stdin=tampered["cipher"])
        is_problem(outcome, 1, "[SHU-3]")
        assert outcome.out == ""


def test_changed_padding_opens_with_the_switch_only(run, is_problem) -> None:
    stdin = changed(CIPHERTEXT, -3)
    is_problem(run(*DECRYPT, "key", "--ciphertext", "-", stdin=stdin), 1, "padding", "[SHU-4]")
    outcome = run(*DECRYPT, "key", "--ciphertext", "-", "--lax-padding", stdin=stdin)
    assert (outcome.code, outcome.out) == (0, MESSAGE + "\n")


def test_key_of_another_identity_is_refused(run, is_problem, fits_schema) -> None:
    arguments = ("shutter", "verify-key", "--eon-key", EON_KEY, "--identity", IDENTITY + "00", "--key", "key")
    is_problem(run(*arguments), 1, "not the key of this identity", "[SHU-5]")
    document = run(*arguments, "--json").json
    assert document["rule"] == "SHU-5"
    fits_schema(document)


@pytest.mark.parametrize(
    ("stdin", "needles"),
    [
        ("", ["standard input is empty"]),
        ("0x03zz", ["is not a Shutter message", "not hex"]),
        ("0x030", ["odd number"]),
        ("0x" + "02" + CIPHERTEXT[4:], ["version 2", "version 3"]),
        (CIPHERTEXT[:-2], ["160 bytes"]),
        ("0x03" + "c0" + "00" * 95 + CIPHERTEXT[196:], ["C1", "identity of G2"]),
        ("0x03" + "ff" * 96 + CIPHERTEXT[196:], ["C1", "a point of G2"]),
    ],
)
def test_undecodable_ciphertext_is_explained(stdin, needles, run, is_problem) -> None:
    for switch in ((), ("--lax-padding",)):
        is_problem(run(*DECRYPT, "key", "--ciphertext", "-", *switch, stdin=stdin), 1, *needles)


@pytest.mark.parametrize("arguments", [(*DECRYPT, "-", "--ciphertext", "ciphertext"), (*VERIFY, "-")])
@pytest.mark.parametrize(
    ("stdin", "needles"),
    [(KEY[:-2], ["the key", "48 bytes, not 47"]), ("0xc0" + "00" * 47, ["the key", "identity of G1"])],
)
def test_undecodable_key_is_explained(arguments, stdin, needles, run, is_problem) -> None:
    is_problem(run(*arguments, stdin=stdin), 1, *needles)


@pytest.mark.parametrize("command", ["encrypt", "verify-key"])
def test_eon_key_that_is_no_point_is_explained(command, run, is_problem) -> None:
    rest = ("--message", "message") if command == "encrypt" else ("--key", "key")
    bad = "0xc0" + "00" * 95
    outcome = run("shutter", command, "--eon-key", bad, "--identity", IDENTITY, *rest)
    is_problem(outcome, 1, "the eon key", "identity of G2")


# --- usage: exit code 2 ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("command", ["encrypt", "verify-key"])
@pytest.mark.parametrize(
    ("option", "value", "needle"),
    [
        ("--eon-key", "0xzz", "192 hex digits"),
        ("--eon-key", EON_KEY[:-2], "192 hex digits"),
        ("--eon-key", EON_KEY + "00", "192 hex digits"),
        ("--identity", "0x123", "hex digits"),
        ("--identity", "prefix", "hex digits"),
    ],
)
def test_argument_that_is_no_hex_is_usage(command, option, value, needle, run, is_problem) -> None:
    given = {"--eon-key": EON_KEY, "--identity": IDENTITY, option: value}
    rest = ("--message", "message") if command == "encrypt" else ("--key", "key")
    words = [word for pair in given.items() for word in pair]
    is_problem(run("shutter", command, *words, *rest), 2, needle)


@pytest.mark.parametrize("size", [31, 33])
def test_sigma_of_another_length_is_usage_and_not_shown(size, run, is_problem) -> None:
    outcome = run(*ENCRYPT, "--sigma", "-", "--message", "message", stdin="0x" + "5a" * size)
    is_problem(outcome, 2, f"sigma has 32 bytes, not {size}")
    assert "5a5a" not in outcome.err + outcome.out


@pytest.mark.parametrize(
    ("arguments", "names"),
    [
        ((*ENCRYPT, "--sigma", "-", "--message", "-"), "--sigma and --message"),
        ((*DECRYPT, "-", "--ciphertext", "-"), "--key and --ciphertext"),
    ],
)
def test_standard_input_is_read_once(arguments, names, run, is_problem) -> None:
    is_problem(run(*arguments, stdin=SIGMA), 2, f"only one of {names}")


@pytest.mark.parametrize("arguments", [ENCRYPT, DECRYPT[:2], VERIFY[:-1]])
def test_missing_option_is_usage(arguments, run, is_problem) -> None:
    is_problem(run(*arguments), 2, "Missing option", "--help")


# --- environment: exit code 3 ----------------------------------------------------------------------------------------


def test_missing_file_is_named(run, is_problem) -> None:
    is_problem(run(*DECRYPT, "gone.hex", "--ciphertext", "ciphertext"), 3, "gone.hex: No such file")
