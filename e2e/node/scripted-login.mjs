// Runs a command that prints an authorization URL and waits for the browser to come back to a loopback callback:
//   node scripted-login.mjs -- COMMAND ARGS...
// and is that browser. The command's output and exit code are passed on.
import { spawn } from 'node:child_process';
import { Browser } from './browser.mjs';

const split = process.argv.indexOf('--');
const [command, ...rest] = process.argv.slice(split + 1);
const child = spawn(command, rest, { stdio: ['ignore', 'pipe', 'pipe'] });

let seen = '';
let loggedIn = false;

async function logIn(url) {
  const redirectUri = url.searchParams.get('redirect_uri');
  const callback = await new Browser().authorize(url, { redirectUri });
  const answer = await fetch(callback);
  if (!answer.ok) throw new Error(`the callback answered ${answer.status}`);
}

function watch(chunk) {
  seen += chunk;
  // Only whole words: the rest of the URL may still be on its way.
  const match = /(https?:\/\/[^\s"'<>]+[?&]code_challenge=[^\s"'<>]+)[\s"'<>]/.exec(seen);
  if (!match || loggedIn) return;
  loggedIn = true;
  logIn(new URL(match[1])).catch((error) => {
    console.error(`scripted login failed: ${error.stack}`);
    child.kill();
    process.exitCode = 90;
  });
}

for (const [from, to] of [[child.stdout, process.stdout], [child.stderr, process.stderr]]) {
  from.setEncoding('utf8');
  from.on('data', (chunk) => { to.write(chunk); watch(chunk); });
}
child.on('close', (code, signal) => {
  if (!loggedIn) console.error('scripted login: the command printed no authorization URL');
  process.exitCode ||= code ?? (signal ? 91 : 0);
});
