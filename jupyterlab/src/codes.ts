/**
 * The codes of errors: the engine's own, and those of what is around it.
 */

/** The code of an error, or an empty text. */
export function codeOf(error: unknown): string {
  const code = (error as { code?: unknown } | null | undefined)?.code;
  return typeof code === 'string' ? code : '';
}
