// A load balancer: every request goes to the next of the --backend servers (HOST:PORT), and past those that refuse the
// connection. One that breaks off takes the client's connection with it. Host stays as it is. Prints {"url"} when it listens.
import { createServer, request as forward } from 'node:http';
import { parseArgs } from 'node:util';

const { values: args } = parseArgs({
  options: { port: { type: 'string', default: '0' }, backend: { type: 'string', multiple: true } },
});
const backends = args.backend.map((address) => new URL(`http://${address}`));
let turn = 0;

function attempt(incoming, outgoing, body, [{ hostname, port }, ...others]) {
  const { method, url: path, rawHeaders: headers } = incoming;
  const onward = forward({ hostname, port, path, method, headers, agent: false }, (answer) => {
    outgoing.writeHead(answer.statusCode, answer.rawHeaders);
    answer.pipe(outgoing);
    answer.on('error', () => outgoing.destroy());
  });
  onward.on('error', (error) => {
    if (error.code === 'ECONNREFUSED' && others.length > 0) attempt(incoming, outgoing, body, others);
    else outgoing.destroy();
  });
  outgoing.on('close', () => onward.destroy());
  onward.end(body);
}

const server = createServer(async (incoming, outgoing) => {
  const chunks = [];
  try {
    for await (const chunk of incoming) chunks.push(chunk);
  } catch {
    return;
  }
  turn = (turn + 1) % backends.length;
  attempt(incoming, outgoing, Buffer.concat(chunks), [...backends.slice(turn), ...backends.slice(0, turn)]);
});
await new Promise((resolve) => server.listen(Number(args.port), '127.0.0.1', resolve));
console.log(JSON.stringify({ url: `http://127.0.0.1:${server.address().port}` }));
