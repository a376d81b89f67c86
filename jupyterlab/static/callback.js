// Takes what the provider answered to the tab that asked, and nothing else: see src/signin/callback.ts for the other side.
(() => {
  'use strict';

  const parameters = new URLSearchParams(location.search || location.hash.replace(/^#/, ''));
  // Before anything else: a code does not stay in the address, in the history, or in a screenshot.
  history.replaceState(null, '', location.pathname);

  const answer = { type: 'latchkey-answer' };
  for (const name of ['code', 'state', 'iss', 'error', 'error_description']) {
    const values = parameters.getAll(name);
    if (values.length === 1) {
      answer[name] = values[0];
    }
  }

  const whenReady = action => {
    if (document.readyState === 'loading') {
      document.addEventListener('DOMContentLoaded', action);
    } else {
      action();
    }
  };
  const say = text =>
    whenReady(() => {
      document.getElementById('message').textContent = text;
    });

  if (!answer.state) {
    say('This page is the end of a sign-in. There is none here: you can close it.');
    return;
  }

  // Only the tab that began this sign-in knows its state, and listens on the channel of that name.
  const channel = new BroadcastChannel('latchkey:' + answer.state);
  let heard = false;
  const received = () => {
    if (heard) {
      return;
    }
    heard = true;
    channel.close();
    say('You can close this window and go back to JupyterLab.');
    window.close();
  };
  channel.onmessage = event => {
    if (event.data && event.data.type === 'latchkey-received') {
      received();
    }
  };
  const send = () => {
    channel.postMessage(answer);
    // The same by the other way, where the provider's page left the opener alone.
    const asker = window.opener || (window.parent !== window ? window.parent : null);
    if (asker) {
      asker.postMessage(answer, location.origin);
    }
  };
  send();
  // A tab in the background may be slow to listen.
  const again = setInterval(() => (heard ? clearInterval(again) : send()), 500);
  setTimeout(() => {
    clearInterval(again);
    if (heard) {
      return;
    }
    if (!answer.code) {
      say('The provider did not let you in. Go back to JupyterLab and try again.');
      return;
    }
    // Another browser partition, or the tab is gone. What is shown is useless without the nonce that the tab kept.
    say('The sign-in is done here, but the tab in JupyterLab does not listen any more.');
    whenReady(() => {
      document.getElementById('answer').value = answer.code + '#' + answer.state;
      document.getElementById('manual').hidden = false;
    });
  }, 5000);
})();
