# JupyterHub as people set it up for Keycloak: GenericOAuthenticator, unchanged. The addresses come from the environment.
import os

c = get_config()  # noqa: F821

issuer = os.environ["ISSUER"]
endpoint = f"{issuer}/protocol/openid-connect"

c.JupyterHub.bind_url = os.environ["HUB_URL"]
c.JupyterHub.hub_port = int(os.environ["HUB_PORT"])
c.ConfigurableHTTPProxy.api_url = os.environ["PROXY_API_URL"]
c.ConfigurableHTTPProxy.pid_file = "proxy.pid"
c.JupyterHub.db_url = "sqlite://"
c.JupyterHub.cookie_secret_file = "cookie_secret"
c.JupyterHub.authenticator_class = "generic-oauth"
c.JupyterHub.spawner_class = "simple"

c.GenericOAuthenticator.client_id = os.environ["CLIENT_ID"]
c.GenericOAuthenticator.client_secret = os.environ["CLIENT_SECRET"]
c.GenericOAuthenticator.oauth_callback_url = os.environ["HUB_URL"] + "/hub/oauth_callback"
c.GenericOAuthenticator.authorize_url = f"{endpoint}/auth"
c.GenericOAuthenticator.token_url = f"{endpoint}/token"
c.GenericOAuthenticator.userdata_url = f"{endpoint}/userinfo"
c.GenericOAuthenticator.scope = ["openid", "profile", "email"]
c.GenericOAuthenticator.username_claim = "preferred_username"
c.GenericOAuthenticator.allow_all = True
c.GenericOAuthenticator.enable_auth_state = True

# Somebody who may look at what the hub has learned.
c.JupyterHub.services = [{"name": "probe", "api_token": os.environ["PROBE_TOKEN"]}]
c.JupyterHub.load_roles = [{"name": "probe", "scopes": ["admin:users", "admin:auth_state"], "services": ["probe"]}]
