// What a person does in JupyterLab, as functions.

import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';

import { launch, pictures } from './world.mjs';

let places = 0;

/** A notebook in a workspace of its own, in which nothing is left of another scenario. */
export function place(notebook) {
  places += 1;
  return `lab/workspaces/w${places}/tree/${notebook}`;
}

/** Generous, for a machine that others use too. */
const TIMEOUT = 60_000;

/** A browser profile of its own, which listens for everything that must not hold a secret. */
export class Person {
  static async arrive(
    lab,
    { name = 'reader', options = {}, at = place('demo.ipynb'), wait = true, prepare, store } = {}
  ) {
    const browser = await launch();
    const context = await browser.newContext({
      viewport: { width: 1280, height: 800 },
      permissions: ['clipboard-read', 'clipboard-write'],
      ...options
    });
    context.setDefaultTimeout(TIMEOUT);
    await prepare?.(context);
    const person = Object.assign(new Person(), {
      lab,
      name,
      context,
      store: store ?? 'notebook-secret-kv-v2',
      console: [],
      urls: [],
      requests: []
    });
    context.on('page', page => person.watch(page));
    context.on('request', request =>
      person.requests.push({
        method: request.method(),
        url: request.url(),
        type: request.resourceType()
      })
    );
    person.page = await context.newPage();
    await person.open(at, wait);
    return person;
  }

  watch(page) {
    page.on('console', message => this.console.push(message.text()));
    page.on('pageerror', error => this.console.push(String(error)));
    page.on('framenavigated', frame => this.urls.push(frame.url()));
  }

  async open(at = place('demo.ipynb'), wait = true) {
    const { page, lab } = this;
    await page.goto(`${lab.url}/${at}?token=lab-token`);
    if (wait) {
      await page.locator('#jupyterlab-splash').waitFor({ state: 'detached' });
      await page.locator('li.lm-TabBar-tab[data-id="jupyterlab-latchkey-panel"]').first().waitFor();
      await this.kernelAnswers();
    }
  }

  /** The notebook or console in front has a kernel, which has said what it is, and has nothing else to do. */
  kernelAnswers() {
    return this.page.waitForFunction(() => {
      const widget = window.jupyterapp?.shell?.currentWidget;
      const context = widget?.sessionContext ?? widget?.console?.sessionContext;
      const kernel = context?.session?.kernel;
      window.answered ??= new WeakSet();
      kernel?.info.then(() => window.answered.add(kernel));
      return kernel?.status === 'idle' && window.answered.has(kernel);
    });
  }

  get panel() {
    return this.page.locator('#jupyterlab-latchkey-panel');
  }

  async showPanel() {
    if (!(await this.panel.isVisible())) {
      await this.page
        .locator('li.lm-TabBar-tab[data-id="jupyterlab-latchkey-panel"]')
        .first()
        .click();
    }
    await this.panel.waitFor();
  }

  /** Clicks something that opens a window, and gives the window. */
  async windowFrom(click) {
    const [popup] = await Promise.all([this.context.waitForEvent('page'), click()]);
    return popup;
  }

  /** Fills in the provider's page. */
  async atProvider(popup, name = this.name) {
    await popup.locator('#username').fill(name);
    await popup.locator('#password').fill(name);
    await popup.locator('#kc-login').click();
  }

  /** Signs in through the Vault, in a window. */
  async signIn(way = 'vault') {
    await this.showPanel();
    const button = this.panel.locator(`[data-way="${way}"]`);
    if (!(await button.isVisible())) {
      await this.showWays();
    }
    const popup = await this.windowFrom(() => button.click());
    await this.atProvider(popup);
    await this.signedIn();
    return popup;
  }

  /** Shows the ways that are not the best one. */
  async showWays() {
    await this.showPanel();
    if (!(await this.panel.locator('.lk-ways ul').isVisible())) {
      await this.panel.locator('.lk-ways summary').click();
    }
  }

  /** Signs in with the code that the provider shows, and gives it; the panel asks for it already. */
  async pasteCode() {
    const tab = await this.windowFrom(() => this.panel.locator('.lk-provider').click());
    await this.atProvider(tab);
    const code = await tab.locator('#code').inputValue();
    const paste = this.panel.locator('[data-lk="paste"]');
    await paste.fill(code);
    await paste.press('Enter');
    await this.signedIn();
    return code;
  }

  /** Signs in with a Vault token. */
  async useToken(token) {
    await this.showWays();
    await this.panel.locator('[data-lk="token"]').fill(token);
    await this.panel.locator('[data-lk="token"]').press('Enter');
    await this.signedIn();
  }

  /** Signs in where OpenBao takes the provider's answer. It asks, since whoever sees the address could have begun it. */
  async signInDirectly(atConfirmation) {
    await this.showPanel();
    const popup = await this.windowFrom(() => this.panel.locator('[data-way="vault"]').click());
    await this.atProvider(popup);
    await popup.locator('#confirm-button').waitFor();
    await atConfirmation?.(popup);
    await popup.locator('#confirm-button').click();
    await this.signedIn();
  }

  /** Signs in at the provider's page for devices. */
  async signInAsDevice(whileWaiting, afterwards) {
    await this.showPanel();
    const popup = await this.windowFrom(() => this.panel.locator('[data-way="vault"]').click());
    await whileWaiting?.();
    await this.atProvider(popup);
    await afterwards?.(popup);
    await this.signedIn();
  }

