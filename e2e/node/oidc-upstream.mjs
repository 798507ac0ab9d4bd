// An OpenID provider (oidc-provider) on loopback: an identity provider behind the gateway, or the authorization server of an MCP
// server. Clients are the one that --redirect-uri and --client-secret describe; with --register whoever registers (RFC 7591,
// managed by RFC 7592; with --initial-access-token only who has that token); with --cimd whoever has a client ID metadata
// document, also on loopback. Refresh tokens rotate, and the second use of one ends the login; with --keep-refresh-tokens they
// stay. Tokens can be exchanged (RFC 8693). Prints one JSON line when it listens and one for whatever happens.
// DELETE /__admin/clients forgets all registrations and their access tokens.
import { createHash } from 'node:crypto';
import { createServer } from 'node:http';
import { setTimeout as pause } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { errors, Provider } from 'oidc-provider';
import { recordSecret } from './preload.mjs';
import { storedIn } from './stored-in-file.mjs';

const { values: args } = parseArgs({
  options: {
    port: { type: 'string', default: '0' },
    'redirect-uri': { type: 'string' },
    'client-id': { type: 'string', default: 'gateway' },
    'client-secret': { type: 'string' },
    register: { type: 'boolean', default: false },
    'initial-access-token': { type: 'string' },
    cimd: { type: 'boolean', default: false },
    'keep-refresh-tokens': { type: 'boolean', default: false },
    // Who may introspect tokens, as ID:SECRET.
    'resource-server': { type: 'string' },
    // The resource that tokens may be asked for (RFC 8707), and must be.
    resource: { type: 'string' },
    'access-token-seconds': { type: 'string', default: process.env.ACCESS_TOKEN_SECONDS ?? '3600' },
    // How long the answer to a refresh is on its way, after the refresh token has been replaced.
    'refresh-answer-ms': { type: 'string', default: '0' },
    // What it knows survives a restart in this file.
    state: { type: 'string' },
  },
});

const EXCHANGE = 'urn:ietf:params:oauth:grant-type:token-exchange';
const say = (event) => console.log(JSON.stringify(event));
const server = createServer();
await new Promise((resolve) => server.listen(Number(args.port), '127.0.0.1', resolve));
const issuer = `http://127.0.0.1:${server.address().port}`;
const [resourceServer, resourceServerSecret] = args['resource-server']?.split(':') ?? [];
for (const secret of [args['client-secret'], args['initial-access-token'], resourceServerSecret]) recordSecret(secret);

const clients = [];
if (args['redirect-uri']) {
  clients.push({
    client_id: args['client-id'],
    client_secret: args['client-secret'],
    redirect_uris: [args['redirect-uri']],
    grant_types: ['authorization_code', 'refresh_token', EXCHANGE],
  });
}
if (resourceServer) {
  clients.push({
    client_id: resourceServer, client_secret: resourceServerSecret, redirect_uris: [], response_types: [], grant_types: [],
  });
}

const seconds = Number(args['access-token-seconds']);
const Adapter = storedIn(args.state);
const provider = new Provider(issuer, {
  adapter: Adapter,
  clients,
  scopes: ['openid', 'offline_access', 'profile', 'email', 'mcp:tools'],
  claims: { openid: ['sub'], email: ['email'], profile: ['name'] },
  conformIdTokenClaims: false,
  findAccount: (ctx, id) => ({
    accountId: id,
    claims: () => ({ sub: id, email: `${id}@corp.example`, name: `Name of ${id}` }),
  }),
  features: {
    registration: { enabled: args.register, initialAccessToken: args['initial-access-token'] ?? false },
    registrationManagement: { enabled: args.register, rotateRegistrationAccessToken: true },
    clientIdMetadataDocument: { enabled: args.cimd, ack: 'draft-02' },
    revocation: { enabled: true },
    introspection: { enabled: true, allowedPolicy: (ctx, client) => client.clientId === resourceServer },
    resourceIndicators: {
      enabled: args.resource !== undefined,
      getResourceServerInfo(ctx, resource) {
        if (resource !== args.resource) throw Object.assign(new Error('invalid_target'), { status: 400, expose: true });
        return { scope: 'mcp:tools', accessTokenFormat: 'opaque', accessTokenTTL: seconds };
      },
      useGrantedResource: () => false,
    },
  },
  ttl: {
    AccessToken: seconds, AuthorizationCode: 60, Grant: 3600, IdToken: 3600, Interaction: 3600, RefreshToken: 3600,
    Session: 3600,
  },
  pkce: { required: () => true },
  issueRefreshToken: async (ctx, client) => client.grantTypeAllowed('refresh_token'),
  rotateRefreshToken: !args['keep-refresh-tokens'],
  // Without the guard that keeps it away from loopback, where the documents of tests are.
  fetch: (url, { dispatcher, ...options }) => fetch(url, options),
  cookies: { keys: ['only for tests'] },
});

