// A person with a browser that has no JavaScript: keeps cookies, follows redirects, fills in forms.
import { formsOf } from './html.mjs';
import { recordSecret } from './preload.mjs';

class CookieJar {
  #cookies = new Map();

  store(url, response) {
    for (const line of response.headers.getSetCookie()) {
      const [pair, ...rest] = line.split(';').map((part) => part.trim());
      const name = pair.slice(0, pair.indexOf('='));
      const value = pair.slice(pair.indexOf('=') + 1);
      const flags = Object.fromEntries(rest.map((part) => part.split('=')).map(([k, v]) => [k.toLowerCase(), v ?? '']));
      if (name.startsWith('__Host-') && !('secure' in flags && flags.path === '/' && !('domain' in flags))) {
        throw new Error(`a browser refuses this __Host- cookie: ${name}; ${rest.join('; ')}`);
      }
      if ('secure' in flags && url.protocol !== 'https:') throw new Error(`Secure cookie ${name} over plain http`);
      recordSecret(value);
      const expired = new Date(flags.expires ?? NaN) < new Date();
      const gone = flags['max-age'] === undefined ? expired : Number(flags['max-age']) <= 0;
      // Browsers do not separate cookies by port.
      const key = `${url.hostname} ${name}`;
      if (gone || value === '') this.#cookies.delete(key);
      else this.#cookies.set(key, { host: url.hostname, path: flags.path ?? '/', name, value });
    }
  }

  header(url) {
    const sent = [...this.#cookies.values()].filter((c) => c.host === url.hostname && url.pathname.startsWith(c.path));
    return sent.map((c) => `${c.name}=${c.value}`).join('; ');
  }
}

export class Browser {
  #jar = new CookieJar();
  /** Every page shown, oldest first: {url, status, headers, html}. */
  pages = [];

  /** Goes to `url` and follows redirects; stops before one whose target starts with `stopAt`, returned as callback. */
  async open(url, { stopAt, method = 'GET', body } = {}) {
    let target = new URL(url);
    let origin = body === undefined ? {} : { origin: target.origin };
    for (let hop = 0; hop < 20; hop += 1) {
      const cookie = this.#jar.header(target);
      const headers = { accept: 'text/html', ...origin, ...(cookie && { cookie }) };
      const signal = AbortSignal.timeout(20_000);
      const response = await fetch(target, { method, body, headers, redirect: 'manual', signal });
      this.#jar.store(target, response);
      const location = response.headers.get('location');
      if (!location || response.status < 300 || response.status > 399) {
        const { status, headers: responseHeaders } = response;
        const page = { url: target.href, status, headers: responseHeaders, html: await response.text() };
        this.pages.push(page);
        return { page };
      }
      await response.body?.cancel();
      target = new URL(location, target);
      if (stopAt && target.href.startsWith(stopAt)) {
        recordSecret(target.searchParams.get('code'));
        return { callback: target };
      }
      [method, body, origin] = ['GET', undefined, {}];
    }
    throw new Error(`more than 20 redirects, the last to ${target.href}`);
  }

  /** Submits the form that offers `decision`, or else the first form by its first button, text fields filled in. */
  async submit(page, { decision, login, stopAt }) {
    const forms = formsOf(page.html, page.url);
    const decides = (button) => button.name === 'decision' && button.value === decision;
    const form = forms.find((f) => f.buttons.some(decides)) ?? forms[0];
    if (!form) throw new Error(`no form on ${page.url} (status ${page.status}):\n${page.html}`);
    const button = form.buttons.find(decides) ?? form.buttons[0];
    const fields = form.fields.filter((f) => f.name && (!['checkbox', 'radio'].includes(f.type) || f.checked));
    const typed = (f) => (f.type === 'hidden' || f.value ? f.value : login);
    const data = new URLSearchParams(fields.map((f) => [f.name, typed(f)]));
    if (button?.name) data.set(button.name, button.value);
    if (form.method === 'post') return this.open(form.action, { stopAt, method: 'POST', body: data });
    const target = new URL(form.action);
    target.search = data;
    return this.open(target, { stopAt });
  }

  /** From an authorization URL through every page to the client's redirect URI; its full URL is returned. */
  async authorize(authorizationUrl, { redirectUri, decision = 'approve', login = 'ada' }) {
    let { page, callback } = await this.open(authorizationUrl, { stopAt: redirectUri });
    for (let step = 0; !callback && step < 8; step += 1) {
      if (page.status !== 200) throw new Error(`status ${page.status} at ${page.url}:\n${page.html}`);
      ({ page, callback } = await this.submit(page, { decision, login, stopAt: redirectUri }));
    }
    if (!callback) throw new Error(`no redirect to ${redirectUri} after 8 pages, the last ${page.url}`);
    return callback;
  }
}
