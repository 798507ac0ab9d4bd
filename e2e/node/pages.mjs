// Chromium on the consent and login pages of the authorization server at --issuer: keyboard only, without JavaScript,
// light and dark, and what its console says. Screenshots go to --out. Prints one JSON report.
import { createHash, randomBytes } from 'node:crypto';
import { createServer } from 'node:http';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { describe, launch, newVisit } from './chromium.mjs';
import { recordSecret } from './preload.mjs';

const { values: args } = parseArgs({
  options: {
    issuer: { type: 'string' }, resource: { type: 'string' }, out: { type: 'string' }, chromium: { type: 'string' },
  },
});

const callbacks = createServer((request, response) => {
  recordSecret(new URL(request.url, redirectUri).searchParams.get('code'));
  response.setHeader('content-type', 'text/html');
  response.end('<!doctype html><link rel=icon href=data:,><title>Back at the client</title>');
});
await new Promise((resolve) => callbacks.listen(0, '127.0.0.1', resolve));
const redirectUri = `http://127.0.0.1:${callbacks.address().port}/callback`;

async function json(url, init) {
  const response = await fetch(url, init);
  if (!response.ok) throw new Error(`${url} answered ${response.status}: ${await response.text()}`);
  return response.json();
}

const metadata = await json(`${args.issuer}/.well-known/oauth-authorization-server`);
const client = await json(metadata.registration_endpoint, {
  method: 'POST',
  headers: { 'content-type': 'application/json' },
  body: JSON.stringify({
    client_name: 'Browser <b>client</b> & Söhne',
    redirect_uris: [redirectUri],
    token_endpoint_auth_method: 'none',
    grant_types: ['authorization_code', 'refresh_token'],
  }),
});

function authorizationUrl() {
  const challenge = createHash('sha256').update(randomBytes(32).toString('base64url')).digest('base64url');
  return `${metadata.authorization_endpoint}?${new URLSearchParams({
    response_type: 'code', client_id: client.client_id, redirect_uri: redirectUri, state: 'a state & more',
    code_challenge: challenge, code_challenge_method: 'S256', resource: args.resource,
  })}`;
}

const browser = await launch(args.chromium);
const screenshots = [];

/** One walk in a new browser profile. */
async function visit(name, options, walk) {
  const { context, page, complaints } = await newVisit(browser, options, metadata.issuer);
  const shoot = async (what) => {
    const path = join(args.out, `${name}-${what}.png`);
    await page.screenshot({ path, fullPage: true });
    screenshots.push(path);
  };
  try {
    await page.goto(authorizationUrl());
    const report = await walk(page, shoot);
    await page.waitForURL((url) => url.href.startsWith(redirectUri));
    for (const cookie of await context.cookies()) recordSecret(cookie.value);
    const query = new URL(page.url()).searchParams;
    const [error, state, iss] = ['error', 'state', 'iss'].map((name) => query.get(name));
    const callback = { hasCode: query.has('code'), error, state, iss };
    return { ...report, callback, complaints };
  } catch (error) {
    await shoot('failure').catch(() => {});
    throw new Error(`${name}: at ${page.url()}: ${error.message}\n${complaints.join('\n')}`);
  } finally {
    await context.close();
  }
}

/** Presses Tab until the wanted control has the focus, as somebody without a mouse does. */
async function tabTo(page, selector) {
  for (let tabs = 1; tabs <= 30; tabs += 1) {
    await page.keyboard.press('Tab');
    const focus = await page.evaluate((wanted) => {
      const element = document.activeElement;
      const style = getComputedStyle(element);
      return { found: element.matches(wanted), visible: style.outlineStyle !== 'none' || style.boxShadow !== 'none' };
    }, selector);
    if (focus.found) return { tabs, focusVisible: focus.visible };
  }
  throw new Error(`30 tabs did not reach ${selector}`);
}

const APPROVE = 'button[name=decision][value=approve]';
const DENY = 'button[name=decision][value=deny]';
const LOG_IN = 'form button';

const walks = {
  async keyboard(page, shoot) {
    const consent = await describe(page);
    await shoot('consent');
    const approve = await tabTo(page, APPROVE);
    await page.keyboard.press('Enter');
    await page.waitForURL('**/oauth/login*');
    const login = await describe(page);
    await shoot('login');
    const logIn = await tabTo(page, LOG_IN);
    await page.keyboard.press('Enter');
    return { consent, login, approve, logIn };
  },
  async clicks(page, shoot) {
    const consent = await describe(page);
    await shoot('consent');
    await page.click(APPROVE);
    await page.waitForURL('**/oauth/login*');
    const login = await describe(page);
    await shoot('login');
    await page.click(LOG_IN);
    return { consent, login };
  },
  async withoutScript(page, shoot) {
    await shoot('consent');
    await page.locator(APPROVE).click();
    await page.waitForURL('**/oauth/login*');
    await page.locator(LOG_IN).first().click();
    return {};
  },
  async deny(page) {
    await page.click(DENY);
    return {};
  },
};

try {
  const report = {
    keyboard: await visit('keyboard', { colorScheme: 'light' }, walks.keyboard),
    dark: await visit('dark', { colorScheme: 'dark' }, walks.clicks),
    phone: await visit('phone', { viewport: { width: 360, height: 640 } }, walks.clicks),
    withoutScript: await visit('without-script', { javaScriptEnabled: false }, walks.withoutScript),
    deny: await visit('deny', {}, walks.deny),
    issuer: metadata.issuer,
    screenshots,
  };
  console.log(JSON.stringify(report));
} finally {
  await browser.close();
  callbacks.close();
}
