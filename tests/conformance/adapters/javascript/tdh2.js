// The page tdh2, as far as a client needs it: keys, encryption, the public check, ids and batch digests.

import {
  G1,
  R,
  Reader,
  Tag,
  ascii,
  bigEndian,
  challenge,
  decodeG1,
  decodeScalar,
  drawScalar,
  enc,
  encodePoint,
  fromHex,
  hashToG1,
  integer,
  malformed,
  multiply,
  randomFrom,
  rejected,
  sha256,
  taggedHash,
  toHex,
} from "./notation.js";
import { deriveKey, seal } from "./payload.js";

const NUMBER = 1;
const OVERHEAD_BYTES = 160;
const PIECE_BYTES = 48;

const modulo = (value) => ((value % R) + R) % R;

function inverse(value) {
  let [a, b, x, y] = [modulo(value), R, 1n, 0n];
  while (b) [a, b, x, y] = [b, a % b, y, x - (a / b) * y];
  return modulo(x);
}

function decodeMaterial(data) {
  const reader = new Reader(data);
  const material = {
    scheme: reader.uint(1),
    threshold: reader.uint(2),
    encryptionKey: reader.sized(),
    verificationKeys: reader.counted(),
    parameters: reader.sized(),
  };
  reader.end();
  const members = material.verificationKeys.length;
  if (material.threshold < 1 || material.threshold > members || members > 1024) {
    throw malformed("1 <= t <= n <= 1024 does not hold");
  }
  return material;
}

function treeRoot(leaves) {
  let [level, zero] = [leaves, Buffer.alloc(32)];
  while (level.length > 1) {
    if (level.length % 2) level = [...level, zero];
    level = Array.from({ length: level.length / 2 }, (_, i) => sha256(level[2 * i], level[2 * i + 1]));
    zero = sha256(zero, zero);
  }
  return level[0];
}

function parameterDigest({ parameters }) {
  const head = parameters.length % PIECE_BYTES;
  const count = (parameters.length - head) / PIECE_BYTES;
  const piece = (i) => parameters.subarray(head + i * PIECE_BYTES, head + (i + 1) * PIECE_BYTES);
  const leaves = Array.from({ length: count }, (_, i) => sha256(piece(i)));
  const tree = count ? [bigEndian(count, 8), treeRoot(leaves)] : [];
  return taggedHash(Tag.KEY_ID, ascii("parameters"), parameters.subarray(0, head), ...tree);
}

const keyId = (material, network) =>
  taggedHash(Tag.KEY_ID, network, bigEndian(material.scheme, 1), material.encryptionKey, parameterDigest(material));

const secondGenerator = (id) => hashToG1(Tag.TDH2_GENERATOR, enc(id));

function interpolated(points, at) {
  return points.reduce((sum, point, i) => {
    let [above, below] = [1n, 1n];
    for (let m = 1; m <= points.length; m++) {
      if (m === i + 1) continue;
      above = modulo(above * BigInt(at - m));
      below = modulo(below * BigInt(i + 1 - m));
    }
    return sum.add(multiply(point, modulo(above * inverse(below))));
  }, G1.ZERO);
}

function loadPublicKey(materialBytes, id) {
  const material = decodeMaterial(materialBytes);
  if (material.scheme !== NUMBER || material.parameters.length) throw rejected("TDH-6", "not key material of tdh2");
  const h = decodeG1(material.encryptionKey);
  const keys = material.verificationKeys.map(decodeG1);
  const first = keys.slice(0, material.threshold);
  const others = keys.slice(material.threshold).map((key, i) => [material.threshold + 1 + i, key]);
  for (const [at, key] of [[0, h], ...others]) {
    if (!interpolated(first, at).equals(key)) throw rejected("TDH-6", `the key at ${at} is not on the polynomial`);
  }
  return { id, threshold: material.threshold, h, keys, gbar: secondGenerator(id) };
}

const encryptionChallenge = (key, aad, ...rest) =>
  challenge(Tag.TDH2_ENCRYPT, key.id, encodePoint(key.h), aad, ...rest);

