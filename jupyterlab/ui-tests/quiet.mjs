// A page that nobody watches: what a debugger notes of requests would be counted as the page's own memory.

import { launch } from './world.mjs';

export class QuietPage {
  static async open(url) {
    const browser = await launch();
    const cdp = await browser.newBrowserCDPSession();
    // In a context that Playwright does not know of it does not attach itself.
    const { browserContextId } = await cdp.send('Target.createBrowserContext');
    const { targetId } = await cdp.send('Target.createTarget', { url, browserContextId });
    const { sessionId } = await cdp.send('Target.attachToTarget', { targetId, flatten: false });
    return new QuietPage(cdp, browserContextId, sessionId);
  }

  constructor(cdp, context, session) {
    Object.assign(this, { cdp, context, session, asked: new Map() });
    cdp.on('Target.receivedMessageFromTarget', ({ message }) => {
      const { id, result, error } = JSON.parse(message);
      const { resolve, reject } = this.asked.get(id) ?? {};
      this.asked.delete(id);
      error ? reject?.(new Error(error.message)) : resolve?.(result);
    });
  }

  /** Speaks to the page's own half of the protocol, of which nothing is enabled. */
  async send(method, params = {}) {
    const id = (this.count = (this.count ?? 0) + 1);
    const answer = new Promise((resolve, reject) => this.asked.set(id, { resolve, reject }));
    const message = JSON.stringify({ id, method, params });
    await this.cdp.send('Target.sendMessageToTarget', { sessionId: this.session, message });
    return answer;
  }

  /** Runs a function there, with one argument, and gives what comes of it. */
  async run(action, argument) {
    const { result, exceptionDetails } = await this.send('Runtime.evaluate', {
      expression: `(${action})(${JSON.stringify(argument)})`,
      awaitPromise: true,
      returnByValue: true
    });
    if (exceptionDetails) {
      throw new Error(exceptionDetails.exception?.description ?? exceptionDetails.text);
    }
    return result.value;
  }

  /** Bytes that JavaScript uses when all garbage is gone. */
  async heap() {
    for (let round = 0; round < 3; round += 1) {
      await this.send('HeapProfiler.collectGarbage');
    }
    return (await this.send('Runtime.getHeapUsage')).usedSize;
  }

  async close() {
    const { cdp, context } = this;
    await cdp.send('Target.disposeBrowserContext', { browserContextId: context });
    await cdp.detach();
  }
}
