// A certified OpenID provider for the suite: npm's `oidc-provider`, on 127.0.0.1, with two people and a handful of clients.
//
// node oidc-provider.mjs PORT
//
// What no provider offers and the tests need: `POST /test/rotate-keys` signs with a new key from then on. People sign in
// at a form with `username` and `password`, and are not asked for consent.

import { randomBytes, generateKeyPairSync } from "node:crypto";
import { createServer } from "node:http";
import Provider, { errors } from "oidc-provider";

const port = Number(process.argv[2]);
const issuer = `http://localhost:${port}`;
const callback = "http://localhost:8250/oidc/callback";

const people = new Map(["reader", "management"].map((name) => [name, { password: name, sub: `sub-of-${name}` }]));

const confidential = {
  redirect_uris: [callback],
  post_logout_redirect_uris: [callback],
  grant_types: ["authorization_code", "refresh_token", "urn:ietf:params:oauth:grant-type:device_code"],
};

// The public half of tests/servers/client-key.pem.
const jwks = {
  keys: [
    {
      kty: "EC", crv: "P-256", use: "sig", alg: "ES256", kid: "client-key",
      x: "5cRRODE6B7bRkKmODu2uyW6OnzfrKbcP1zj_gk0ADHM", y: "z-7UxiJUiy2rzb5KzYOAtNiZPm7SX0cz8c47pAcWej4",
    },
  ],
};

const clients = [
  { client_id: "vault-oidc", client_secret: "s3cr3t", ...confidential },
  { client_id: "latchkey-post", client_secret: "s3cr3t", token_endpoint_auth_method: "client_secret_post", ...confidential },
  { client_id: "latchkey-public", token_endpoint_auth_method: "none", ...confidential },
  { client_id: "latchkey-par-only", client_secret: "s3cr3t", require_pushed_authorization_requests: true, ...confidential },
  { client_id: "latchkey-dpop", client_secret: "s3cr3t", dpop_bound_access_tokens: true, ...confidential },
  { client_id: "latchkey-dpop-nonce", client_secret: "s3cr3t", dpop_bound_access_tokens: true, ...confidential },
  { client_id: "latchkey-signed-userinfo", client_secret: "s3cr3t", userinfo_signed_response_alg: "RS256", ...confidential },
  { client_id: "latchkey-jarm", client_secret: "s3cr3t", authorization_signed_response_alg: "RS256", ...confidential },
  { client_id: "latchkey-signed-request", client_secret: "s3cr3t", require_signed_request_object: true, jwks, ...confidential },
  { client_id: "latchkey-logout", client_secret: "s3cr3t", backchannel_logout_uri: "http://localhost:18252/back-channel", backchannel_logout_session_required: true, ...confidential },
  {
    client_id: "latchkey-service",
    client_secret: "s3rv1ce",
    redirect_uris: [],
    response_types: [],
    grant_types: ["client_credentials", "urn:ietf:params:oauth:grant-type:device_code", "refresh_token"],
  },
  {
    client_id: "latchkey-secret-jwt",
    client_secret: "a-secret-of-more-than-32-bytes-for-hs256",
    token_endpoint_auth_method: "client_secret_jwt",
    ...confidential,
    grant_types: ["client_credentials", "authorization_code", "refresh_token"],
  },
  {
    client_id: "latchkey-key-jwt",
    token_endpoint_auth_method: "private_key_jwt",
    token_endpoint_auth_signing_alg: "ES256",
    jwks,
    ...confidential,
    grant_types: ["client_credentials", "authorization_code", "refresh_token"],
  },
];

// One store for all instances of the provider: see `rotateKeys`.
const stored = new Map();

class Store {
  constructor(model) {
    this.model = model;
  }

