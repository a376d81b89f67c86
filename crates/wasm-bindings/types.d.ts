/**
 * Latchkey in the browser: sign in, read and write secrets, keep the token alive.
 *
 * The engine is WebAssembly. It has no window, no pop-up and no storage: it gives addresses to open and takes what came
 * back, and its tokens never leave its memory. Everything a person sees is the page's.
 *
 * ```ts
 * import { init, Session } from 'latchkey-wasm';
 *
 * await init();
 * const session = new Session({ vault: 'https://vault.example.org' });
 * const window_ = open('about:blank');                        // at once, in the click
 * const pending = await session.beginVault({ mount: 'oidc', redirectUri });
 * window_.location = pending.url;
 * await pending.finish(await callbackOf(pending.state));      // the page's BroadcastChannel
 * const read = await session.secrets.read('secret', 'team/app');
 * if (read.outcome === 'found') use(read.secret.value('password'));
 * ```
 *
 * Times are milliseconds since 1970, as `Date.now()` has them, and texts of the server (RFC 3339) where they are only
 * shown. Every promise is rejected with a {@link LatchkeyError} and nothing else.
 */

// ---------------------------------------------------------------------------------------------------- the engine

/**
 * Loads the engine; needed once before anything else, and harmless to repeat. Without an argument the `.wasm` beside this
 * module is fetched, in Node it is read from disk.
 *
 * Fails with `engine_blocked` where a Content-Security-Policy forbids WebAssembly (`script-src` needs
 * `'wasm-unsafe-eval'`), and `engine_unavailable` where the file cannot be loaded.
 */
export function init(source?: EngineSource): Promise<void>;

/** Where the `.wasm` comes from, if not from beside this module. */
export type EngineSource = string | URL | Request | Response | BufferSource | WebAssembly.Module;

/** The version of the engine, `0.1.0`. */
export function version(): string;

// ---------------------------------------------------------------------------------------------------- the session

/** Where a session belongs to. */
export interface SessionOptions {
  /** The address of the Vault or OpenBao; it may have a path (`https://hub.example.org/vault`). */
  vault: string;
  /** The namespace, `team/a`. It is sent as a part of the path, since CORS lets no header through. */
  namespace?: string;
  /** How long one call may take, in milliseconds; 30 000 unless it is said. */
  timeLimit?: number;
  /** What gives up a protection. */
  danger?: {
    /** Allows plain `http` to hosts other than `localhost`, `127.0.0.0/8` and `[::1]`. */
    plainHttp?: boolean;
  };
}

/** A role at an auth mount of the Vault. */
export interface LoginTarget {
  /** The mount of the auth method, `keycloak-jwt`. */
  mount: string;
  /** The role; the mount's default where it is left out. */
  role?: string;
}

/** How somebody signed in. */
export type Way =
  /** With the ID token that the hub holds. */
  | 'hub'
  /** In a window at the provider, driven by the Vault: {@link Session.beginVault}. */
  | 'vault'
  /** In a window at the provider, driven from here: {@link Session.beginProvider}. */
  | 'provider'
  /** With an ID token that the page had: {@link Session.signInWithJwt}. */
  | 'jwt'
  /** With a Vault token that the page had: {@link Session.signInWithToken}. */
  | 'token';

/** Who is signed in. Holds no token. */
export interface Identity {
  readonly way: Way;
  /** The name to show: that of the login, or what the Vault calls the token. May be empty. */
  readonly name: string;
  /** Names the token without being it; may be logged. Empty for batch tokens. */
  readonly accessor: string;
  /** The entity in the Vault; empty where there is none. */
  readonly entityId: string;
  /** Everything that the token may. */
  readonly policies: readonly string[];
  /** What the auth method noted: role, and the claims that it maps. About a person: not for logs. */
  readonly metadata: Readonly<Record<string, string>>;
  /** When the token ends; absent for one that does not. */
  readonly expiresAt?: number;
  /** Whether the Vault may prolong it. */
  readonly renewable: boolean;
}

/** One person at one Vault. Its token is in the engine's memory only. */
export class Session {
  /** Fails (by throwing) with `engine_invalid_argument` or `vault_invalid_path`. Nothing is sent. */
  constructor(options: SessionOptions);

  /** Who is signed in; `undefined` before the first sign-in, after {@link signOut}, and once the token has expired. */
  readonly identity: Identity | undefined;

