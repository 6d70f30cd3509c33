// What users of the package `mergent` do, with the package as it was published. Run by test_the_npm_package.py.
const assert = require("node:assert/strict");
const http = require("node:http");
const { after, before, test } = require("node:test");

const Mergent = require("mergent");

const mergent = new Mergent(process.env.MERGENT_API_KEY);
const later = { hours: 1 };

// A user's handler, as simple as they come: it keeps what it gets, and answers as it is told.
const calls = [];
let answer = (call) => (call.path === "/fails-once" && call.first ? 500 : 200);
const handler = http.createServer((request, response) => {
  const parts = [];
  request.on("data", (part) => parts.push(part));
  request.on("end", () => {
    const { url: path, method, headers } = request;
    const first = !calls.some((call) => call.path === path);
    const call = { path, method, headers, first, body: Buffer.concat(parts).toString("utf-8") };
    calls.push(call);
    const status = answer(call);
    if (status) response.writeHead(status).end();
  });
});
let url;

before(async () => {
  await new Promise((listening) => handler.listen(0, "127.0.0.1", listening));
  url = `http://127.0.0.1:${handler.address().port}`;
});

after(() => {
  handler.closeAllConnections();
  handler.close();
});

async function eventually(look) {
  for (const end = Date.now() + 10_000; Date.now() < end; ) {
    const found = await look();
    if (found) return found;
    await new Promise((tick) => setTimeout(tick, 20));
  }
  throw new Error(`not within 10 s: ${look}`);
}

const called = (path, times = 1) =>
  eventually(() => {
    const found = calls.filter((call) => call.path === path);
    return found.length >= times && found;
  });

const ended = (id, status) => eventually(async () => (await mergent.tasks.retrieve(id)).status === status);

// The package was compiled so that `instanceof` does not know its errors; but only an error made from the JSON of
// an answer has these two fields. A shape that the package cannot read ends in a TypeError instead.
function told(error) {
  assert.ok("param" in error && "errors" in error, error.stack);
  assert.ok(error.message);
  return true;
}

test("a task is created, and is what was asked for", async () => {
  const request = { url, headers: { "X-Shop": "9" }, body: "Hello, world!" };
  const task = await mergent.tasks.create({ request, delay: later });
  assert.match(task.id, /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/);
  assert.equal(task.status, "queued");
  assert.equal(task.queue, "default");
  assert.equal(task.name, null);
  assert.equal(task.request.url, url);
  assert.equal(task.request.body, "Hello, world!");
  assert.deepEqual(task.request.headers, { "X-Shop": "9" });
  assert.match(task.created_at, /Z$/);
});

test("a task is read, and is in the list", async () => {
  const task = await mergent.tasks.create({ request: { url }, delay: later });
  assert.deepEqual(await mergent.tasks.retrieve(task.id), task);
  const list = await mergent.tasks.list();
  assert.ok(Array.isArray(list));
  assert.deepEqual(
    list.find((one) => one.id === task.id),
    task,
  );
});

test("a date, a text and a delay say when", async () => {
  const scheduledFor = new Date("2040-01-01T00:00:00Z");
  const at = async (params) => {
    const task = await mergent.tasks.create({ request: { url }, ...params });
    return task.scheduled_for && new Date(task.scheduled_for).toISOString();
  };
  assert.equal(await at({ scheduledFor }), "2040-01-01T00:00:00.000Z");
  assert.equal(await at({ scheduled_for: "2030-06-01T12:00:00+02:00" }), "2030-06-01T10:00:00.000Z");
  assert.equal(await at({ scheduledFor, delay: { hours: 2, minutes: 45 } }), "2040-01-01T02:45:00.000Z");
  assert.equal(await at({ scheduledFor, delay: "7m3s" }), "2040-01-01T00:07:03.000Z");
  assert.equal(await at({ scheduledFor, delay: "PT5M" }), "2040-01-01T00:05:00.000Z");
});

test("a delay from now is kept", async () => {
  const path = "/delayed";
  const sent = Date.now();
  const task = await mergent.tasks.create({ request: { url: url + path }, delay: { seconds: 1 } });
  assert.equal(task.status, "queued");
  await called(path);
  assert.ok(Date.now() - sent >= 1000);
});

test("a queued task is updated", async () => {
  const task = await mergent.tasks.create({ request: { url, body: "before" }, delay: later });
  const changed = await mergent.tasks.update(task.id, {
    request: { url, body: "after" },
    scheduledFor: new Date("2040-01-01T00:00:00Z"),
  });
  assert.equal(changed.id, task.id);
  assert.equal(changed.request.body, "after");
  assert.equal(new Date(changed.scheduled_for).getUTCFullYear(), 2040);
  assert.deepEqual(await mergent.tasks.retrieve(task.id), changed);
});

test("a task that waits is run now, once", async () => {
  const path = "/run";
  const task = await mergent.tasks.create({ request: { url: url + path, body: "now" }, delay: later });
  const run = await mergent.tasks.run(task.id);
  assert.equal(run.id, task.id);
  const [call] = await called(path);
  assert.equal(call.body, "now");
  await ended(task.id, "success");
  assert.equal(calls.filter((one) => one.path === path).length, 1);
});

test("a task is deleted and is gone", async () => {
  const task = await mergent.tasks.create({ request: { url }, delay: later });
  assert.equal(await mergent.tasks.delete(task.id), undefined);
  await assert.rejects(mergent.tasks.retrieve(task.id), told);
  assert.ok(!(await mergent.tasks.list()).some((one) => one.id === task.id));
});

