# The hub of examples/hub as it is, on ports that are free, with servers that a person of this machine may run.
import json
import os

load_subconfig(os.environ["HUB_CONFIG"])  # noqa: F821

c = get_config()  # noqa: F821

c.JupyterHub.bind_url = os.environ["HUB_URL"]
c.JupyterHub.hub_port = int(os.environ["HUB_PORT"])
c.ConfigurableHTTPProxy.api_url = os.environ["PROXY_API_URL"]
c.ConfigurableHTTPProxy.pid_file = "proxy.pid"
c.JupyterHub.db_url = "sqlite:///hub.sqlite"
c.JupyterHub.allow_named_servers = True
c.JupyterHub.cookie_secret_file = "cookie_secret"
# A request for a server is answered when it is there, or when it is known why not.
c.JupyterHub.tornado_settings = {"slow_spawn_timeout": 120}
c.Spawner.start_timeout = c.Spawner.http_timeout = 120
c.Authenticator.auth_refresh_age = 20

c.Spawner.cmd = json.loads(os.environ["SERVER_COMMAND"])
c.Spawner.environment = json.loads(os.environ["SERVER_ENVIRONMENT"])

if "KUBECONFIG" in os.environ:
    # An API server with nothing behind it: a pod is kept there, and never runs.
    c.JupyterHub.spawner_class = "kubespawner.KubeSpawner"
    c.JupyterHub.hub_connect_ip = "127.0.0.1"
    c.KubeSpawner.namespace = "default"
    c.KubeSpawner.image = "localhost/nothing"

hook = c.Spawner.pre_spawn_hook


async def pre_spawn(spawner):
    if os.path.exists("broken-servers"):
        spawner.cmd, spawner.http_timeout = ["false"], 2
    elif os.path.exists("small-servers"):
        spawner.cmd = json.loads(os.environ["SMALL_SERVER_COMMAND"])
    else:
        spawner.cmd = json.loads(os.environ["SERVER_COMMAND"])
    # For the measure: what a spawn costs without hub-spawn.
    if not os.path.exists("bare-spawns"):
        await hook(spawner)


c.Spawner.pre_spawn_hook = pre_spawn

probe = ["admin:users", "admin:auth_state", "admin:servers", "access:servers", "tokens"]
services = c.JupyterHub.services if isinstance(c.JupyterHub.services, list) else []
c.JupyterHub.services = [*services, {"name": "probe", "api_token": os.environ["PROBE_TOKEN"]}]
c.JupyterHub.load_roles = [*c.JupyterHub.load_roles, {"name": "probe", "scopes": probe, "services": ["probe"]}]
