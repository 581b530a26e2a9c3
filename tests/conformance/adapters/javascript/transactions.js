// The page transactions: ids and what the sender signs.

import { keccak_256 } from "@noble/hashes/sha3";

import { ascii, bigEndian, fromHex, toHex } from "./notation.js";
import { ENCRYPTED_TRANSACTION, GENESIS, HEADER, UNSIGNED_TRANSACTION, decode, root } from "./ssz.js";

const keccak256 = (...parts) => Buffer.from(keccak_256(Buffer.concat(parts)));
const word = (value) => bigEndian(value, 32);

const DOMAIN_TYPE = ascii("EIP712Domain(string name,string version,uint256 chainId,bytes32 salt)");
const TRANSACTION_TYPE = ascii(
  "EncryptedTransaction(uint8 version,bytes32 keyId,uint8 scheme,address sender,uint64 nonce,uint64 gasLimit," +
    "uint256 maxFeePerGas,uint256 maxPriorityFeePerGas,uint64 targetHeight,uint64 validUntil,bytes ciphertext)",
);

const domainSeparator = (genesis) =>
  keccak256(
    keccak256(DOMAIN_TYPE),
    keccak256(ascii("encmempool")),
    keccak256(ascii("1")),
    word(genesis.chain_id),
    root(GENESIS, genesis),
  );

const structHash = (header, ciphertext) =>
  keccak256(
    keccak256(TRANSACTION_TYPE),
    word(header.version),
    header.key_id,
    word(header.scheme),
    Buffer.alloc(12),
    header.sender,
    word(header.nonce),
    word(header.gas_limit),
    word(header.max_fee_per_gas),
    word(header.max_priority_fee_per_gas),
    word(header.target_height),
    word(header.valid_until),
    keccak256(ciphertext),
  );

function gasLadder(gas) {
  let rung = 21_000n;
  while (rung < gas) rung *= 2n;
  return rung;
}

export const operations = {
  domain_separator: (input) => ({
    domain_separator: toHex(domainSeparator(decode(GENESIS, fromHex(input.genesis)))),
  }),
  signing_hash(input) {
    const domain = domainSeparator(decode(GENESIS, fromHex(input.genesis)));
    const struct = structHash(decode(HEADER, fromHex(input.header)), fromHex(input.ciphertext));
    return { signing_hash: toHex(keccak256(Buffer.from([0x19, 0x01]), domain, struct)) };
  },
  tx_id(input) {
    const { header, ciphertext } = decode(ENCRYPTED_TRANSACTION, fromHex(input.transaction));
    return { tx_id: toHex(root(UNSIGNED_TRANSACTION, { header, ciphertext })), aad: toHex(root(HEADER, header)) };
  },
  gas_ladder: (input) => ({ rung: String(gasLadder(BigInt(input.gas))) }),
};
