// The MCP TypeScript SDK's client: logs in to the MCP server at --url as a client nobody registered (--register cimd
// or dcr) or as a registered one (--register static), calls the tools given as --call NAME=JSON, then presents a spoilt
// access token so that the SDK must refresh. Prints one JSON report.
import { parseArgs } from 'node:util';
import { Client, StreamableHTTPClientTransport, UnauthorizedError } from '@modelcontextprotocol/client';
import { Browser } from './browser.mjs';
import { serveMetadataDocument } from './metadata-document.mjs';
import { recordSecret } from './preload.mjs';

const { values: args } = parseArgs({
  options: {
    url: { type: 'string' },
    register: { type: 'string' },
    call: { type: 'string', multiple: true, default: [] },
    cert: { type: 'string' },
    key: { type: 'string' },
    'client-id': { type: 'string' },
    'client-secret': { type: 'string' },
    'redirect-uri': { type: 'string', default: 'http://127.0.0.1:53682/callback' },
    decision: { type: 'string', default: 'approve' },
  },
});

class Provider {
  browser = new Browser();
  logins = 0;
  tokenSets = [];
  #client;
  #verifier;

  constructor(clientMetadataUrl) {
    this.clientMetadataUrl = clientMetadataUrl;
    if (args.register === 'static') {
      recordSecret(args['client-secret']);
      this.#client = { client_id: args['client-id'], client_secret: args['client-secret'] };
    }
  }

  get redirectUrl() { return args['redirect-uri']; }
  get clientMetadata() {
    return {
      client_name: 'End-to-end client',
      redirect_uris: [this.redirectUrl],
      grant_types: ['authorization_code', 'refresh_token'],
      response_types: ['code'],
      token_endpoint_auth_method: 'none',
    };
  }
  state() { return crypto.randomUUID(); }
  clientInformation() { return this.#client; }
  saveClientInformation(client) { this.#client = client; }
  tokens() { return this.tokenSets.at(-1); }
  saveTokens(tokens) { this.tokenSets.push(tokens); }
  saveCodeVerifier(verifier) { this.#verifier = verifier; }
  codeVerifier() { return this.#verifier; }
  saveDiscoveryState(state) { this.discovery = state; }
  discoveryState() { return this.discovery; }
  async redirectToAuthorization(url) {
    this.logins += 1;
    this.authorizationUrl = url;
    this.callback = await this.browser.authorize(url, { redirectUri: this.redirectUrl, decision: args.decision });
  }
}

const document = args.register === 'cimd' ? await serveMetadataDocument(args) : undefined;
const provider = new Provider(document?.url);
const newTransport = () => new StreamableHTTPClientTransport(new URL(args.url), { authProvider: provider });
const newClient = () => new Client({ name: 'thv-e2e', version: '1.0.0' });

let client = newClient();
const first = newTransport();
let challenged = false;
try {
  await client.connect(first);
} catch (error) {
  if (!(error instanceof UnauthorizedError)) throw error;
  challenged = true;
}
const callback = provider.callback?.searchParams;
const report = {
  challenged,
  callback: callback && Object.fromEntries([...callback].filter(([name]) => name !== 'code')),
  authorization: provider.authorizationUrl && Object.fromEntries(provider.authorizationUrl.searchParams),
  pages: provider.browser.pages.map(({ url, status, html }) => ({ path: new URL(url).pathname, status, html })),
};

if (callback?.has('code')) {
  await first.finishAuth(callback);
  client = newClient();
  await client.connect(newTransport());
  report.tools = (await client.listTools()).tools.map((tool) => tool.name);
  report.calls = {};
  for (const call of args.call) {
    const [name, json] = [call.slice(0, call.indexOf('=')), call.slice(call.indexOf('=') + 1)];
    const progress = [];
    const onprogress = (event) => progress.push(event.progress);
    const { content, isError = false } = await client.callTool({ name, arguments: JSON.parse(json) }, { onprogress });
    report.calls[name] = { text: content.map((part) => part.text).join('\n'), isError, progress };
  }

  const given = provider.tokens();
  const spoilt = `${given.access_token.slice(0, -8)}AAAAAAAA`;
  provider.saveTokens({ ...given, access_token: spoilt });
  // A call, because the SDK remembers lists.
  await client.callTool({ name: 'whoami', arguments: {} });
  const renewed = provider.tokens();
  report.refresh = {
    newAccessToken: ![given.access_token, spoilt].includes(renewed.access_token),
    newRefreshToken: Boolean(renewed.refresh_token) && renewed.refresh_token !== given.refresh_token,
  };
  report.scope = given.scope;
  report.accessToken = renewed.access_token;
  report.refreshToken = renewed.refresh_token;
  report.tokenType = given.token_type;
  report.expiresIn = given.expires_in;
  await client.close();
}
report.clientId = provider.clientInformation()?.client_id;
report.documentUrl = document?.url;
report.documentRequests = document?.requests;
report.logins = provider.logins;
document?.close();
console.log(JSON.stringify(report));
