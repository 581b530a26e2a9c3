// The page payload: padding and authenticated encryption.

import { createCipheriv, createDecipheriv, hkdfSync } from "node:crypto";

import { bigEndian, enc, fromHex, integer, randomFrom, rejected, toHex } from "./notation.js";

const PREFIX_BYTES = 1 + 16 + 4;
const NONCE = Buffer.alloc(12);
const AEAD = ["chacha20-poly1305", { authTagLength: 16 }];

const sizeClass = (classes, length) => Math.min(...classes.filter((size) => size >= length));

function pad(payload, classes, random) {
  const plaintext = Buffer.alloc(sizeClass(classes, PREFIX_BYTES + payload.length));
  Buffer.concat([bigEndian(1, 1), random(16), bigEndian(payload.length, 4), payload]).copy(plaintext);
  return plaintext;
}

function unpad(plaintext, classes) {
  if (plaintext.length < PREFIX_BYTES || plaintext[0] !== 1) throw rejected("PAD-1", "the version is not 1");
  const end = PREFIX_BYTES + Number(integer(plaintext.subarray(17, 21)));
  if (end > plaintext.length) throw rejected("PAD-2", "the payload reaches beyond the plaintext");
  if (plaintext.subarray(end).some((byte) => byte)) throw rejected("PAD-3", "the padding is not zero");
  if (plaintext.length !== sizeClass(classes, end)) throw rejected("PAD-4", "not the smallest size class");
  return plaintext.subarray(PREFIX_BYTES, end);
}

export const deriveKey = (tag, secret, ...context) =>
  Buffer.from(hkdfSync("sha256", secret, tag, enc(...context), 32));

export function seal(key, plaintext, aad) {
  const cipher = createCipheriv(AEAD[0], key, NONCE, AEAD[1]).setAAD(aad, { plaintextLength: plaintext.length });
  return Buffer.concat([cipher.update(plaintext), cipher.final(), cipher.getAuthTag()]);
}

function unseal(key, body, aad) {
  if (body.length < 16) throw rejected("AED-3", "the body is shorter than its tag");
  const ciphertext = body.subarray(0, -16);
  const cipher = createDecipheriv(AEAD[0], key, NONCE, AEAD[1]).setAAD(aad, { plaintextLength: ciphertext.length });
  cipher.setAuthTag(body.subarray(-16));
  const plaintext = cipher.update(ciphertext);
  try {
    cipher.final();
  } catch {
    throw rejected("AED-3", "the tag does not fit");
  }
  return plaintext;
}

const classes = (input) => input.size_classes.map(Number);

export const operations = {
  pad: (input) => ({
    plaintext: toHex(pad(fromHex(input.payload), classes(input), randomFrom(fromHex(input.random)))),
  }),
  unpad: (input) => ({ payload: toHex(unpad(fromHex(input.plaintext), classes(input))) }),
  derive_key: (input) => ({
    key: toHex(deriveKey(fromHex(input.tag), fromHex(input.secret), ...input.context.map(fromHex))),
  }),
  seal: (input) => ({ body: toHex(seal(fromHex(input.key), fromHex(input.plaintext), fromHex(input.aad))) }),
  unseal: (input) => ({ plaintext: toHex(unseal(fromHex(input.key), fromHex(input.body), fromHex(input.aad))) }),
};
