// The page notation, objects: SSZ serialisation, roots, and what is signed.

import { ascii, fromHex, malformed, sha256, toHex } from "./notation.js";

// --- types ---

const uint = (size) => ({ kind: "uint", size });
const bytes = (size) => ({ kind: "bytes", size });
const byteList = (limit) => ({ kind: "byteList", limit });
const list = (element, limit) => ({ kind: "list", element, limit });

export const types = {};
function container(name, fields) {
  types[name] = { kind: "container", name, fields };
  return types[name];
}

const [U8, U16, U32, U64, U256] = [1, 2, 4, 8, 32].map(uint);
const [HASH, ADDRESS, SIGNATURE] = [32, 20, 65].map(bytes);
const MAX_SIZE_CLASS = 2 ** 16;
const MAX_CIPHERTEXT_BYTES = MAX_SIZE_CLASS + 1024;
const MAX_BATCH = 2 ** 12;
const MAX_MEMBERS = 2 ** 10;
const MAX_SHARE_BYTES = 2 ** 20;
const MAX_KEY_BYTES = 2 ** 10;
const MAX_BATCH_KEY_BYTES = 2 ** 28;
const MAX_ENTRY_BYTES = 2 ** 17;
const MAX_TOKENS = 2 ** 8;
const MAX_POOLS = 2 ** 10;
const MAX_GENESIS_ACCOUNTS = 2 ** 16;
const MAX_STATE_ACCOUNTS = 2 ** 24;

const ALLOCATION = container("Allocation", { address: ADDRESS, balance: U256, tokens: list(U256, MAX_TOKENS) });
const TOKEN = container("Token", { address: ADDRESS, symbol: byteList(32), decimals: U8 });
const POOL_STATE = container("PoolState", { token0: ADDRESS, token1: ADDRESS, reserve0: U256, reserve1: U256 });
const DEADLINES = container("Deadlines", {
  include_heights: U64,
  include_l1_blocks: U64,
  reveal_l1_blocks: U64,
  force_l1_blocks: U64,
  l1_depth: U64,
  l1_lag_blocks: U64,
});
export const GENESIS = container("Genesis", {
  chain_id: U64,
  timestamp_ms: U64,
  accounts: list(ALLOCATION, MAX_GENESIS_ACCOUNTS),
  tokens: list(TOKEN, MAX_TOKENS),
  pools: list(POOL_STATE, MAX_POOLS),
  router: ADDRESS,
  weth: ADDRESS,
  base_fee: U256,
  sequencer: ADDRESS,
  members: list(ADDRESS, MAX_MEMBERS),
  policy_id: U8,
  policy_parameters: byteList(256),
  batch_limit: U32,
  gas_limit: U64,
  size_classes: list(U32, 32),
  deadlines: DEADLINES,
});
const KEY_SET = container("KeySet", {
  genesis_root: HASH,
  predecessor: HASH,
  key_id: HASH,
  epoch: U64,
  scheme: U8,
  setup_kind: U8,
  setup_privacy: U16,
  n: U16,
  t: U16,
  reduced_threshold: U8,
  members: list(ADDRESS, MAX_MEMBERS),
  sequencer: ADDRESS,
  policy_id: U8,
  policy_parameters: byteList(256),
  encryption_key: byteList(MAX_KEY_BYTES),
  verification_keys: list(byteList(MAX_KEY_BYTES), MAX_MEMBERS),
  parameter_digest: HASH,
  batch_limit: U32,
  rounds: U32,
  start_height: U64,
  start_parent: HASH,
  start_round: U64,
  valid_until: U64,
});
container("SignedKeySet", { message: KEY_SET, signatures: list(SIGNATURE, MAX_MEMBERS) });
const ERASURE = container("Erasure", { committee_id: HASH });
container("SignedErasure", { message: ERASURE, signature: SIGNATURE });

