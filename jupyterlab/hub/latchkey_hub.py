"""What Latchkey needs of a JupyterHub, 5.x and 6.x: one call in `jupyterhub_config.py`.

    c = get_config()
    import sys; sys.path.insert(0, "/path/to/this/folder")
    from latchkey_hub import configure

    configure(c)                    # the ID token by a handler of its own
    configure(c, handler=False)     # or the whole of auth_state by the hub's API

Both let a tab read its own person's ID token, and nobody else's. The handler is the better way: `auth_state` also has the
refresh token, which a tab does not need.
"""

import base64
import json
import time

from jupyterhub.apihandlers import APIHandler
from tornado import web

#: The scope that `auth_state` needs.
AUTH_STATE = "admin:auth_state!user"

#: The scope that the handler needs. Custom scopes are spelled `custom:…`.
ID_TOKEN = "custom:latchkey:id-token"

#: A token that is about to end is of no use to whoever asks.
FRESH_FOR = 30


class IdTokenHandler(APIHandler):
    """`GET /hub/api/latchkey/id-token`: the ID token of whoever asks, and when it ends."""

    async def get(self):
        # Not by the decorator `needs_scope`: a scope of one's own is not known yet when this file is read.
        if ID_TOKEN not in self.expanded_scopes:
            raise web.HTTPError(403, f"this needs the scope {ID_TOKEN}")
        user = self.current_user
        if user is None or not hasattr(user, "get_auth_state"):
            raise web.HTTPError(403, "only a person has an ID token")
        auth_state = await user.get_auth_state() or {}
        if _ends(auth_state.get("id_token")) < time.time() + FRESH_FOR:
            # The hub asks the provider only every `auth_refresh_age` seconds: this asks now.
            await self.refresh_auth(user, force=True)
            auth_state = await user.get_auth_state() or {}
        id_token = auth_state.get("id_token")
        if not id_token:
            raise web.HTTPError(404, "the hub holds no ID token: is enable_auth_state set?")
        self.set_header("Cache-Control", "no-store")
        self.write(json.dumps({"id_token": id_token, "exp": _ends(id_token)}))


def _ends(token):
    """When a JWT ends, without checking it: the hub got it from the provider itself."""
    try:
        payload = token.split(".")[1]
        return int(json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))["exp"])
    except (AttributeError, IndexError, KeyError, TypeError, ValueError):
        return 0


def configure(c, handler=True):
    """Sets scopes and, with `handler`, the handler. Call it last: it adds to what is set."""
    scope = ID_TOKEN if handler else AUTH_STATE
    if handler:
        # Whether something is set already or not, these add to it.
        c.JupyterHub.custom_scopes.update({ID_TOKEN: {"description": "Read one's own ID token"}})
        c.JupyterHub.extra_handlers.append((r"/api/latchkey/id-token", IdTokenHandler))
    _grant(c, scope)
    # What a tab's token may beside naming its person. Server tokens, which every kernel can read, get nothing.
    c.Spawner.oauth_client_allowed_scopes = [scope]
    # The ID token is kept with the person, encrypted: JUPYTERHUB_CRYPT_KEY must be set.
    c.Authenticator.enable_auth_state = True


def _grant(c, scope):
    """Adds a scope to the role `user`, which is made where nobody has described it."""
    roles = c.JupyterHub.load_roles
    for role in roles if isinstance(roles, list) else []:
        if role["name"] == "user":
            role["scopes"] = [*role.get("scopes", ["self"]), scope]
            return
    roles.append({"name": "user", "scopes": ["self", scope]})
