// A BullMQ flow for each resource: its packets are the children, the webhook is the parent.
// A flow needs all packets of a resource at once. `node flow.js worker` does the work, `node flow.js client` submits.
'use strict';

const { FlowProducer, Worker } = require('bullmq');
const feed = require('./feed.js');
const { CONCURRENCY, CONNECTION, OPTIONS, lengths, send } = require('./work.js');

const BULK = 5; // flows of one call
const AT_ONCE = 4; // calls

function work() {
  const options = { connection: CONNECTION, concurrency: CONCURRENCY };
  new Worker('packets', async ({ data }) => [data.index, lengths(data.payload)], options);
  const collate = async (job) => {
    const outputs = Object.values(await job.getChildrenValues()).sort(([one], [other]) => one - other);
    await send(job.data.resource_id, outputs.map(([, output]) => output));
  };
  new Worker('resources', collate, options);
}

function flow([resource_id, payloads]) {
  const child = (payload, index) => ({ name: 'packet', queueName: 'packets', data: { index, payload }, opts: OPTIONS });
  const children = payloads.map(child);
  return { name: 'resource', queueName: 'resources', data: { resource_id }, opts: OPTIONS, children };
}

async function submit() {
  const producer = new FlowProducer({ connection: CONNECTION });
  await producer.waitUntilReady();
  await feed((resources) => {
    const flows = resources.map(flow);
    const bulks = Array.from({ length: Math.ceil(flows.length / BULK) }, (_, at) => flows.slice(at * BULK, at * BULK + BULK));
    return feed.each(bulks, AT_ONCE, (bulk) => producer.addBulk(bulk));
  });
}

if (process.argv[2] === 'worker') work();
else submit();
