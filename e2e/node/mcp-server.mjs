// An MCP server made with the MCP TypeScript SDK that offers what the conformance suite's server mode asks for, in both
// protocol eras (sessions of 2025-11-25, stateless 2026-07-28), and whoami, which tells what the gateway in front sent.
// Prints {"url"} when it listens on loopback.
import { createHash, randomUUID } from 'node:crypto';
import { createServer } from 'node:http';
import { setTimeout as pause } from 'node:timers/promises';
import { localhostHostValidation, localhostOriginValidation, NodeStreamableHTTPServerTransport, toNodeHandler,
  toWebRequest } from '@modelcontextprotocol/node';
import { createMcpHandler, isLegacyRequest, ProtocolError, Server } from '@modelcontextprotocol/server';

const PNG = 'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8z8BQDwAEhQGAhKmMIQAAAABJRU5ErkJggg==';
const WAV = 'UklGRiYAAABXQVZFZm10IBAAAAABAAEAQB8AAAB9AAACABAAZGF0YQIAAAAAAA==';
const text = (value) => ({ type: 'text', text: value });
const image = { type: 'image', data: PNG, mimeType: 'image/png' };
const embedded = (uri, mimeType, value) => ({ type: 'resource', resource: { uri, mimeType, text: value } });

const object = (properties = {}, required = []) => ({ type: 'object', properties, required });
const string = (more = {}) => ({ type: 'string', ...more });
const titled = (names, values) => names.map((title, i) => ({ const: values[i], title }));

const SCHEMA_2020_12 = {
  $schema: 'https://json-schema.org/draft/2020-12/schema',
  type: 'object',
  $defs: { address: { $anchor: 'addressDef', type: 'object', properties: { street: string(), city: string() } } },
  properties: {
    name: string(),
    address: { $ref: '#/$defs/address' },
    contactMethod: string({ enum: ['phone', 'email'] }),
    phone: string(),
    email: string(),
  },
  allOf: [{ anyOf: [{ required: ['phone'] }, { required: ['email'] }] }],
  if: { properties: { contactMethod: { const: 'phone' } }, required: ['contactMethod'] },
  then: { required: ['phone'] },
  else: { required: ['email'] },
  additionalProperties: false,
};

const options = ['option1', 'option2', 'option3'];
const ENUMS = object({
  untitledSingle: string({ enum: options }),
  titledSingle: string({ oneOf: titled(['First Option', 'Second Option'], ['value1', 'value2']) }),
  legacyEnum: string({ enum: ['opt1', 'opt2', 'opt3'], enumNames: ['Option One', 'Option Two', 'Option Three'] }),
  untitledMulti: { type: 'array', items: string({ enum: options }) },
  titledMulti: { type: 'array', items: { anyOf: titled(['First Choice', 'Second Choice'], ['value1', 'value2']) } },
});
const DEFAULTS = object({
  name: string({ default: 'John Doe' }),
  age: { type: 'integer', default: 30 },
  score: { type: 'number', default: 95.5 },
  status: string({ enum: ['active', 'inactive', 'pending'], default: 'active' }),
  verified: { type: 'boolean', default: true },
});

// Requests and notifications go out with `send` and `notify`, which put them on the response stream of the call. The SDK's
// own `elicitInput`, `requestSampling` and `log` use the session's stream, which a client may not have opened yet.
async function elicit({ mcpReq }, message, requestedSchema) {
  const params = { mode: 'form', message, requestedSchema };
  const { action, content } = await mcpReq.send({ method: 'elicitation/create', params });
  return text(`Elicitation completed: action=${action}, content=${JSON.stringify(content ?? {})}`);
}