  /** Milliseconds that the token has left by this machine's clock; `undefined` without a token or without an end. */
  readonly timeLeft: number | undefined;

  /** The secrets that this session may see. */
  readonly secrets: Secrets;

  /**
   * Calls back whenever {@link identity} has changed: signed in, prolonged, signed out, expired when somebody looked.
   * Returns what ends it.
   */
  onChange(listener: (identity: Identity | undefined) => void): () => void;

  /**
   * Signs in with the ID token that JupyterHub holds for the person: no window, no click.
   *
   * Fails with the `hub_…` codes, of which `hub_scope_missing` names the scopes in {@link LatchkeyError.missing}, and with
   * `vault_login_refused`.
   */
  signInWithHub(hub: Hub, target: LoginTarget): Promise<Identity>;

  /**
   * Begins a sign-in at the provider that the Vault drives (auth method OIDC). Open {@link PendingSignIn.url}, and give what
   * came back to {@link PendingSignIn.finish}. With a role whose `callback_mode` is `direct` or `device` (OpenBao) nothing comes
   * back: {@link PendingSignIn.poll} instead.
   *
   * Fails with `vault_no_auth_url` where the role does not allow the redirect address; the Vault does not say why.
   */
  beginVault(begin: BeginVault): Promise<PendingSignIn>;

  /**
   * Begins a sign-in at the provider that is driven from here (authorization code with PKCE), whose ID token is checked and
   * then given to the Vault's JWT auth method. The provider must allow this page's origin (Keycloak: Web origins).
   */
  beginProvider(begin: BeginProvider): Promise<PendingSignIn>;

  /** Signs in with an ID token that the page has already. */
  signInWithJwt(jwt: string, target: LoginTarget): Promise<Identity>;

  /** Takes over a Vault token that was pasted or that the server was given (`NOTEBOOK_VAULT_TOKEN`), after looking it up. */
  signInWithToken(token: string): Promise<Identity>;

  /** Prolongs the token now. Fails with `vault_not_renewable` or `vault_token_invalid`. */
  renew(): Promise<Identity>;

  /** Forgets the token; with `revoke`, the Vault forgets it first. The token is forgotten even if that fails. */
  signOut(options?: { revoke?: boolean }): Promise<void>;

  /**
   * Makes a child of the token, with the same policies or fewer, that a program can fetch once: for `VAULT_TOKEN` in a
   * kernel. What is handed out is good for one `sys/wrapping/unwrap` within its time, and shows if somebody else was
   * quicker.
   */
  wrapChildToken(options?: ChildTokenOptions): Promise<WrappedToken>;

  /** Gives the memory back; {@link signOut} forgets the token. */
  free(): void;
}

// ---------------------------------------------------------------------------------------------------- signing in

/** A JupyterHub as the page knows it. */
export interface Hub {
  /** The hub's API: `new URL(PageConfig.hubPrefix + 'api/', location.href).href`. */
  apiUrl: string;
  /** The person: `PageConfig.hubUser`. */
  user: string;
  /**
   * Whose server this is: `PageConfig.hubServerUser`. Where it is somebody else's, the sign-in is refused with `hub_other_user` before
   * anything is sent.
   */
  serverUser?: string;
  /** The tab's token: `PageConfig.token`. */
  token: string;
  /**
   * The address of the optional handler that gives `{id_token, exp}` alone; without it the whole of `auth_state` is read from
   * `users/<user>`, which needs the scope `admin:auth_state!user`.
   */
  idTokenUrl?: string;
}

/** What {@link Session.beginVault} needs. */
export interface BeginVault extends LoginTarget {
  /** Letter by letter one of the role's `allowed_redirect_uris`; `urn:ietf:wg:oauth:2.0:oob` for pasting. */
  redirectUri: string;
  /** Asks the provider not to show anything (`prompt=none`): for a hidden iframe. */
  silent?: boolean;
}

/** What {@link Session.beginProvider} needs. */
export interface BeginProvider extends LoginTarget {
  /** The issuer, letter by letter as its metadata name it. */
  issuer: string;
  /** The id of a public client. */
  clientId: string;
  /** One of the client's redirect addresses; `urn:ietf:wg:oauth:2.0:oob` for pasting. */
  redirectUri: string;
  /** Scopes beside `openid`. */
  scopes?: readonly string[];
  /** By which the provider signs ID tokens for this client (`ES256`, …): as it was registered. `RS256` where this is absent. */
  algorithms?: readonly string[];
  /** Asks the provider not to show anything (`prompt=none`): for a hidden iframe. */
  silent?: boolean;
}

