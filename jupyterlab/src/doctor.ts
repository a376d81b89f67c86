/**
 * Looks at the whole set-up: what the engine can find out, and what only the page knows.
 */
import { PageConfig } from '@jupyterlab/coreutils';
import type { TranslationBundle } from '@jupyterlab/translation';

import { loadEngine, type Engine } from './engine';
import { describe } from './errors';
import { hubFor, installedVersion, redirectUri, vaultUrl } from './page';
import { forbiddenOrigins } from './policy';
import type { ISettings } from './settings';

/** One line of the report. */
export interface IFinding {
  readonly check: string;
  readonly outcome: Engine.Finding['outcome'];
  readonly title: string;
  readonly detail?: string;
  readonly fix?: string;
}

/** Makes every check that applies here. */
export async function examine(
  settings: Readonly<ISettings>,
  version: string,
  trans: TranslationBundle
): Promise<IFinding[]> {
  const findings: IFinding[] = [await versions(version, trans), secureContext(trans)];
  let engine: typeof Engine;
  try {
    engine = await loadEngine();
    findings.push({ check: 'engine', outcome: 'ok', title: trans.__('WebAssembly') });
  } catch (error) {
    const detail = describe(error, trans);
    const fix = "Content-Security-Policy: script-src 'self' 'wasm-unsafe-eval' …";
    findings.push({
      check: 'engine',
      outcome: 'failed',
      title: trans.__('WebAssembly'),
      detail,
      fix
    });
    return findings;
  }
  if (!settings.vaultUrl) {
    findings.push({
      check: 'settings',
      outcome: 'failed',
      title: trans.__('Settings'),
      detail: trans.__('The address of Vault or OpenBao is not set (vaultUrl).'),
      fix: OVERRIDES
    });
    return findings;
  }
  findings.push(await redirectPage(settings, trans));
  const { oidcMount, oidcRole, issuer, clientId } = settings;
  const found = await engine.diagnose({
    vault: vaultUrl(settings),
    namespace: settings.namespace || undefined,
    origin: location.origin,
    vaultLogin: oidcMount
      ? { mount: oidcMount, role: oidcRole || undefined, redirectUri: redirectUri(settings) }
      : undefined,
    provider:
      issuer && clientId ? { issuer, clientId, redirectUri: redirectUri(settings) } : undefined,
    hub: hubFor(settings),
    ...(settings.allowPlainHttp ? { danger: { plainHttp: true } } : {})
  });
  const titles = titlesOf(trans);
  for (const { check, outcome, facts, fix } of found) {
    const detail = Object.entries(facts).map(([name, value]) => `${name}: ${value}`);
    findings.push({
      check,
      outcome,
      title: titles[check],
      detail: detail.join(', ') || undefined,
      fix
    });
  }
  // The browser tells of what it forbids after it has forbidden it.
  await new Promise(resolve => setTimeout(resolve));
  findings.push(policy(trans));
  return findings;
}

async function versions(version: string, trans: TranslationBundle): Promise<IFinding> {
  const lab = PageConfig.getOption('appVersion') || '?';
  const base = { check: 'versions', title: trans.__('Versions') };
  const detail = `JupyterLab ${lab}, jupyterlab-latchkey ${version}`;
  const installed = await installedVersion();
  return installed === undefined || installed === version
    ? { ...base, outcome: 'ok', detail }
    : {
        ...base,
        outcome: 'warning',
        detail: trans.__(
          '%1. The server has %2 by now: load the page again to use it.',
          detail,
          installed
        )
      };
}

/** What the page itself forbids, as far as that was seen: the checks before have tried the servers. */
function policy(trans: TranslationBundle): IFinding {
  const base = { check: 'policy', title: trans.__("The page's Content-Security-Policy") };
  const missing = (['connect-src', 'frame-src'] as const)
    .map(directive => [directive, ...forbiddenOrigins(directive)])
    .filter(words => words.length > 1)
    .map(words => words.join(' '));
  return missing.length === 0
    ? { ...base, outcome: 'ok' }
    : {
        ...base,
        outcome: 'failed',
        detail: trans.__('It forbids what Latchkey needs. To be added:'),
        fix: `Content-Security-Policy: ${missing.join('; ')}`
      };
}

/** Where an administrator sets what holds for everybody. */
const OVERRIDES = `# <prefix>/share/jupyter/lab/settings/overrides.json
{
  "jupyterlab-latchkey:plugin": {
    "vaultUrl": "https://vault.example.org",
    "oidcMount": "oidc"
  }
}`;

function secureContext(trans: TranslationBundle): IFinding {
  const title = trans.__('Secure page (https, or this machine)');
  const isSecure = window.isSecureContext && typeof crypto.subtle === 'object';
  return isSecure
    ? { check: 'secure-context', outcome: 'ok', title }
    : {
        check: 'secure-context',
        outcome: 'failed',
        title,
        detail: trans.__(
          'The browser has no cryptography and no clipboard for pages without https.'
        ),
        fix: `https://${location.host}`
      };
}

async function redirectPage(
  settings: Readonly<ISettings>,
  trans: TranslationBundle
): Promise<IFinding> {
  const title = trans.__('The page that the provider sends you back to');
  const url = redirectUri(settings);
  const base = { check: 'redirect-page', title };
  if (new URL(url).origin !== location.origin) {
    return {
      ...base,
      outcome: 'warning',
      detail: trans.__(
        'It is at another origin than this page, so that its answer has to be pasted: %1',
        url
      )
    };
  }
  if (url.includes('/user-redirect/')) {
    return {
      ...base,
      outcome: 'warning',
      detail: trans.__(
        'It goes through the hub, which writes addresses to its log. A page in /hub/static does not: see jupyterlab/hub in the documentation.'
      )
    };
  }
  try {
    const response = await fetch(url, { redirect: 'error', cache: 'no-store' });
    const isOurs = response.ok && (await response.text()).includes('callback.js');
    return isOurs
      ? { ...base, outcome: 'ok', detail: url }
      : { ...base, outcome: 'failed', detail: `${url}: ${response.status}` };
  } catch {
    return { ...base, outcome: 'failed', detail: trans.__('There is no answer at %1', url) };
  }
}

function titlesOf(trans: TranslationBundle): Record<Engine.Check, string> {
  return {
    'vault-reachable': trans.__('The Vault answers this page (address, certificate, CORS)'),
    'vault-health': trans.__('The Vault is open and active'),
    clock: trans.__('The clock of this machine'),
    'vault-redirect': trans.__("The Vault's role allows the redirect address"),
    'provider-reachable': trans.__('The provider answers this page'),
    'provider-cors': trans.__('The provider lets this page fetch tokens (CORS)'),
    'hub-scopes': trans.__('The hub lets this tab read your ID token'),
    'hub-id-token': trans.__('The ID token that the hub holds')
  };
}
