/**
 * What the token may do with a secret, asked once for each that is opened. Advice for buttons: the server decides.
 */
import { Signal, type ISignal } from '@lumino/signaling';

import { codeOf } from '../codes';
import type { Engine } from '../engine';
import type { SecretsSource } from './tree';

/** Something that a button does. */
export type Deed = Exclude<keyof Engine.Capabilities, 'list'>;

/** What a policy must grant for it: the part of the store, and the capability there. */
const NEEDS: Readonly<Record<Deed, readonly [part: string, capability: string]>> = {
  read: ['data', 'read'],
  create: ['data', 'create'],
  update: ['data', 'update'],
  delete: ['data', 'delete'],
  deleteVersions: ['delete', 'update'],
  undelete: ['undelete', 'update'],
  destroy: ['destroy', 'update'],
  readMetadata: ['metadata', 'read'],
  deleteAll: ['metadata', 'delete']
};

/** All that changes something. */
const CHANGES: readonly Deed[] = [
  'create',
  'update',
  'delete',
  'deleteVersions',
  'undelete',
  'destroy',
  'deleteAll'
];

/** What a policy would have to grant: a capability, and the path of the API for it. */
export function needOf(deed: Deed, mount: string, path: string): [string, string] {
  const [part, capability] = NEEDS[deed];
  return [capability, `${mount}/${part}/${path}`];
}

/** Whether nothing of it may be changed. */
export function isReadOnly(may: Engine.Capabilities): boolean {
  return CHANGES.every(deed => !may[deed]);
}

/** What was learned in this session. */
export class Permissions {
  constructor(private readonly _secrets: SecretsSource) {}

  /** Emitted when something was learned, or everything forgotten. */
  get changed(): ISignal<this, void> {
    return this._changed;
  }

  /** Another number whenever everything was forgotten. */
  get generation(): number {
    return this._generation;
  }

  /** What is known of a secret. Undefined where nobody knows: then everything is offered, and the server decides. */
  of(mount: string, path: string): Engine.Capabilities | undefined {
    return this._known.get(keyOf(mount, path)) ?? undefined;
  }

  /** Asks about a secret, unless that was done before. What the server does not tell, it is not asked for again. */
  async ask(mount: string, path: string): Promise<void> {
    const key = keyOf(mount, path);
    const secrets = this._secrets();
    if (!secrets || this._isRefused || this._known.has(key)) {
      return;
    }
    const known = this._known;
    known.set(key, undefined);
    try {
      known.set(key, await secrets.capabilities(mount, path));
    } catch (error) {
      known.delete(key);
      // A token without the policy `default` may not ask at all.
      this._isRefused ||= known === this._known && codeOf(error) === 'vault_permission_denied';
      return;
    }
    if (known === this._known) {
      this._changed.emit();
    }
  }

  /** Forgets everything: another token, or somebody wants to look again. */
  clear(): void {
    this._generation += 1;
    this._known = new Map();
    this._isRefused = false;
    this._changed.emit();
  }

  private readonly _changed = new Signal<this, void>(this);
  private _known = new Map<string, Engine.Capabilities | undefined>();
  private _generation = 0;
  private _isRefused = false;
}

function keyOf(mount: string, path: string): string {
  return `${mount}/${path}`;
}
