// Keycloak and OpenBao, as `cargo xtask servers` starts them, in the place of the doubles.

const { LATCHKEY_KEYCLOAK, LATCHKEY_OPENBAO, LATCHKEY_OPENBAO_TOKEN } = process.env;

/** Why scenarios with real servers are not run, if they are not. */
export function withoutServers() {
  return LATCHKEY_KEYCLOAK && LATCHKEY_OPENBAO ? undefined : 'Keycloak and OpenBao are not up';
}

/** The clients of `tests/servers/hashicorp-realm.json`. */
const CLIENT = { client_id: 'vault-oidc', client_secret: 's3cr3t' };
const DEVICE_CLIENT = { client_id: 'latchkey-service', client_secret: 's3rv1ce' };

const POLICY = `
path "lab-kv/*" { capabilities = ["create", "read", "update", "list", "delete"] }
path "sys/internal/ui/mounts" { capabilities = ["read"] }
`;

let servers;

/** The one pair of servers, once it is set up. */
export function theServers() {
  servers ??= Servers.begin();
  return servers;
}

export async function leaveServers() {
  await (await servers?.catch(() => undefined))?.leave();
}

/** Other suites use the same servers: everything of ours has a name of its own, and CORS is put back in the end. */
class Servers {
  provider = { issuer: LATCHKEY_KEYCLOAK, ...CLIENT };
  vault = { address: LATCHKEY_OPENBAO, root_token: LATCHKEY_OPENBAO_TOKEN ?? 'root' };
  /** What holds secrets here. */
  store = 'lab-kv';
  _redirects = ['urn:ietf:wg:oauth:2.0:oob'];

  static async begin() {
    const servers = new Servers();
    servers._cors = (await servers.call('GET', 'sys/config/cors')).data;
    servers._origins = [...(servers._cors.allowed_origins ?? []), servers.vault.address];
    await servers.provision();
    return servers;
  }

  /** Lets a page in, with what the provider may send people back to. */
  async welcome(origin, redirectUris) {
    this._origins.push(origin);
    this._redirects.push(...redirectUris);
    await this.call('PUT', 'sys/config/cors', { allowed_origins: [...new Set(this._origins)] });
    await this.role('lab-oidc', 'lab', { allowed_redirect_uris: this._redirects });
  }

  async provision() {
    const { issuer } = this.provider;
    await this.mount('sys/mounts/lab-kv', { type: 'kv', options: { version: '2' } });
    await this.call('PUT', 'sys/policies/acl/lab', { policy: POLICY });
    for (const [mount, client] of [
      ['lab-oidc', CLIENT],
      ['lab-device', DEVICE_CLIENT]
    ]) {
      await this.mount(`sys/auth/${mount}`, { type: 'oidc' });
      await this.call('POST', `auth/${mount}/config`, {
        oidc_discovery_url: issuer,
        oidc_client_id: client.client_id,
        oidc_client_secret: client.client_secret,
        default_role: 'lab'
      });
    }
    await this.role('lab-oidc', 'direct', {
      callback_mode: 'direct',
      poll_interval: 1,
      allowed_redirect_uris: [this.directRedirect]
    });
    await this.role('lab-device', 'lab', {
      callback_mode: 'device',
      poll_interval: 1,
      allowed_redirect_uris: [this.deviceRedirect]
    });
    await this.mount('sys/auth/lab-jwt', { type: 'jwt' });
    await this.call('POST', 'auth/lab-jwt/config', {
      oidc_discovery_url: issuer,
      bound_issuer: issuer,
      default_role: 'lab'
    });
    await this.role('lab-jwt', 'lab', { role_type: 'jwt', bound_audiences: [CLIENT.client_id] });
    const write = (at, data) => this.write(`lab-kv/data/${at}`, { data });
    await write('team/openai', { OPENAI_API_KEY: 'sk-canary-2f6d1c7a9b' });
    await write('team/database', { username: 'ada', password: 'pw-canary-77c0ffee', port: 5432 });
  }

  /** Where OpenBao itself takes the provider's answer, in its mode `direct`. */
  get directRedirect() {
    return `${this.vault.address}/v1/auth/lab-oidc/oidc/callback`;
  }

  /** What its mode `device` wants in that place, although nothing is sent there. */
  get deviceRedirect() {
    return `${this.vault.address}/v1/auth/lab-device/oidc/callback`;
  }

  role(mount, name, more) {
    return this.call('POST', `auth/${mount}/role/${name}`, {
      role_type: 'oidc',
      user_claim: 'sub',
      claim_mappings: { preferred_username: 'username' },
      token_policies: ['lab'],
      token_ttl: 3600,
      ...more
    });
  }

  /** Mounts something that an earlier run may have left. */
  async mount(at, what) {
    const [kind, name] = [at.split('/')[1], at.split('/')[2]];
    const there = await this.call('GET', `sys/${kind}`);
    if (!there.data[`${name}/`]) {
      await this.call('POST', at, what);
    }
  }

  /** A fresh store of versions may still be preparing itself. */
  async write(at, body) {
    for (let attempt = 0; ; attempt += 1) {
      try {
        return await this.call('POST', at, body);
      } catch (error) {
        if (attempt === 40 || !String(error).includes('pgrading')) {
          throw error;
        }
        await new Promise(resolve => setTimeout(resolve, 250));
      }
    }
  }

  /** Speaks to the Vault as its root. */
  async call(method, at, body) {
    const response = await fetch(`${this.vault.address}/v1/${at}`, {
      method,
      headers: { 'X-Vault-Token': this.vault.root_token },
      body: body === undefined ? undefined : JSON.stringify(body)
    });
    const text = await response.text();
    if (!response.ok) {
      throw new Error(`${method} ${at}: ${response.status} ${text}`);
    }
    return text ? JSON.parse(text) : undefined;
  }

  /** The settings with which a Lab uses them. */
  settings(changes = {}) {
    return {
      vaultUrl: this.vault.address,
      oidcMount: 'lab-oidc',
      jwtMount: 'lab-jwt',
      mounts: ['lab-kv'],
      ...changes
    };
  }

  async leave() {
    await this.call('DELETE', 'sys/auth/lab-oidc');
    await this.call('DELETE', 'sys/auth/lab-device');
    await this.call('DELETE', 'sys/auth/lab-jwt');
    await this.call('DELETE', 'sys/mounts/lab-kv');
    await this.call('DELETE', 'sys/policies/acl/lab');
    await this.call('DELETE', 'sys/policies/acl/lab-own');
    const { enabled, allowed_origins } = this._cors;
    await (enabled
      ? this.call('PUT', 'sys/config/cors', { allowed_origins })
      : this.call('DELETE', 'sys/config/cors'));
  }
}
