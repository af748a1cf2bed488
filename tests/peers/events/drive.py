"""Has a client library of a message broker do what it is told, and tells what became of it in the library's own words.

    drive.py confluent|aiokafka|paho

One order a line, {"do": METHOD, NAME: VALUE…}, and one answer a line: {"done": …}, or {"error": {"class", "code", "message"}}
with the class of the library's own exception and its own code. The methods are those of the class in LIBRARY_client.py.
"""
import asyncio
import importlib
import inspect
import json
import sys


def described(error):
    """The library's own name and code of what went wrong; librdkafka has them one level down."""
    inner = error.args[0] if error.args and hasattr(error.args[0], "name") else error
    code = getattr(inner, "name", None) if inner is not error else getattr(error, "errno", getattr(error, "code", None))
    return {"class": type(error).__name__, "code": code() if callable(code) else code, "message": str(error)}


async def obey(client, order):
    name = order.pop("do")
    if name.startswith("_"):
        raise ValueError(f"no order: {name}")
    done = getattr(client, name)(**order)
    return await done if inspect.isawaitable(done) else done


async def main(library):
    client = importlib.import_module(f"{library}_client").Client()
    loop = asyncio.get_running_loop()
    # Read in a thread: clients of asyncio go on with their heartbeats meanwhile.
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        try:
            answer = {"done": await obey(client, json.loads(line))}
        except Exception as error:  # whatever a library raises is what is asked about
            answer = {"error": described(error)}
        print(json.dumps(answer), flush=True)


asyncio.run(main(sys.argv[1]))
