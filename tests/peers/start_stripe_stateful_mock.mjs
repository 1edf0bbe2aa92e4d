// Starts stripe-stateful-mock on a free port of 127.0.0.1 (its own command listens on every interface), prints the port as the
// first line, and ends when its standard input does: so it cannot outlive the test run that started it.
import http from "node:http";
import { createRequire } from "node:module";

const { createExpressApp } = createRequire(import.meta.url)("stripe-stateful-mock");
const server = http.createServer(createExpressApp());
server.listen(Number(process.argv[2] ?? 0), "127.0.0.1", () => console.log(server.address().port));
process.stdin.resume();
process.stdin.on("end", () => process.exit(0));
