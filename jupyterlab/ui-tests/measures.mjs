// What is measured, for the scenarios that only want to be sure and for the bench that wants to know.

const STORE = 'notebook-secret-kv-v2';

/** The middle one. */
export function median(values) {
  return [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)];
}

/** Milliseconds that a frame takes on this machine at this moment, when nothing is drawn. */
export function idleFrame(person) {
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

/** Bytes of JavaScript's heap and of the engine's memory, before and after as many renewals. */
export async function memoryOfRenewals(person, count) {
  const cdp = await person.context.newCDPSession(person.page);
  const latchkey = await person.latchkey();
  const renew = times =>
    latchkey.evaluate(async (it, rounds) => {
      const session = await it.session();
      for (let round = 0; round < rounds; round += 1) {
        await session.renew();
      }
    }, times);
  const look = async () => {
    await cdp.send('HeapProfiler.collectGarbage');
    const { usedSize } = await cdp.send('Runtime.getHeapUsage');
    const engine = await person.page.evaluate(() => window.engineMemory?.buffer.byteLength ?? 0);
    return { heap: usedSize, engine };
  };
  // What is made once is not counted: the browser compiles anew what is called often. A snapshot of the heap after 3 000 rounds
  // shows such code, and one record for each request (`NetworkResourcesData`) that belongs to whoever watches the page: us.
  await renew(500);
  const before = await look();
  await renew(count);
  return { before, after: await look() };
}

/** Notes the engine's memory when it is made; to be given to a page before it loads. */
export function noteEngineMemory() {
  for (const name of ['instantiate', 'instantiateStreaming']) {
    const original = WebAssembly[name];
    WebAssembly[name] = async (...args) => {
      const made = await original.apply(WebAssembly, args);
      window.engineMemory = (made.instance ?? made).exports.memory;
      return made;
    };
  }
}
