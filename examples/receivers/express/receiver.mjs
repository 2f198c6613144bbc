// Takes webhooks with Express, and keeps the body of each in a file under its id.
//
// SECRET_FILE=collator-data/webhook.secret INBOX=inbox PORT=9000 node receiver.mjs

import { existsSync, mkdirSync, readFileSync } from "node:fs";
import { open, rename } from "node:fs/promises";
import { randomUUID } from "node:crypto";
import express from "express";
import { Webhook } from "standardwebhooks";

const inbox = process.env.INBOX ?? "inbox";
const lines = readFileSync(process.env.SECRET_FILE, "utf8").split("\n");
const webhooks = new Webhook(lines.find((line) => line.startsWith("whsec_")).trim());
mkdirSync(inbox, { recursive: true });

async function store(id, body) {
  const path = `${inbox}/${id}.json`; // the id was verified: it is a name without slashes
  if (existsSync(path)) return; // it comes again
  const temporary = `${inbox}/${randomUUID()}.new`;
  const file = await open(temporary, "w");
  await file.writeFile(body);
  await file.sync();
  await file.close();
  await rename(temporary, path);
}

const app = express();
// The bytes as they came, which are what is signed; 100 KiB by default, --max-body of Collator is 64 MiB.
app.use(express.raw({ type: () => true, limit: "64mb" }));
app.post("/", async (request, response) => {
  try {
    webhooks.verify(request.body, request.headers);
  } catch {
    return response.sendStatus(401);
  }
  await store(request.headers["webhook-id"], request.body);
  response.sendStatus(204);
});
app.listen(Number(process.env.PORT ?? 9000), "127.0.0.1");
