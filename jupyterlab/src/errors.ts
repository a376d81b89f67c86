/**
 * What an error means to the person, and what they or their administrator can do.
 */
import type { TranslationBundle } from '@jupyterlab/translation';

import { codeOf } from './codes';
import type { Engine, EngineError } from './engine';
import { forbiddenOrigins } from './policy';

/** A sentence for an error. It never holds a token, a code or a value: the engine's errors have none. */
export function describe(error: unknown, trans: TranslationBundle): string {
  const known = sentences(trans)[codeOf(error) as Code];
  const ours = error as Partial<Engine.LatchkeyError> | null | undefined;
  if (codeOf(error) === 'hub_scope_missing') {
    return trans.__(
      'The hub does not let this tab read your ID token. An administrator must grant: %1',
      (ours?.missing ?? []).join(', ')
    );
  }
  const forbidden = forbiddenOrigins('connect-src');
  if (NO_ANSWER.includes(codeOf(error)) && forbidden.length > 0) {
    return trans.__(
      "The page's Content-Security-Policy forbids the request. An administrator must add to connect-src: %1",
      forbidden.join(' ')
    );
  }
  const said = (ours?.serverMessages ?? []).join('; ');
  const text = known ?? ours?.message ?? String(error);
  return said && !text.includes(said) ? `${text} (${said})` : text;
}

/** Whether the person must sign in again. */
export function needsSignIn(error: unknown): boolean {
  return ['engine_not_signed_in', 'vault_token_invalid'].includes(codeOf(error));
}

/** What a browser says that let a request go nowhere. */
const NO_ANSWER = ['transport_lost', 'transport_unreachable'];

type Code = Engine.ErrorCode | EngineError['code'];

function sentences(trans: TranslationBundle): Partial<Record<Code, string>> {
  // A browser does not say which of them it was.
  const noAnswer = trans.__(
    'There was no answer. Either the server cannot be reached, or it does not let this page in (CORS): the check of the set-up tells which.'
  );
  return {
    engine_blocked: trans.__(
      "The page's Content-Security-Policy forbids WebAssembly. An administrator must add 'wasm-unsafe-eval' to script-src."
    ),
    engine_unavailable: trans.__(
      'The engine of Latchkey could not be loaded from this server. Load the page again.'
    ),
    page_outdated: trans.__(
      'Latchkey was updated on this server, and this page is still of the version before. Load the page again.'
    ),
    engine_not_signed_in: trans.__('You are not signed in.'),
    engine_cancelled: trans.__('Cancelled.'),
    hub_auth_state_off: trans.__(
      'The hub keeps no auth state. An administrator must set enable_auth_state and JUPYTERHUB_CRYPT_KEY.'
    ),
    hub_id_token_missing: trans.__(
      'The hub holds no ID token for you. Sign out of the hub and in again.'
    ),
    hub_id_token_expired: trans.__(
      'The ID token that the hub holds has expired. Sign in at the hub again.'
    ),
    hub_unauthorized: trans.__('The hub does not know this tab any more. Load the page again.'),
    hub_other_user: trans.__(
      "This is somebody else's server: Latchkey does not use your sign-in here."
    ),
    vault_no_auth_url: trans.__(
      'The Vault began no sign-in: its role must allow this redirect address, letter by letter.'
    ),
    vault_login_refused: trans.__('The Vault did not take the sign-in.'),
    vault_state_mismatch: trans.__('That belongs to another sign-in. Begin anew.'),
    vault_cas_mismatch: trans.__('Somebody else has saved a newer version in the meantime.'),
    vault_token_invalid: trans.__('Your token has ended. Sign in again.'),
    vault_permission_denied: trans.__('You may not do this here.'),
    transport_lost: noAnswer,
    transport_unreachable: noAnswer,
    transport_timed_out: trans.__('The server took too long to answer.'),
    oidc_login_required: trans.__('The provider wants to see you again.'),
    oidc_access_denied: trans.__('The provider refused, or you pressed Cancel there.'),
    oidc_refused: trans.__('The provider refused the sign-in.'),
    oidc_login_expired: trans.__('That took too long. Begin anew.'),
    oidc_pasted_empty: trans.__('There is nothing to paste yet.'),
    oidc_pasted_no_code: trans.__('There is no code in what you pasted.'),
    oidc_pasted_not_understood: trans.__('What you pasted is no code, and no address with one.'),
    oidc_pasted_sign_in_address: trans.__(
      'That is the address of the sign-in page. Paste what you see after signing in.'
    )
  };
}