export const HEADER = container("Header", {
  version: U8,
  key_id: HASH,
  scheme: U8,
  sender: ADDRESS,
  nonce: U64,
  gas_limit: U64,
  max_fee_per_gas: U256,
  max_priority_fee_per_gas: U256,
  target_height: U64,
  valid_until: U64,
});
const CIPHERTEXT = byteList(MAX_CIPHERTEXT_BYTES);
export const UNSIGNED_TRANSACTION = container("UnsignedTransaction", { header: HEADER, ciphertext: CIPHERTEXT });
export const ENCRYPTED_TRANSACTION = container("EncryptedTransaction", {
  header: HEADER,
  ciphertext: CIPHERTEXT,
  signature: SIGNATURE,
});

const RECEIPT = container("Receipt", {
  tx_id: HASH,
  sequence: U64,
  received_at_ms: U64,
  include_by_height: U64,
  include_by_l1_block: U64,
  reveal_by_l1_block: U64,
});
const SIGNED_RECEIPT = container("SignedReceipt", { message: RECEIPT, signature: SIGNATURE });
const ORDER_COMMITMENT = container("OrderCommitment", {
  height: U64,
  parent: HASH,
  committee_id: HASH,
  key_id: HASH,
  round: U64,
  batch_root: HASH,
  count: U32,
  policy_id: U8,
  l1_block: U64,
  inbox_index: U64,
  timestamp_ms: U64,
  executed_height: U64,
  state_root: HASH,
});
const SIGNED_COMMITMENT = container("SignedCommitment", { message: ORDER_COMMITMENT, signature: SIGNATURE });
export const BATCH_LIST = container("BatchList", { tx_ids: list(HASH, MAX_BATCH) });
container("Proposal", {
  commitment: SIGNED_COMMITMENT,
  transactions: list(ENCRYPTED_TRANSACTION, MAX_BATCH),
  receipts: list(SIGNED_RECEIPT, MAX_BATCH),
});
container("InboxEntry", { index: U64, l1_block: U64, data: byteList(MAX_ENTRY_BYTES) });

const VOTE = container("Vote", { committee_id: HASH, height: U64, round: U64, commitment_root: HASH });
container("SignedVote", { message: VOTE, signature: SIGNATURE });
const ORDER_CERTIFICATE = container("OrderCertificate", { vote: VOTE, signatures: list(SIGNATURE, MAX_MEMBERS) });
const DECRYPTION_SHARE = container("DecryptionShare", {
  committee_id: HASH,
  height: U64,
  round: U64,
  commitment_root: HASH,
  member: U16,
  data: byteList(MAX_SHARE_BYTES),
});
const SIGNED_SHARE = container("SignedShare", { message: DECRYPTION_SHARE, signature: SIGNATURE });
container("ShareRelease", { share: SIGNED_SHARE, certificate: ORDER_CERTIFICATE });
const ABSTAIN = container("Abstain", { committee_id: HASH, height: U64 });
container("SignedAbstain", { message: ABSTAIN, signature: SIGNATURE });
container("DropCertificate", { abstention: ABSTAIN, signatures: list(SIGNATURE, MAX_MEMBERS) });

const OPENED = container("Opened", { outcome: U8, plaintext_root: HASH });
container("Reveal", {
  commitment_root: HASH,
  batch_key: byteList(MAX_BATCH_KEY_BYTES),
  positions: list(OPENED, MAX_BATCH),
});
container("Plaintext", { payload: byteList(MAX_SIZE_CLASS) });
const ACCOUNT = container("Account", { address: ADDRESS, nonce: U64, balance: U256 });
const TOKEN_BALANCE = container("TokenBalance", { token: ADDRESS, owner: ADDRESS, amount: U256 });
const STATE = container("State", {
  height: U64,
  accounts: list(ACCOUNT, MAX_STATE_ACCOUNTS),
  token_balances: list(TOKEN_BALANCE, MAX_STATE_ACCOUNTS),
  pools: list(POOL_STATE, MAX_POOLS),
});

