// The one world that most scenarios share; each comes with a browser profile of its own.

import { Doubles, end, freePort, Lab } from './world.mjs';
import { Person } from './page.mjs';
import { theServers } from './servers.mjs';

let world;
const others = new Map();

/** The doubles and a Lab that is set up for them. */
export async function shared() {
  world ??= begin();
  return world;
}

async function begin() {
  const port = await freePort();
  const doubles = await Doubles.start({ lab: `http://localhost:${port}` });
  const lab = await Lab.start({ port, settings: doubles.settings() });
  return { doubles, lab };
}

/** Doubles that behave otherwise, for the shared Lab. */
export async function other(name, options) {
  const { lab } = await shared();
  if (!others.has(name)) {
    others.set(name, Doubles.start({ name, lab: lab.url, options }));
  }
  return { doubles: await others.get(name), lab };
}

export async function closeShared() {
  const { lab } = (await world?.catch(() => ({}))) ?? {};
  await lab?.stop();
  for (const each of others.values()) {
    await end((await each.catch(() => undefined))?.child);
  }
}

/** Ends the kernels of the shared Lab: one that was left in the middle of something is nobody else's trouble. */
export async function endKernels() {
  const { lab } = (await world?.catch(() => undefined)) ?? {};
  const at = path => `${lab.url}/api/${path}?token=lab-token`;
  const sessions = lab ? await fetch(at('sessions')).then(reply => reply.json()) : [];
  await Promise.all(sessions.map(({ id }) => fetch(at(`sessions/${id}`), { method: 'DELETE' })));
}

/** Who is in a browser at the moment. */
export const people = new Set();

/**
 * Does something as a person in the shared Lab, and leaves. `options.settings` are changes of what the administrator has
 * set, `null` for nothing at all.
 */
export async function as(name, action, options = {}) {
  const { doubles, lab } = await shared();
  const settings = options.settings === null ? undefined : doubles.settings(options.settings);
  return lab.with(
    settings,
    () => asAt(lab, name, person => action(person, { doubles, lab }), options),
    options.others
  );
}

export async function asAt(lab, name, action, options = {}) {
  const person = await Person.arrive(lab, { name, ...options });
  people.add(person);
  await action(person);
  people.delete(person);
  await person.leave();
}

/**
 * Comes to the shared Lab, whose secrets are in a real OpenBao this time. `role` is one to sign in with that differs from the
 * usual one: its name, and in what.
 */
export async function atServers(changes, action, { name = 'reader', role } = {}) {
  const { lab } = await shared();
  const servers = await theServers();
  const page = `${lab.url}/lab/extensions/jupyterlab-latchkey/static/callback.html`;
  await servers.welcome(lab.url, [page]);
  if (role) {
    const [called, more] = role;
    await servers.role('lab-oidc', called, { allowed_redirect_uris: [page], ...more });
  }
  await lab.with(servers.settings(changes(servers)), () =>
    asAt(lab, name, action, { store: servers.store })
  );
}
