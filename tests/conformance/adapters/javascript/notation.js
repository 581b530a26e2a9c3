// The page notation: bytes, hashes, scalars and points.

import { createHash } from "node:crypto";

import { bls12_381 } from "@noble/curves/bls12-381";

export const R = bls12_381.fields.Fr.ORDER;
const P = bls12_381.fields.Fp.ORDER;
export const G1 = bls12_381.G1.ProjectivePoint;
export const G2 = bls12_381.G2.ProjectivePoint;

export class Refused extends Error {
  constructor(kind, rule, message) {
    super(message);
    this.kind = kind;
    this.rule = rule;
  }
}

export const malformed = (message) => new Refused("Malformed", null, message);
export const rejected = (rule, message) => new Refused("Rejected", rule, message);

export const toHex = (data) => "0x" + Buffer.from(data).toString("hex");
export const fromHex = (text) => Buffer.from(text.slice(2), "hex");
export const ascii = (text) => Buffer.from(text, "ascii");

// --- integers, byte strings and lists ---

export function bigEndian(value, size) {
  const digits = BigInt(value).toString(16).padStart(2 * size, "0");
  if (digits.length > 2 * size) throw new RangeError(`${value} does not fit ${size} bytes`);
  return Buffer.from(digits, "hex");
}

export const integer = (data) => (data.length ? BigInt(toHex(data)) : 0n);

export class Reader {
  constructor(data) {
    this.rest = data;
  }

  take(size) {
    if (size > this.rest.length) throw malformed("truncated");
    const piece = this.rest.subarray(0, size);
    this.rest = this.rest.subarray(size);
    return piece;
  }

  uint(size) {
    return Number(integer(this.take(size)));
  }

  sized() {
    const size = this.uint(4);
    if (size > 2 ** 26) throw malformed("a byte string is announced as longer than 2^26 bytes");
    return this.take(size);
  }

  counted() {
    const count = this.uint(4);
    if (count > 2 ** 16) throw malformed("a list is announced as longer than 2^16 items");
    return Array.from({ length: count }, () => this.sized());
  }

  end() {
    if (this.rest.length) throw malformed("trailing bytes");
  }
}

// --- hashes ---

export const Tag = {
  KEY_ID: ascii("encmempool-key-v1-id"),
  CIPHERTEXT_ID: ascii("encmempool-ciphertext-v1-id"),
  BATCH_DIGEST: ascii("encmempool-batch-v1-digest"),
  SELF_TEST: ascii("encmempool-selftest-v1-randomness"),
  TDH2_GENERATOR: ascii("encmempool-tdh2-v1-gbar-BLS12381G1_XMD:SHA-256_SSWU_RO_"),
  TDH2_ENCRYPT: ascii("encmempool-tdh2-v1-encrypt"),
  TDH2_KEM: ascii("encmempool-tdh2-v1-kem"),
};

export const sha256 = (...parts) => createHash("sha256").update(Buffer.concat(parts)).digest();

export const enc = (...items) =>
  Buffer.concat([bigEndian(items.length, 8), ...items.flatMap((item) => [bigEndian(item.length, 8), item])]);

export const taggedHash = (tag, ...items) => sha256(enc(tag, ...items));

export function expandMessage(message, dst, size) {
  const dstPrime = Buffer.concat([dst, bigEndian(dst.length, 1)]);
  const first = sha256(Buffer.alloc(64), message, bigEndian(size, 2), bigEndian(0, 1), dstPrime);
  const blocks = [sha256(first, bigEndian(1, 1), dstPrime)];
  while (32 * blocks.length < size) {
    const mixed = first.map((byte, at) => byte ^ blocks.at(-1)[at]);
    blocks.push(sha256(mixed, bigEndian(blocks.length + 1, 1), dstPrime));
  }
  return Buffer.concat(blocks).subarray(0, size);
}

export const hashToScalar = (tag, ...items) => integer(expandMessage(enc(...items), tag, 48)) % R;
export const challenge = (tag, ...items) => integer(expandMessage(enc(...items), tag, 16));

