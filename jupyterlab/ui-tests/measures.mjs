// What is measured, for the scenarios that only want to be sure and for the bench that wants to know.

import { QuietPage } from './quiet.mjs';
import { until } from './world.mjs';

const STORE = 'notebook-secret-kv-v2';

/** The middle one. */
export function median(values) {
  return [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)];
}

/** Milliseconds that a frame takes on this machine at this moment, when nothing is drawn. */
function idleFrame(person) {
  return person.page.evaluate(async () => {
    const times = [];
    for (let frame = 0; frame < 60; frame += 1) {
      const begun = performance.now();
      await new Promise(resolve => requestAnimationFrame(resolve));
      times.push(performance.now() - begun);
    }
    return times.sort((a, b) => a - b)[30];
  });
}

/** Milliseconds from the first click on the tab to a button that can be pressed, in as many fresh pages. */
export async function timesToUse(person, rounds) {
  const times = [];
  for (let round = 0; round < rounds; round += 1) {
    if (round > 0 || (await person.panel.isVisible())) {
      await person.open();
    }
    times.push(
      await person.page.evaluate(async () => {
        const tab = document.querySelector('li.lm-TabBar-tab[data-id="jupyterlab-latchkey-panel"]');
        const { left, top } = tab.getBoundingClientRect();
        const begun = performance.now();
        const options = { bubbles: true, button: 0, clientX: left + 5, clientY: top + 5 };
        for (const name of ['pointerdown', 'mousedown', 'pointerup', 'mouseup', 'click']) {
          tab.dispatchEvent(new PointerEvent(name, options));
        }
        for (;;) {
          const button = document.querySelector('.lk-signin [data-way="vault"]');
          if (button && button.getBoundingClientRect().height > 0) {
            return performance.now() - begun;
          }
          await new Promise(resolve => requestAnimationFrame(resolve));
        }
      })
    );
  }
  return times;
}

/** Makes ten thousand secrets in `many/big`, and a role that sees them. Returns the settings for it. */
export async function tenThousand(doubles) {
  await doubles.call('POST', 'sys/mounts/many', { type: 'kv', options: { version: '2' } });
  await doubles.call('PUT', 'sys/policies/acl/many', {
    policy: 'path "many/*" { capabilities = ["read", "list"] }'
  });
  const all = Array.from({ length: 10_000 }, (_, index) => `s${String(index).padStart(5, '0')}`);
  for (let at = 0; at < all.length; at += 200) {
    const part = all.slice(at, at + 200);
    await Promise.all(
      part.map(name => doubles.call('POST', `many/data/big/${name}`, { data: { v: '1' } }))
    );
  }
  const role = await doubles.role('many', { token_policies: ['many', 'management'] });
  return { ...role, mounts: [STORE, 'many'] };
}

/** Scrolls through them, ten rows a frame, and says what the frames cost. */
export async function scrollThrough(person) {
  await person.panel.locator('.lk-tree').evaluate(box => (box.scrollTop = 0));
  await person.openRow('many', 'big');
  await person.row('s00000').waitFor();
  const idle = await idleFrame(person);
  const frames = await person.page.evaluate(async () => {
    const box = document.querySelector('.lk-tree');
    const gaps = [];
    let rows = 0;
    let last = performance.now();
    for (let frame = 0; frame < 120; frame += 1) {
      // Ten rows a frame: as fast as a wheel goes.
      box.scrollTop += 240;
      await new Promise(resolve => requestAnimationFrame(resolve));
      const now = performance.now();
      gaps.push(now - last);
      last = now;
      rows = Math.max(rows, box.querySelectorAll('.lk-row').length);
    }
    gaps.sort((a, b) => a - b);
    return {
      rows,
      height: box.scrollHeight,
      median: gaps[60],
      worst: gaps[119],
      late: gaps.filter(gap => gap > 34).length
    };
  });
  return { ...frames, idle };
}

/** Bytes of JavaScript's heap and of the engine's memory, before and after as many renewals in a page that nobody watches. */
export async function memoryOfRenewals(lab, token, count) {
  const page = await QuietPage.open(`${lab.url}/lab/workspaces/quiet?token=lab-token`);
  await until('Lab to be there', () => page.run(() => !!window.jupyterapp?.isPluginActivated));
  await page.run(noteEngineMemory);
  await page.run(signInAlone, token);
  const renew = times =>
    page.run(async rounds => {
      for (let round = 0; round < rounds; round += 1) {
        await window.session.renew();
      }
    }, times);
  const look = async () => ({
    heap: await page.heap(),
    engine: await page.run(() => window.engineMemory.buffer.byteLength)
  });
  // What is made once is not counted: the browser compiles anew what is called often.
  await renew(1500);
  const before = await look();
  await renew(count);
  const after = await look();
  await page.close();
  return { before, after };
}

/** Signs in without the panel; runs in a page. */
async function signInAlone(token) {
  const { jupyterapp: app } = window;
  await app.restored;
  await app.activatePlugin('jupyterlab-latchkey:plugin');
  // Tokens of plugins are compared by identity: ours is found among those that are registered.
  const services = Object.values(app.pluginRegistry).find(
    value => value instanceof Map && [...value.keys()].some(key => key?.name)
  );
  const name = 'jupyterlab-latchkey:ILatchkey';
  const latchkey = await app.resolveRequiredService(
    [...services.keys()].find(key => key.name === name)
  );
  window.session = await latchkey.open();
  await window.session.signInWithToken(token);
}

/** Notes the engine's memory when it is made; runs in a page that has no engine yet. */
function noteEngineMemory() {
  for (const name of ['instantiate', 'instantiateStreaming']) {
    const original = WebAssembly[name];
    WebAssembly[name] = async (...args) => {
      const made = await original.apply(WebAssembly, args);
      window.engineMemory = (made.instance ?? made).exports.memory;
      return made;
    };
  }
}
