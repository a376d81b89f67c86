// Ways of signing in.

import { scenario } from './runner.mjs';
import { withoutServers } from './servers.mjs';
import { as, asAt, atServers, other, people, shared } from './shared.mjs';
import { assert, KEY, Person, withClock } from './page.mjs';
import { until } from './world.mjs';

scenario('a person signs in in a window, and the notebook has the secret', () =>
  as('reader', async person => {
    await person.showPanel();
    await person.panel.locator('[data-way="vault"]').waitFor();
    await person.picture('signed-out');
    const popup = await person.signIn();
    assert.ok(popup.isClosed() || (await popup.waitForEvent('close').then(() => true)));
    await person.openRow('notebook-secret-kv-v2', 'team', 'openai');
    await person.row('OPENAI_API_KEY').waitFor();
    await person.picture('tree');
    await person.action('inject').click();
    await person.dialog().waitFor();
    await person.picture('into-the-kernel');
    await person.accept();
    await person.notification('Set in');
    assert.equal(await person.runCell(), KEY);
    await person.picture('in-the-notebook');
  })
);

scenario(
  'a provider whose pages cut themselves off from their opener signs people in all the same',
  async () => {
    const { doubles, lab } = await other('cut-off', [
      '--opener-policy',
      'same-origin',
      '--consent',
      'asked'
    ]);
    await lab.with(doubles.settings(), () =>
      asAt(lab, 'reader', async person => {
        await person.showPanel();
        const popup = await person.windowFrom(() =>
          person.panel.locator('[data-way="vault"]').click()
        );
        await popup.locator('#username').waitFor();
        // For the panel the window looks closed now: it must not mind.
        await person.panel.getByText('Waiting for your sign-in').waitFor();
        await person.atProvider(popup);
        await person.signedIn();
      })
    );
  }
);

scenario('a person who presses Cancel at the provider can try again', async () => {
  const { doubles, lab } = await other('cut-off', [
    '--opener-policy',
    'same-origin',
    '--consent',
    'asked'
  ]);
  await lab.with(doubles.settings(), () =>
    asAt(lab, 'reader', async person => {
      await person.showPanel();
      const popup = await person.windowFrom(() =>
        person.panel.locator('[data-way="vault"]').click()
      );
      await popup.locator('#kc-cancel').click();
      await person.panel.locator('.lk-problem', { hasText: 'refused' }).waitFor();
      await person.signIn();
    })
  );
});

scenario('a window that the browser blocks becomes a link that does the same', () =>
  as('reader', async person => {
    await person.page.evaluate(() => {
      window.open = () => null;
    });
    await person.showPanel();
    await person.panel.locator('[data-way="vault"]').click();
    await person.panel.getByText('did not let the window open').waitFor();
    await person.picture('blocked');
    const tab = await person.windowFrom(() => person.panel.locator('.lk-provider').click());
    assert.equal(await tab.evaluate(() => window.opener), null);
    await person.atProvider(tab);
    await person.signedIn();
  })
);

scenario('two tabs sign in at the same time, and each gets its own answer', async () => {
  const { lab } = await shared();
  await as('reader', async first => {
    const second = Object.assign(new Person(), { ...first, name: 'reader' });
    second.page = await first.context.newPage();
    await second.open();
    await Promise.all([first.showPanel(), second.showPanel()]);
    const windows = [];
    for (const person of [first, second]) {
      await person.page.bringToFront();
      windows.push(
        await person.windowFrom(() => person.panel.locator('[data-way="vault"]').click())
      );
    }
    // The one that began last is answered first.
    await second.atProvider(windows[1]);
    await second.signedIn();
    assert.ok(await first.panel.getByText('Waiting for your sign-in').isVisible());
    // The provider knows the person by now, and answers by itself or after another password.
    // Then the window may be gone before it is loaded.
    await windows[0].reload().catch(() => undefined);
    if (
      await windows[0]
        .locator('#username')
        .isVisible()
        .catch(() => false)
    ) {
      await first.atProvider(windows[0]);
    }
    await first.signedIn();
    assert.ok(lab);
  });
});

