// What people do with npm's `openid-client`, on a provider that is named in the environment. One line of JSON tells what
// came of it; anything unexpected ends the program with a stack trace.
//
// ISSUER, CLIENT_ID, CLIENT_SECRET, REDIRECT_URI, SIGN_IN_NAME, SIGN_IN_PASSWORD

import * as client from "openid-client";

const { ISSUER, CLIENT_ID, CLIENT_SECRET, REDIRECT_URI, SIGN_IN_NAME, SIGN_IN_PASSWORD } = process.env;

// A browser without a screen: cookies, redirects, and the one form with a password.
class Browser {
  #cookies = new Map();

  async comeBack(address) {
    let request = new Request(address);
    for (let hop = 0; hop < 20; hop += 1) {
      request.headers.set("cookie", [...this.#cookies].map(([name, value]) => `${name}=${value}`).join("; "));
      const reply = await fetch(request, { redirect: "manual" });
      for (const cookie of reply.headers.getSetCookie()) {
        const [, name, value] = /^([^=]+)=([^;]*)/.exec(cookie);
        this.#cookies.set(name, value);
      }
      const location = reply.headers.get("location");
      if (location) {
        const next = new URL(location, request.url);
        if (next.href.startsWith(REDIRECT_URI)) {
          return next;
        }
        request = new Request(next);
        continue;
      }
      const html = await reply.text();
      const action = /<form[^>]*action="([^"]*)"/i.exec(html)?.[1]?.replaceAll("&amp;", "&");
      if (!/type="password"/i.test(html) || !action) {
        throw new Error(`a page that leads nowhere (${reply.status}): ${html.slice(0, 300)}`);
      }
      const body = new URLSearchParams({ username: SIGN_IN_NAME, password: SIGN_IN_PASSWORD });
      request = new Request(new URL(action, request.url), { method: "POST", body });
    }
    throw new Error("too many redirects");
  }
}

const config = await client.discovery(new URL(ISSUER), CLIENT_ID, undefined, client.ClientSecretBasic(CLIENT_SECRET), {
  execute: [client.allowInsecureRequests, client.enableNonRepudiationChecks],
});

async function login(pushed) {
  const pkceCodeVerifier = client.randomPKCECodeVerifier();
  const expected = { expectedState: client.randomState(), expectedNonce: client.randomNonce(), pkceCodeVerifier };
  const parameters = {
    redirect_uri: REDIRECT_URI,
    scope: "openid email profile",
    state: expected.expectedState,
    nonce: expected.expectedNonce,
    code_challenge: await client.calculatePKCECodeChallenge(pkceCodeVerifier),
    code_challenge_method: "S256",
  };
  const address = pushed
    ? await client.buildAuthorizationUrlWithPAR(config, parameters)
    : client.buildAuthorizationUrl(config, parameters);
  const back = await new Browser().comeBack(address);
  return client.authorizationCodeGrant(config, back, { ...expected, idTokenExpected: true });
}

const told = { pushed: [] };
for (const pushed of [false, true]) {
  const tokens = await login(pushed);
  const claims = tokens.claims();
  const info = await client.fetchUserInfo(config, tokens.access_token, claims.sub);
  const refreshed = await client.refreshTokenGrant(config, tokens.refresh_token);
  const introspected = await client.tokenIntrospection(config, refreshed.refresh_token, { token_type_hint: "refresh_token" });
  await client.tokenRevocation(config, refreshed.refresh_token, { token_type_hint: "refresh_token" });
  const dead = await client.refreshTokenGrant(config, refreshed.refresh_token).catch((error) => error.error);
  told.pushed.push(pushed);
  Object.assign(told, {
    username: info.preferred_username,
    same: refreshed.claims().sub === claims.sub,
    active: introspected.active,
    dead,
    logout: client.buildEndSessionUrl(config, { id_token_hint: tokens.id_token }).pathname.endsWith("/logout"),
  });
}
const device = await client.initiateDeviceAuthorization(config, { scope: "openid" }).catch((error) => ({ error: error.error }));
told.device = device.error ?? typeof device.user_code;
console.log(JSON.stringify(told));