test("a task is deleted right after it was run", async () => {
  const task = await mergent.tasks.create({ request: { url: `${url}/held` }, delay: later });
  const before = answer;
  answer = (call) => (call.path === "/held" ? 0 : before(call)); // it holds the call open
  await mergent.tasks.run(task.id);
  await mergent.tasks.delete(task.id);
  await assert.rejects(mergent.tasks.retrieve(task.id), told);
});

test("a name stands for one task while that task lives", async () => {
  const params = { name: "weekly report for 9", request: { url: `${url}/named` } };
  const first = await mergent.tasks.create({ ...params, delay: later });
  assert.equal(first.name, params.name);
  const second = await mergent.tasks.create({ ...params, delay: later });
  assert.equal(second.id, first.id);
  await mergent.tasks.run(first.id);
  await ended(first.id, "success");
  const third = await mergent.tasks.create(params);
  assert.notEqual(third.id, first.id);
});

test("errors name the fields", async () => {
  const wrong = { request: { url: "no address" }, delay: "soon" };
  await assert.rejects(mergent.tasks.create(wrong), (error) => {
    assert.deepEqual(error.errors.map((one) => one.param).sort(), ["delay", "request.url"]);
    return told(error) && error.errors.every(told);
  });
});

test("a misspelt field is an error that names it", async () => {
  await assert.rejects(mergent.tasks.create({ request: { url }, scheduled_at: "2040-01-01T00:00:00Z" }), {
    param: "scheduled_at",
  });
});

test("unknown tasks, strangers and ended tasks get an error with a message", async () => {
  const nowhere = "4cf95241-fa19-47ef-8a67-71e483747649";
  await assert.rejects(mergent.tasks.retrieve(nowhere), told);
  await assert.rejects(mergent.tasks.update(nowhere, { name: "x" }), told);
  await assert.rejects(mergent.tasks.run(nowhere), told);
  await assert.rejects(mergent.tasks.delete(nowhere), told);
  await assert.rejects(new Mergent("no such key").tasks.list(), told);
  const task = await mergent.tasks.create({ request: { url: `${url}/ended` } });
  await ended(task.id, "success");
  await assert.rejects(mergent.tasks.update(task.id, { name: "late" }), told);
});

test("a call carries a signature that the package finds valid", async () => {
  for (const [path, body] of [
    ["/ascii", "Hello, world!"],
    ["/unicode", JSON.stringify({ type: "send-email", to: "zoë@example.com" })],
    ["/empty", ""],
    ["/absent", undefined],
  ]) {
    const task = await mergent.tasks.create({ request: { url: url + path, body } });
    const [call] = await called(path);
    assert.equal(call.method, "POST");
    assert.equal(call.body, body ?? "");
    assert.equal(call.headers["x-mergent-task"], task.id);
    assert.ok(mergent.requestValidator.validateSignature(call.body, call.headers["x-mergent-signature"]), path);
    assert.ok(!mergent.requestValidator.validateSignature(`${call.body} `, call.headers["x-mergent-signature"]));
    assert.ok(!/form-urlencoded/.test(call.headers["content-type"] ?? ""));
  }
});

test("a body that is an object arrives as its JSON text", async () => {
  const body = { type: "send-email", to: "zoë@example.com" };
  await mergent.tasks.create({ request: { url: `${url}/object`, body } });
  const [call] = await called("/object");
  assert.deepEqual(JSON.parse(call.body), body);
  assert.ok(mergent.requestValidator.validateSignature(call.body, call.headers["x-mergent-signature"]));
});

test("a handler that failed is called again at once", async () => {
  const task = await mergent.tasks.create({ request: { url: `${url}/fails-once` } });
  await called("/fails-once", 2);
  await ended(task.id, "success");
});

test("a schedule is created, read, listed, paused, resumed, updated and deleted", async () => {
  const request = { url: `${url}/never`, body: "tick" };
  const made = await mergent.schedules.create({ name: "nightly", request, cron: "0 3 1 1 *" });
  assert.match(made.id, /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/);
  assert.equal(made.cron, "0 3 1 1 *");
  assert.equal(made.paused, false);
  assert.equal(made.queue, "default");
  assert.equal(made.request.body, "tick");
  assert.deepEqual(await mergent.schedules.retrieve(made.id), made);
  const list = await mergent.schedules.list();
  assert.ok(list.some((one) => one.id === made.id));
  assert.equal((await mergent.schedules.update(made.id, { paused: true })).paused, true);
  assert.equal((await mergent.schedules.update(made.id, { paused: false })).paused, false);
  const changed = await mergent.schedules.update(made.id, { cron: "30 4 * * 1-5", description: "now on workdays" });
  assert.equal(changed.cron, "30 4 * * 1-5");
  assert.equal(changed.description, "now on workdays");
  await mergent.schedules.delete(made.id);
  await assert.rejects(mergent.schedules.retrieve(made.id), told);
});

test("an rrule without dtstart fires at once, and its task makes three attempts", async () => {
  const path = "/always-fails";
  const before = answer;
  answer = (call) => (call.path === path ? 500 : before(call));
  const made = await mergent.schedules.create({ request: { url: url + path }, rrule: "FREQ=YEARLY;COUNT=1" });
  const [first, second, third] = await called(path, 3);
  assert.equal(first.headers["timeball-schedule"], made.id);
  assert.equal(first.headers["timeball-occurrence"], third.headers["timeball-occurrence"]);
  assert.deepEqual([first, second, third].map((call) => call.headers["timeball-attempt"]), ["1", "2", "3"]);
  await ended(first.headers["x-mergent-task"], "failure");
  await mergent.schedules.delete(made.id);
});

test("a rule that is wrong is told", async () => {
  const request = { url };
  await assert.rejects(mergent.schedules.create({ request }), told);
  await assert.rejects(mergent.schedules.create({ request, cron: "61 * * * *" }), told);
});
