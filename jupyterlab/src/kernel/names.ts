/**
 * Names of environment variables.
 */

const NAME = /^[A-Za-z_][A-Za-z0-9_]*$/;

/** Fields whose names say nothing without that of the secret. */
const VAGUE = new Set(['DATA', 'VALUE', 'SECRET', 'KEY', 'TOKEN', 'PASSWORD', 'USERNAME', 'USER']);

/** Variables that change what programs do, and not what they know: no secret is put there by accident. */
const RESERVED =
  /^(PATH|HOME|SHELL|USER|LOGNAME|PWD|IFS|PYTHON[A-Z]*|LD_[A-Z_]*|DYLD_[A-Z_]*|JUPYTER[A-Z_]*|R_[A-Z_]*)$/;

/** Whether this may be a variable's name. */
export function isVariableName(text: string): boolean {
  return NAME.test(text) && !RESERVED.test(text);
}

/** What a field could be called as a variable: `OPENAI_API_KEY` stays, `api-key` becomes `API_KEY`. */
export function suggestName(path: string, field: string): string {
  const own = upper(field);
  const last = path.split('/').filter(Boolean).pop() ?? '';
  const whole = VAGUE.has(own) ? upper(`${last}_${field}`) : own;
  return isVariableName(whole) ? whole : `SECRET_${whole}`;
}

function upper(text: string): string {
  return text
    .replace(/([a-z0-9])([A-Z])/g, '$1_$2')
    .replace(/[^A-Za-z0-9]+/g, '_')
    .replace(/^_+|_+$/g, '')
    .toUpperCase();
}

/** Why a value cannot be the content of an environment variable; undefined where it can. */
export function unfit(value: string): 'nul' | 'surrogate' | undefined {
  if (value.includes('\0')) {
    return 'nul';
  }
  // Half a character: no kernel can encode it, and its complaint would show what is around it.
  return /[\uD800-\uDBFF](?![\uDC00-\uDFFF])|(?<![\uD800-\uDBFF])[\uDC00-\uDFFF]/.test(value)
    ? 'surrogate'
    : undefined;
}
