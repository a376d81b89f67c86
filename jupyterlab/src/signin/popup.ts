/**
 * The window in which a person signs in.
 */

const FEATURES = 'popup,width=520,height=680';

/**
 * A window that was opened in a click, before anybody knew its address: a browser lets one open only then.
 */
export class Popup {
  private constructor(private readonly _window: Window | null) {}

  /** To be called in the handler of a click, before anything is waited for. */
  static open(): Popup {
    return new Popup(window.open('about:blank', '_blank', FEATURES));
  }

  /** The browser did not let it open. */
  get isBlocked(): boolean {
    return this._window === null;
  }

  /** Shows the provider's page. */
  navigate(url: string): void {
    if (this._window) {
      this._window.location.replace(url);
    }
  }

  /** Puts it in front again, as far as the browser allows. */
  focus(): void {
    this._window?.focus();
  }

  /** Closes it, unless the provider's page has cut it off from us. */
  close(): void {
    this._window?.close();
  }
}

/** A hidden frame in which a provider answers without asking anybody. Returns what removes it. */
export function hiddenFrame(url: string): () => void {
  const frame = document.createElement('iframe');
  frame.hidden = true;
  frame.setAttribute('aria-hidden', 'true');
  frame.referrerPolicy = 'no-referrer';
  frame.src = url;
  document.body.append(frame);
  return () => frame.remove();
}
