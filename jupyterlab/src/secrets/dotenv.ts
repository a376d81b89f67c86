/**
 * Reads what people keep in `.env` files, to have it in the Vault instead.
 *
 * The ways to write one that the common readers agree on. Nothing is put in for `$NAME`: what is taken is what is written.
 */

/** What a text holds. */
export interface IDotenv {
  /** Names and values; of a name that is there twice, the last one, as a shell would have it. */
  readonly values: ReadonlyMap<string, string>;
  /** The numbers of the lines that were not understood, from 1. */
  readonly strange: readonly number[];
}

const ASSIGNMENT = /^\s*(?:export\s+)?([A-Za-z_][A-Za-z0-9_.-]*)\s*=[ \t]*/;

/** Between quotes that may go over several lines. In double ones, a backslash takes what follows with it. */
const QUOTED = /^(?:"((?:[^"\\]|\\[^])*)"|'([^']*)'|`([^`]*)`)[ \t]*(?:#.*)?(?:\r?\n|$)/;

/** What a backslash means in double quotes; before anything else it stands for itself. */
const ESCAPES: Record<string, string> = { n: '\n', r: '\r', t: '\t', '"': '"', '\\': '\\' };

export function parseDotenv(text: string): IDotenv {
  const values = new Map<string, string>();
  const strange: number[] = [];
  let rest = text.replace(/^\uFEFF/, '');
  let line = 1;
  const take = (length: number) => {
    line += rest.slice(0, length).split('\n').length - 1;
    rest = rest.slice(length);
  };
  while (rest !== '') {
    const end = rest.indexOf('\n') < 0 ? rest.length : rest.indexOf('\n') + 1;
    const whole = rest.slice(0, end);
    const assignment = ASSIGNMENT.exec(whole);
    if (!assignment) {
      if (!/^\s*(#.*)?$/.test(whole.trim())) {
        strange.push(line);
      }
      take(end);
      continue;
    }
    const [head, name] = assignment;
    const quoted = QUOTED.exec(rest.slice(head.length));
    if (quoted) {
      const [all, double, single, back] = quoted;
      values.set(name, double === undefined ? (single ?? back) : unescape(double));
      take(head.length + all.length);
      continue;
    }
    const value = whole
      .slice(head.length)
      .replace(/(^|\s)#.*$/s, '')
      .trim();
    if (/^["'`]/.test(value)) {
      strange.push(line);
    } else {
      values.set(name, value);
    }
    take(end);
  }
  return { values, strange };
}

function unescape(text: string): string {
  return text.replace(/\\([^])/g, (all, character: string) => ESCAPES[character] ?? all);
}
