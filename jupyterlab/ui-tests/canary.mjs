// What must be nowhere, and the places to look into.

import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';

/**
 * Hears all that servers hand out to the pages of a browser and nobody else may have. `prepare` is for its context.
 *
 * By a `fetch` that listens: what the browser tells of an answer afterwards may be without the body, when it has much to do.
 */
export function ear() {
  const tokens = new Set();
  const prepare = async context => {
    await context.exposeBinding('handedOut', (_, values) =>
      values.forEach(each => tokens.add(each))
    );
    await context.addInitScript(() => {
      const { fetch } = window;
      const names = 'client_token|id_token|access_token|refresh_token|token';
      window.fetch = async (...all) => {
        const response = await fetch(...all);
        // What streams on has no end to wait for.
        if (/json/.test(response.headers.get('content-type') ?? '')) {
          const text = await response.clone().text();
          const found = text.matchAll(new RegExp(`"(?:${names})"\\s*:\\s*"([^"]{12,})"`, 'g'));
          await window.handedOut([...found].map(([, value]) => value));
        }
        return response;
      };
    });
  };
  return { tokens, prepare };
}

/** The codes in the addresses that this person's browser asked for. */
export function codesSeen(person) {
  const found = person.requests.map(({ url }) => new URL(url).searchParams);
  const codes = found.flatMap(parameters => [parameters.get('code'), parameters.get('user_code')]);
  return [...new Set(codes.filter(Boolean))];
}

/** What a browser keeps and shows of a page, as named texts. */
export async function placesOf(person) {
  const storage = await person.page.evaluate(async () => {
    const databases = (await indexedDB.databases?.())?.map(({ name }) => name) ?? [];
    const caches = (await window.caches?.keys()) ?? [];
    return JSON.stringify([
      { ...localStorage },
      { ...sessionStorage },
      document.cookie,
      databases,
      caches
    ]);
  });
  return {
    'the storage of the browser': storage,
    'the console': person.console.join('\n'),
    'the address of the page': person.page.url(),
    'the page, notifications included': await person.page.evaluate(() => document.body.innerHTML)
  };
}

/** A code that somebody saw was spent, and its nonce never left the tab. */
export async function assertOfNoUse(codes, { vault }) {
  for (const code of codes) {
    const query = new URLSearchParams({ code, state: 'x', client_nonce: 'y' });
    const answer = await fetch(`${vault.address}/v1/auth/keycloak-oidc/oidc/callback?${query}`);
    assert.notEqual(answer.status, 200);
  }
}

/** All files below a folder, as one text. Programs write there meanwhile: what is gone by now holds nothing. */
export function everything(folder) {
  const below = gone(() => fs.readdirSync(folder, { withFileTypes: true }), []);
  const texts = below.map(entry => {
    const at = path.join(folder, entry.name);
    if (entry.isDirectory()) {
      return everything(at);
    }
    return entry.isFile() ? gone(() => fs.readFileSync(at, 'latin1'), '') : '';
  });
  return texts.join('\n');
}

/** What an action gives, or something else where the file was removed in the meantime. */
function gone(action, otherwise) {
  try {
    return action();
  } catch (error) {
    if (error.code === 'ENOENT') {
      return otherwise;
    }
    throw error;
  }
}

/** Looks for values in named texts. What it found is not said, only where. */
export function assertNowhere(values, places) {
  for (const [place, text] of Object.entries(places)) {
    for (const value of values) {
      assert.ok(!text.includes(value), `${place}: something that must not be there`);
    }
  }
}
