// The clients of Node, each sending the same: node node_clients.mjs UDP_PORT URL TOKEN

import { OTLPMetricExporter } from "@opentelemetry/exporter-metrics-otlp-proto";
import { MeterProvider, PeriodicExportingMetricReader } from "@opentelemetry/sdk-metrics";
import HotShots from "hot-shots";
import { StatsD as NodeStatsD } from "node-statsd";
import StatsdClient from "statsd-client";

const [port, url, token] = process.argv.slice(2);

function closed(client) {
  return new Promise((resolve, reject) => client.close((error) => (error ? reject(error) : resolve())));
}

async function hotShots() {
  const client = new HotShots({ port: Number(port), prefix: "hot.", globalTags: { env: "prod" }, maxBufferSize: 1000 });
  for (let value = 1; value <= 100; value += 1) {
    client.distribution("seconds", value / 4);
  }
  client.increment("orders", 3, ["plan:pro"]);
  client.timing("page", 320, 0.5);
  client.gauge("queue", 7);
  client.set("users", "ada");
  client.set("users", "bob");
  await closed(client);
}

async function nodeStatsd() {
  const client = new NodeStatsD({ host: "127.0.0.1", port: Number(port), prefix: "node." });
  const sends = [
    (done) => client.increment("orders", 3, 1, [], done),
    (done) => client.decrement("orders", 1, 1, [], done),
    (done) => client.timing("page", 320, 1, [], done),
    (done) => client.gauge("queue", 7, 1, [], done),
    (done) => client.unique("users", "ada", 1, [], done),
  ];
  for (const send of sends) {
    await new Promise((resolve, reject) => send((error) => (error ? reject(error) : resolve())));
  }
  client.close();
}

async function statsdClient() {
  const client = new StatsdClient({ host: "127.0.0.1", port: Number(port), prefix: "client" });
  client.counter("orders", 3);
  client.decrement("orders", 1);
  client.timing("page", 320);
  client.gauge("queue", 7);
  client.gaugeDelta("queue", -2);
  client.set("users", "ada");
  client.raw("client.raw:1|c");
  await new Promise((resolve) => setImmediate(resolve));
  client.close();
}

async function openTelemetry() {
  const exporter = new OTLPMetricExporter({
    url: `${url}/v1/metrics`,
    headers: { Authorization: `Bearer ${token}` },
    compression: "gzip",
  });
  const provider = new MeterProvider({
    readers: [new PeriodicExportingMetricReader({ exporter, exportIntervalMillis: 3_600_000 })],
  });
  const meter = provider.getMeter("test");
  const orders = meter.createCounter("orders");
  const seconds = meter.createHistogram("seconds");
  const queue = meter.createUpDownCounter("queue");
  for (const number of [3, 4]) {
    orders.add(number, { plan: "pro" });
    queue.add(number);
    for (const each of [0.1, 0.2, 0.2, 0.4]) {
      seconds.record(each);
    }
    await provider.forceFlush();
  }
  await provider.shutdown();
}

await Promise.all([hotShots(), nodeStatsd(), statsdClient(), openTelemetry()]);