/** A sign-in that has begun. It is good for one end: after {@link finish} or {@link paste} begin anew. */
export class PendingSignIn {
  private constructor();

  /** The address to open, for the person alone. */
  readonly url: string;
  /** What the callback will carry: the name of the page's channel. Any other state is refused. */
  readonly state: string;
  /** When it is too late: servers forget a sign-in after ten minutes. */
  readonly expiresAt: number;
  /** Whether nothing comes back to the page and {@link poll} is to be called. */
  readonly polls: boolean;
  /** What the person types at {@link url}, in OpenBao's mode `device`. */
  readonly userCode: string | undefined;

  /**
   * Finishes with the parameters of the callback: the query without its `?`, or its members. Checked are state, issuer and
   * refusal, in that order, before the code is used.
   *
   * Fails with `oidc_callback_state_mismatch` for what belongs to another sign-in, upon which the pending one is still good;
   * and with what the provider said, such as `oidc_access_denied`, or after `silent` with `oidc_login_required` and
   * `oidc_interaction_required`.
   */
  finish(callback: string | CallbackMembers): Promise<Identity>;

  /** Finishes with what a person copied: the code, the whole address, or `code#state`. */
  paste(text: string): Promise<Identity>;

  /** Asks until the person is done, at the pace that the Vault sets. Fails with `engine_cancelled` after {@link cancel}. */
  poll(): Promise<Identity>;

  /** Ends it. What comes back later is refused. */
  cancel(): void;

  free(): void;
}

/** The parameters of a callback, as a page finds them in its address. */
export interface CallbackMembers {
  code?: string;
  state?: string;
  iss?: string;
  error?: string;
  error_description?: string;
}

/** What a child token is to be. */
export interface ChildTokenOptions {
  /** Seconds that the child lives; what the parent has left, at the most. */
  ttl?: number;
  /** Seconds in which it must be fetched; 120 unless it is said. */
  wrapTtl?: number;
  /** Fewer policies than the parent has. */
  policies?: readonly string[];
}

/** A token that fetches a token, once. */
export interface WrappedToken {
  /** The wrapping token. A secret, but a short-lived one. */
  readonly token: string;
  /** The accessor of the child: for revoking it later. */
  readonly childAccessor: string | undefined;
  /** When it can no longer be fetched. */
  readonly expiresAt: number;
}

// ---------------------------------------------------------------------------------------------------- secrets

/** Secrets in versioned stores (KV v2). A mount is named without slashes around it: `secret`, `team/kv`. */
export class Secrets {
  private constructor();

  /** The versioned stores that the token may see anything of, by their paths. */
  mounts(): Promise<Mount[]>;

  /** The names below a path, an empty one for the whole mount. */
  list(mount: string, path: string): Promise<Listing>;

  /** Reads a secret: the newest version, or that one. */
  read(mount: string, path: string, version?: number): Promise<Read>;

  /** What the store knows of a secret and its versions; never its values. */
  metadata(mount: string, path: string): Promise<MetadataRead>;

  /**
   * What the token may do with a secret and its versions. Fails with `vault_permission_denied` where it may not ask: one
   * without the policy `default`.
   */
  capabilities(mount: string, path: string): Promise<Capabilities>;

  /**
   * Writes a whole new version. `cas` is the version that it replaces, `'create'` where there must be none yet, and
   * `'none'` for whatever is there.
   *
   * Fails with `vault_cas_mismatch` where somebody else wrote in between.
   */
  write(mount: string, path: string, fields: Fields, cas: number | 'create' | 'none'): Promise<Version>;

  /**
   * Writes a new version in which some fields differ from `base`; `null` removes one. The others stay exactly as the server
   * sent them. `base` is also the check-and-set: fails with `vault_cas_mismatch` where it is not the newest any more.
   */
  change(base: SecretVersion, changes: Readonly<Record<string, FieldInput | null>>): Promise<Version>;

  /** Deletes the newest version, or these; they can be undeleted. */
  delete(mount: string, path: string, versions?: readonly number[]): Promise<void>;

  /** Brings deleted versions back. One that was destroyed stays so, without an error. */
  undelete(mount: string, path: string, versions: readonly number[]): Promise<void>;

