// The encryption inside tlock-js, without age's container and the network, for `encmempool bench peers`.
"use strict";
const assert = require("node:assert");
const { serve, bytes, hex } = require("./answering.cjs");
const { encryptOnG2RFC9380, decryptOnG2 } = require("tlock-js/crypto/ibe");

const encrypting = ({ message, identity, public_key }) => {
  const given = [public_key, identity, message].map(bytes);
  return () => encryptOnG2RFC9380(...given);
};

serve({
  "timelock-encrypt": async (inputs) => encrypting(inputs),
  "timelock-decrypt": async (inputs) => {
    const ciphertext = await encrypting(inputs)();
    const key = bytes(inputs.key);
    const work = () => decryptOnG2(key, ciphertext);
    assert.strictEqual(hex(await work()), inputs.message);
    return work;
  },
});