/** name: [input schema, (arguments, context) => content] */
const TOOLS = {
  test_simple_text: [object(), () => text('This is a simple text response for testing.')],
  test_image_content: [object(), () => image],
  test_audio_content: [object(), () => ({ type: 'audio', data: WAV, mimeType: 'audio/wav' })],
  test_embedded_resource: [object(), () =>
    embedded('test://embedded-resource', 'text/plain', 'This is an embedded resource content.')],
  test_multiple_content_types: [object(), () => [text('Multiple content types test:'), image,
    embedded('test://mixed-content-resource', 'application/json', '{"test":"data","value":123}')]],
  test_error_handling: [object(), () => { throw new Error('This tool intentionally returns an error for testing'); }],
  json_schema_2020_12_tool: [SCHEMA_2020_12, () => text('ok')],
  test_custom_headers: [object({ region: string({ 'x-mcp-header': 'Region' }) }), ({ region }) =>
    text(`region ${region}`)],
  async test_logging_tool(_, { mcpReq }) {
    await mcpReq.log('info', 'only for those who asked');
    return text('logged');
  },
  async test_tool_with_logging(_, { mcpReq }) {
    for (const step of ['started', 'processing data', 'completed']) {
      const data = step === 'processing data' ? `Tool ${step}` : `Tool execution ${step}`;
      await mcpReq.notify({ method: 'notifications/message', params: { level: 'info', data } });
      await pause(50);
    }
    return text('logged');
  },
  async test_tool_with_progress(_, { mcpReq }) {
    const progressToken = mcpReq._meta?.progressToken;
    for (const progress of [0, 50, 100]) {
      if (progressToken !== undefined) {
        await mcpReq.notify({ method: 'notifications/progress', params: { progressToken, progress, total: 100 } });
      }
      await pause(50);
    }
    return text('done');
  },
  test_sampling: [object({ prompt: string() }, ['prompt']), async ({ prompt }, { mcpReq }) => {
    const messages = [{ role: 'user', content: text(prompt) }];
    const answer = await mcpReq.send({ method: 'sampling/createMessage', params: { messages, maxTokens: 100 } });
    return text(`LLM response: ${answer.content.text}`);
  }],
  test_elicitation: [object({ message: string() }, ['message']), ({ message }, context) =>
    elicit(context, message, object({
      username: string({ description: "User's response" }),
      email: string({ description: "User's email address" }),
    }, ['username', 'email']))],
  test_elicitation_sep1034_defaults: [object(), (_, context) => elicit(context, 'Defaults', DEFAULTS)],
  test_elicitation_sep1330_enums: [object(), (_, context) => elicit(context, 'Enums', ENUMS)],
  whoami: [object(), (_, { http }) => {
    const header = (name) => http.req.headers.get(name);
    const [scheme, credential = ''] = (header('authorization') ?? '').split(' ');
    const sha256 = createHash('sha256').update(credential).digest('hex');
    const names = [...http.req.headers.keys()];
    const [subject, client] = [header('x-thv-subject'), header('x-thv-client-id')];
    return text(JSON.stringify({ scheme, sha256, subject, client, names }));
  }],
  async test_reconnection(_, { http }) {
    http?.closeSSE?.();
    await pause(100);
    return text('reconnected');
  },
};
const toolOf = (name) => (Array.isArray(TOOLS[name]) ? TOOLS[name] : [object(), TOOLS[name]]);

const RESOURCES = {
  'test://static-text': { mimeType: 'text/plain', text: 'This is the content of the static text resource.' },
  'test://static-binary': { mimeType: 'image/png', blob: PNG },
  'test://watched-resource': { mimeType: 'text/plain', text: 'Watched.' },
};

const user = (content) => ({ role: 'user', content });
/** name: [argument names, (arguments) => messages] */
const PROMPTS = {
  test_simple_prompt: [[], () => [user(text('This is a simple prompt for testing.'))]],
  test_prompt_with_arguments: [['arg1', 'arg2'], ({ arg1, arg2 }) =>
    [user(text(`Prompt with arguments: arg1='${arg1}', arg2='${arg2}'`))]],
  test_prompt_with_embedded_resource: [['resourceUri'], ({ resourceUri }) =>
    [user(embedded(resourceUri, 'text/plain', 'Embedded resource content for testing.')),
      user(text('Please process the embedded resource above.'))]],
  test_prompt_with_image: [[], () => [user(image), user(text('Please analyze the image above.'))]],
};

function readResource(uri) {
  const id = /^test:\/\/template\/([^/]+)\/data$/.exec(uri)?.[1];
  if (id) {
    const data = JSON.stringify({ id, templateTest: true, data: `Data for ID: ${id}` });
    return { contents: [{ uri, mimeType: 'application/json', text: data }] };
  }
  if (!RESOURCES[uri]) throw new ProtocolError(-32602, 'Resource not found', { uri });
  return { contents: [{ uri, ...RESOURCES[uri] }] };
}

async function callTool({ params }, context) {
  if (!TOOLS[params.name]) throw new ProtocolError(-32602, `no tool ${params.name}`);
  try {
    return { content: [await toolOf(params.name)[1](params.arguments ?? {}, context)].flat() };
  } catch (error) {
    return { isError: true, content: [text(error.message)] };
  }
}

