"""Lets `hub-spawn` decide about every server, JupyterHub 5.x and 6.x. In `jupyterhub_config.py`:

    import sys; sys.path.insert(0, "/srv/jupyterhub")    # where this file is
    from hub_spawn import configure
    configure(c, ["hub-spawn", "--config", "/etc/jupyterhub/hub-spawn.toml"])

The program reads one question on its standard input and answers on its standard output: no secret is ever in its
arguments or its environment. One that hangs is killed. Whatever goes wrong becomes a page that says what to do.
"""

import asyncio
import json
import os
import signal
from html import escape

from jupyterhub.handlers.base import BaseHandler
from jupyterhub.utils import url_path_join
from tornado import web
from tornado.httputil import url_concat

#: All that the program gets of the hub's own environment, which has the keys of the hub in it.
KEPT = ("PATH", "LANG", "TZ", "SSL_CERT_FILE", "SSL_CERT_DIR")

BROKEN = {
    "status": 500,
    "remedy": "ask_operator",
    "message": "Your server was not started, because of a fault of this hub. Nothing is lost: try again, and show this "
    "to whoever runs this hub if it happens again.",
}


def configure(c, command, patience=40):
    """Sets the hooks. `patience` is how many seconds the program may take before it is killed."""

    async def ask(user, question):
        authenticator = user.settings["authenticator"]
        question = {
            "user": user.name,
            "auth_state": await user.get_auth_state(),
            "client_secret": authenticator.client_secret,
            **question,
        }
        return await asyncio.wait_for(_answer(command, question, lambda tokens: _keep(user, tokens)), patience)

    async def pre_spawn(spawner):
        try:
            answer = await ask(spawner.user, {"is_kubespawner": _is_kubespawner(spawner)})
            environment = answer["start"]["environment"] if "start" in answer else None
        except Exception as error:
            # Never out of here as it is: of some exceptions the hub makes a server that is up for ever, without a process.
            spawner.log.error("hub-spawn gives no answer for %s: %r", spawner._log_name, error)
            answer, environment = {"stop": BROKEN}, None
        if environment is None:
            raise _page(spawner, answer["stop"])
        # Kept here alone: an operator's own variables are none of what was handed over.
        spawner._notebook_token = environment.get("NOTEBOOK_VAULT_TOKEN")
        for note in answer["start"]["notes"]:
            spawner.log.warning("%s is started without what it usually gets: %s", spawner._log_name, note)
        # A new dict: the old one may be every spawner's. A spawner is for one start, also after one that failed.
        spawner.environment = {**spawner.environment, **environment}

    async def post_stop(spawner):
        # A hub that was restarted since does not have it any more, and it ends by itself.
        token = spawner.__dict__.pop("_notebook_token", None)
        others = (other for other in spawner.user.spawners.values() if other is not spawner)
        is_last = not any(other.active for other in others)
        if token is None and (_is_kubespawner(spawner) or not is_last):
            # There is no file, or another server of the person needs it.
            return
        try:
            question = {"user": spawner.user.name, "purpose": "stopped", "is_last": is_last, "notebook_token": token}
            await asyncio.wait_for(_answer(command, question), min(patience, 10))
        except Exception as error:
            spawner.log.error("hub-spawn does not clear up after %s: %r", spawner._log_name, error)

    async def refresh(authenticator, user, auth_state):
        if not auth_state:
            return False
        try:
            answer = await ask(user, {"purpose": "refresh"})
        except Exception as error:
            authenticator.log.error("hub-spawn does not tell how %s's sign-in is: %r", user.name, error)
            return True
        # Whoever cannot be asked about now stays signed in at the hub; their servers are another question.
        return answer.get("stop", {}).get("remedy") != "sign_in"

    c.Spawner.pre_spawn_hook = pre_spawn
    c.Spawner.post_stop_hook = post_stop
    c.OAuthenticator.refresh_user_hook = refresh
    # The hook above asks before each spawn, with a page that says what to do.
    c.Authenticator.refresh_pre_spawn = False
    c.Authenticator.enable_auth_state = True
    # Hub 6.1.1 answers 500 where a refresh fails in a browser: it reads this, which only requests with tokens set.
    if not hasattr(BaseHandler, "_token_authenticated"):
        BaseHandler._token_authenticated = False


def _is_kubespawner(spawner):
    return any(cls.__name__ == "KubeSpawner" for cls in type(spawner).__mro__)


async def _answer(command, question, keep=None):
    """Asks the program, and returns the last line of its answer."""
    program = await asyncio.create_subprocess_exec(
        *command,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        env={name: os.environ[name] for name in KEPT if name in os.environ},
        limit=1024 * 1024,
        start_new_session=True,
    )
    try:
        program.stdin.write(json.dumps(question).encode())
        program.stdin.close()
        answer = {}
        async for line in program.stdout:
            answer = json.loads(line)
            if "refreshed" in answer:
                # At once: what comes after may hang, and the old refresh token may be void.
                await keep(answer["refreshed"])
        if await program.wait() != 0 or not answer.keys() & {"start", "stop", "done"}:
            raise RuntimeError(f"it ended with {program.returncode} and without an answer")
        return answer
    finally:
        if program.returncode is None:
            # It, and what it has started.
            os.killpg(program.pid, signal.SIGKILL)
            await program.wait()


async def _keep(user, tokens):
    """Puts new tokens in place of the old ones, where the authenticator has them: twice."""
    state = await user.get_auth_state() or {}
    response = {**(state.get("token_response") or {}), **tokens}
    tokens = {name: value for name, value in tokens.items() if name != "expires_in"}
    await user.save_auth_state({**state, **tokens, "token_response": response})


def _page(spawner, stop):
    """What the hub shows, here and in the API: of other exceptions it shows that something went wrong."""
    message = stop["message"]
    error = web.HTTPError(stop["status"], message.replace("%", "%%"))
    error.reason = "Server not started"
    error.jupyterhub_message = message
    if stop["remedy"] == "sign_in":
        user, base_url = spawner.user, spawner.hub.base_url
        after = url_path_join(base_url, "spawn", user.escaped_name, spawner.name)
        login = url_concat(spawner.authenticator.login_url(base_url), {"next": after})
        error.jupyterhub_html_message = f'{escape(message)} <a href="{escape(login)}">Sign in again</a>'
    return error
