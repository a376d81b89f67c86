/**
 * Which ways of signing in there are here, and why the others are not.
 */
import type { TranslationBundle } from '@jupyterlab/translation';

import { hubPage, isForeignServer } from '../page';
import type { ISettings } from '../settings';

/** A way of signing in, as the panel offers it. */
export type WayId = 'hub' | 'vault' | 'provider' | 'paste' | 'token';

/** One way, and what an administrator must set where it is not available. */
export interface IWay {
  readonly id: WayId;
  readonly label: string;
  /** What it is, in a sentence. */
  readonly caption: string;
  /** Why it cannot be used; undefined where it can. */
  readonly missing: string | undefined;
}

/** All ways, the most comfortable one first. */
export function ways(settings: Readonly<ISettings>, trans: TranslationBundle): IWay[] {
  const { oidcMount, jwtMount, issuer, clientId, pastedTokens } = settings;
  const needsVault = settings.vaultUrl
    ? undefined
    : trans.__('The address of Vault or OpenBao is not set (vaultUrl).');
  const needsOidc = oidcMount
    ? undefined
    : trans.__(
        'No OIDC auth method is set (oidcMount). Set the mount, and allow this redirect address in its role.'
      );
  const needsJwt = jwtMount
    ? undefined
    : trans.__('No JWT auth method is set (jwtMount). It turns an ID token into a Vault token.');
  const needsIssuer =
    issuer && clientId
      ? undefined
      : trans.__('The provider is not set (issuer and clientId of a public client).');
  return [
    {
      id: 'hub',
      label: trans.__('With my JupyterHub sign-in'),
      caption: trans.__('Uses the ID token that the hub holds for you. No window opens.'),
      missing: needsVault ?? needsHub(trans) ?? needsJwt
    },
    {
      id: 'vault',
      label: trans.__('In a window of the provider'),
      caption: trans.__('The Vault sends you to the provider, in a window of its own.'),
      missing: needsVault ?? needsOidc
    },
    {
      id: 'provider',
      label: trans.__('At the provider directly'),
      caption: trans.__(
        'This page signs you in at the provider, and takes the ID token to the Vault.'
      ),
      missing: needsVault ?? needsIssuer ?? needsJwt
    },
    {
      id: 'paste',
      label: trans.__('By pasting a code'),
      caption: trans.__('Where no window can open: sign in elsewhere, and paste the code here.'),
      missing: needsVault ?? (needsOidc && (needsIssuer ?? needsJwt) ? needsOidc : undefined)
    },
    {
      id: 'token',
      label: trans.__('With a Vault token'),
      caption: trans.__('For those who have one already. It stays in the memory of this tab.'),
      missing:
        needsVault ??
        (pastedTokens
          ? undefined
          : trans.__('An administrator has turned this off (pastedTokens).'))
    }
  ];
}

function needsHub(trans: TranslationBundle): string | undefined {
  const hub = hubPage();
  if (!hub) {
    return trans.__('This is no server of a JupyterHub.');
  }
  if (isForeignServer(hub)) {
    return trans.__("This is somebody else's server: Latchkey does not use your sign-in here.");
  }
  return undefined;
}
