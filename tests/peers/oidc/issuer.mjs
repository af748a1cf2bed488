// An OpenID Connect issuer for the stories of tests/stories/tokens.rs:
//
//   node issuer.mjs https://10.0.0.5:8443 certificate.pem key.pem
//
// It answers as oidc-provider does, and to `POST /rotate` with a new signing key in place of the old one: the worst
// way to rotate, without a time in which both are published.
import { randomUUID } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { createServer } from 'node:https';
import Provider from 'oidc-provider';

const [issuer, certificate, key] = process.argv.slice(2);
const audience = 'urn:cart';
let rotations = 0;

// Keys of these tests and of nothing else, written down so that every run has the same and a start makes none.
const keys = [
  { kty: 'EC', crv: 'P-256', x: '5uhyQqSr68YDW0UMryVTKchePLRXc3s2qKvywl3PuWM', y: 'Rfev4yEnHvgJleKIl06A_Xn7ezXI0y-cWiClLnZZ8fs', d: 'Rr_d-LYBVB6b-o1tD0Z0jKLUE59YoVc_LjlEhBi6Lnw' },
  { kty: 'EC', crv: 'P-256', x: 'O3xF6WvIBjdOrgUgNWmVhTJqs0EpEy5S2i56x_gdyHI', y: 'pojz3e8YMlJIMtl3xbMwN1FXsYks6c98drIHT0LcHEI', d: 'WV1C6FhJXA3b2G1uNQmIaj23hEgnPB550R9O6b1fTzI' },
  { kty: 'EC', crv: 'P-256', x: 'JEsRmVXJohjsohS-3g2f9v6cziCbggqqBNU-C5ldJ-I', y: 'BqQDc7dnu184SL9zm4bsXOdfzIAlJIMtqh3dfTHHbec', d: 'Ev72ygGdIrSUxAlIdDHycJv5HkWWNAXLb7HXY3zLBGs' },
];

function signingKey() {
  return { ...keys[rotations++ % keys.length], kid: randomUUID(), use: 'sig', alg: 'ES256' };
}

// `bob` gets opaque tokens, about which `cart` asks.
const clientsOfIntrospection = [['bob', ['client_credentials']], ['cart', []]].map(([name, grants]) => ({
  client_id: name,
  client_secret: 'a secret of the tests',
  grant_types: grants,
  redirect_uris: [],
  response_types: [],
  id_token_signed_response_alg: 'ES256',
  token_endpoint_auth_method: 'client_secret_basic',
}));

function provider() {
  const provider = new Provider(issuer, {
    jwks: { keys: [signingKey()] },
    clients: [{
      client_id: 'ann',
      client_secret: 'a secret of the tests',
      grant_types: ['client_credentials'],
      redirect_uris: [],
      response_types: [],
      id_token_signed_response_alg: 'ES256',
      token_endpoint_auth_method: 'client_secret_post',
    }, ...clientsOfIntrospection],
    // Of tokens that nobody but this issuer can read: whose they are.
    extraTokenClaims: (_, token) => (token.clientId === 'bob' ? { sub: 'bob', role: 'buyer' } : undefined),
    features: {
      devInteractions: { enabled: false },
      clientCredentials: { enabled: true },
      dPoP: { enabled: true },
      introspection: { enabled: true },
      revocation: { enabled: true },
      resourceIndicators: {
        enabled: true,
        defaultResource: () => audience,
        getResourceServerInfo: (_, __, client) => ({
          audience,
          scope: 'buy',
          accessTokenFormat: client.clientId === 'bob' ? 'opaque' : 'jwt',
          accessTokenTTL: 300,
          jwt: { sign: { alg: 'ES256' } },
        }),
      },
    },
  });
  return provider.callback();
}

let answer = provider();
const tls = { cert: readFileSync(certificate), key: readFileSync(key) };
createServer(tls, (request, response) => {
  if (request.method === 'POST' && request.url === '/rotate') {
    answer = provider();
    response.end('rotated\n');
    return;
  }
  answer(request, response);
}).listen(Number(new URL(issuer).port), '0.0.0.0', () => console.log(`issuing as ${issuer}`));
