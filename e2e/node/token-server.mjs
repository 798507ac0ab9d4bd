// An MCP server that demands an access token of the authorization server at --issuer, and asks it about every token it gets
// (RFC 7662). With --scopes it has protected resource metadata (RFC 9728), to which its challenge points. Its one tool tells whose
// token came, the token's SHA-256, and the header fields. Prints {"url"} when it listens on loopback.
import { createHash } from 'node:crypto';
import { createServer } from 'node:http';
import { parseArgs } from 'node:util';
import { localhostHostValidation, toNodeHandler } from '@modelcontextprotocol/node';
import { createMcpHandler, Server } from '@modelcontextprotocol/server';

const { values: args } = parseArgs({
  options: {
    port: { type: 'string', default: '0' },
    issuer: { type: 'string' },
    'client-id': { type: 'string', default: 'mcp-server' },
    'client-secret': { type: 'string' },
    scopes: { type: 'string' },
  },
});

async function metadata() {
  const response = await fetch(`${args.issuer}/.well-known/oauth-authorization-server`);
  return response.json();
}
const { introspection_endpoint: introspectionEndpoint } = await metadata();
const credentials = Buffer.from(`${args['client-id']}:${args['client-secret']}`).toString('base64');

/** What the issuer says about a token. */
async function introspect(token) {
  const body = new URLSearchParams({ token, token_type_hint: 'access_token' });
  const headers = { authorization: `Basic ${credentials}` };
  const response = await fetch(introspectionEndpoint, { method: 'POST', body, headers });
  if (!response.ok) throw new Error(`introspection answered ${response.status}: ${await response.text()}`);
  return response.json();
}

const bearer = (authorization) => /^Bearer (.+)$/.exec(authorization ?? '')?.[1];

function newServer() {
  const server = new Server({ name: 'token-server', version: '1.0.0' }, { capabilities: { tools: {} } });
  server.setRequestHandler('tools/list', () => ({
    tools: [{ name: 'whoami', description: 'Whose token arrived here', inputSchema: { type: 'object', properties: {} } }],
  }));
  server.setRequestHandler('tools/call', async (_, { http }) => {
    const token = bearer(http.req.headers.get('authorization'));
    const headers = Object.fromEntries([...http.req.headers].filter(([name]) => name !== 'authorization'));
    const { active, sub, client_id: client, iss } = await introspect(token);
    if (!active) throw new Error('the access token has ended just now');
    const sha256 = createHash('sha256').update(token).digest('hex');
    return { content: [{ type: 'text', text: JSON.stringify({ subject: sub, client, iss, sha256, headers }) }] };
  });
  return server;
}

const mcp = toNodeHandler(createMcpHandler(newServer));
const hostAllowed = localhostHostValidation();

const METADATA = '/.well-known/oauth-protected-resource/mcp';

/** The challenge without the metadata that tells where tokens come from is for those who know. */
function challenge(token) {
  const params = [token && 'error="invalid_token"', args.scopes && `resource_metadata="${origin}${METADATA}"`];
  return `Bearer ${params.filter(Boolean).join(', ')}`.trim();
}

async function serve(request, response) {
  if (!hostAllowed(request, response)) return;
  if (args.scopes && request.url === METADATA) {
    response.setHeader('content-type', 'application/json');
    response.end(JSON.stringify({
      resource: `${origin}/mcp`, authorization_servers: [args.issuer], scopes_supported: args.scopes.split(' '),
    }));
    return;
  }
  const token = bearer(request.headers.authorization);
  const active = token !== undefined && (await introspect(token)).active;
  if (!active) {
    console.log(JSON.stringify({ event: 'refused', token: token !== undefined }));
    request.resume();
    response.writeHead(401, { 'www-authenticate': challenge(token) }).end();
    return;
  }
  await mcp(request, response);
}

const server = createServer((request, response) => serve(request, response).catch((error) => {
  console.error(error.stack);
  response.destroy();
}));
await new Promise((resolve) => server.listen(Number(args.port), '127.0.0.1', resolve));
const origin = `http://127.0.0.1:${server.address().port}`;
console.log(JSON.stringify({ url: `${origin}/mcp` }));
