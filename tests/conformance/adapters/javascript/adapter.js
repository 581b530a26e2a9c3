// Answers the runner's line protocol: one JSON request per line in, one JSON reply per line out, in order.
// Written from the pages in specs/ alone. What it does not know it calls unsupported.

import { createInterface } from "node:readline";

import { operations as notation, Refused } from "./notation.js";
import { operations as ordering } from "./ordering.js";
import { operations as payload } from "./payload.js";
import { operations as ssz } from "./ssz.js";
import { operations as tdh2 } from "./tdh2.js";
import { operations as transactions } from "./transactions.js";

const pages = { notation: { ...notation, ...ssz }, ordering, payload, tdh2, transactions };

function answer({ page, operation, input }) {
  const pageOperations = Object.hasOwn(pages, page) ? pages[page] : {};
  if (!Object.hasOwn(pageOperations, operation)) return { unsupported: true };
  try {
    return { output: pageOperations[operation](input) };
  } catch (error) {
    if (error instanceof Refused) return { error: { kind: error.kind, rule: error.rule, message: error.message } };
    return { error: { kind: error.name, message: error.message } };
  }
}

for await (const line of createInterface({ input: process.stdin, crlfDelay: Infinity })) {
  const request = JSON.parse(line);
  process.stdout.write(JSON.stringify({ id: request.id, ...answer(request) }) + "\n");
}
