import { init, Session } from '/package/index.js';

onmessage = async ({ data: [vault, token] }) => {
  try {
    await init();
    const session = new Session({ vault });
    postMessage((await session.signInWithToken(token)).way);
  } catch (error) {
    postMessage(String(error));
  }
};