provider.registerGrantType(EXCHANGE, async (ctx) => {
  const { oidc } = ctx;
  const { subject_token: subject, audience } = oidc.params;
  const found = await provider.AccessToken.find(subject);
  if (!found?.isValid) throw new errors.InvalidGrant('the subject token is not valid');
  const { accountId } = found;
  const token = new provider.AccessToken({ client: oidc.client, accountId, aud: audience, scope: found.scope });
  oidc.entity('Account', { accountId });
  ctx.body = {
    access_token: await token.save(),
    issued_token_type: 'urn:ietf:params:oauth:token-type:access_token',
    token_type: 'Bearer',
    expires_in: token.expiration,
  };
}, ['subject_token', 'subject_token_type', 'audience']);

for (const event of ['server_error', 'authorization.error', 'grant.error', 'registration_create.error']) {
  provider.on(event, (ctx, error) => {
    if (error.error_detail === 'refresh token already used') {
      say({ event: 'reused', account: ctx.oidc.entities.Account?.accountId });
    }
    say({ event: 'error', at: event, message: error.error_detail ?? error.stack });
  });
}
provider.on('grant.success', (ctx) => {
  for (const name of ['access_token', 'refresh_token', 'id_token']) recordSecret(ctx.body[name]);
  const sha256 = createHash('sha256').update(ctx.body.access_token).digest('hex');
  const { accountId: account } = ctx.oidc.entities.Account;
  const { grant_type: grant, resource } = ctx.oidc.params;
  say({ event: 'token', grant, account, client: ctx.oidc.client.clientId, sha256, scope: ctx.body.scope, resource });
  setTimeout(() => say({ event: 'expired', sha256 }), seconds * 1000).unref();
});
provider.on('authorization.success', (ctx) => {
  say({ event: 'authorized', account: ctx.oidc.entities.Account.accountId, client: ctx.oidc.client.clientId });
});
provider.on('registration_create.success', (ctx, client) => {
  for (const name of ['client_secret', 'registration_access_token']) recordSecret(ctx.body[name]);
  say({ event: 'registered', client: client.clientId, method: client.tokenEndpointAuthMethod, metadata: ctx.oidc.body });
});
provider.on('registration_update.success', (ctx, client) => {
  for (const name of ['client_secret', 'registration_access_token']) recordSecret(ctx.body[name]);
  say({ event: 'updated', client: client.clientId });
});
provider.on('registration_delete.success', (ctx, client) => say({ event: 'deleted', client: client.clientId }));

provider.use(async (ctx, next) => {
  if (ctx.path.startsWith('/.well-known/')) say({ event: 'discovery', path: ctx.path });
  await next();
  if (ctx.path === '/token/revocation' && ctx.status === 200) {
    const { AccessToken, RefreshToken } = ctx.oidc.entities;
    const token = RefreshToken ?? AccessToken;
    if (token) say({ event: 'revoked', token: RefreshToken ? 'refresh_token' : 'access_token', account: token.accountId });
  }
  if (ctx.oidc?.params?.grant_type === 'refresh_token') await pause(Number(args['refresh-answer-ms']));
});

const registered = new Set();
provider.on('registration_create.success', (ctx, client) => registered.add(client.clientId));
const answer = provider.callback();
server.on('request', (request, response) => {
  if (request.method === 'DELETE' && request.url === '/__admin/clients') {
    Adapter.forgetClients(registered);
    registered.clear();
    response.writeHead(204).end();
    return;
  }
  answer(request, response);
});
say({ event: 'listening', issuer });