function weights(tag, count, ...items) {
  const seed = taggedHash(tag, ...items);
  return Array.from({ length: count }, (_, i) => integer(sha256(seed, bigEndian(i, 8)).subarray(0, 16)));
}

// --- scalars ---

export function decodeScalar(data) {
  if (data.length !== 32) throw malformed("a scalar has 32 bytes");
  const value = integer(data);
  if (value >= R) throw malformed("a scalar is below r");
  return value;
}

export function drawScalar(random) {
  for (;;) {
    const value = integer(random(32)) & ((1n << 255n) - 1n);
    if (value > 0n && value < R) return value;
  }
}

export function randomFrom(data) {
  const reader = new Reader(data);
  return (size) => reader.take(size);
}

// --- points ---

export const encodePoint = (point) => Buffer.from(point.toRawBytes(true));

export const multiply = (point, scalar) => (scalar === 0n ? point.subtract(point) : point.multiply(scalar));

// The library decompresses and checks the subgroup; what it is lenient about is checked before.
function decodePoint(group, size, data) {
  if (data.length !== size) throw malformed(`a point of this group has ${size} bytes`);
  if (!(data[0] & 0x80)) throw malformed("a point is written in compressed form");
  if (data[0] & 0x40) throw malformed("the identity is not allowed");
  const numbers = Buffer.from(data);
  numbers[0] &= 0x1f;
  for (let at = 0; at < size; at += 48) {
    if (integer(numbers.subarray(at, at + 48)) >= P) throw malformed("a coordinate is below p");
  }
  try {
    const point = group.fromHex(new Uint8Array(data));
    point.assertValidity();
    return point;
  } catch (error) {
    throw malformed(error.message);
  }
}

export const decodeG1 = (data) => decodePoint(G1, 48, data);
export const decodeG2 = (data) => decodePoint(G2, 96, data);

export const hashToG1 = (tag, message) =>
  G1.fromAffine(bls12_381.G1.hashToCurve(message, { DST: new Uint8Array(tag) }).toAffine());

// Fp12 here is a tower; its coefficient of w^(2i + j) is that of v^i in half j.
function encodeGt(value) {
  const numbers = [0, 1, 2].flatMap((i) =>
    [value.c0, value.c1].flatMap((half) => [half[`c${i}`].c0, half[`c${i}`].c1]),
  );
  return Buffer.concat(numbers.map((number) => bigEndian(number, 48)));
}

// --- operations ---

const items = (input) => input.items.map(fromHex);

function decodeCounted(input) {
  const reader = new Reader(fromHex(input.encoded));
  const found = reader.counted();
  reader.end();
  return { items: found.map(toHex) };
}

export const operations = {
  enc: (input) => ({ encoded: toHex(enc(...items(input))) }),
  decode_counted: decodeCounted,
  tagged_hash: (input) => ({ digest: toHex(taggedHash(fromHex(input.tag), ...items(input))) }),
  expand_message: (input) => ({
    expanded: toHex(expandMessage(fromHex(input.message), fromHex(input.dst), Number(input.size))),
  }),
  hash_to_scalar: (input) => ({ scalar: String(hashToScalar(fromHex(input.tag), ...items(input))) }),
  challenge: (input) => ({ challenge: String(challenge(fromHex(input.tag), ...items(input))) }),
  weights: (input) => ({
    weights: weights(fromHex(input.tag), Number(input.count), ...items(input)).map(String),
  }),
  decode_scalar: (input) => ({ scalar: String(decodeScalar(fromHex(input.encoded))) }),
  draw_scalar: (input) => ({ scalar: String(drawScalar(randomFrom(fromHex(input.random)))) }),
  decode_g1: (input) => ({ double: toHex(encodePoint(decodeG1(fromHex(input.encoded)).double())) }),
  decode_g2: (input) => ({ double: toHex(encodePoint(decodeG2(fromHex(input.encoded)).double())) }),
  hash_to_g1: (input) => ({ point: toHex(encodePoint(hashToG1(fromHex(input.tag), fromHex(input.message)))) }),
  pairing: (input) => ({
    value: toHex(encodeGt(bls12_381.pairing(decodeG1(fromHex(input.g1)), decodeG2(fromHex(input.g2))))),
  }),
};
