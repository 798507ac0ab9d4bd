// Chromium for walks through pages: what it shows, and what it complains about.
import { chromium } from 'playwright-core';

export function launch(executablePath) {
  return chromium.launch({
    executablePath,
    args: ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
      '--disable-component-update', '--disable-sync'],
  });
}

/** A page in a new browser profile, and everything that its console or network complains about on pages of `origin`. */
export async function newVisit(browser, options, origin) {
  const context = await browser.newContext({ viewport: { width: 900, height: 900 }, ...options });
  const page = await context.newPage();
  page.setDefaultTimeout(15_000);
  const complaints = [];
  const complain = (text) => {
    if (page.url().startsWith(origin)) complaints.push(text);
  };
  page.on('console', (message) => complain(`${message.type()}: ${message.text()}`));
  page.on('pageerror', (error) => complain(`error: ${error.message}`));
  page.on('requestfailed', (request) => complain(`failed: ${request.url()} ${request.failure()?.errorText}`));
  page.on('response', (response) => {
    if (response.status() >= 400) complain(`status ${response.status()}: ${response.url()}`);
  });
  return { context, page, complaints };
}

/** What a page tells people and assistive technology. */
export const describe = (page) => page.evaluate(() => ({
  lang: document.documentElement.lang,
  title: document.title,
  heading: document.querySelector('h1')?.innerText,
  text: document.body.innerText,
  background: getComputedStyle(document.body).backgroundColor,
  viewport: document.querySelector('meta[name=viewport]')?.content,
  unnamedFields: [...document.querySelectorAll('input:not([type=hidden])')].filter((i) => !i.labels?.length).length,
  injected: document.querySelectorAll('b').length,
}));