function encrypt(key, plaintext, aad, random) {
  const rho = drawScalar(random);
  const s = drawScalar(random);
  const [u, w] = [rho, s].map((scalar) => encodePoint(G1.BASE.multiply(scalar)));
  const [ubar, wbar] = [rho, s].map((scalar) => encodePoint(key.gbar.multiply(scalar)));
  const z = encodePoint(key.h.multiply(rho));
  const body = seal(deriveKey(Tag.TDH2_KEM, z, key.id, u, ubar, aad), plaintext, aad);
  const e = encryptionChallenge(key, aad, u, ubar, w, wbar, body);
  return Buffer.concat([u, ubar, bigEndian(e, 16), bigEndian(modulo(s + rho * e), 32), body]);
}

function verifyCiphertext(key, ciphertext, aad) {
  if (ciphertext.length < OVERHEAD_BYTES) throw malformed(`a ciphertext has at least ${OVERHEAD_BYTES} bytes`);
  const [uBytes, ubarBytes, body] = [ciphertext.subarray(0, 48), ciphertext.subarray(48, 96), ciphertext.subarray(144)];
  const e = integer(ciphertext.subarray(96, 112));
  const f = decodeScalar(ciphertext.subarray(112, 144));
  const [u, ubar] = [uBytes, ubarBytes].map(decodeG1);
  const w = encodePoint(multiply(G1.BASE, f).subtract(multiply(u, e)));
  const wbar = encodePoint(multiply(key.gbar, f).subtract(multiply(ubar, e)));
  if (e !== encryptionChallenge(key, aad, uBytes, ubarBytes, w, wbar, body)) {
    throw rejected("TDH-2", "the ciphertext's proof does not hold");
  }
}

const ciphertextId = (id, ciphertext, aad) => taggedHash(Tag.CIPHERTEXT_ID, id, aad, ciphertext);

const batchDigest = (id, height, round, ids) =>
  taggedHash(Tag.BATCH_DIGEST, id, bigEndian(height, 8), bigEndian(round, 8), ...ids);

function counterStream(seed) {
  let [buffer, count] = [Buffer.alloc(0), 0];
  return (size) => {
    while (buffer.length < size) buffer = Buffer.concat([buffer, sha256(seed, bigEndian(count++, 8))]);
    const piece = buffer.subarray(0, size);
    buffer = buffer.subarray(size);
    return piece;
  };
}

const key = (input) => loadPublicKey(fromHex(input.material), fromHex(input.key_id));

export const operations = {
  key_id(input) {
    const material = decodeMaterial(fromHex(input.material));
    return { key_id: toHex(keyId(material, fromHex(input.network))), parameter_digest: toHex(parameterDigest(material)) };
  },
  load_public_key(input) {
    const { threshold, h, keys } = key(input);
    return {
      threshold: String(threshold),
      members: String(keys.length),
      encryption_key: toHex(encodePoint(h)),
      verification_keys: keys.map((point) => toHex(encodePoint(point))),
    };
  },
  second_generator: (input) => ({ gbar: toHex(encodePoint(secondGenerator(fromHex(input.key_id)))) }),
  encrypt: (input) => ({
    ciphertext: toHex(
      encrypt(key(input), fromHex(input.plaintext), fromHex(input.aad), randomFrom(fromHex(input.random))),
    ),
  }),
  verify_ciphertext(input) {
    const [ciphertext, aad] = [fromHex(input.ciphertext), fromHex(input.aad)];
    verifyCiphertext(key(input), ciphertext, aad);
    return { ciphertext_id: toHex(ciphertextId(fromHex(input.key_id), ciphertext, aad)) };
  },
  batch_digest(input) {
    const id = fromHex(input.key_id);
    const ids = input.batch.entries.map((entry) => ciphertextId(id, fromHex(entry.ciphertext), fromHex(entry.aad)));
    const digest = batchDigest(id, input.batch.height, input.batch.round, ids);
    return { ciphertext_ids: ids.map(toHex), digest: toHex(digest) };
  },
  self_test(input) {
    const material = fromHex(input.material);
    const loaded = loadPublicKey(material, keyId(decodeMaterial(material), fromHex(input.network)));
    const aad = taggedHash(Tag.SELF_TEST, loaded.id);
    const ciphertext = encrypt(loaded, ascii("encmempool self-test"), aad, counterStream(aad));
    const digest = batchDigest(loaded.id, 0, 0, [ciphertextId(loaded.id, ciphertext, aad)]);
    return { ciphertext: toHex(ciphertext), aad: toHex(aad), digest: toHex(digest) };
  },
};
