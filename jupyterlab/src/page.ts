/**
 * What the page knows of where it runs: a single Lab, or a server of a JupyterHub.
 */
import { PageConfig, URLExt } from '@jupyterlab/coreutils';

import type { Engine } from './engine';
import type { ISettings } from './settings';

/** Our folder among those of the extensions, as Lab serves it. */
const FOLDER = 'jupyterlab-latchkey';

/** The page that the provider sends people back to, in it. */
const CALLBACK = `${FOLDER}/static/callback.html`;

/** The JupyterHub of this page. */
export interface IHubPage {
  user: string;
  serverUser: string;
  serverName: string;
  apiUrl: string;
  token: string;
}

/** The hub that this server belongs to, if it does. */
export function hubPage(): IHubPage | undefined {
  const prefix = PageConfig.getOption('hubPrefix');
  const user = PageConfig.getOption('hubUser');
  if (!prefix || !user) {
    return undefined;
  }
  const host = PageConfig.getOption('hubHost') || location.origin;
  return {
    user,
    serverUser: PageConfig.getOption('hubServerUser'),
    serverName: PageConfig.getOption('hubServerName'),
    apiUrl: new URL(URLExt.join(prefix, 'api/'), host).href,
    token: PageConfig.getToken()
  };
}

/** Whether this is somebody else's server: then nothing is done without a click, and nothing goes into a kernel. */
export function isForeignServer(hub: IHubPage | undefined = hubPage()): boolean {
  return hub !== undefined && hub.serverUser !== '' && hub.serverUser !== hub.user;
}

/** The hub as the engine wants it. */
export function hubFor(settings: Readonly<ISettings>): Engine.Hub | undefined {
  const hub = hubPage();
  if (!hub) {
    return undefined;
  }
  const { user, serverUser, apiUrl, token } = hub;
  const url = settings.hubIdTokenUrl;
  return {
    user,
    serverUser: serverUser || undefined,
    apiUrl,
    token,
    ...(url ? { idTokenUrl: new URL(url, apiUrl).href } : {})
  };
}

/**
 * Where the provider sends the person back to.
 *
 * What is set holds. Otherwise it is our own page: under a hub by the address that is the same for everybody, since Vault
 * compares letter by letter.
 */
export function redirectUri(settings: Readonly<ISettings>): string {
  if (settings.redirectUri) {
    return new URL(settings.redirectUri, location.origin).href;
  }
  const hub = PageConfig.getOption('hubPrefix');
  const host = PageConfig.getOption('hubHost') || location.origin;
  if (hub) {
    const path = URLExt.join(hub, 'user-redirect/lab/extensions', CALLBACK);
    return new URL(path, host).href;
  }
  return new URL(URLExt.join(extensionsPath(), CALLBACK), location.origin).href;
}

function extensionsPath(): string {
  return PageConfig.getOption('fullLabextensionsUrl') || '/lab/extensions';
}

/** The version of this extension that the server has now, which may be another one than that of this page. */
export async function installedVersion(): Promise<string | undefined> {
  try {
    const url = new URL(URLExt.join(extensionsPath(), FOLDER, 'package.json'), location.origin);
    const response = await fetch(url, { cache: 'no-store' });
    const { version } = (await response.json()) as { version?: unknown };
    return typeof version === 'string' ? version : undefined;
  } catch {
    return undefined;
  }
}

/** The address of the Vault; one that begins with a slash is behind the same proxy as the page. */
export function vaultUrl(settings: Readonly<ISettings>): string {
  return new URL(settings.vaultUrl, location.origin).href.replace(/\/+$/, '');
}
