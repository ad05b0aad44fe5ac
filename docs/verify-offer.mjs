// Verify an offer without the engine's help, as docs/offers.md describes: needs Node.js 18 or newer, and no package.
//
// Usage: node docs/verify-offer.mjs http://localhost:8000 TOKEN
import { createPublicKey, verify } from "node:crypto";
import { pathToFileURL } from "node:url";

// The content of an offer that holds; else an error. Keep `jwks` for a minute.
export function verified(token, jwks, nowS) {
  const [header, content, signature] = token.split(".");
  const named = decoded(header);
  const key = jwks.keys.find((each) => each.kid === named.kid);
  if (!key || named.alg !== "EdDSA" || Object.keys(named).length !== 2) {
    throw new Error("foreign: none of the engine's keys signed this offer");
  }
  const signed = Buffer.from(`${header}.${content}`);
  const publicKey = createPublicKey({ key, format: "jwk" });
  if (!verify(null, signed, publicKey, Buffer.from(signature, "base64url"))) {
    throw new Error("forged or altered");
  }
  const offer = decoded(content);
  if (offer.exp <= nowS) throw new Error("expired");
  if (jwks.revoked_before && offer.iat < Date.parse(jwks.revoked_before) / 1000) throw new Error("revoked");
  return offer;
}

function decoded(part) {
  return JSON.parse(Buffer.from(part, "base64url").toString());
}

if (import.meta.url === pathToFileURL(process.argv[1]).href) {
  const answer = await fetch(`${process.argv[2]}/.well-known/jwks.json`);
  console.log(JSON.stringify(verified(process.argv[3], await answer.json(), Date.now() / 1000)));
}