scenario(
  'a page that is loaded again in the middle forgets the sign-in, and the window says so',
  () =>
    as('reader', async person => {
      await person.showPanel();
      const popup = await person.windowFrom(() =>
        person.panel.locator('[data-way="vault"]').click()
      );
      await popup.locator('#username').waitFor();
      await person.page.reload();
      // Whether the panel is open again depends on when Lab last saved its layout.
      await person.page.waitForFunction(() => window.jupyterapp?.restored);
      await person.page.evaluate(() => window.jupyterapp.restored);
      await person.showPanel();
      await person.atProvider(popup);
      await popup.locator('#answer').waitFor();
      assert.equal(new URL(popup.url()).search, '');
      assert.match(await popup.locator('#answer').inputValue(), /#/);
      await person.picture('nobody-listens', popup);
      await popup.close();
      // Anew: the provider still knows the person, so that the window comes and goes.
      await person.showPanel();
      await person.windowFrom(() => person.panel.locator('[data-way="vault"]').click());
      await person.signedIn();
    })
);

scenario('a person pastes the code that the provider shows', () =>
  as('reader', async person => {
    await person.showPanel();
    await person.panel.locator('.lk-ways summary').click();
    await person.picture('ways');
    await person.panel.locator('[data-way="paste"]').click();
    await person.panel.locator('.lk-provider').waitFor();
    await person.picture('paste');
    // What is no code is told, and can be mended.
    await person.panel.locator('[data-lk="paste"]').press('Enter');
    await person.panel.locator('.lk-problem').waitFor();
    await person.pasteCode();
  })
);

scenario('a person signs in at the provider directly', () =>
  as('management', async person => {
    await person.signIn('provider');
    await person.panel.getByText('by the provider').waitFor();
    const code = person.urls.filter(url => /[?&#]code=/.test(url));
    // The address with the code was there only until our page had scrubbed it.
    assert.ok(
      code.every(url => url.includes('callback.html')),
      code.join('\n')
    );
  })
);

scenario('a person signs in where OpenBao itself takes the answer of the provider', async () => {
  const { doubles } = await shared();
  await as('reader', person => person.signInDirectly(), {
    settings: await doubles.pollingRole('direct')
  });
});

scenario('a person signs in as a device does, by a code that the provider asks for', async () => {
  const { doubles } = await shared();
  await as(
    'reader',
    person =>
      person.signInAsDevice(async () => {
        // The address has the code already, and nothing comes back that could be pasted.
        await person.panel.getByText('Waiting for your sign-in').waitFor();
        await person.picture('device');
        assert.equal(await person.panel.locator('[data-lk="paste"]').count(), 0);
      }),
    { settings: await doubles.pollingRole('device') }
  );
});

for (const [what, changes, signIn] of [
  [
    'where OpenBao itself takes the answer',
    servers => ({ oidcRole: 'direct', redirectUri: servers.directRedirect }),
    person => person.signInDirectly(popup => person.picture('direct-at-openbao', popup))
  ],
  [
    'as a device does',
    servers => ({ oidcMount: 'lab-device', redirectUri: servers.deviceRedirect }),
    person =>
      person.signInAsDevice(undefined, async popup => {
        // Keycloak asks what the device may know.
        await popup.getByText('Do you grant these access privileges?').waitFor();
        await person.picture('device-at-keycloak', popup);
        await popup.locator('#kc-login').click();
      })
  ]
]) {
  scenario(
    `Keycloak and OpenBao: a person signs in ${what}`,
    () =>
      atServers(changes, async person => {
        await signIn(person);
        await person.openRow('lab-kv', 'team', 'openai');
        await person.row('OPENAI_API_KEY').waitFor();
      }),
    { needs: withoutServers }
  );
}

scenario(
  'a person uses a Vault token that they have, and signing out revokes only what is ours to revoke',
  async () => {
    const { doubles } = await shared();
    const made = await doubles.call('POST', 'auth/token/create', {
      policies: ['reader'],
      ttl: '1h'
    });
    await as('reader', async person => {
      await person.useToken(made.auth.client_token);
      assert.equal(await person.panel.locator('input[type="password"]').count(), 0);
      await person.action('sign-out').click();
      await person.panel.locator('.lk-signin').waitFor();
      const looked = await fetch(`${doubles.vault.address}/v1/auth/token/lookup-self`, {
        headers: { 'X-Vault-Token': made.auth.client_token }
      });
      assert.equal(looked.status, 403);
    });
  }
);

scenario('a page where nothing is set says what an administrator must set', async () => {
  await as(
    'reader',
    async person => {
      await person.showPanel();
      await person.panel.getByText('does not know yet how you sign in').waitFor();
      for (const name of ['vaultUrl']) {
        assert.ok((await person.panel.getByText(name).count()) > 0, name);
      }
      await person.picture('nothing-set');
    },
    { settings: null }
  );
});

scenario(
  'a token that cannot be prolonged is fetched anew in a hidden frame, and what somebody is writing stays',
  async () => {
    const { doubles } = await shared();
    const settings = await doubles.role('short', { token_ttl: 12, token_max_ttl: 12 });
    await as(
      'reader',
      async person => {
        await person.signIn();
        await person.panel
          .locator('[title="New secret"], [aria-label="New secret"]')
          .first()
          .click();
        const path = person.panel.locator('[data-lk="path"]');
        await path.fill('team/half-written');
        const latchkey = await person.latchkey();
        const accessor = () => latchkey.evaluate(it => it.identity?.accessor);
        const before = await accessor();
        await until('another token', async () => ![undefined, before].includes(await accessor()));
        assert.equal(await path.inputValue(), 'team/half-written');
        await person.panel.getByText('Back', { exact: true }).click();
        await person.openRow('notebook-secret-kv-v2', 'team', 'openai');
        await person.row('OPENAI_API_KEY').waitFor();
        assert.equal(person.context.pages().length, 1, 'no window was opened for it');
        // The frame goes when it has done its work; the next token may be on its way already.
        const frame = person.page.locator('iframe[aria-hidden="true"]');
        await until('no frame', async () => (await frame.count()) === 0);
      },
      { settings }
    );
  }
);

/** A tab that slept: its timers stood still while the clock, and the token at the Vault, went on. */
async function sleep(person, doubles, hours) {
  const { page } = person;
  // Only ahead is allowed, and less than a value is shown for.
  await page.clock.pauseAt(Date.now() + 20_000);
  const { data } = await doubles.call('LIST', 'auth/token/accessors');
  for (const accessor of data.keys) {
    const { data: token } = await doubles.call('POST', 'auth/token/lookup-accessor', { accessor });
    if (token.path?.startsWith('auth/keycloak-oidc/')) {
      await doubles.call('POST', 'auth/token/revoke-accessor', { accessor });
    }
  }
  // No timer fires by it, as in a machine that was closed: what is due is noticed by what happens when it is opened.
  await page.clock.setSystemTime(Date.now() + hours * 3_600_000);
  await page.clock.resume();
  await page.evaluate(() => document.dispatchEvent(new Event('visibilitychange')));
}

scenario(
  'a tab that slept until its token was dead signs in again by itself where the provider knows the person',
  () =>
    as(
      'management',
      async (person, { doubles }) => {
        await person.signIn();
        const logins = () =>
          person.requests.filter(({ url }) => url.includes('/oidc/callback?')).length;
        assert.equal(logins(), 1);
        await sleep(person, doubles, 9);
        await until('a second sign-in', () => logins() === 2, 120_000);
        await person.openRow('notebook-secret-kv-v2', 'team', 'openai');
        await person.row('OPENAI_API_KEY').waitFor();
        assert.equal(person.context.pages().length, 1, 'no window was opened for it');
      },
      withClock
    )
);

scenario('a tab that slept until nobody knows the person shows no secret any more, and asks', () =>
  as(
    'management',
    async (person, { doubles }) => {
      await person.signIn();
      await person.openRow('notebook-secret-kv-v2', 'team', 'openai');
      await person.row('OPENAI_API_KEY').click();
      await person.action('reveal').click();
      await person.panel.getByText(KEY).waitFor();
      // The provider has forgotten the person as well.
      await person.context.clearCookies({ name: /KEYCLOAK|AUTH|session/i });
      await sleep(person, doubles, 9);
      await person.panel.locator('.lk-signin').waitFor();
      await person.notification('Sign in');
      await person.picture('slept');
      assert.equal(await person.page.getByText(KEY).count(), 0);
      await person.signIn();
    },
    withClock
  )
);

export { people };
