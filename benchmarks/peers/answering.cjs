// The line protocol of `encmempool bench peers` for programs on Node; README.md describes it.
"use strict";
const { createInterface } = require("node:readline");

const MOST_RUNS = 1000;

// Standard output is for replies: what a package prints goes to standard error.
console.log = console.error;
// Its last line explains a death, and Node's own last line would be its version.
process.on("uncaughtException", (error) => {
  console.error(String(error?.message ?? error).split("\n")[0]);
  process.exit(1);
});

const bytes = (hex) => Buffer.from(hex.slice(2), "hex");
const hex = (data) => "0x" + Buffer.from(data).toString("hex");

async function timed(work, budget) {
  const seconds = [];
  const started = performance.now();
  while (!seconds.length || (seconds.length < MOST_RUNS && performance.now() - started < 1000 * budget)) {
    const start = performance.now();
    await work();
    seconds.push((performance.now() - start) / 1000);
  }
  return seconds;
}

// jobs: name to async (inputs as 0x-hex) => work. A job is prepared once and kept for the later requests.
async function serve(jobs) {
  const prepared = new Map();
  for await (const line of createInterface({ input: process.stdin })) {
    const { job, params, inputs, budget_s } = JSON.parse(line);
    let reply = { job, unsupported: true };
    if (Object.hasOwn(jobs, job)) {
      const key = JSON.stringify([job, params]);
      if (!prepared.has(key)) prepared.set(key, await jobs[job](inputs));
      reply = { job, seconds: await timed(prepared.get(key), budget_s) };
    }
    process.stdout.write(JSON.stringify(reply) + "\n");
  }
}

module.exports = { serve, bytes, hex };
