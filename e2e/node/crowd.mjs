// Many people with the MCP TypeScript SDK's client at the server --url: each logs in, then calls the tool `whoami` again and
// again and now and then presents a spoilt access token, so that the SDK must refresh, until SIGTERM. They are what clients
// are: a request whose connection breaks is sent once more, and who is told to log in does so. Prints how far they are, one JSON
// line every now and then, and at the end one with what each of them met with.
import { parseArgs } from 'node:util';
import { setTimeout as pause } from 'node:timers/promises';
import { Client, SdkHttpError, StreamableHTTPClientTransport, UnauthorizedError } from '@modelcontextprotocol/client';
import { Browser } from './browser.mjs';

const { values: args } = parseArgs({
  options: {
    url: { type: 'string' },
    users: { type: 'string', default: '10' },
    // Each begins so long after the one before.
    'apart-ms': { type: 'string', default: '0' },
    // A client refreshes after so many calls.
    'refresh-every': { type: 'string', default: '8' },
  },
});
const REDIRECT_URI = 'http://127.0.0.1:53682/callback';
let going = true;

/** As clients and their HTTP libraries do it. */
async function fetchTwice(input, init) {
  try {
    return await fetch(input, init);
  } catch (error) {
    if (init?.signal?.aborted) throw error;
    return fetch(input, init);
  }
}

class User {
  calls = 0;
  refreshes = 0;
  /** What was shown in the browser at each login: host and path of every page. */
  logins = [];
  /** How often the SDK gave up twice in a row although it had fresh tokens: it never logs in by itself then. */
  stuck = 0;
  /** Answers with 503. */
  unavailable = 0;
  /** Calls that failed, and those that failed twice in a row. */
  hiccups = [];
  failures = [];
  /** Calls that arrived with somebody else's token, and the digest of the last one that arrived. */
  mistaken = 0;
  sha256;

  #browser = new Browser();
  #broken = false;
  #refused = false;
  #client;
  #tokens;
  #verifier;
  #discovery;
  #callback;
  #sdk;
  #transport;

  constructor(name) { this.name = name; }

  // What the SDK asks of an OAuthClientProvider.
  get redirectUrl() { return REDIRECT_URI; }
  get clientMetadata() {
    return {
      client_name: `Client of ${this.name}`,
      redirect_uris: [REDIRECT_URI],
      grant_types: ['authorization_code', 'refresh_token'],
      response_types: ['code'],
      token_endpoint_auth_method: 'none',
    };
  }
  state() { return crypto.randomUUID(); }
  clientInformation() { return this.#client; }
  saveClientInformation(client) { this.#client = client; }
  tokens() { return this.#tokens; }
  saveTokens(tokens) {
    if (this.#tokens?.refresh_token && tokens.refresh_token !== this.#tokens.refresh_token) this.refreshes += 1;
    this.#tokens = tokens;
  }
  saveCodeVerifier(verifier) { this.#verifier = verifier; }
  codeVerifier() { return this.#verifier; }
  saveDiscoveryState(state) { this.#discovery = state; }
  discoveryState() { return this.#discovery; }
  invalidateCredentials(which) { if (which !== 'verifier') this.#tokens = undefined; }
  async redirectToAuthorization(url) {
    const before = this.#browser.pages.length;
    try {
      this.#callback = await this.#browser.authorize(url, { redirectUri: REDIRECT_URI, login: this.name });
    } finally {
      const pages = this.#browser.pages.slice(before);
      this.logins.push(pages.map((page) => new URL(page.url)).map(({ host, pathname }) => `${host}${pathname}`));
    }
  }

  async connect() {
    this.#transport = new StreamableHTTPClientTransport(new URL(args.url), { authProvider: this, fetch: fetchTwice });
    this.#sdk = new Client({ name: 'thv-e2e-crowd', version: '1.0.0' });
    await this.#sdk.connect(this.#transport);
  }

  async call() {
    if (!this.#sdk) await this.connect();
    if (this.calls % Number(args['refresh-every']) === 1 && this.#tokens) {
      const spoilt = `${this.#tokens.access_token.slice(0, -8)}AAAAAAAA`;
      this.#tokens = { ...this.#tokens, access_token: spoilt };
    }
    const { content } = await this.#sdk.callTool({ name: 'whoami', arguments: {} });
    const { subject, sha256 } = JSON.parse(content[0].text);
    this.mistaken += subject === this.name ? 0 : 1;
    this.sha256 = sha256;
    this.calls += 1;
    this.#broken = false;
    this.#refused = false;
  }

  /** After an error: whatever makes sense before the next call. */
  async recover(error) {
    const status = error instanceof SdkHttpError ? error.data?.status ?? error.status : undefined;
    if (error instanceof UnauthorizedError) {
      // The browser is back with an answer for the transport that asked.
      await this.#transport.finishAuth(this.#callback.searchParams);
      this.#sdk = undefined;
    } else if (status === 401) {
      this.#sdk = undefined;
      if (this.#refused) {
        this.stuck += 1;
        this.#tokens = undefined;
      }
      this.#refused = !this.#refused;
    } else if (status === 503 || error.code === 'temporarily_unavailable') {
      this.unavailable += 1;
      await pause(200);
    } else {
      (this.#broken ? this.failures : this.hiccups).push(`${error.stack} ${error.cause ?? ''}`);
      this.#broken = true;
      this.#sdk = undefined;
      await pause(200);
    }
  }

  async run(delay) {
    await pause(delay);
    while (going) {
      try {
        await this.call();
      } catch (error) {
        await this.recover(error).catch((again) => this.failures.push(String(again.stack)));
      }
      await pause(20);
    }
    await this.#sdk?.close().catch(() => {});
  }
}

const users = Array.from({ length: Number(args.users) }, (_, i) => new User(`user-${i}`));

const count = (property) => users.reduce((sum, user) => sum + user[property], 0);
const progress = setInterval(() => {
  const calls = users.map((user) => user.calls);
  const [least, most] = [Math.min(...calls), Math.max(...calls)];
  const logins = users.reduce((sum, user) => sum + user.logins.length, 0);
  const refreshed = Math.min(...users.map((user) => user.refreshes));
  console.log(JSON.stringify({
    event: 'progress', least, most, logins, refreshed, unavailable: count('unavailable'), failed: users.some((u) => u.failures.length),
  }));
}, 250);
process.on('SIGTERM', () => { going = false; });
await Promise.all(users.map((user, i) => user.run(i * Number(args['apart-ms']))));
clearInterval(progress);
console.log(JSON.stringify({ event: 'report', users }));
// Streams that servers keep open are nobody's business any more.
process.exit(0);
