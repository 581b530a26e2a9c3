"""Messages to and from Shutter's published TypeScript SDK, both ways.

The package is fetched from the npm registry into a temporary directory. Skipped, with the reason, where Node, npm or
the registry is missing.
"""

from __future__ import annotations

import json
import shutil
import subprocess

import pytest

from threshold.curve import load_backend
from threshold.errors import Rejected
from threshold.schemes import shutter

pytestmark = pytest.mark.slow

# The SDK's range for viem admits versions that it does not run with.
PACKAGE = {
    "private": True,
    "dependencies": {"@shutter-network/shutter-sdk": "0.0.2"},
    "overrides": {"viem": "2.23.2"},
}
# CommonJS, because the SDK's module form does not load under Node. Its progress messages go to standard error.
PROGRAM = """
const { readFileSync } = require("node:fs");
console.log = console.error;
const { encryptData, decrypt } = require("@shutter-network/shutter-sdk");
async function main() {
  const results = [];
  for (const [call, ...given] of JSON.parse(readFileSync(0, "utf8")))
    results.push(await (call === "encrypt" ? encryptData : decrypt)(...given));
  process.stdout.write(JSON.stringify(results));
}
main();
"""
SIZES = (*range(70), 8191, 8192, 8193)  # 8192 bytes and more need a block counter of two bytes
BACKEND = load_backend()
SECRET = 0xC0FFEE
EON_KEY = BACKEND.g2.encode(BACKEND.g2.multiply(BACKEND.g2.generator, SECRET))


@pytest.fixture(scope="module")
def sdk(tmp_path_factory):
    """[("encrypt", message, preimage, eon key, sigma) | ("decrypt", ciphertext, key), …] to the SDK's answers."""
    node, npm = shutil.which("node"), shutil.which("npm")
    if node is None or npm is None:
        pytest.skip("Node and npm are not installed: the SDK cannot be run")
    directory = tmp_path_factory.mktemp("shutter-sdk")
    (directory / "package.json").write_text(json.dumps(PACKAGE))
    (directory / "program.cjs").write_text(PROGRAM)
    options = (
        "--prefer-offline",
        "--ignore-scripts",
        "--fetch-retries=0",
        "--no-audit",
        "--no-fund",
        "--loglevel=error",
    )
    install = [npm, "install", *options]
    try:
        done = subprocess.run(install, cwd=directory, capture_output=True, text=True, timeout=120)
    except subprocess.TimeoutExpired:
        pytest.skip("npm install of the SDK took more than two minutes")
    if done.returncode:
        pytest.skip(f"npm could not install the SDK: {' '.join(done.stderr.split())[:300]}")

    def run(calls):
        given = json.dumps([[call, *("0x" + data.hex() for data in arguments)] for call, *arguments in calls])
        command = [node, "program.cjs"]
        done = subprocess.run(command, cwd=directory, input=given, capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, done.stderr
        return [bytes.fromhex(answer[2:]) for answer in json.loads(done.stdout)]

    yield run
    shutil.rmtree(directory)  # 60 MB


def case(size):
    """(preimage, message, sigma), each different for each size."""
    preimage = shutter.gnosis_preimage(size.to_bytes(32, "big"), b"\xaa" * 20)
    return preimage, bytes((7 * i + size) % 256 for i in range(size)), size.to_bytes(32, "little")


def test_sdk_encrypts_to_the_same_bytes(sdk):
    cases = [case(size) for size in SIZES]
    theirs = sdk([("encrypt", message, preimage, EON_KEY, sigma) for preimage, message, sigma in cases])
    for (preimage, message, sigma), data in zip(cases, theirs, strict=True):
        assert shutter.encrypt(BACKEND, EON_KEY, preimage, message, sigma) == data, len(message)
        assert shutter.decrypt(BACKEND, shutter.key_share(BACKEND, SECRET, preimage), data) == message


def test_sdk_opens_our_messages(sdk):
    calls = []
    for preimage, message, sigma in map(case, SIZES):
        data = shutter.encrypt(BACKEND, EON_KEY, preimage, message, sigma)
        calls.append(("decrypt", data, shutter.key_share(BACKEND, SECRET, preimage)))
    assert sdk(calls) == [case(size)[1] for size in SIZES]


def test_sdk_opens_a_tampered_message_that_we_refuse(sdk, vectors):
    """SHU-3: the SDK does not compare C1. That it still is so keeps the statement in our documentation true."""
    file = json.loads((vectors / "shutter" / "shlib_v0.1.19_testdata.json").read_text())
    (tampered,) = (case["test_data"] for case in file if "illegal modification" in case["description"])
    data, key = (bytes.fromhex(tampered[name][2:]) for name in ("cipher", "epoch_secret_key"))
    assert sdk([("decrypt", data, key)]) == [bytes.fromhex("6af3")]
    with pytest.raises(Rejected, match="SHU-3"):
        shutter.decrypt(BACKEND, key, data)
