// An OpenID provider (oidc-provider) on loopback, as the corporate identity provider behind the gateway. --redirect-uri
// is the gateway's callback. Prints one JSON line when it listens and one for every token it hands out.
import { createHash } from 'node:crypto';
import { createServer } from 'node:http';
import { parseArgs } from 'node:util';
import { Provider } from 'oidc-provider';
import { recordSecret } from './preload.mjs';

const { values: args } = parseArgs({
  options: {
    'redirect-uri': { type: 'string' },
    'client-id': { type: 'string', default: 'gateway' },
    'client-secret': { type: 'string' },
    'access-token-seconds': { type: 'string', default: '3600' },
  },
});

const say = (event) => console.log(JSON.stringify(event));
const server = createServer();
await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
const issuer = `http://127.0.0.1:${server.address().port}`;
recordSecret(args['client-secret']);

const provider = new Provider(issuer, {
  clients: [{
    client_id: args['client-id'],
    client_secret: args['client-secret'],
    redirect_uris: [args['redirect-uri']],
    grant_types: ['authorization_code', 'refresh_token'],
  }],
  scopes: ['openid', 'offline_access', 'profile', 'email'],
  claims: { openid: ['sub'], email: ['email'], profile: ['name'] },
  conformIdTokenClaims: false,
  findAccount: (ctx, id) => ({
    accountId: id,
    claims: () => ({ sub: id, email: `${id}@corp.example`, name: `Name of ${id}` }),
  }),
  ttl: {
    AccessToken: Number(args['access-token-seconds']), AuthorizationCode: 60, Grant: 3600, IdToken: 3600,
    Interaction: 3600, RefreshToken: 3600, Session: 3600,
  },
  pkce: { required: () => true },
  issueRefreshToken: async (ctx, client) => client.grantTypeAllowed('refresh_token'),
  rotateRefreshToken: true,
  cookies: { keys: ['only for tests'] },
});

for (const event of ['server_error', 'authorization.error', 'grant.error']) {
  provider.on(event, (ctx, error) => say({ event: 'error', at: event, message: error.error_detail ?? error.stack }));
}
provider.on('grant.success', (ctx) => {
  for (const name of ['access_token', 'refresh_token', 'id_token']) recordSecret(ctx.body[name]);
  const sha256 = createHash('sha256').update(ctx.body.access_token).digest('hex');
  say({ event: 'token', grant: ctx.oidc.params.grant_type, sha256, scope: ctx.body.scope });
});

server.on('request', provider.callback());
say({ event: 'listening', issuer });
