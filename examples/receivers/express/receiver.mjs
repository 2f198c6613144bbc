// Takes webhooks with Express, and keeps the body of each in a file under its id.
//
// SECRET_FILE=collator-data/webhook.secret INBOX=inbox PORT=9000 node receiver.mjs

import { existsSync, mkdirSync, readFileSync } from "node:fs";
import { open, rename, rm } from "node:fs/promises";
import { randomUUID } from "node:crypto";
import express from "express";
import { Webhook } from "standardwebhooks";

const inbox = process.env.INBOX ?? "inbox";
mkdirSync(inbox, { recursive: true });

// The current secret, read for each webhook: it may have been replaced.
function secret() {
  const lines = readFileSync(process.env.SECRET_FILE, "utf8").split("\n");
  return lines.find((line) => line.startsWith("whsec_")).trim();
}

async function synced(path, flags, body) {
  const file = await open(path, flags);
  try {
    if (body) await file.writeFile(body);
    await file.sync();
  } finally {
    await file.close();
  }
}

async function store(id, body) {
  const path = `${inbox}/${id}.json`; // the id was verified: it is a name without slashes
  const temporary = `${inbox}/${randomUUID()}.new`;
  if (!existsSync(path)) {
    try {
      await synced(temporary, "w", body);
      await rename(temporary, path);
    } catch (error) {
      await rm(temporary, { force: true });
      throw error;
    }
  }
  await synced(inbox, "r"); // the name, which is not in the file
}

secret(); // without one it does not start
const app = express();
// The bytes as they came, which are what is signed; 100 KiB by default, --max-body of Collator is 64 MiB.
app.use(express.raw({ type: () => true, limit: "64mb" }));
app.post("/", async (request, response) => {
  const webhook = new Webhook(secret());
  try {
    webhook.verify(request.body, request.headers);
  } catch {
    return response.sendStatus(401);
  }
  await store(request.headers["webhook-id"], request.body);
  response.sendStatus(204);
});
app.listen(Number(process.env.PORT ?? 9000), "127.0.0.1");
