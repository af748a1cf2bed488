// A provider with whom people sign in, for the stories of tests/stories/sign_in*.rs:
//
//   node provider.mjs provider.json
//
// Anybody may sign in under any name, with any password; the file says which clients there are and for how long an
// access token is good. What the provider knows is in a file too, so that it may be killed and started again.
// Besides what oidc-provider answers there are `GET /counts`, what it has done so far, and `POST /rotate`: a new
// signing key in place of the old one, without a time in which both are published.
import { randomUUID } from 'node:crypto';
import { existsSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:https';
import Provider, { interactionPolicy } from 'oidc-provider';
import MemoryAdapter from 'oidc-provider/lib/adapters/memory_adapter.js';

const config = JSON.parse(readFileSync(process.argv[2], 'utf8'));
const counts = {};

// Keys of these tests and of nothing else, written down so that every run has the same and a start makes none.
const keys = [
  { kty: 'EC', crv: 'P-256', x: '5uhyQqSr68YDW0UMryVTKchePLRXc3s2qKvywl3PuWM', y: 'Rfev4yEnHvgJleKIl06A_Xn7ezXI0y-cWiClLnZZ8fs', d: 'Rr_d-LYBVB6b-o1tD0Z0jKLUE59YoVc_LjlEhBi6Lnw' },
  { kty: 'EC', crv: 'P-256', x: 'O3xF6WvIBjdOrgUgNWmVhTJqs0EpEy5S2i56x_gdyHI', y: 'pojz3e8YMlJIMtl3xbMwN1FXsYks6c98drIHT0LcHEI', d: 'WV1C6FhJXA3b2G1uNQmIaj23hEgnPB550R9O6b1fTzI' },
];

// What the provider knows, in a file that is whole at every moment.
class Kept {
  constructor(path) {
    this.path = path;
    this.entries = new Map(existsSync(path) ? JSON.parse(readFileSync(path, 'utf8')) : []);
  }

  get(key) {
    const entry = this.entries.get(key);
    return entry === undefined || entry.until <= Date.now() ? undefined : entry.value;
  }

  set(key, value, { maxAge } = {}) {
    this.entries.set(key, { value, until: maxAge === undefined ? Number.MAX_SAFE_INTEGER : Date.now() + maxAge });
    this.save();
  }

  delete(key) {
    this.entries.delete(key);
    this.save();
  }

  save() {
    // The adapter reads a list of keys as it reads a map of them.
    const text = JSON.stringify([...this.entries], (_, value) => (value instanceof Map ? [...value.keys()] : value));
    writeFileSync(`${this.path}~`, text);
    renameSync(`${this.path}~`, this.path);
  }
}

const kept = new Kept(config.state);

function signingKey(next) {
  const before = kept.get('signing key');
  if (before === undefined || next) {
    const number = before === undefined ? 0 : before.number + 1;
    kept.set('signing key', { number, kid: randomUUID() });
  }
  const { number, kid } = kept.get('signing key');
  return { ...keys[number % keys.length], kid, use: 'sig', alg: 'ES256' };
}

function claimsOf(name) {
  const groups = { ann: ['staff', 'buyers'], bob: ['guests'], many: Array.from({ length: 150 }, (_, n) => `department-number-${n}`) };
  return { sub: name, email: `${name}@${new URL(config.issuer).hostname}`, email_verified: true, groups: groups[name] ?? [] };
}

// Who asks for an authentication context has to show a second factor, unless this login has one.
function policy() {
  const { base, Check } = interactionPolicy;
  const prompts = base();
  prompts.get('login').checks.add(new Check('acr_values', 'a second factor is wanted', ({ oidc }) => {
    const wanted = oidc.params.acr_values?.split(' ') ?? [];
    if (wanted.length === 0 || wanted.includes(oidc.acr) || oidc.result?.login) return Check.NO_NEED_TO_PROMPT;
    return Check.REQUEST_PROMPT;
  }));
  return prompts;
}

async function grant(ctx) {
  const { client, session, provider } = ctx.oidc;
  const known = session.grantIdFor(client.clientId);
  const found = known === undefined ? undefined : await provider.Grant.find(known);
  const grant = found ?? new provider.Grant({ clientId: client.clientId, accountId: session.accountId });
  grant.addOIDCScope('openid email groups offline_access');
  await grant.save();
  return grant;
}

function count(what) {
  counts[what] = (counts[what] ?? 0) + 1;
}

function page(ctx, text) {
  ctx.type = 'html';
  ctx.body = `<!doctype html><meta charset="utf-8"><link rel="icon" href="data:,">${text}`;
}

function start(next) {
  const provider = new Provider(config.issuer, {
    adapter: (model) => new MemoryAdapter(model, kept),
    jwks: { keys: [signingKey(next)] },
    clients: config.clients.map((client) => ({ id_token_signed_response_alg: 'ES256', ...client })),
    cookies: { keys: ['a key of the tests'] },
    claims: { openid: ['sub'], email: ['email', 'email_verified'], groups: ['groups'] },
    acrValues: ['urn:mfa'],
    conformIdTokenClaims: false,
    findAccount: (_, accountId) => ({ accountId, claims: () => claimsOf(accountId) }),
    loadExistingGrant: grant,
    issueRefreshToken: (_, client) => client.grantTypeAllowed('refresh_token'),
    // A refresh token is good once; one that is used again ends everything that came of its sign-in.
    rotateRefreshToken: true,
    ttl: { AccessToken: config.accessTokenSeconds },
    interactions: { policy: policy(), url: (_, { uid }) => `/interaction/${uid}` },
    enabledJWA: { idTokenSigningAlgValues: ['ES256'], clientAuthSigningAlgValues: ['ES256'] },
    clientAuthMethods: ['client_secret_basic', 'private_key_jwt'],
    // Its clients are in the same network, under addresses that nobody else has.
    fetch: (url, { dispatcher, ...options }) => fetch(url, options),
    features: {
      devInteractions: { enabled: false },
      backchannelLogout: { enabled: true },
      rpInitiatedLogout: {
        enabled: true,
        logoutSource: (ctx, form) => page(ctx, `${form}<button name="logout" value="yes" form="op.logoutForm">sign out</button>`),
        postLogoutSuccessSource: (ctx) => page(ctx, 'signed out at the provider'),
      },
    },
  });
  provider.on('grant.success', (ctx) => count(ctx.oidc.params.grant_type));
  provider.on('grant.error', (_, error) => count(`error: ${error.error}`));
  provider.on('backchannel.success', () => count('back-channel logout'));
  provider.on('backchannel.error', (_, error) => { count('back-channel error'); console.error(error); });
  provider.on('server_error', (_, error) => console.error(error));
  return { provider, answer: provider.callback() };
}

// The page on which one signs in, and what it sends: a name, a password, a second factor or none.
async function interact({ provider }, request, response) {
  const { prompt, params } = await provider.interactionDetails(request, response);
  if (request.method !== 'POST') {
    const ctx = { set type(_) { response.setHeader('content-type', 'text/html; charset=utf-8'); }, set body(text) { response.end(text); } };
    const asked = `${params.client_id} ${prompt.reasons.join(' ')}`;
    return page(ctx, `<p>${asked}<form method="post"><input name="name"><input name="password" type="password"><input name="code"><button>sign in</button></form>`);
  }
  const form = new URLSearchParams(Buffer.concat(await request.toArray()).toString());
  const factors = form.get('code') ? { acr: 'urn:mfa', amr: ['pwd', 'otp'] } : { acr: 'urn:pwd', amr: ['pwd'] };
  return provider.interactionFinished(request, response, { login: { accountId: form.get('name'), ...factors } });
}

let running = start(false);
const tls = { cert: readFileSync(config.certificate), key: readFileSync(config.key) };
createServer(tls, (request, response) => {
  if (request.method === 'POST' && request.url === '/rotate') {
    running = start(true);
    response.end('rotated\n');
  } else if (request.url === '/counts') {
    response.setHeader('content-type', 'application/json');
    response.end(JSON.stringify(counts));
  } else if (request.url.startsWith('/interaction/')) {
    interact(running, request, response).catch((error) => {
      console.error(error);
      response.statusCode = 500;
      response.end(String(error));
    });
  } else {
    running.answer(request, response);
  }
}).listen(Number(new URL(config.issuer).port || 443), '0.0.0.0', () => console.log(`issuing as ${config.issuer}`));
