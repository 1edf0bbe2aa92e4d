// Starts npm's oidc-provider, a certified one, on a free port of 127.0.0.1 with one client and the people it is given (JSON: {client,
// people: {name: claims}}), prints its issuer as the first line, and ends when its standard input does. Its own pages sign anybody in.
import http from "node:http";
import Provider from "oidc-provider";

const { client, people } = JSON.parse(process.argv[2]);
const server = http.createServer((request, response) => handle(request, response));
let handle = (_, response) => response.writeHead(503).end();
// It says at its start that its keys and pages are for development; here they are.
console.warn = console.info = () => undefined;
server.listen(0, "127.0.0.1", () => {
  const issuer = `http://127.0.0.1:${server.address().port}`;
  const provider = new Provider(issuer, {
    clients: [client],
    claims: { openid: ["sub"], email: ["email", "email_verified"] },
    cookies: { keys: ["a key of the tests, for cookies of this provider"] },
    pkce: { required: () => true },
    findAccount: (_, name) => (name in people ? { accountId: name, claims: () => ({ sub: name, ...people[name] }) } : undefined),
  });
  handle = provider.callback();
  console.log(issuer);
});
process.stdin.resume();
process.stdin.on("end", () => process.exit(0));
