"""What the inspection of a JSON request of 1 KiB costs here and in libmodsecurity, with the same rules in the same run.

    make -C benches threats                                 our own starter set
    make -C benches threats RULES=crs/main.conf             any other

Turns of both alternate; the medians of the CPU time of one inspection and their ratio are printed.
"""

import glob
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time

import libmodsecurity

HEADERS = {
    "Host": "shop.example",
    "User-Agent": "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
    "Accept": "application/json",
    "Content-Type": "application/json",
    "Cookie": "session=s3cr3t; theme=dark",
}
# JSON is taken apart by both, and nothing is refused before the last rule.
BASE = """SecRuleEngine DetectionOnly
SecRequestBodyAccess On
SecRule REQUEST_HEADERS:Content-Type "@beginsWith application/json" \\
    "id:1,phase:1,pass,nolog,t:lowercase,ctl:requestBodyProcessor=JSON"
SecAction "id:2,phase:1,pass,nolog,setvar:tx.detection_paranoia_level=1"
"""
ROUNDS = 7


def order():
    """An order of about 1 KiB, in 25 values."""
    item = {"sku": "A-1027", "title": "Blue widget, large", "quantity": 2, "price": 9.99}
    document = {
        "items": [dict(item, sku=f"A-{number}") for number in range(4)],
        "address": {"name": "Siobhan O'Neill", "street": "1 O'Connell St.", "city": "Dublin", "country": "IE"},
        "note": "Please leave it at the door; the bell is broken. " * 12,
    }
    return json.dumps(document).encode()


def load(rules):
    """The rules. What cannot be loaded answers with a negative number and says nothing else."""
    loaded = libmodsecurity.RulesSet()
    assert loaded.load(BASE) >= 0, loaded.get_parser_error()
    for path in rules:
        assert loaded.load_from_uri(path) >= 0, (path, loaded.get_parser_error())
    return loaded


def inspect(engine, rules, target, body):
    one = libmodsecurity.Transaction(engine, rules, None)
    one.process_connection("192.0.2.1", 1234, "192.0.2.2", 80)
    one.process_uri(target, "POST", "1.1")
    for name, value in HEADERS.items():
        one.add_request_header(name, value)
    one.add_request_header("Content-Length", str(len(body)))
    one.process_request_headers()
    one.append_request_body(body)
    one.process_request_body()
    return one


def theirs(engine, rules, body, count):
    before = time.process_time()
    for _ in range(count):
        inspect(engine, rules, "/api/orders?page=2&sort=-price", body)
    return (time.process_time() - before) / count * 1e6


def main():
    program, chosen, count = sys.argv[1], sys.argv[2], int(sys.argv[3])
    files = sorted(glob.glob(os.path.join(os.path.dirname(__file__), "../crates/threat-rules/rules/*.conf")))
    rules = load(files if chosen == "builtin" else [chosen])
    engine = libmodsecurity.ModSecurity()
    body = order()
    fired = [one.rule_id for one in inspect(engine, rules, "/?q=1%27%20or%20%271%27%3D%271", body).get_rule_messages()]
    assert fired, "libmodsecurity has loaded no rule that finds an attack"
    with tempfile.NamedTemporaryFile() as file:
        file.write(body)
        file.flush()
        our_turns, their_turns = [], []
        for _ in range(ROUNDS):
            turn = subprocess.run([program, chosen, "1", str(count), file.name], check=True, capture_output=True)
            our_turns.append(float(turn.stdout))
            their_turns.append(theirs(engine, rules, body, count))
    ours, others = statistics.median(our_turns), statistics.median(their_turns)
    print(f"{len(body)} bytes of JSON, {chosen}: ours {ours:.0f} us, libmodsecurity {others:.0f} us, {ours / others:.2f}")
    sys.exit(ours > others)


main()
