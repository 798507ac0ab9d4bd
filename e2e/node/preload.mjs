// Loaded before every script (node --import): finds packages in the folder that scripts/install-tools filled, and
// writes down every secret that passes through fetch, so that the test can search thv's log for it afterwards.
import { registerHooks } from 'node:module';
import { appendFileSync } from 'node:fs';
import { pathToFileURL } from 'node:url';

const here = new URL('.', import.meta.url).href;
const packages = pathToFileURL(`${process.env.THV_E2E_NODE}/`).href;

registerHooks({
  resolve(specifier, context, next) {
    const bare = !/^(\.|\/|[a-z]+:)/.test(specifier);
    const ours = context.parentURL?.startsWith(here);
    return next(specifier, bare && ours ? { ...context, parentURL: packages } : context);
  },
});

const SECRET_NAMES = ['access_token', 'refresh_token', 'id_token', 'client_secret', 'registration_access_token',
  'code', 'code_verifier'];

export function recordSecret(value) {
  if (typeof value === 'string' && value.length >= 16 && process.env.THV_E2E_SECRETS) {
    appendFileSync(process.env.THV_E2E_SECRETS, `${value}\n`);
  }
}

function recordFields(fields) {
  for (const name of SECRET_NAMES) recordSecret(fields[name]);
}

const plainFetch = globalThis.fetch;
globalThis.fetch = async (input, init) => {
  const body = init?.body;
  if (body instanceof URLSearchParams) recordFields(Object.fromEntries(body));
  const response = await plainFetch(input, init);
  if (response.headers.get('content-type')?.startsWith('application/json')) {
    const parsed = await response.clone().json().catch(() => null);
    if (parsed && typeof parsed === 'object') recordFields(parsed);
  }
  return response;
};