  /** Removes the values of versions for good. */
  destroy(mount: string, path: string, versions: readonly number[]): Promise<void>;

  /** Removes the secret with all its versions and notes for good. */
  deleteAll(mount: string, path: string): Promise<void>;

  /** Replaces the notes on a secret (`custom_metadata`). Notes are no secrets. */
  writeNotes(mount: string, path: string, notes: Readonly<Record<string, string>>): Promise<void>;

  free(): void;
}

/** A versioned store. */
export interface Mount {
  /** Its path without slashes around it. */
  readonly path: string;
  readonly description: string;
}

/** What a list found. */
export type Listing =
  /** Names that end in `/` have more below them; a name may stand twice, once with and once without. */
  | { readonly outcome: 'listed'; readonly names: readonly string[] }
  /** There is nothing, or no such store. */
  | { readonly outcome: 'empty' }
  /** The token may not look here. It may still read what is here: let the person type the path. */
  | { readonly outcome: 'denied' };

/** What a read found. */
export type Read =
  | { readonly outcome: 'found'; readonly secret: SecretVersion }
  /** The version was deleted and can be undeleted. */
  | { readonly outcome: 'deleted'; readonly version: Version }
  /** The version's values are gone for good. */
  | { readonly outcome: 'destroyed'; readonly version: Version }
  /** There is no such secret, or no such version. */
  | { readonly outcome: 'missing' }
  /** The token may not read here. */
  | { readonly outcome: 'denied' };

/** A version of a secret. Its values stay in the engine's memory, which {@link free} wipes, until they are asked for. */
export class SecretVersion {
  private constructor();

  readonly mount: string;
  readonly path: string;
  readonly version: Version;
  /** Its fields in the server's order. */
  readonly fields: readonly FieldInfo[];

  /** The value of a field: the text, or for other kinds the JSON text. Fails (by throwing) with `vault_field_missing`. */
  value(field: string): string;

  /** The whole as JSON text, exactly as the server sent it. */
  json(): string;

  /** What was done to come from an older version to this one, field by field, without a value. */
  diff(older: SecretVersion): FieldChange[];

  free(): void;
}

/** A field without its value. */
export interface FieldInfo {
  readonly name: string;
  /** `text` can be put into an environment variable as it is. */
  readonly kind: 'text' | 'number' | 'boolean' | 'null' | 'list' | 'object' | 'broken-text';
}

/** How a field differs. */
export interface FieldChange {
  readonly field: string;
  readonly change: 'added' | 'removed' | 'changed' | 'same';
}

/** A value to write: a text, or JSON text that is kept to the letter. */
export type FieldInput = string | { readonly json: string };

/** The fields of a secret to write. */
export type Fields = Readonly<Record<string, FieldInput>>;

/** What is known about one version. */
export interface Version {
  /** Its number, from 1. */
  readonly number: number;
  /** When it was written. */
  readonly createdTime: string;
  /** When it was deleted, or will be. */
  readonly deletionTime?: string;
  readonly destroyed: boolean;
}

/** What reading the metadata found. */
export type MetadataRead =
  | { readonly outcome: 'found'; readonly metadata: SecretMetadata }
  | { readonly outcome: 'missing' }
  | { readonly outcome: 'denied' };

/** What a store knows of a secret. */
export interface SecretMetadata {
  /** The newest version; 0 where none was written yet. */
  readonly currentVersion: number;
  /** The versions that are kept, newest first. */
  readonly versions: readonly Version[];
  readonly createdTime: string;
  readonly updatedTime: string;
  /** How many versions are kept; 0: as many as the store says. */
  readonly maxVersions: number;
  /** Whether every write needs a check-and-set. */
  readonly casRequired: boolean;
  /** What people have noted on it (`custom_metadata`). */
  readonly notes: Readonly<Record<string, string>>;
}

/** What the token may do with one secret. Advice for buttons: the server decides. */
export interface Capabilities {
  readonly read: boolean;
  readonly create: boolean;
  readonly update: boolean;
  /** Delete the newest version. */
  readonly delete: boolean;
  readonly deleteVersions: boolean;
  readonly undelete: boolean;
  readonly destroy: boolean;
  /** Read versions and notes. */
  readonly readMetadata: boolean;
  /** Remove all of it. */
  readonly deleteAll: boolean;
  /** List what is below it. */
  readonly list: boolean;
}

