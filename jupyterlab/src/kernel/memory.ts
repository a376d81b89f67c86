/**
 * Which secrets a notebook has asked for: names and paths, never values.
 */
import type { IStateDB } from '@jupyterlab/statedb';
import type { ReadonlyPartialJSONValue } from '@lumino/coreutils';

/** One variable and where its value comes from. */
export interface IRemembered {
  readonly variable: string;
  readonly mount: string;
  readonly path: string;
  readonly field: string;
}

/** Remembers per notebook, in Lab's own state, which is kept on the server in plain text. */
export class Memory {
  constructor(private readonly _state: IStateDB | null) {}

  /** What this notebook asked for, in the order in which it did. */
  async of(notebook: string): Promise<IRemembered[]> {
    if (!this._cache.has(notebook)) {
      const stored = await this._state?.fetch(key(notebook)).catch(() => undefined);
      this._cache.set(notebook, parse(stored));
    }
    return this._cache.get(notebook) ?? [];
  }

  /** Adds variables; one that is there already gets its new source. */
  async add(notebook: string, added: readonly IRemembered[]): Promise<void> {
    const names = new Set(added.map(({ variable }) => variable));
    const kept = (await this.of(notebook)).filter(({ variable }) => !names.has(variable));
    await this._store(notebook, [...kept, ...added]);
  }

  /** Forgets what a notebook asked for. */
  async forget(notebook: string): Promise<void> {
    await this._store(notebook, []);
  }

  private async _store(notebook: string, list: IRemembered[]): Promise<void> {
    this._cache.set(notebook, list);
    if (list.length === 0) {
      await this._state?.remove(key(notebook));
    } else {
      const value = list.map(({ variable, mount, path, field }) => ({
        variable,
        mount,
        path,
        field
      }));
      await this._state?.save(key(notebook), value);
    }
  }

  private readonly _cache = new Map<string, IRemembered[]>();
}

const key = (notebook: string) => `jupyterlab-latchkey:remembered:${notebook}`;

function parse(stored: ReadonlyPartialJSONValue | undefined): IRemembered[] {
  if (!Array.isArray(stored)) {
    return [];
  }
  const isText = (value: unknown): value is string => typeof value === 'string';
  return (stored as unknown as Partial<IRemembered>[]).filter(
    (item): item is IRemembered =>
      isText(item?.variable) && isText(item.mount) && isText(item.path) && isText(item.field)
  );
}
