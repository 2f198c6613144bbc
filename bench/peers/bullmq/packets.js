// A BullMQ job for each packet; the job that records the last missing output sends the webhook (`collate.lua`).
// `node packets.js worker` does the work, `node packets.js client` submits.
'use strict';

const fs = require('node:fs');
const path = require('node:path');
const { Queue, Worker } = require('bullmq');
const { Redis } = require('ioredis');
const feed = require('./feed.js');
const { CONCURRENCY, CONNECTION, OPTIONS, lengths, send } = require('./work.js');

const AT_ONCE = 64; // packets that wait for their acknowledgement

function work() {
  const store = new Redis(CONNECTION);
  const lua = fs.readFileSync(path.join(__dirname, 'collate.lua'), 'utf8');
  store.defineCommand('collate', { lua, numberOfKeys: 1 });
  const take = async ({ data: { resource_id, index, payload, last } }) => {
    const output = JSON.stringify(lengths(payload));
    const outputs = await store.collate(`outputs:${resource_id}`, index, output, last ? 1 : 0);
    if (outputs) await send(resource_id, outputs.map((one) => JSON.parse(one)));
  };
  new Worker('packets', take, { connection: CONNECTION, concurrency: CONCURRENCY });
}

async function submit() {
  const queue = new Queue('packets', { connection: CONNECTION });
  await queue.waitUntilReady();
  await feed((packets) => feed.each(packets, AT_ONCE, (packet) => queue.add('packet', packet, OPTIONS)));
}

if (process.argv[2] === 'worker') work();
else submit();
