/**
 * What the page's Content-Security-Policy forbids us.
 *
 * Whoever asks for something forbidden is told nothing but that there was no answer; only the page hears why.
 */

/** What a page may forbid a tab that talks to servers. */
export type Directive = 'connect-src' | 'frame-src';

/** The origins that were forbidden so far. A policy holds as long as its page: what is in here stays forbidden. */
const forbidden: Record<Directive, Set<string>> = {
  'connect-src': new Set(),
  'frame-src': new Set()
};

/** Hears of what is forbidden by a directive from now on. Returns what ends it. */
export function watchPolicy(directive: Directive, onForbidden: () => void): () => void {
  const listen = (event: SecurityPolicyViolationEvent) => {
    const isOnlyReported = event.disposition === 'report';
    if (event.effectiveDirective === directive && !isOnlyReported && isOurs(event)) {
      forbidden[directive].add(originOf(event.blockedURI));
      onForbidden();
    }
  };
  document.addEventListener('securitypolicyviolation', listen);
  return () => document.removeEventListener('securitypolicyviolation', listen);
}

/** The origins that must be added to a directive, as far as that was seen. */
export function forbiddenOrigins(directive: Directive): string[] {
  return [...forbidden[directive]];
}

/** Other extensions ask for other things. A browser that does not say who asked is believed. */
function isOurs({ sourceFile }: SecurityPolicyViolationEvent): boolean {
  return !sourceFile || !/^https?:/.test(sourceFile) || sourceFile.includes('jupyterlab-latchkey');
}

/** Nothing but the origin: a query is nobody's business. */
function originOf(uri: string): string {
  try {
    return new URL(uri).origin;
  } catch {
    return uri;
  }
}
