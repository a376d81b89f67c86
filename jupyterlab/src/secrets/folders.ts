/**
 * Places in stores: as people write them, and folders that stand at the top of the tree for those who may not list what is
 * above them.
 */

/** A store and what is below it. */
export interface IPlace {
  readonly mount: string;
  readonly path: string;
}

/** Takes `secret/team/app` apart. A store may have slashes in its name: it is the longest one that fits. */
export function placeOf(text: string, mounts: readonly string[]): IPlace {
  const clean = text.trim().replace(/^\/+|\/+$/g, '');
  const known = mounts.filter(each => clean.startsWith(each + '/'));
  const mount = known.sort((a, b) => b.length - a.length)[0] ?? clean.split('/')[0];
  return { mount, path: clean.slice(mount.length + 1) };
}

/**
 * The folders that were set, for one person, each with a slash at its end: `secret/jupyter/users/{name}` is another one for everybody.
 *
 * A name with a slash in it would be another folder than the one that was meant: then it has none.
 */
export function foldersFor(
  name: string,
  patterns: readonly string[],
  mounts: readonly string[]
): IPlace[] {
  const isSafe = name !== '' && !/[/\\]|^\.{1,2}$/.test(name);
  const wanted = patterns
    .filter(pattern => isSafe || !pattern.includes('{name}'))
    .map(pattern => pattern.split('{name}').join(name));
  return [...new Set(wanted)]
    .map(text => placeOf(text, mounts))
    .filter(({ path }) => path !== '')
    .map(({ mount, path }) => ({ mount, path: path + '/' }));
}
