// The MCP TypeScript SDK's client without any authorization, at --url: lists the tools and calls those that are given as
// --call NAME=JSON, one after the other; in the protocol era --era. It answers what the server asks of it: roots, sampling,
// elicitation. Prints one JSON report, also when something went wrong.
import { parseArgs } from 'node:util';
import { Client, SdkHttpError, StreamableHTTPClientTransport } from '@modelcontextprotocol/client';

const { values: args } = parseArgs({
  options: {
    url: { type: 'string' },
    era: { type: 'string', default: 'sessions' },
    name: { type: 'string', default: 'thv-e2e' },
    call: { type: 'string', multiple: true, default: [] },
  },
});
const mode = { sessions: 'legacy', stateless: { pin: '2026-07-28' } }[args.era];
const capabilities = { roots: {}, sampling: {}, elicitation: { form: {} } };
const client = new Client({ name: args.name, version: '1.0.0' }, { capabilities, versionNegotiation: { mode } });
const asked = [];
client.setRequestHandler('roots/list', () => ({ roots: [] }));
client.setRequestHandler('sampling/createMessage', ({ params }) => {
  asked.push('sampling');
  const text = `${args.name} has thought about: ${params.messages[0].content.text}`;
  return { model: 'none', role: 'assistant', content: { type: 'text', text } };
});
client.setRequestHandler('elicitation/create', () => {
  asked.push('elicitation');
  return { action: 'accept', content: { name: args.name } };
});

const report = { calls: {}, asked };
try {
  await client.connect(new StreamableHTTPClientTransport(new URL(args.url)));
  report.server = client.getServerVersion()?.name;
  report.tools = (await client.listTools()).tools.map((tool) => tool.name);
  for (const call of args.call) {
    const [name, json] = [call.slice(0, call.indexOf('=')), call.slice(call.indexOf('=') + 1)];
    const progress = [];
    // The SDK tells of rounds of its own as well, which have no total.
    const onprogress = (event) => { if (event.total) progress.push(event.progress); };
    const { content, isError = false } = await client.callTool({ name, arguments: JSON.parse(json) }, { onprogress });
    report.calls[name] = { text: content.map((part) => part.text).join('\n'), isError, progress };
  }
  await client.close();
} catch (error) {
  report.error = String(error.stack);
  report.status = error instanceof SdkHttpError ? error.data?.status ?? error.status : undefined;
}
console.log(JSON.stringify(report));
// Streams that are still open shall not keep it.
process.exit(0);
