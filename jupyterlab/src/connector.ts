/**
 * Vault as the store of `jupyter-secrets-manager`: what extensions keep there are secrets in one folder.
 */
import type { ISecret, ISecretsConnector } from 'jupyter-secrets-manager';

import type { Engine } from './engine';
import type { ILatchkey } from './tokens';

/** The store and the folder below it. */
export interface IConnectorPlace {
  readonly mount: string;
  readonly folder: string;
}

export class VaultConnector implements ISecretsConnector {
  constructor(
    private readonly _latchkey: ILatchkey,
    private readonly _place: IConnectorPlace
  ) {}

  async fetch(id: string): Promise<ISecret | undefined> {
    const read = await (await this._secrets()).read(this._place.mount, this._path(id));
    if (read.outcome !== 'found') {
      return undefined;
    }
    try {
      const { secret } = read;
      return {
        namespace: secret.value('namespace'),
        id: secret.value('id'),
        value: secret.value('value')
      };
    } finally {
      read.secret.free();
    }
  }

  async save(id: string, secret: ISecret): Promise<void> {
    const secrets = await this._secrets();
    const { namespace, value } = secret;
    await secrets.write(
      this._place.mount,
      this._path(id),
      { namespace, id: secret.id, value },
      'none'
    );
  }

  async remove(id: string): Promise<void> {
    // It can be undeleted: an extension that removes a key may be wrong.
    await (await this._secrets()).delete(this._place.mount, this._path(id));
  }

  async list(namespace: string): Promise<{ ids: string[]; values: ISecret[] }> {
    const secrets = await this._secrets();
    const listing = await secrets.list(this._place.mount, `${this._place.folder}/`);
    const names = listing.outcome === 'listed' ? listing.names : [];
    const ids = names.filter(name => !name.endsWith('/')).map(nameToId);
    const own = ids.filter(id => id.startsWith(`${namespace}:`));
    const found = await Promise.all(own.map(async id => ({ id, secret: await this.fetch(id) })));
    const kept = found.filter(
      (each): each is { id: string; secret: ISecret } => each.secret?.namespace === namespace
    );
    return { ids: kept.map(({ id }) => id), values: kept.map(({ secret }) => secret) };
  }

  private async _secrets(): Promise<Engine.Secrets> {
    return (await this._latchkey.session()).secrets;
  }

  private _path(id: string): string {
    return `${this._place.folder}/${idToName(id)}`;
  }
}

/** One path segment for any text: what is not a plain letter is written in hex, so that nothing is a step up. */
export function idToName(id: string): string {
  const hex = (character: string) =>
    [...new TextEncoder().encode(character)]
      .map(byte => '=' + byte.toString(16).padStart(2, '0'))
      .join('');
  return id.replace(/[^A-Za-z0-9_-]/gu, hex);
}

/** The text of a segment; the segment itself where somebody else has made it. */
export function nameToId(name: string): string {
  try {
    return decodeURIComponent(name.replace(/=([0-9a-f]{2})/g, '%$1'));
  } catch {
    return name;
  }
}
