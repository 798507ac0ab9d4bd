// A client's metadata document, served over https on loopback. Run by itself it prints {"url"} and goes on serving.
import { readFileSync } from 'node:fs';
import { createServer } from 'node:https';
import { parseArgs } from 'node:util';

/** Without a redirect URI of the caller's, the document names no port, as a native application's may (RFC 8252 §7.3). */
export async function serveMetadataDocument({ cert, key, 'redirect-uri': redirectUri = 'http://127.0.0.1/callback',
  'application-type': applicationType }) {
  const served = { requests: 0 };
  const server = createServer({ cert: readFileSync(cert), key: readFileSync(key) }, (request, response) => {
    served.requests += 1;
    response.setHeader('content-type', 'application/json');
    response.end(JSON.stringify({
      client_id: served.url,
      client_name: 'End-to-end client',
      application_type: applicationType,
      redirect_uris: [redirectUri],
      grant_types: ['authorization_code', 'refresh_token'],
      response_types: ['code'],
      token_endpoint_auth_method: 'none',
    }));
  });
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  served.url = `https://localhost:${server.address().port}/client.json`;
  served.close = () => server.close();
  return served;
}

if (import.meta.filename === process.argv[1]) {
  const names = ['cert', 'key', 'redirect-uri', 'application-type'];
  const { values } = parseArgs({ options: Object.fromEntries(names.map((name) => [name, { type: 'string' }])) });
  console.log(JSON.stringify({ url: (await serveMetadataDocument(values)).url }));
}
