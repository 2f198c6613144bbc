// The side of a client of `bench.peers.children.Client`: it says that it is ready, then takes a load a line, a JSON
// array, and answers each with the monotonic seconds at which all of it was acknowledged.
'use strict';

const readline = require('node:readline');

// Calls `submit` with each of `units`, so many at a time.
async function each(units, atOnce, submit) {
  const rest = units.values();
  const lane = async () => {
    for (const unit of rest) await submit(unit);
  };
  await Promise.all(Array.from({ length: atOnce }, lane));
}

module.exports = async function feed(submit) {
  console.log('ready');
  for await (const line of readline.createInterface({ input: process.stdin })) {
    await submit(JSON.parse(line));
    console.log(String(Number(process.hrtime.bigint()) / 1e9));
  }
  process.exit();
};
module.exports.each = each;
