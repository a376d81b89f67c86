/**
 * What a kernel runs to take values, by language.
 *
 * The code is the same for every secret: names, values and paths come by the stdin channel, so that nothing of them is in
 * the code, in the history, in a traceback, or in what another client of the kernel sees.
 */

/** The code for one language. Each piece asks for its inputs one after the other. */
export interface ILanguage {
  /** Asks for pairs of a name and a value, and sets environment variables. */
  readonly set: (count: number) => string;
  /** Asks for names, and removes environment variables. */
  readonly forget: (count: number) => string;
  /** Asks for a path and a text, and writes a file that nobody else can read. */
  readonly file?: string;
  /** Asks for the Vault's address, a namespace, a wrapping token and names, and fetches with it what goes into those. */
  readonly unwrap?: (count: number) => string;
  /** Whether this is run in our tests. */
  readonly isTested: boolean;
}

/**
 * Runs lines in a namespace of its own: nothing is left in the person's.
 *
 * Whatever fails, the kernel broadcasts only the name of the error: a whole traceback can show values, depending on how a
 * person has set it up.
 */
const python = (lines: string[]) => {
  const body = ['try:', ...lines.map(line => '    ' + line), "    failure = ''"];
  const text = [
    ...body,
    'except BaseException as error:',
    '    failure = type(error).__name__',
    "if failure: raise RuntimeError('latchkey: ' + failure)"
  ].join('\n');
  return `exec(${JSON.stringify(text + '\n')}, {})`;
};

const R_READ = 'readline("")';

const LANGUAGES: Record<string, ILanguage> = {
  python: {
    set: count =>
      python([
        'import os, getpass',
        `for _ in range(${count}):`,
        "    os.environ.__setitem__(getpass.getpass(''), getpass.getpass(''))"
      ]),
    forget: count =>
      python([
        'import os, getpass',
        `for _ in range(${count}):`,
        "    os.environ.pop(getpass.getpass(''), None)"
      ]),
    file: python([
      'import os, getpass, tempfile',
      "path = os.path.expanduser(getpass.getpass(''))",
      "folder = os.path.dirname(path) or '.'",
      'os.makedirs(folder, mode=0o700, exist_ok=True)',
      // Made with mode 0600, and put in place as a whole.
      'handle, made = tempfile.mkstemp(dir=folder)',
      "with os.fdopen(handle, 'w', encoding='utf-8', newline='') as out:",
      "    out.write(getpass.getpass(''))",
      'os.replace(made, path)'
    ]),
    unwrap: count =>
      python([
        'import os, getpass, json, urllib.request',
        `address, namespace, token, *names = (getpass.getpass('') for _ in range(3 + ${count}))`,
        "path = '/v1/' + (namespace + '/' if namespace else '') + 'sys/wrapping/unwrap'",
        "request = urllib.request.Request(address + path, data=b'{}', method='POST')",
        "request.add_header('X-Vault-Token', token)",
        'with urllib.request.urlopen(request, timeout=15) as reply:',
        "    made = json.load(reply)['auth']['client_token']",
        'for name in names: os.environ[name] = made',
        "os.environ['VAULT_ADDR'] = address",
        "if namespace: os.environ['VAULT_NAMESPACE'] = namespace"
      ]),
    isTested: true
  },
  R: {
    set: count =>
      `invisible(local({ for (i in seq_len(${count})) { n <- ${R_READ}; v <- ${R_READ}; ` +
      'do.call(Sys.setenv, stats::setNames(list(v), n)) } }))',
    forget: count => `invisible(local({ for (i in seq_len(${count})) Sys.unsetenv(${R_READ}) }))`,
    isTested: true
  },
  julia: {
    set: count =>
      `let; for _ in 1:${count}; n = readline(); ENV[n] = readline(); end; end; nothing`,
    forget: count => `let; for _ in 1:${count}; delete!(ENV, readline()); end; end; nothing`,
    isTested: false
  }
};

/** The code for the language of a kernel, as its kernel info names it. */
export function languageOf(name: string | undefined): ILanguage | undefined {
  return name === undefined ? undefined : (LANGUAGES[name] ?? LANGUAGES[name.toLowerCase()]);
}
