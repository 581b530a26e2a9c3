// The page ordering: the root of a batch.

import { fromHex, malformed, toHex } from "./notation.js";
import { BATCH_LIST, root } from "./ssz.js";

const MAX_BATCH = BATCH_LIST.fields.tx_ids.limit;

function batchRoot(ids) {
  if (ids.length > MAX_BATCH || ids.some((id) => id.length !== 32)) {
    throw malformed(`a batch lists at most ${MAX_BATCH} ids of 32 bytes`);
  }
  return root(BATCH_LIST, { tx_ids: ids });
}

export const operations = {
  batch_root: (input) => ({ batch_root: toHex(batchRoot(input.tx_ids.map(fromHex))) }),
};
