// Shutter's TypeScript SDK, for `encmempool bench peers`.
"use strict";
const assert = require("node:assert");
const { serve } = require("./answering.cjs");
// CommonJS, because the SDK's module form does not load under Node.
const { encryptData, decrypt } = require("@shutter-network/shutter-sdk");

serve({
  "shutter-encrypt": async ({ message, identity, eon_key, sigma, ciphertext }) => {
    const work = () => encryptData(message, identity, eon_key, sigma);
    assert.strictEqual(await work(), ciphertext);
    return work;
  },
  "shutter-decrypt": async ({ message, key, ciphertext }) => {
    const work = () => decrypt(ciphertext, key);
    assert.strictEqual(await work(), message);
    return work;
  },
});