  #key(id) {
    return `${this.model} ${id}`;
  }

  async upsert(id, payload, expiresIn) {
    stored.set(this.#key(id), { payload, expires: expiresIn ? Date.now() + expiresIn * 1000 : Infinity });
  }

  async find(id) {
    const { payload, expires } = stored.get(this.#key(id)) ?? {};
    return expires > Date.now() ? payload : undefined;
  }

  async #findBy(name, value) {
    const all = [...stored].filter(([key]) => key.startsWith(`${this.model} `));
    return all.map(([, { payload }]) => payload).find((payload) => payload[name] === value);
  }

  async findByUid(uid) {
    return this.#findBy("uid", uid);
  }

  async findByUserCode(userCode) {
    return this.#findBy("userCode", userCode);
  }

  async consume(id) {
    stored.get(this.#key(id)).payload.consumed = Math.floor(Date.now() / 1000);
  }

  async destroy(id) {
    stored.delete(this.#key(id));
  }

  async revokeByGrantId(grantId) {
    for (const [key, { payload }] of stored) {
      if (payload.grantId === grantId) {
        stored.delete(key);
      }
    }
  }
}

let keys = [];
let provider;
let answer;

// A provider's keys are given once, so a new key is a new provider over the same store.
function rotateKeys() {
  const { privateKey } = generateKeyPairSync("rsa", { modulusLength: 2048 });
  const key = { ...privateKey.export({ format: "jwk" }), kid: randomBytes(8).toString("hex"), use: "sig", alg: "RS256" };
  // The one before stays, for whoever holds what it has signed.
  keys = [key, ...keys].slice(0, 2);
  provider = new Provider(issuer, configuration());
  answer = provider.callback();
}

const cookieKey = randomBytes(16).toString("hex");
const nonceSecret = randomBytes(32);

function configuration() {
  return {
    adapter: Store,
    clients,
    jwks: { keys },
    cookies: { keys: [cookieKey] },
    claims: {
      openid: ["sub"],
      profile: ["preferred_username", "name", "updated_at"],
      email: ["email", "email_verified"],
      address: ["address"],
      phone: ["phone_number"],
    },
    conformIdTokenClaims: false,
    features: {
      devInteractions: { enabled: false },
      backchannelLogout: { enabled: true },
      clientCredentials: { enabled: true },
      deviceFlow: { enabled: true, userCodeConfirmSource: confirmDevice },
      dPoP: { enabled: true, nonceSecret, requireNonce: (context) => context.oidc.client?.clientId === "latchkey-dpop-nonce" },
      introspection: { enabled: true },
      jwtResponseModes: { enabled: true },
      jwtUserinfo: { enabled: true },
      pushedAuthorizationRequests: { enabled: true },
      registration: { enabled: true },
      requestObjects: { enabled: true },
      revocation: { enabled: true },
      rpInitiatedLogout: { enabled: true, logoutSource: endSession },
    },
    enabledJWA: { requestObjectSigningAlgValues: ["RS256", "ES256", "HS256"] },
    interactions: { url: (_, interaction) => `/interaction/${interaction.uid}` },
    issueRefreshToken: (_, client) => client.grantTypeAllowed("refresh_token"),
    rotateRefreshToken: true,
    ttl: { AccessToken: 300, AuthorizationCode: 60, IdToken: 300, Interaction: 600, Session: 36000, Grant: 36000 },
    findAccount: (_, sub) => {
      const [name] = [...people].find(([, person]) => person.sub === sub) ?? [];
      return name && {
        accountId: sub,
        claims: () => ({
          sub, preferred_username: name, name: `${name} Example`, email: `${name}@example.com`, email_verified: true,
          phone_number: "+1 555 0100", address: { country: "US" }, updated_at: 1_780_315_200,
        }),
      };
    },
    loadExistingGrant,
    // The clients of the tests are on loopback, which the provider's own call avoids.
    fetch: (url, { dispatcher, ...options }) => fetch(url, options),
  };
}

// Consent to everything, given once and for all.
async function loadExistingGrant(context) {
  const { client, session, params, result } = context.oidc;
  const known = result?.consent?.grantId ?? session.grantIdFor(client.clientId);
  const grant = (known && (await provider.Grant.find(known)))
    ?? new provider.Grant({ clientId: client.clientId, accountId: session.accountId });
  grant.addOIDCScope(params.scope ?? "openid");
  await grant.save();
  return grant;
}

const page = (title, body) => `<!DOCTYPE html><title>${title}</title><h1>${title}</h1>${body}`;

function confirmDevice(context, form) {
  const buttons = `<button type="submit" name="accept" form="op.deviceConfirmForm">Yes</button>
    <button type="submit" name="abort" value="yes" form="op.deviceConfirmForm">No</button>`;
  context.body = page("Is this your device?", form + buttons);
}

function endSession(context, form) {
  context.body = page("Do you want to sign out?", form.replace("</form>", '<input type="hidden" name="logout" value="yes"></form>'));
}

async function interact(request, response) {
  const { prompt, uid } = await provider.interactionDetails(request, response);
  const show = (message) => {
    response.setHeader("content-type", "text/html");
    response.end(page("Sign in", `<p>${message}</p><form method="post" action="/interaction/${uid}">
      <input name="username"><input name="password" type="password"><button>Sign in</button></form>`));
  };
  if (prompt.name !== "login") {
    return provider.interactionFinished(request, response, { consent: {} });
  }
  if (request.method !== "POST") {
    return show("");
  }
  const chunks = await request.toArray();
  const form = new URLSearchParams(Buffer.concat(chunks).toString());
  const person = people.get(form.get("username"));
  if (person?.password !== form.get("password")) {
    return show("Invalid username or password.");
  }
  return provider.interactionFinished(request, response, { login: { accountId: person.sub } });
}

rotateKeys();
const server = createServer((request, response) => {
  if (request.method === "POST" && request.url === "/test/rotate-keys") {
    rotateKeys();
    response.writeHead(204).end();
  } else if (request.url.startsWith("/interaction/")) {
    interact(request, response).catch((error) => {
      response.writeHead(error instanceof errors.SessionNotFound ? 400 : 500).end(page("We are sorry", error.message));
    });
  } else {
    answer(request, response);
  }
});
server.listen(port, "127.0.0.1");
for (const signal of ["SIGINT", "SIGTERM"]) {
  process.on(signal, () => process.exit(0));
}
