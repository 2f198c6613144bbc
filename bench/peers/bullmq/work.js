// What both ways of using BullMQ share: the processor, the webhook, and the connection.
'use strict';

const http = require('node:http');

const agent = new http.Agent({ keepAlive: true, maxSockets: 64 });
const broker = new URL(process.env.BROKER);

exports.CONNECTION = { host: broker.hostname, port: Number(broker.port), enableAutoPipelining: true };
exports.CONCURRENCY = 50;
exports.OPTIONS = { removeOnComplete: true };

// Processes one packet.
exports.lengths = (payload) => payload.split(' ').map((word) => word.length);

// Sends the webhook, as Collator would write it.
exports.send = (resource_id, outputs) => {
  const data = { resource_id, completed_by: 'last', total: outputs.length, metadata: {}, outputs };
  const body = JSON.stringify({ type: 'resource.collated', timestamp: '', data });
  const headers = { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) };
  return new Promise((resolve, reject) => {
    const request = http.request(process.env.WEBHOOK, { method: 'POST', agent, headers }, (response) => {
      response.resume();
      response.on('end', resolve);
    });
    request.on('error', reject);
    request.end(body);
  });
};
