// Signs a customer in to Makegood with a shared secret (HS256): `node sign_customer.mjs c-1007` prints the token. Needs nothing else.

import { createHmac } from "node:crypto";

const part = (value) => Buffer.from(JSON.stringify(value)).toString("base64url");

/** For whoever is signed in at your shop now. `customer` is what their orders carry as `buyer.customer_ref`. */
export function tokenFor(customer) {
  const now = Math.floor(Date.now() / 1000);
  const claims = {
    iss: process.env.PROOF_ISSUER,
    aud: process.env.PROOF_AUDIENCE,
    sub: customer,
    iat: now,
    // Made when the page is, used at once; Makegood takes none whose `iat` is older than ten minutes.
    exp: now + 300,
  };
  const signed = `${part({ alg: "HS256", typ: "JWT" })}.${part(claims)}`;
  return `${signed}.${createHmac("sha256", process.env.PROOF_SECRET).update(signed).digest("base64url")}`;
}

console.log(tokenFor(process.argv[2]));
