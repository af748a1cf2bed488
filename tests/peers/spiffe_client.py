"""A workload that knows SPIFFE from PyPI's `spiffe` alone: asks the agent at SPIFFE_ENDPOINT_SOCKET, prints JSON.

    spiffe_client.py x509          the identity, its chain checked against the bundle of its own trust domain
    spiffe_client.py jwt AUDIENCE  a token for this audience, checked here and by the agent
"""
import json
import sys

from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from spiffe import JwtSvid, WorkloadApiClient
from spiffe.workloadapi.errors import ValidateJwtSvidError


def public(key):
    return key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def x509(client):
    context = client.fetch_x509_context()
    svid = context.default_svid
    bundle = context.x509_bundle_set.get_bundle_for_trust_domain(svid.spiffe_id.trust_domain)
    chain = svid.cert_chain
    for certificate, issuer in zip(chain, chain[1:]):
        certificate.verify_directly_issued_by(issuer)
    roots = [root for root in bundle.x509_authorities if root.subject == chain[-1].issuer]
    chain[-1].verify_directly_issued_by(roots[0])
    return {
        "id": str(svid.spiffe_id),
        "chain": len(chain),
        "serial": format(svid.leaf.serial_number, "x"),
        "key_fits": public(svid.private_key.public_key()) == public(svid.leaf.public_key()),
        "bundles": sorted(bundle.trust_domain.name for bundle in client.fetch_x509_bundles().bundles),
    }


def token(client, audience):
    svid = client.fetch_jwt_svid(audience={audience})
    bundles = client.fetch_jwt_bundles()
    bundle = bundles.get_bundle_for_trust_domain(svid.spiffe_id.trust_domain)
    checked_here = JwtSvid.parse_and_validate(svid.token, bundle, {audience})
    checked_there = client.validate_jwt_svid(svid.token, audience)
    try:
        client.validate_jwt_svid(svid.token, "somebody-else")
        refused = False
    except ValidateJwtSvidError:
        refused = True
    return {
        "id": str(svid.spiffe_id),
        "here": str(checked_here.spiffe_id),
        "there": str(checked_there.spiffe_id),
        "audience": sorted(svid.audience),
        "other_audience_refused": refused,
    }


with WorkloadApiClient() as client:
    answer = x509(client) if sys.argv[1] == "x509" else token(client, sys.argv[2])
    print(json.dumps(answer))