// ---------------------------------------------------------------------------------------------------- keeping it alive

/** What a keeper needs to know of the page. */
export interface KeeperOptions {
  /**
   * Signs in again without a person: hub token, hidden iframe. Resolves when {@link Session.identity} is a new one, and rejects
   * where that is not possible. The signal is aborted when it takes too long.
   */
  signInAgain?: (signal: AbortSignal) => Promise<void>;
  /** A Web Lock that all tabs of this page share, so that only one of them signs in at a time. */
  lock?: string;
  /** Hears what happens. */
  onEvent?: (event: KeeperEvent) => void;
}

/** What has happened to the token. */
export type KeeperEvent =
  | { readonly kind: 'renewed'; readonly expiresAt?: number }
  /** The Vault prolongs it no further: it ends then, whatever is done. */
  | { readonly kind: 'capped'; readonly expiresAt: number }
  | { readonly kind: 'signed-in-again'; readonly expiresAt?: number }
  /** Nothing more can be done without the person, before that time. */
  | { readonly kind: 'needs-person'; readonly by?: number }
  /** An attempt failed; it is tried again by itself where that makes sense. `signInAgain` may reject with anything. */
  | { readonly kind: 'failed'; readonly error: unknown }
  /** The token is dead. */
  | { readonly kind: 'lost' };

/** How it stands with the token. */
export type KeeperState =
  /** Nobody is signed in, or {@link Keeper.stop} was called. */
  | 'idle'
  /** Good, and nothing to do for a while. */
  | 'fresh'
  /** Being prolonged or signed in again at the moment, or soon after a failure. */
  | 'renewing'
  /** Good, but it ends soon and only a person can do something. */
  | 'needs-person'
  /** Over. */
  | 'lost';

/** Keeps a session's token alive for as long as it may live. One for each session. */
export class Keeper {
  constructor(session: Session, options?: KeeperOptions);

  readonly state: KeeperState;

  /** Begins. Without a token it waits for the first sign-in, and after {@link Session.signOut} for the next. */
  start(): void;

  /**
   * Looks at the clock again: to be called on `visibilitychange`, `pageshow` and `online`, since timers stand still in tabs that
   * sleep. Costs nothing where nothing is due.
   */
  wake(): void;

  /** Ends, and leaves the token as it is. */
  stop(): void;

  free(): void;
}

// ---------------------------------------------------------------------------------------------------- finding out what is wrong

/** What is checked. What is left out is not looked at. */
export interface Setup {
  vault: string;
  namespace?: string;
  /** The origin of this page, `location.origin`: what CORS must allow. */
  origin: string;
  /** The OIDC auth method of the Vault. */
  vaultLogin?: LoginTarget & { redirectUri: string };
  /** The provider, as {@link Session.beginProvider} uses it. */
  provider?: { issuer: string; clientId: string; redirectUri: string };
  hub?: Hub;
  danger?: SessionOptions['danger'];
}

/** One check and what it found. */
export interface Finding {
  readonly check: Check;
  /** `skipped`: what it builds on failed, or the setup does not name it. */
  readonly outcome: 'ok' | 'warning' | 'failed' | 'skipped';
  /** What the error was, where there was one. */
  readonly code?: ErrorCode;
  /** What was seen, for the sentence: versions, seconds, names of scopes. No secret. */
  readonly facts: Readonly<Record<string, string>>;
  /** What the administrator can run or write, as a text to copy; absent where nothing is wrong. */
  readonly fix?: string;
}

/** The checks, in the order in which they are made. */
export type Check =
  /** The Vault answers this page: address, certificate, CORS and `connect-src` together. `facts`: version, product. */
  | 'vault-reachable'
  /** It is initialised, unsealed and active. */
  | 'vault-health'
  /** This machine's clock and the Vault's. `facts`: seconds. */
  | 'clock'
  /** The role allows the redirect address, and the Vault reaches its provider. */
  | 'vault-redirect'
  /** The provider's metadata can be read from here. */
  | 'provider-reachable'
  /** The provider's token endpoint lets this page in (CORS, Web origins). */
  | 'provider-cors'
  /** The hub lets this tab read `auth_state`. `facts`: missing scopes, version. */
  | 'hub-scopes'
  /** The ID token that the hub holds is not expired. `facts`: seconds left. */
  | 'hub-id-token';

