// What goes into kernels, and what does not come out of them.

import fs from 'node:fs';
import path from 'node:path';

import { scenario } from './runner.mjs';
import { as, shared } from './shared.mjs';
import { assert, KEY, place } from './page.mjs';

const STORE = 'notebook-secret-kv-v2';

scenario('a kernel that restarts has its secrets again, and forgets them when it is told to', () =>
  as('reader', async person => {
    await person.signIn();
    await person.inject(STORE, 'team', 'database');
    const shown = "import os; print(os.environ.get('DATABASE_PASSWORD'), os.environ.get('PORT'))";
    assert.equal(await person.run(shown), 'pw-canary-77c0ffee 5432');
    await person.restart();
    await person.notification(/has its .*secrets? again/);
    assert.equal(await person.run(shown), 'pw-canary-77c0ffee 5432');
    await person.forget();
    assert.equal(await person.run(shown), 'None None');
    await person.restart();
    await person.page.waitForTimeout(1500);
    assert.equal(await person.run(shown), 'None None');
  })
);

scenario(
  'a kernel that restarts while nobody is signed in gets its secrets after the sign-in',
  () =>
    as('reader', async person => {
      await person.signIn();
      await person.inject(STORE, 'team', 'openai');
      await person.action('sign-out').click();
      await person.panel.locator('.lk-signin').waitFor();
      await person.restart();
      await person.notification('lost its secrets');
      await person.windowFrom(() => person.panel.locator('[data-way="vault"]').click());
      await person.notification(/has its .*secrets? again/);
      assert.equal(await person.run("import os; print(os.environ['OPENAI_API_KEY'])"), KEY);
      await person.forget();
    })
);

scenario(
  'a second client of the kernel sees nothing of a secret, and the person is warned of it',
  async () => {
    const { lab } = await shared();
    await as('reader', async person => {
      await person.signIn();
      const id = await person.page.evaluate(
        () => window.jupyterapp.shell.currentWidget.sessionContext.session.kernel.id
      );
      const url = `${lab.url.replace('http', 'ws')}/api/kernels/${id}/channels?session_id=second&token=lab-token`;
      await person.page.evaluate(async at => {
        const socket = new WebSocket(at);
        window.secondClient = { socket, seen: [] };
        socket.onmessage = event => window.secondClient.seen.push(String(event.data));
        await new Promise((resolve, reject) => {
          socket.onopen = resolve;
          socket.onerror = reject;
        });
      }, url);
      await person.openRow(STORE, 'team', 'openai');
      await person.action('inject').click();
      await person.dialog().getByText('One more client is connected').waitFor();
      await person.picture('shared-kernel');
      await person.accept();
      await person.notification('Set in');
      assert.equal(await person.run("import os; print(os.environ['OPENAI_API_KEY'][:3])"), 'sk-');
      const all = await person.page.evaluate(() => {
        window.secondClient.socket.close();
        return window.secondClient.seen.join('\n');
      });
      assert.ok(all.includes('"status"'), 'it sees that the kernel is busy');
      assert.ok(!all.includes(KEY), 'it saw the secret');
      assert.ok(!all.includes('input_request') && !all.includes('getpass'), 'it saw the question');
      await person.forget();
    });
  }
);

scenario(
  'a kernel that is busy gets the secret when it is free, by a page that was loaded in the meantime',
  async () => {
    const { lab } = await shared();
    const end = path.join(lab.home, 'end-of-the-work');
    await as('reader', async person => {
      await person.page.evaluate(file => {
        const { kernel } = window.jupyterapp.shell.currentWidget.sessionContext.session;
        kernel.requestExecute({
          code: `import os, time\nwhile not os.path.exists(${JSON.stringify(file)}): time.sleep(0.1)`
        });
      }, end);
      await person.open(undefined, false);
      await person.page.waitForFunction(
        () => window.jupyterapp?.shell?.currentWidget?.sessionContext?.session?.kernel
      );
      await person.signIn();
      await person.openRow(STORE, 'team', 'openai');
      await person.action('inject').click();
      await person.dialog().waitFor();
      await person.accept();
      const busy = await person.notification('is busy');
      await person.picture('busy-kernel');
      fs.writeFileSync(end, '');
      await person.notification('Set in');
      await busy.waitFor({ state: 'detached' });
      assert.equal(await person.run("import os; print(os.environ['OPENAI_API_KEY'])"), KEY);
      await person.forget();
    });
  }
);

scenario('a page that is left in the middle of an exchange leaves no kernel waiting for it', () =>
  as('reader', async person => {
    await person.signIn();
    await person.page.evaluate(() => {
      const { kernel } = window.jupyterapp.shell.currentWidget.sessionContext.session;
      kernel.sendInputReply = () => (window.wasAsked = true);
    });
    await person.openRow(STORE, 'team', 'openai');
    await person.action('inject').click();
    await person.dialog().waitFor();
    await person.accept();
    await person.page.waitForFunction(() => window.wasAsked);
    // The kernel answers the next page, which waits for that.
    await person.open();
    assert.equal(await person.run('print(6 * 7)'), '42');
    assert.equal(await person.run("import os; print('OPENAI_API_KEY' in os.environ)"), 'False');
  })
);

