// The MCP TypeScript SDK's client at --url with Chromium as the user's browser, through a login at several providers: at the
// first one as --corp, at the second as --second, which with --skip is skipped. Then --calls calls of `whoami`; what they need
// of further logins is done. Screenshots of the gateway's pages go to --out, in colours of --scheme. With --logout the user logs
// out at the gateway between the last two calls. Prints one JSON report.
import { createServer } from 'node:http';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { Client, StreamableHTTPClientTransport, UnauthorizedError } from '@modelcontextprotocol/client';
import { describe, launch, newVisit } from './chromium.mjs';
import { recordSecret } from './preload.mjs';

const { values: args } = parseArgs({
  options: {
    url: { type: 'string' }, out: { type: 'string' }, chromium: { type: 'string' },
    scheme: { type: 'string', default: 'light' },
    corp: { type: 'string', default: 'ada' },
    second: { type: 'string', default: 'lovelace' },
    skip: { type: 'boolean', default: false },
    calls: { type: 'string', default: '1' },
    logout: { type: 'boolean', default: false },
  },
});
const gateway = new URL(args.url).origin;

const callbacks = createServer((request, response) => {
  response.setHeader('content-type', 'text/html');
  response.end('<!doctype html><link rel=icon href=data:,><title>Back at the client</title>');
});
await new Promise((resolve) => callbacks.listen(0, '127.0.0.1', resolve));
const redirectUri = `http://127.0.0.1:${callbacks.address().port}/callback`;

const browser = await launch(args.chromium);
const { context, page, complaints } = await newVisit(browser, { colorScheme: args.scheme }, gateway);
let screenshots = 0;

async function shoot(what) {
  screenshots += 1;
  await page.screenshot({ path: join(args.out, `${args.scheme}-${screenshots}-${what}.png`), fullPage: true });
}

/** Does what the page asks of the user, and tells what that was. */
async function step() {
  const { origin, pathname } = new URL(page.url());
  const seen = { origin, path: pathname };
  const has = async (selector) => (await page.locator(selector).count()) > 0;
  if (origin === gateway) {
    Object.assign(seen, await describe(page));
    const kind = pathname.split('/').at(-1);
    await shoot(kind);
    const decision = { continue: args.skip ? 'skip' : 'connect' }[kind] ?? 'approve';
    seen.decision = decision;
    await page.click(`button[name=decision][value=${decision}]`);
  } else if (await has('input[name=login]')) {
    await page.fill('input[name=login]', args.corp);
    await page.fill('input[name=password]', 'any password');
    await page.click('button[type=submit]');
  } else if (await has('input[name=account]')) {
    await page.fill('input[name=account]', args.second);
    await page.click('button[value=approve]');
  } else {
    await page.click('button[type=submit]');
  }
  return seen;
}

const logins = [];
class Provider {
  #client; #tokens; #verifier; #discovery;
  get redirectUrl() { return redirectUri; }
  get clientMetadata() {
    return {
      client_name: 'End-to-end client',
      redirect_uris: [redirectUri],
      grant_types: ['authorization_code', 'refresh_token'],
      response_types: ['code'],
      token_endpoint_auth_method: 'none',
    };
  }
  state() { return crypto.randomUUID(); }
  clientInformation() { return this.#client; }
  saveClientInformation(client) { this.#client = client; }
  tokens() { return this.#tokens; }
  saveTokens(tokens) { this.#tokens = tokens; }
  saveCodeVerifier(verifier) { this.#verifier = verifier; }
  codeVerifier() { return this.#verifier; }
  saveDiscoveryState(state) { this.#discovery = state; }
  discoveryState() { return this.#discovery; }
  invalidateCredentials(which) { if (which !== 'verifier') this.#tokens = undefined; }
  async redirectToAuthorization(url) {
    const login = { scope: url.searchParams.get('scope'), steps: [] };
    logins.push(login);
    await page.goto(url.href);
    while (!page.url().startsWith(redirectUri)) {
      if (login.steps.length >= 10) throw new Error(`ten pages and no end: ${JSON.stringify(login.steps)}`);
      const before = page.url();
      login.steps.push(await step());
      await page.waitForURL((now) => now.href !== before);
    }
    for (const cookie of await context.cookies()) recordSecret(cookie.value);
    this.callback = new URL(page.url());
    recordSecret(this.callback.searchParams.get('code'));
  }
}

const provider = new Provider();
let client;
let transport;
async function connect() {
  transport = new StreamableHTTPClientTransport(new URL(args.url), { authProvider: provider });
  client = new Client({ name: 'thv-e2e-chain', version: '1.0.0' });
  await client.connect(transport);
}

/** One call, with whatever logins it takes. */
async function whoami() {
  for (let attempt = 0; ; attempt += 1) {
    try {
      if (!client) await connect();
      const { content } = await client.callTool({ name: 'whoami', arguments: {} });
      return JSON.parse(content[0].text);
    } catch (error) {
      if (!(error instanceof UnauthorizedError) || attempt > 1) return { error: error.message };
      await transport.finishAuth(provider.callback.searchParams);
      client = undefined;
    }
  }
}

async function logOut() {
  await page.goto(`${gateway}/oauth/logout`);
  const asked = await describe(page);
  await shoot('logout');
  await page.click('form button[type=submit]');
  await page.waitForLoadState();
  const done = await describe(page);
  await shoot('logged-out');
  // Browsers do not separate cookies by port.
  const cookies = (await context.cookies(gateway)).map(({ name }) => name).filter((name) => name.includes('thv'));
  return { asked, done, cookies };
}

try {
  const report = { calls: [], logins, complaints };
  const calls = Number(args.calls);
  for (let i = 0; i < calls; i += 1) {
    if (args.logout && i === calls - 1) report.logout = { ...await logOut(), loginsBefore: logins.length };
    report.calls.push(await whoami());
  }
  report.scope = provider.tokens()?.scope;
  await client?.close().catch(() => {});
  console.log(JSON.stringify(report));
} catch (error) {
  await shoot('failure').catch(() => {});
  throw new Error(`at ${page.url()}: ${error.stack}\n${complaints.join('\n')}\n${await page.content()}`);
} finally {
  await browser.close();
  callbacks.close();
  callbacks.closeAllConnections();
}
process.exit(0);
