// Graphile Worker, as the benchmark of drains uses it, with the settings that its page on performance recommends.
// Arguments: the address of the database, how many jobs, the concurrency. It says "ready", waits for a line, drains, and prints
// the seconds and the microseconds of CPU that this process took.
import { once } from "node:events";
import { createRequire } from "node:module";

const require = createRequire(`${process.cwd()}/`);
const { Logger, makeWorkerUtils, run } = require("graphile-worker");
const { Client } = require("pg");

const [connectionString, jobs, concurrency] = [process.argv[2], Number(process.argv[3]), Number(process.argv[4])];
const worker = {
  connectionString,
  concurrentJobs: concurrency,
  maxPoolSize: concurrency + 1,
  localQueue: { size: 500 },
  completeJobBatchDelay: 0,
  failJobBatchDelay: 0,
  logger: new Logger(() => () => {}),
};

const utils = await makeWorkerUtils({ preset: { worker } });
await utils.migrate();
for (let start = 0; start < jobs; start += 5_000) {
  const length = Math.min(5_000, jobs - start);
  await utils.addJobs(Array.from({ length }, () => ({ identifier: "noop", payload: {} })));
}
await utils.release();

const client = new Client({ connectionString });
await client.connect();
console.log("ready");
await once(process.stdin, "data");

let called = 0;
let allCalled;
const calls = new Promise((resolve) => { allCalled = resolve; });
const [began, cpu] = [performance.now(), process.cpuUsage()];
const runner = await run({
  preset: { worker },
  noHandleSignals: true,
  taskList: { noop: async () => { if (++called === jobs) allCalled(); } },
});
await calls;
// It deletes what has succeeded.
while ((await client.query("select exists (select from graphile_worker._private_jobs) as some")).rows[0].some) {
  await new Promise((resolve) => setTimeout(resolve, 2));
}
const seconds = (performance.now() - began) / 1e3;
const { user, system } = process.cpuUsage(cpu);
console.log(JSON.stringify({ seconds, cpu: user + system }));
await once(process.stdin, "data");
await runner.stop();
await client.end();
process.exit(0);