// --- serialisation ---

function littleEndian(value, size) {
  const digits = BigInt(value).toString(16).padStart(2 * size, "0");
  if (digits.length > 2 * size) throw new RangeError(`${value} does not fit ${size} bytes`);
  return Buffer.from(digits, "hex").reverse();
}

const uintOf = (data) => BigInt("0x" + Buffer.from(data).reverse().toString("hex"));

// Bytes of every value of the type, or null where that varies.
function fixedSize(type) {
  if (type.kind === "uint" || type.kind === "bytes") return type.size;
  if (type.kind !== "container") return null;
  const sizes = Object.values(type.fields).map(fixedSize);
  return sizes.includes(null) ? null : sizes.reduce((a, b) => a + b, 0);
}

const width = (type) => fixedSize(type) ?? 4;

export function encode(type, value) {
  if (type.kind === "uint") return littleEndian(value, type.size);
  if (type.kind === "container") {
    return join(Object.entries(type.fields).map(([name, field]) => [field, encode(field, value[name])]));
  }
  if (type.kind === "list") return join(value.map((item) => [type.element, encode(type.element, item)]));
  return value;
}

function join(parts) {
  let at = parts.reduce((sum, [type]) => sum + width(type), 0);
  const fixed = [];
  const tail = [];
  for (const [type, data] of parts) {
    if (fixedSize(type) !== null) {
      fixed.push(data);
      continue;
    }
    fixed.push(littleEndian(at, 4));
    tail.push(data);
    at += data.length;
  }
  return Buffer.concat([...fixed, ...tail]);
}

export function decode(type, data) {
  if (type.kind === "uint" || type.kind === "bytes") {
    if (data.length !== type.size) throw malformed(`${type.size} bytes were expected, not ${data.length}`);
    return type.kind === "uint" ? uintOf(data) : data;
  }
  if (type.kind === "byteList") {
    if (data.length > type.limit) throw malformed("a byte list is longer than its limit");
    return data;
  }
  if (type.kind === "list") {
    const count = elementCount(type.element, data);
    if (count > type.limit) throw malformed("a list is longer than its limit");
    return split(Array(count).fill(type.element), data).map((piece) => decode(type.element, piece));
  }
  const names = Object.keys(type.fields);
  const pieces = split(Object.values(type.fields), data);
  return Object.fromEntries(names.map((name, at) => [name, decode(type.fields[name], pieces[at])]));
}

function elementCount(element, data) {
  const size = fixedSize(element);
  if (size !== null) {
    if (data.length % size) throw malformed("the bytes of a list are no multiple of its element's size");
    return data.length / size;
  }
  if (!data.length) return 0;
  if (data.length < 4) throw malformed("the first offset of a list is truncated");
  const first = data.readUInt32LE(0);
  if (first === 0 || first % 4 || first > data.length) throw malformed("the first offset of a list is wrong");
  return first / 4;
}

function split(kinds, data) {
  const fixed = kinds.reduce((sum, type) => sum + width(type), 0);
  if (data.length < fixed) throw malformed("the fixed part is truncated");
  const pieces = [];
  const varying = [];
  const bounds = [];
  let at = 0;
  for (const type of kinds) {
    const piece = data.subarray(at, at + width(type));
    at += width(type);
    if (fixedSize(type) === null) {
      varying.push(pieces.length);
      bounds.push(piece.readUInt32LE(0));
    }
    pieces.push(piece);
  }
  bounds.push(data.length);
  if (bounds[0] !== fixed) throw malformed("the fixed part ends elsewhere");
  varying.forEach((position, i) => {
    if (bounds[i] > bounds[i + 1]) throw malformed("offsets are not in order or point beyond the end");
    pieces[position] = data.subarray(bounds[i], bounds[i + 1]);
  });
  return pieces;
}

