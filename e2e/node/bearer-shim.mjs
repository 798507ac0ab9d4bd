// Forwards every request with a bearer token added for /mcp and everything else, Host too, left as it is: lets a suite
// that cannot log in test a server that wants a token. Target and token are set with PUT /__shim. Prints {"url"}
// when it listens.
import { createServer, request as forward } from 'node:http';

const server = createServer();
let target;
let token;

server.on('request', (incoming, outgoing) => {
  if (incoming.method === 'PUT' && incoming.url === '/__shim') {
    let body = '';
    incoming.on('data', (chunk) => { body += chunk; });
    incoming.on('end', () => { ({ target, token } = JSON.parse(body)); outgoing.end(); });
    return;
  }
  const { hostname, port } = new URL(target);
  // Only where the token is for: the authorization server's endpoints have credentials of their own.
  const inject = token && incoming.url === '/mcp' && !incoming.headers.authorization;
  const headers = inject ? [...incoming.rawHeaders, 'Authorization', `Bearer ${token}`] : incoming.rawHeaders;
  const onward = forward({ hostname, port, path: incoming.url, method: incoming.method, headers }, (answer) => {
    outgoing.writeHead(answer.statusCode, answer.rawHeaders);
    answer.pipe(outgoing);
    answer.on('error', () => outgoing.destroy());
  });
  onward.on('error', () => outgoing.destroy());
  outgoing.on('close', () => onward.destroy());
  incoming.pipe(onward);
});

await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
console.log(JSON.stringify({ url: `http://127.0.0.1:${server.address().port}` }));
