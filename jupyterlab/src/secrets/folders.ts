/**
 * Folders that stand at the top of the tree, for people who may not list what is above them.
 */

/** A folder: `path` ends in a slash. */
export interface IFolder {
  readonly mount: string;
  readonly path: string;
}

/**
 * The folders that were set, for one person: `secret/jupyter/users/{name}` is another one for everybody.
 *
 * A name with a slash in it would be another folder than the one that was meant: then it has none.
 */
export function foldersFor(
  name: string,
  patterns: readonly string[],
  mounts: readonly string[]
): IFolder[] {
  const isSafe = name !== '' && !/[/\\]|^\.{1,2}$/.test(name);
  const wanted = patterns
    .filter(pattern => isSafe || !pattern.includes('{name}'))
    .map(pattern => pattern.split('{name}').join(name))
    .map(text => text.replace(/^\/+|\/+$/g, ''));
  return [...new Set(wanted)].flatMap(text => {
    // A store may have slashes in its name: the longest one that fits.
    const known = mounts.filter(mount => text.startsWith(mount + '/'));
    const mount = known.sort((a, b) => b.length - a.length)[0] ?? text.split('/')[0];
    const path = text.slice(mount.length + 1);
    return path === '' ? [] : [{ mount, path: path + '/' }];
  });
}