/** Makes every check of a setup, one after the other; is never rejected for what a check finds. */
export function diagnose(setup: Setup): Promise<Finding[]>;

// ---------------------------------------------------------------------------------------------------- errors

/** What every promise here is rejected with. Neither its message nor its members hold a token, a code or a value. */
export class LatchkeyError extends Error {
  private constructor();

  readonly name: 'LatchkeyError';
  /** What happened, for programs: stable from version to version. */
  readonly code: ErrorCode;
  /** Whether the same call may succeed later without anybody changing anything. */
  readonly retryable: boolean;
  /**
   * Finer than the code, of `vault_login_refused`: `unknown_role`, `token_not_valid_now`, `audience_rejected`, `cancelled`, …
   */
  readonly problem: string | undefined;
  /** The HTTP status, where there was one. */
  readonly status: number | undefined;
  /** What the server said, cleaned of secrets. */
  readonly serverMessages: readonly string[];
  /** The scopes that are missing, of `hub_scope_missing`. */
  readonly missing: readonly string[];
}

/** Whether something that was caught is one of ours. */
export function isLatchkeyError(caught: unknown): caught is LatchkeyError;

/** Every code that there is. */
export const ERROR_CODES: readonly ErrorCode[];

export type ErrorCode =
// <error-codes>: generated from the Rust enums by `cargo xtask wasm`; a test fails when they drift.
  | 'engine_blocked'
  | 'engine_cancelled'
  | 'engine_invalid_argument'
  | 'engine_not_signed_in'
  | 'engine_sign_in_ended'
  | 'engine_unavailable'
  | 'hub_auth_state_off'
  | 'hub_id_token_expired'
  | 'hub_id_token_malformed'
  | 'hub_id_token_missing'
  | 'hub_invalid_address'
  | 'hub_invalid_user'
  | 'hub_malformed_reply'
  | 'hub_not_found'
  | 'hub_other_user'
  | 'hub_refused'
  | 'hub_scope_missing'
  | 'hub_unauthorized'
  | 'oidc_access_denied'
  | 'oidc_account_selection_required'
  | 'oidc_authorization_pending'
  | 'oidc_callback_code_missing'
  | 'oidc_callback_duplicate_parameter'
  | 'oidc_callback_issuer_mismatch'
  | 'oidc_callback_issuer_missing'
  | 'oidc_callback_malformed'
  | 'oidc_callback_not_signed'
  | 'oidc_callback_response'
  | 'oidc_callback_state_mismatch'
  | 'oidc_callback_state_missing'
  | 'oidc_callback_too_long'
  | 'oidc_consent_required'
  | 'oidc_expired_token'
  | 'oidc_grant_over'
  | 'oidc_id_token_acr'
  | 'oidc_id_token_algorithm'
  | 'oidc_id_token_at_hash'
  | 'oidc_id_token_audience'
  | 'oidc_id_token_auth_time'
  | 'oidc_id_token_azp'
  | 'oidc_id_token_azp_missing'
  | 'oidc_id_token_c_hash'
  | 'oidc_id_token_claim_invalid'
  | 'oidc_id_token_claim_missing'
  | 'oidc_id_token_critical_extension'
  | 'oidc_id_token_duplicate_name'
  | 'oidc_id_token_encrypted'
  | 'oidc_id_token_expired'
  | 'oidc_id_token_issued_in_future'
  | 'oidc_id_token_issuer'
  | 'oidc_id_token_key_tenant'
  | 'oidc_id_token_malformed'
  | 'oidc_id_token_missing'
  | 'oidc_id_token_nonce'
  | 'oidc_id_token_not_continued'
  | 'oidc_id_token_not_the_callbacks'
  | 'oidc_id_token_not_yet_valid'
  | 'oidc_id_token_s_hash'
  | 'oidc_id_token_signature'
  | 'oidc_id_token_tenant'
  | 'oidc_id_token_too_long'
  | 'oidc_id_token_type'
  | 'oidc_id_token_unknown_key'
  | 'oidc_id_token_untrusted_audience'
  | 'oidc_id_token_weak_key'
  | 'oidc_insufficient_scope'
  | 'oidc_interaction_required'
  | 'oidc_invalid_address'
  | 'oidc_invalid_client'
  | 'oidc_invalid_dpop_proof'
  | 'oidc_invalid_grant'
  | 'oidc_invalid_issuer'
  | 'oidc_invalid_path'
  | 'oidc_invalid_redirect_uri'
  | 'oidc_invalid_request'
  | 'oidc_invalid_request_object'
  | 'oidc_invalid_resource'
  | 'oidc_invalid_scope'
  | 'oidc_invalid_target'
  | 'oidc_invalid_token'
  | 'oidc_keys_unavailable'
  | 'oidc_login_expired'
  | 'oidc_login_required'
  | 'oidc_logout_issuer'
  | 'oidc_logout_session_incomplete'
  | 'oidc_logout_token'
  | 'oidc_logout_token_event'
  | 'oidc_logout_token_missing'
  | 'oidc_logout_token_nobody'
  | 'oidc_logout_token_nonce'
  | 'oidc_logout_token_too_old'
  | 'oidc_loopback'
  | 'oidc_no_port'
  | 'oidc_nobody_came'
  | 'oidc_not_offered'
  | 'oidc_other_client'
  | 'oidc_other_issuer'
  | 'oidc_pasted_empty'
  | 'oidc_pasted_no_code'
  | 'oidc_pasted_not_understood'
  | 'oidc_pasted_sign_in_address'
  | 'oidc_port_taken'
  | 'oidc_prompt_not_alone'
  | 'oidc_provider_field_missing'
  | 'oidc_provider_insecure_endpoint'
  | 'oidc_provider_issuer_mismatch'
  | 'oidc_provider_malformed_reply'
  | 'oidc_provider_pkce_unsupported'
  | 'oidc_provider_status'
  | 'oidc_provider_token_type'
  | 'oidc_public_client'
  | 'oidc_push_required'
  | 'oidc_random_unavailable'
  | 'oidc_refused'
  | 'oidc_reserved_parameter'
  | 'oidc_scope_refused'
  | 'oidc_server_error'
  | 'oidc_slow_down'
  | 'oidc_temporarily_unavailable'
  | 'oidc_token_in_query'
  | 'oidc_unauthorized_client'
  | 'oidc_unredeemed'
  | 'oidc_unrefreshed'
  | 'oidc_unsupported_algorithm'
  | 'oidc_unsupported_grant_type'
  | 'oidc_unsupported_response_type'
  | 'oidc_unsupported_token_type'
  | 'oidc_unusable_client_key'
  | 'oidc_use_dpop_nonce'
  | 'oidc_userinfo_shape'
  | 'oidc_userinfo_subject'
  | 'oidc_userinfo_subject_missing'
  | 'oidc_userinfo_token'
  | 'oidc_verifier_unavailable'
  | 'transport_lost'
  | 'transport_misuse'
  | 'transport_reply_too_large'
  | 'transport_timed_out'
  | 'transport_tls'
  | 'transport_unreachable'
  | 'vault_alias_taken'
  | 'vault_cas_mismatch'
  | 'vault_cas_required'
  | 'vault_field_missing'
  | 'vault_field_not_text'
  | 'vault_insecure_auth_url'
  | 'vault_invalid_client_nonce'
  | 'vault_invalid_path'
  | 'vault_invalid_request'
  | 'vault_invalid_token'
  | 'vault_invalid_variable'
  | 'vault_login_refused'
  | 'vault_malformed_reply'
  | 'vault_mount_exists'
  | 'vault_mount_upgrading'
  | 'vault_no_auth_url'
  | 'vault_no_such_version'
  | 'vault_not_active'
  | 'vault_not_found'
  | 'vault_not_renewable'
  | 'vault_nothing_wrapped'
  | 'vault_payload_too_large'
  | 'vault_permission_denied'
  | 'vault_precondition_failed'
  | 'vault_random_unavailable'
  | 'vault_rate_limited'
  | 'vault_redirected'
  | 'vault_sealed'
  | 'vault_server_fault'
  | 'vault_state_mismatch'
  | 'vault_token_invalid'
  | 'vault_uninitialised'
  | 'vault_unknown_token'
  | 'vault_unreadable_file'
  | 'vault_unsupported_media_type'
  | 'vault_unsupported_operation'
  | 'vault_unwritable_body'
  | 'vault_wrapping_token_invalid'
  | 'vault_wrong_creation_path'
  | 'vault_wrong_mount'
  | 'vault_wrong_type'
// </error-codes>
  ;
