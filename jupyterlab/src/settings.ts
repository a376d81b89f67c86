/**
 * What administrators and people may set. Addresses and names only: there is no secret among them.
 */
import type { ISettingRegistry } from '@jupyterlab/settingregistry';
import { Signal, type ISignal } from '@lumino/signaling';

/** The plugin whose settings these are; also the name of the schema. */
export const PLUGIN_ID = 'jupyterlab-latchkey:plugin';

/** Everything that can be set, as the schema has it. */
export interface ISettings {
  vaultUrl: string;
  namespace: string;
  oidcMount: string;
  oidcRole: string;
  jwtMount: string;
  jwtRole: string;
  issuer: string;
  clientId: string;
  scopes: string[];
  algorithms: string[];
  redirectUri: string;
  hubIdTokenUrl: string;
  signInSilently: boolean;
  pastedTokens: boolean;
  mounts: string[];
  folders: string[];
  kernelTokenVariables: string[];
  clipboardSeconds: number;
  revealSeconds: number;
  showStatus: boolean;
  allowPlainHttp: boolean;
}

/** What holds where nothing was set, or where the settings cannot be loaded. */
export const DEFAULTS: Readonly<ISettings> = {
  vaultUrl: '',
  namespace: '',
  oidcMount: '',
  oidcRole: '',
  jwtMount: '',
  jwtRole: '',
  issuer: '',
  clientId: '',
  scopes: [],
  algorithms: [],
  redirectUri: '',
  hubIdTokenUrl: '',
  signInSilently: true,
  pastedTokens: true,
  mounts: [],
  folders: [],
  kernelTokenVariables: ['VAULT_TOKEN'],
  clipboardSeconds: 30,
  revealSeconds: 30,
  showStatus: true,
  allowPlainHttp: false
};

/** The settings as they are now. Under a strict Content-Security-Policy Lab has none, and the defaults hold. */
export class Settings {
  private _values: ISettings = { ...DEFAULTS };
  private readonly _changed = new Signal<this, void>(this);

  get values(): Readonly<ISettings> {
    return this._values;
  }

  get changed(): ISignal<this, void> {
    return this._changed;
  }

  /** Loads them, and follows them from then on. */
  async follow(registry: ISettingRegistry): Promise<void> {
    const settings = await registry.load(PLUGIN_ID);
    const take = () => {
      const composite = settings.composite as Partial<ISettings>;
      this._values = { ...DEFAULTS, ...composite };
      this._changed.emit();
    };
    // Both live as long as the application.

    settings.changed.connect(take);
    take();
  }
}
