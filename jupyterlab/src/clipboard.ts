/**
 * Copies a secret, and takes it out of the clipboard again.
 */

let pending: number | undefined;
let copied: string | undefined;

/**
 * Copies a text and clears the clipboard after some seconds; 0 leaves it.
 *
 * A page cannot always see what is in the clipboard. Where it can, what somebody else copied in the meantime is left.
 */
export async function copySecret(text: string, seconds: number): Promise<void> {
  await navigator.clipboard.writeText(text);
  window.clearTimeout(pending);
  copied = text;
  pending = seconds > 0 ? window.setTimeout(() => void clear(), seconds * 1000) : undefined;
}

async function clear(): Promise<void> {
  const ours = copied;
  copied = undefined;
  try {
    if (await isOther(ours)) {
      return;
    }
    await navigator.clipboard.writeText('');
  } catch {
    // A tab in the background may not write: as soon as somebody comes back, it may.
    window.addEventListener('focus', () => void navigator.clipboard.writeText(''), { once: true });
  }
}

/** Whether the clipboard is known to hold something else. Asks only where that needs no permission from a person. */
async function isOther(ours: string | undefined): Promise<boolean> {
  try {
    const status = await navigator.permissions.query({ name: 'clipboard-read' as PermissionName });
    return status.state === 'granted' && (await navigator.clipboard.readText()) !== ours;
  } catch {
    return false;
  }
}
