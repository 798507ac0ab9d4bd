// A user and their browser, for a program that logs in through one: set
//   BROWSER=…/e2e/node/headless-browser   and   THV_E2E_NODE=the folder that scripts/install-tools filled
// and the program opens `headless-browser AUTHORIZATION_URL`. The URL is requested once, as some servers count; redirects are
// followed, the forms of login and consent pages are filled in and sent; the answer goes to the program's redirect URI. Also
//   THV_E2E_LOGIN          what is typed into every field, the user's name and password (alice),
//   THV_E2E_DECISION       which button named `decision` is pressed where there is one: approve or deny (approve),
//   THV_E2E_ELSEWHERE      when set, the browser is on another machine: the URL that it would end at is printed,
//   THV_E2E_BROWSER_LOG    a file that gets two JSON lines for each URL: when it is opened, and where it led and what the user
//                          saw last.
// Ends with 0 when the redirect URI has answered, whatever it answered, or was printed.
import { appendFileSync } from 'node:fs';
import { setTimeout as pause } from 'node:timers/promises';
import { inspect } from 'node:util';
import { Browser } from './browser.mjs';

const PATIENCE_MS = 5_000;
const { THV_E2E_LOGIN: login = 'alice', THV_E2E_DECISION: decision = 'approve' } = process.env;
const { THV_E2E_ELSEWHERE: elsewhere, THV_E2E_BROWSER_LOG: log } = process.env;

/** What may be shown of a URL that carries a code. */
function withoutSecrets(url) {
  const { origin, pathname, searchParams } = new URL(url);
  const query = Object.fromEntries([...searchParams].filter(([name]) => name !== 'code'));
  return { at: origin + pathname, query };
}

/** Shows the program its callback, which it may only just have begun to wait for. */
async function deliver(callback) {
  const deadline = Date.now() + PATIENCE_MS;
  for (;;) {
    try {
      return await fetch(callback, { headers: { accept: 'text/html' }, signal: AbortSignal.timeout(30_000) });
    } catch (error) {
      if (error.cause?.code !== 'ECONNREFUSED' || Date.now() > deadline) throw error;
      await pause(50);
    }
  }
}

function write(line) {
  if (log) appendFileSync(log, `${JSON.stringify(line)}\n`);
}

const url = process.argv.at(-1);
const browser = new Browser();
const event = {};
try {
  event.opened = withoutSecrets(url);
  write({ opening: event.opened });
  const redirectUri = new URL(url).searchParams.get('redirect_uri');
  if (!redirectUri) throw new Error('this is no authorization URL: it has no redirect_uri');
  const callback = await browser.authorize(url, { redirectUri, decision, login });
  event.callback = withoutSecrets(callback);
  if (elsewhere) {
    console.log(callback.href);
  } else {
    const answer = await deliver(callback);
    event.answer = { status: answer.status, html: await answer.text() };
  }
} catch (error) {
  event.error = inspect(error);
  process.exitCode = 1;
}
event.pages = browser.pages.map((page) => ({ ...withoutSecrets(page.url), status: page.status }));
write(event);
if (event.error) console.error(JSON.stringify(event));
