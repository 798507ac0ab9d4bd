// The MCP client of the conformance suite's client mode: `conformance-client.mjs URL` does at URL what the scenario wants of an
// MCP client, with no authorization of its own. conformance-wrapper puts a proxy with one in between. The suite says in
//   MCP_CONFORMANCE_SCENARIO          which scenario runs,
//   MCP_CONFORMANCE_PROTOCOL_VERSION  on which wire: 2025-11-25 with sessions, 2026-07-28 without,
//   MCP_CONFORMANCE_CONTEXT           what else the scenario gives to its client, as JSON.
// Prints one JSON line, the report of what it did. Ends with 1 if a request failed or an answer was not the scenario's.
import assert from 'node:assert/strict';
import { inspect } from 'node:util';
import { Client, StreamableHTTPClientTransport } from '@modelcontextprotocol/client';

const WITHOUT_SESSIONS = '2026-07-28';

const [url] = process.argv.slice(2);
const { MCP_CONFORMANCE_SCENARIO: scenario, MCP_CONFORMANCE_PROTOCOL_VERSION: revision } = process.env;
const context = JSON.parse(process.env.MCP_CONFORMANCE_CONTEXT ?? '{}');
const stateless = revision === WITHOUT_SESSIONS;

const client = new Client({ name: 'thv-conformance', version: '1.0.0' }, {
  capabilities: { roots: {}, sampling: {}, elicitation: { form: { applyDefaults: true } } },
  versionNegotiation: { mode: stateless ? { pin: WITHOUT_SESSIONS } : 'legacy' },
});

/** There when the session's own stream is open, on which a server asks what belongs to no request. */
const { promise: listening, resolve: listens } = Promise.withResolvers();

async function fetchAndNotice(input, init) {
  const response = await fetch(input, init);
  if (init?.method === 'GET') listens();
  return response;
}

/** Calls a tool; the text of its result. */
async function call(name, args = {}) {
  const { content, isError = false } = await client.callTool({ name, arguments: args });
  assert(!isError, `${name}: ${JSON.stringify(content)}`);
  return content.map((part) => part.text).join('\n');
}

/** Calls a tool with a hand-written request, whose result the SDK does not see. */
async function callByHand(name) {
  const headers = {
    accept: 'application/json, text/event-stream',
    'content-type': 'application/json',
    'mcp-protocol-version': WITHOUT_SESSIONS,
    'mcp-method': 'tools/call',
    'mcp-name': name,
  };
  const _meta = {
    'io.modelcontextprotocol/protocolVersion': WITHOUT_SESSIONS,
    'io.modelcontextprotocol/clientCapabilities': {},
  };
  const params = { name, arguments: {}, _meta };
  const body = JSON.stringify({ jsonrpc: '2.0', id: 'by hand', method: 'tools/call', params });
  const response = await fetch(url, { method: 'POST', headers, body });
  return (await response.json()).result;
}

async function toolNames() {
  return (await client.listTools()).tools.map((tool) => tool.name);
}

/** Lists the tools and calls the only one there is. */
async function listAndCall(name, args, text) {
  assert.deepEqual(await toolNames(), [name]);
  assert.equal(await call(name, args), text);
}

/** What every scenario with authorization serves: the client is tested by the requests that this one makes it send. */
const withAuthorization = () => listAndCall('test-tool', {}, 'test');

const scenarios = {
  async initialize() {
    assert.equal(client.getServerVersion().name, 'test-server');
  },

  tools_call: () => listAndCall('add_numbers', { a: 2, b: 3 }, 'The sum of 2 and 3 is 5'),

  async 'elicitation-sep1034-client-defaults'() {
    client.setRequestHandler('elicitation/create', () => ({ action: 'accept', content: {} }));
    // The server loses what it asks before.
    await listening;
    assert.match(await call('test_client_elicitation_defaults'), /^Elicitation completed/);
  },

  // The call's answer comes on another stream: the first one ends early, and the client must come back for the rest.
  'sse-retry': () => listAndCall('test_reconnection', {}, 'Reconnection test completed successfully'),

  // The server refuses the first request's revision, whichever it is, and offers this one.
  async 'request-metadata'() {
    // Not listTools, which asks nothing of a server that announces no tools.
    assert.deepEqual((await client.request({ method: 'tools/list' })).tools, []);
  },

  async 'sep-2322-client-request-state'() {
    let rounds = 0;
    client.setRequestHandler('elicitation/create', async () => {
      rounds += 1;
      // A call in the middle of another one's rounds carries nothing of them.
      assert.equal(await call('test_mrtr_unrelated'), 'unrelated-ok');
      return { action: 'accept', content: { confirmed: true } };
    });
    await toolNames();
    assert.equal(await call('test_mrtr_echo_state'), 'echo-state-ok');
    assert.equal(await call('test_mrtr_no_state'), 'no-state-ok');
    assert.equal(rounds, 2);
    // A result without `resultType` is complete. The SDK refuses it, without another request.
    const { content, ...rest } = await callByHand('test_mrtr_no_result_type');
    assert.deepEqual([content[0].text, rest], ['no-result-type-test-ok', {}]);
  },

  async 'http-standard-headers'() {
    for (const name of await toolNames()) assert.equal(await call(name), 'Headers test completed');
    const { resources } = await client.listResources();
    for (const { uri } of resources) await client.readResource({ uri });
    const { prompts } = await client.listPrompts();
    for (const { name } of prompts) await client.getPrompt({ name });
  },

  async 'http-custom-headers'() {
    // The client learns from the list which arguments go into headers.
    await toolNames();
    for (const { name, arguments: args } of context.toolCalls) {
      assert.equal(await call(name, args), 'Custom headers test completed');
    }
  },

  async 'http-invalid-tool-headers'() {
    assert.deepEqual(await toolNames(), ['valid_tool']);
    assert.equal(await call('valid_tool', { region: 'us-west1' }), 'Tool call received');
  },

  async 'json-schema-ref-no-deref'() {
    assert.deepEqual(await toolNames(), ['lookup_user']);
  },

  async 'json-schema-2020-12-preservation'() {
    const { tools } = await client.listTools();
    const { inputSchema } = tools.find((tool) => tool.name === 'json_schema_2020_12_tool');
    assert.equal(await call('json_schema_echo', { schema: inputSchema }), 'echoed');
  },
};

const run = scenarios[scenario] ?? (scenario?.startsWith('auth/') && withAuthorization);
const report = { scenario, revision };
try {
  assert(run, `no such scenario: ${scenario}`);
  await client.connect(new StreamableHTTPClientTransport(new URL(url), { fetch: fetchAndNotice }));
  await run();
  await client.close();
} catch (error) {
  report.error = inspect(error);
}
console.log(JSON.stringify(report));
// Streams that are still open shall not keep it.
process.exit(report.error ? 1 : 0);