scenario('a secret becomes a file that only its owner can read', async () => {
  const { lab } = await shared();
  await as('reader', async person => {
    await person.signIn();
    await person.openRow(STORE, 'people', 'reader', 'note');
    await person.row('text').click();
    await person.action('inject').click();
    await person.dialog().getByLabel('a file').check();
    await person.dialog().locator('[data-lk="file"]').fill('~/deep/note.txt');
    await person.picture('into-a-file');
    await person.accept();
    await person.notification('is written');
    const file = path.join(lab.home, 'deep/note.txt');
    assert.equal(fs.readFileSync(file, 'utf8'), 'line one\nline two ✓');
    assert.equal(fs.statSync(file).mode & 0o777, 0o600);
  });
});

scenario('VAULT_TOKEN is a child of the token that travels wrapped', async () => {
  const { doubles } = await shared();
  await doubles.call('PUT', 'sys/policies/acl/parent', {
    policy: 'path "auth/token/create" { capabilities = ["update"] }'
  });
  const settings = await doubles.role('parent', { token_policies: ['parent', 'reader'] });
  await as(
    'reader',
    async person => {
      await person.signIn();
      const sent = [];
      person.page.on('websocket', socket =>
        socket.on('framesent', frame => sent.push(String(frame.payload)))
      );
      await person.action('token').click();
      await person.dialog().locator('.jp-mod-warn').click();
      await person.notification('VAULT_TOKEN');
      const token = await person.run("import os; print(os.environ['VAULT_TOKEN'])");
      assert.equal(
        await person.run("import os; print(os.environ['NOTEBOOK_VAULT_TOKEN'])"),
        token,
        'under the name that other libraries look for, too'
      );
      const looked = await fetch(`${doubles.vault.address}/v1/auth/token/lookup-self`, {
        headers: { 'X-Vault-Token': token }
      });
      const { data } = await looked.json();
      assert.equal(looked.status, 200);
      assert.ok(data.policies.includes('reader'));
      // Signing out ends the parent, and with it the child.
      await person.action('sign-out').click();
      await person.panel.locator('.lk-signin').waitFor();
      const after = await fetch(`${doubles.vault.address}/v1/auth/token/lookup-self`, {
        headers: { 'X-Vault-Token': token }
      });
      assert.equal(after.status, 403);
    },
    { settings: { ...settings, kernelTokenVariables: ['VAULT_TOKEN', 'NOTEBOOK_VAULT_TOKEN'] } }
  );
});

scenario('a name that is no variable, or one that the system uses, is not taken', () =>
  as('reader', async person => {
    await person.signIn();
    await person.openRow(STORE, 'team', 'openai');
    await person.action('inject').click();
    const name = person.dialog().locator('[data-lk="variable"]');
    for (const bad of ["X'); import os #", 'PATH', '1X', 'LD_PRELOAD', '']) {
      await name.fill(bad);
      await person.dialog().locator('.lk-problem').waitFor();
      assert.equal(await name.getAttribute('aria-invalid'), 'true', bad);
    }
    await name.fill('MY_KEY');
    await person.dialog().locator('.lk-problem').waitFor({ state: 'detached' });
    await person.accept();
    await person.notification('Set in');
    assert.equal(await person.run("import os; print(os.environ['MY_KEY'])"), KEY);
    await person.forget();
  })
);

scenario(
  'a kernel for R has the secret, too',
  async () => {
    const { lab } = await shared();
    lab.notebook('r.ipynb', ["cat(Sys.getenv('OPENAI_API_KEY'))"], 'ir', 'R');
    await as(
      'reader',
      async person => {
        await person.signIn();
        await person.inject(STORE, 'team', 'openai');
        assert.equal(await person.runCell(), KEY);
        await person.picture('in-r');
        await person.inject(STORE, 'people', 'reader', 'note');
        assert.equal(await person.run("cat(Sys.getenv('TEXT'))"), 'line one\nline two ✓');
        await person.forget();
        assert.equal(await person.run("cat('[', Sys.getenv('OPENAI_API_KEY'), ']', sep='')"), '[]');
      },
      { at: place('r.ipynb') }
    );
  },
  {
    needs: () =>
      fs.existsSync('/usr/lib/R/site-library/IRkernel')
        ? undefined
        : 'r-cran-irkernel is not installed'
  }
);

scenario('a console has a kernel, too', () =>
  as('reader', async person => {
    await person.signIn();
    await person.command('console:create', {
      kernelPreference: { name: 'python3' },
      activate: true
    });
    await person.panel.getByText('In the kernel of Console').waitFor();
    await person.kernelAnswers();
    await person.inject(STORE, 'team', 'openai');
    assert.equal(await person.run("import os; print(os.environ['OPENAI_API_KEY'])"), KEY);
  })
);