  async signedIn() {
    await this.panel.locator('.lk-tree').waitFor();
    await this.row(this.store).waitFor();
  }

  /** A row of the tree, by its name. */
  row(name) {
    return this.panel
      .locator('.lk-row', { has: this.page.locator(`.lk-name:text-is("${name}")`) })
      .first();
  }

  /** Opens a path in the tree, folder by folder. */
  async openRow(...names) {
    for (const name of names) {
      const row = this.row(name);
      await row.waitFor();
      if ((await row.getAttribute('aria-expanded')) === 'false') {
        await row.click();
      }
    }
    return this.row(names[names.length - 1]);
  }

  /** Opens a secret by its path, which may be in a folder that the person cannot list. */
  async openPath(path) {
    await this.action('open-path').click();
    const input = this.panel.locator('[data-lk="open-path-input"]');
    await input.fill(path);
    await input.press('Enter');
  }

  action(name) {
    return this.panel.locator(`[data-lk="${name}"]`).last();
  }

  dialog() {
    return this.page.locator('.jp-Dialog');
  }

  accept() {
    return this.dialog().locator('.jp-Dialog-button.jp-mod-accept').click();
  }

  /** Chooses a secret and puts it into the kernel of the notebook in front. */
  async inject(...names) {
    await this.openRow(...names);
    await this.action('inject').click();
    await this.dialog().waitFor();
    await this.accept();
    await this.notification('Set in');
  }

  /** Takes out of the kernel what it was given: a page that is left before that is done interrupts the kernel. */
  async forget() {
    await this.action('forget').click();
    await this.panel.getByText('Nothing yet').waitFor();
    await this.notification('Taken out of');
  }

  async notification(text) {
    const note = this.page.locator('.Toastify__toast', { hasText: text }).first();
    await note.waitFor();
    return note;
  }

  /** Restarts the kernel of the notebook in front, as the menu does after its question. */
  restart() {
    return this.page.evaluate(() =>
      window.jupyterapp.shell.currentWidget.sessionContext.restartKernel()
    );
  }

  /** Runs code in the kernel of the notebook in front, as a cell would, and gives its output. */
  async run(code) {
    return this.page.evaluate(async source => {
      const widget = window.jupyterapp.shell.currentWidget;
      const context = widget.sessionContext ?? widget.console.sessionContext;
      const future = context.session.kernel.requestExecute({ code: source, store_history: false });
      let text = '';
      future.onIOPub = message => {
        const { content } = message;
        text += content.text ?? content.data?.['text/plain'] ?? '';
        text += content.ename ? `${content.ename}: ${content.evalue}` : '';
      };
      await future.done;
      return text.trim();
    }, code);
  }

  /** Runs the first cell of the notebook by the keyboard, and gives what it shows. */
  async runCell() {
    const cell = this.page.locator('.jp-NotebookPanel:not(.lm-mod-hidden) .jp-CodeCell').first();
    await cell.locator('.cm-content').click();
    await this.page.keyboard.press('Control+Enter');
    const shown = cell.locator('.jp-OutputArea-output');
    await shown.first().waitFor();
    return (await shown.first().innerText()).trim();
  }

  /** Runs a command to its end. What it gives stays in the page: that may be a widget, with all that hangs on it. */
  command(id, args = {}) {
    return this.page.evaluate(
      async ([name, what]) => {
        await window.jupyterapp.commands.execute(name, what);
      },
      [id, args]
    );
  }

  /** What the plugin provides to other extensions, as they would get it. */
  async latchkey() {
    await this.page.waitForFunction(() => window.jupyterapp?.isPluginActivated);
    return this.page.evaluateHandle(async () => {
      const { jupyterapp: app } = window;
      await app.activatePlugin('jupyterlab-latchkey:plugin');
      // Tokens are compared by identity: it is found among those that are registered.
      const services = Object.values(app.pluginRegistry).find(
        value => value instanceof Map && [...value.keys()].some(key => key?.name)
      );
      const name = 'jupyterlab-latchkey:ILatchkey';
      return app.resolveRequiredService([...services.keys()].find(key => key.name === name));
    });
  }

  /** Nothing that the panel says is wider than the panel. */
  async fits() {
    const wide = await this.panel.evaluate(panel => {
      const { right } = panel.getBoundingClientRect();
      const all = [...panel.querySelectorAll('button, h2, h3, p, label, input, textarea, summary')];
      return all
        .filter(each => each.checkVisibility())
        .filter(
          each =>
            each.getBoundingClientRect().right > right ||
            (each.matches('button, summary') && each.scrollWidth > each.clientWidth)
        )
        .map(each => each.outerHTML);
    });
    assert.deepEqual(wide, []);
  }

  async picture(name, target = this.page) {
    fs.mkdirSync(pictures, { recursive: true });
    await target.screenshot({ path: path.join(pictures, `${name}.png`) });
  }

  async leave() {
    await this.context.close();
  }
}

/** For pages whose clock is put forward. Until then it goes as ours. */
export const withClock = { prepare: context => context.clock.install() };

/** A value that every scenario may look for. */
export const KEY = 'sk-canary-2f6d1c7a9b';

export { assert };
