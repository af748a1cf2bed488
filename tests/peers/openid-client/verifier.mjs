// Somebody who knows OpenID Connect and nothing of SPIFFE: finds the authority by discovery, verifies a token by the keys
// that it finds there, and exchanges the token for the next one.
//
//   node verifier.mjs ISSUER CA.pem CLIENT-ID CERTIFICATE.pem KEY.pem TOKEN AUDIENCE NEXT-AUDIENCE
//
// Prints one JSON object: the claims of both tokens, and the error codes of what must be refused.
import { readFileSync } from 'node:fs'
import { createRemoteJWKSet, customFetch as joseFetch, jwtVerify } from 'jose'
import * as client from 'openid-client'
import { Agent, fetch } from 'undici'

const [issuer, caFile, clientId, certificateFile, keyFile, tokenFile, audience, next] = process.argv.slice(2)
const ca = readFileSync(caFile, 'utf8')
const token = readFileSync(tokenFile, 'utf8')
const certificate = { cert: readFileSync(certificateFile, 'utf8'), key: readFileSync(keyFile, 'utf8') }

// A connection with or without the client's certificate.
const over = (connect) => {
  const dispatcher = new Agent({ connect: { ca, ...connect } })
  return (url, options) => fetch(url, { ...options, dispatcher })
}
const withoutCertificate = over({})
const withCertificate = over(certificate)

const discover = (customFetch, name = clientId) =>
  client.discovery(new URL(issuer), name, undefined, client.TlsClientAuth(), { [client.customFetch]: customFetch })

const JWT = 'urn:ietf:params:oauth:token-type:jwt'
const exchange = (configuration, changes) =>
  client.genericGrantRequest(configuration, 'urn:ietf:params:oauth:grant-type:token-exchange', {
    subject_token: token,
    subject_token_type: JWT,
    audience: next,
    ...changes,
  })
const refusal = async (configuration, changes) => {
  try {
    await exchange(configuration, changes)
    return 'granted'
  } catch (error) {
    return `${error.status} ${error.error}`
  }
}

const configuration = await discover(withCertificate)
const metadata = configuration.serverMetadata()
const keys = createRemoteJWKSet(new URL(metadata.jwks_uri), { [joseFetch]: withoutCertificate })
const verify = async (jwt, audience) => (await jwtVerify(jwt, keys, { issuer: metadata.issuer, audience })).payload

const first = await verify(token, audience)
const answer = await exchange(configuration, {})
const second = await verify(answer.access_token, next)
console.log(
  JSON.stringify({
    first,
    second,
    expires_in: answer.expires_in,
    issued_token_type: answer.issued_token_type,
    token_type: answer.token_type,
    without_certificate: await refusal(await discover(withoutCertificate), {}),
    another_client: await refusal(await discover(withCertificate, `${clientId}2`), {}),
    another_trust_domain: await refusal(configuration, { audience: 'spiffe://other.test/ns/a/sa/b' }),
    broken_token: await refusal(configuration, { subject_token: `${token}x` }),
    for_somebody_else: await refusal(configuration, { subject_token: answer.access_token }),
    another_type: await refusal(configuration, { subject_token_type: 'urn:ietf:params:oauth:token-type:saml2' }),
  }),
)