function newServer() {
  const capabilities = { tools: {}, resources: { subscribe: true }, prompts: {}, completions: {}, logging: {} };
  const server = new Server({ name: 'end-to-end server', version: '1.0.0' }, { capabilities });
  const on = (method, handler) => server.setRequestHandler(method, handler);
  on('tools/list', () => ({
    tools: Object.keys(TOOLS).map((name) =>
      ({ name, description: name.replaceAll('_', ' '), inputSchema: toolOf(name)[0] })),
  }));
  on('tools/call', callTool);
  on('resources/list', () => ({
    resources: Object.entries(RESOURCES).map(([uri, { mimeType }]) => ({ uri, name: uri.slice(7), mimeType })),
  }));
  on('resources/templates/list', () => ({
    resourceTemplates: [{ uriTemplate: 'test://template/{id}/data', name: 'template', mimeType: 'application/json' }],
  }));
  on('resources/read', ({ params }) => readResource(params.uri));
  on('resources/subscribe', () => ({}));
  on('resources/unsubscribe', () => ({}));
  on('prompts/list', () => ({
    prompts: Object.entries(PROMPTS).map(([name, [names]]) =>
      ({ name, description: name.replaceAll('_', ' '), arguments: names.map((n) => ({ name: n, required: true })) })),
  }));
  on('prompts/get', ({ params }) => ({ messages: PROMPTS[params.name][1](params.arguments ?? {}) }));
  on('completion/complete', () => ({ completion: { values: ['paris', 'park'], total: 2, hasMore: false } }));
  return server;
}

/** Lets a client that lost its stream fetch what it missed (Last-Event-ID). */
class Events {
  #events = [];
  async storeEvent(streamId, message) {
    this.#events.push({ streamId, message });
    return `${this.#events.length}`;
  }
  async getStreamIdForEventId(id) { return this.#events[Number(id) - 1]?.streamId; }
  async replayEventsAfter(lastEventId, { send }) {
    const streamId = await this.getStreamIdForEventId(lastEventId);
    for (const [index, event] of this.#events.entries()) {
      if (index >= Number(lastEventId) && event.streamId === streamId && event.message.jsonrpc) {
        await send(`${index + 1}`, event.message);
      }
    }
    return streamId;
  }
}

const sessions = new Map();
async function serveSession(request, response, body) {
  let transport = sessions.get(request.headers['mcp-session-id']);
  if (!transport && request.headers['mcp-session-id']) {
    response.writeHead(404).end();
    return;
  }
  if (!transport) {
    transport = new NodeStreamableHTTPServerTransport({
      sessionIdGenerator: randomUUID,
      eventStore: new Events(),
      retryInterval: 100,
      onsessioninitialized: (id) => { sessions.set(id, transport); },
      onsessionclosed: (id) => { sessions.delete(id); },
    });
    await newServer().connect(transport);
  }
  await transport.handleRequest(request, response, body);
}

const modern = toNodeHandler(createMcpHandler(newServer, { legacy: 'reject' }));
const hostAllowed = localhostHostValidation();
const originAllowed = localhostOriginValidation();

/** One line when a request has come and one when its response has ended, for whoever reads the log of a failed test. */
function log(request, response, body) {
  const what = `${request.method} ${body?.method ?? ''}#${body?.id ?? ''} of ${request.headers['mcp-session-id'] ?? '-'}`;
  console.error(`> ${what}`);
  response.on('close', () => console.error(`< ${what}: ${response.statusCode}, whole: ${response.writableFinished}`));
}

async function serve(request, response) {
  if (!hostAllowed(request, response) || !originAllowed(request, response)) return;
  if (request.method !== 'POST') {
    log(request, response);
    await serveSession(request, response);
    return;
  }
  const chunks = [];
  for await (const chunk of request) chunks.push(chunk);
  let body;
  try {
    body = JSON.parse(Buffer.concat(chunks));
  } catch {
    response.writeHead(400).end();
    return;
  }
  log(request, response, body);
  if (await isLegacyRequest(await toWebRequest(request, body))) await serveSession(request, response, body);
  else await modern(request, response, body);
}

const server = createServer((request, response) => serve(request, response).catch((error) => {
  console.error(error.stack);
  response.destroy();
}));
await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
console.log(JSON.stringify({ url: `http://127.0.0.1:${server.address().port}/mcp` }));
