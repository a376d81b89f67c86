# A hub that people sign in to at an OpenID provider such as Keycloak, and whose servers `hub-spawn` prepares. Addresses and
# secrets come from the environment of the hub: the providers' endpoints are those of Keycloak.
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from hub_spawn import configure  # noqa: E402

c = get_config()  # noqa: F821

issuer = os.environ["ISSUER"]  # https://id.example/realms/team
endpoint = f"{issuer}/protocol/openid-connect"

c.JupyterHub.authenticator_class = "generic-oauth"
c.GenericOAuthenticator.client_id = os.environ.get("CLIENT_ID", "jupyterhub")
c.GenericOAuthenticator.client_secret = os.environ["CLIENT_SECRET"]
c.GenericOAuthenticator.oauth_callback_url = os.environ["HUB_URL"] + "/hub/oauth_callback"
c.GenericOAuthenticator.authorize_url = f"{endpoint}/auth"
c.GenericOAuthenticator.token_url = f"{endpoint}/token"
c.GenericOAuthenticator.userdata_url = f"{endpoint}/userinfo"
c.GenericOAuthenticator.scope = ["openid", "profile", "email"]
c.GenericOAuthenticator.username_claim = "preferred_username"
c.GenericOAuthenticator.allow_all = True  # whoever the provider lets in; or allowed_users, allowed_groups
# JUPYTERHUB_CRYPT_KEY must be set: sign-ins are kept encrypted.

# Each person is a Unix user of their own, whom hub-spawn makes where they are missing. The hub runs as root for that.
c.JupyterHub.spawner_class = "jupyterhub.spawner.LocalProcessSpawner"

settings = os.environ.get("HUB_SPAWN_CONFIG", "/etc/jupyterhub/hub-spawn.toml")
configure(c, [os.environ.get("HUB_SPAWN", "hub-spawn"), "--config", settings], int(os.environ.get("HUB_SPAWN_PATIENCE", 40)))

# Lets a notebook fetch a fresh ID token from the hub (`notebook-token`). Every kernel can then read its own person's
# auth_state, the refresh token too; leave the next lines out where that is too much.
c.JupyterHub.load_roles = [
    {"name": "user", "scopes": ["self", "admin:auth_state!user"]},
    {"name": "server", "scopes": ["users:activity!user", "access:servers!server", "admin:auth_state!user"]},
]

# Keeps the hub's own token of Vault alive, as long as the hub runs.
VAULT = ("VAULT_ADDR", "VAULT_CACERT", "VAULT_NAMESPACE", "VAULT_CLIENT_TIMEOUT")
if "VAULT_TOKEN_FILE" in os.environ:
    c.JupyterHub.services = [
        {
            "name": "keep-token",
            "command": [os.environ.get("KEEP_TOKEN", "keep-token"), "--token-file", os.environ["VAULT_TOKEN_FILE"]],
            "environment": {name: value for name, value in os.environ.items() if name in VAULT},
        }
    ]