// --- roots ---

export function root(type, value) {
  switch (type.kind) {
    case "container": {
      const fields = Object.entries(type.fields);
      return merkleRoot(fields.map(([name, field]) => root(field, value[name])), fields.length);
    }
    case "byteList":
      return mixInLength(merkleRoot(chunks(value), Math.ceil(type.limit / 32)), value.length);
    case "list": {
      if (type.element.kind !== "uint") {
        return mixInLength(merkleRoot(value.map((item) => root(type.element, item)), type.limit), value.length);
      }
      const packed = Buffer.concat(value.map((item) => encode(type.element, item)));
      return mixInLength(merkleRoot(chunks(packed), Math.ceil((type.limit * type.element.size) / 32)), value.length);
    }
    default:
      return merkleRoot(chunks(encode(type, value)), Math.ceil(type.size / 32));
  }
}

function chunks(data) {
  const filled = Buffer.alloc(32 * Math.ceil(data.length / 32));
  filled.set(data);
  return Array.from({ length: filled.length / 32 }, (_, i) => filled.subarray(32 * i, 32 * i + 32));
}

function merkleRoot(leaves, room) {
  let level = leaves;
  let zero = Buffer.alloc(32);
  for (let width = 1; width < room; width *= 2) {
    const filled = level.length % 2 ? [...level, zero] : level;
    level = Array.from({ length: filled.length / 2 }, (_, i) => sha256(filled[2 * i], filled[2 * i + 1]));
    zero = sha256(zero, zero);
  }
  return level.length ? level[0] : zero;
}

const mixInLength = (merkle, length) => sha256(merkle, littleEndian(length, 32));

const OBJECT_TAGS = {
  Receipt: "RCPT",
  OrderCommitment: "ORDR",
  Vote: "VOTE",
  DecryptionShare: "SHAR",
  Abstain: "ABST",
  KeySet: "KEYS",
  Erasure: "ERAS",
};

const signingDigest = (type, value, genesisRoot) =>
  sha256(root(type, value), ascii(OBJECT_TAGS[type.name]), genesisRoot.subarray(0, 28));

function stateRoot(state) {
  const by = (...names) => (a, b) =>
    names.reduce((order, name) => order || Buffer.compare(a[name], b[name]), 0);
  return root(STATE, {
    height: state.height,
    accounts: [...state.accounts].sort(by("address")),
    token_balances: [...state.token_balances].sort(by("token", "owner")),
    pools: [...state.pools].sort(by("token0", "token1")),
  });
}

// --- values in JSON ---

function toJson(type, value) {
  if (type.kind === "uint") return String(value);
  if (type.kind === "list") return value.map((item) => toJson(type.element, item));
  if (type.kind !== "container") return toHex(value);
  return Object.fromEntries(Object.entries(type.fields).map(([name, field]) => [name, toJson(field, value[name])]));
}

function fromJson(type, value) {
  if (type.kind === "uint") return BigInt(value);
  if (type.kind === "list") return value.map((item) => fromJson(type.element, item));
  if (type.kind !== "container") return fromHex(value);
  return Object.fromEntries(Object.entries(type.fields).map(([name, field]) => [name, fromJson(field, value[name])]));
}

export const operations = {
  ssz_decode(input) {
    const type = types[input.type];
    const value = decode(type, fromHex(input.encoded));
    return { value: toJson(type, value), root: toHex(root(type, value)) };
  },
  ssz_encode(input) {
    const type = types[input.type];
    const value = fromJson(type, input.value);
    return { encoded: toHex(encode(type, value)), root: toHex(root(type, value)) };
  },
  signing_digest(input) {
    const type = types[input.type];
    return { digest: toHex(signingDigest(type, fromJson(type, input.value), fromHex(input.genesis_root))) };
  },
  state_root: (input) => ({ root: toHex(stateRoot(fromJson(STATE, input.state))) }),
};
