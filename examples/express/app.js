// A backend in Express: an order is handled by a task, a moment later.
"use strict";

const crypto = require("node:crypto");
const express = require("express");

const { TIMEBALL_URL, TIMEBALL_KEY, TIMEBALL_SIGNING_SECRET, PORT = "3000" } = process.env;
const key = Buffer.from(TIMEBALL_SIGNING_SECRET.replace(/^whsec_/, ""), "base64");

const app = express();
app.use(express.raw({ type: () => true })); // the signature covers the bytes as they came

// Standard Webhooks: HMAC-SHA256 over id.timestamp.body, no older than five minutes.
function isOurs(request, body) {
  const id = request.get("webhook-id");
  const timestamp = request.get("webhook-timestamp");
  if (!id || Math.abs(Date.now() / 1000 - Number(timestamp)) > 300) return false;
  const made = crypto.createHmac("sha256", key).update(`${id}.${timestamp}.`).update(body).digest();
  return (request.get("webhook-signature") || "").split(" ").some((one) => {
    const sent = Buffer.from(one.replace(/^v1,/, ""), "base64");
    return sent.length === made.length && crypto.timingSafeEqual(sent, made);
  });
}

const bodyOf = (request) => (Buffer.isBuffer(request.body) ? request.body : Buffer.alloc(0));

app.post("/orders", async (request, response) => {
  const answer = await fetch(`${TIMEBALL_URL}/v2/tasks`, {
    method: "POST",
    headers: {
      Authorization: `Bearer ${TIMEBALL_KEY}`,
      "Content-Type": "application/json",
      "Idempotency-Key": crypto.randomUUID(),
    },
    body: JSON.stringify({
      request: { url: `http://localhost:${PORT}/hook`, body: bodyOf(request).toString() },
    }),
  });
  const task = await answer.json();
  response.status(answer.status).json({ task: task.id });
});

app.post("/hook", (request, response) => {
  if (!isOurs(request, bodyOf(request))) return response.sendStatus(401);
  console.log("handled", bodyOf(request).toString());
  return response.sendStatus(204);
});

app.listen(Number(PORT), "localhost");
