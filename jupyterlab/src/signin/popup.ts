/**
 * The window in which a person signs in.
 */
import { watchPolicy } from '../policy';

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

  /** Closes it, unless the provider's page has cut it off from us. */
  close(): void {
    this._window?.close();
  }
}

/**
 * A hidden frame in which a provider answers without asking anybody. Returns what removes it.
 *
 * A page whose policy lets no such frame in says so at once, and the frame never would.
 */
export function hiddenFrame(url: string, onForbidden: () => void): () => void {
  const frame = document.createElement('iframe');
  frame.hidden = true;
  frame.setAttribute('aria-hidden', 'true');
  frame.referrerPolicy = 'no-referrer';
  frame.src = url;
  const stop = watchPolicy('frame-src', onForbidden);
  document.body.append(frame);
  return () => {
    stop();
    frame.remove();
  };
}
