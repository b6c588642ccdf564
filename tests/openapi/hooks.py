"""What a schema cannot say, and chance will not find.

Valid requests made by chance name purposes that no agreement has, pictures that are none and chips of nobody. A part of
them is given what the site knows, so that checks of every kind are decided too. Requests that are meant to be wrong are
left as they are.
"""

import json
import os

import schemathesis
from schemathesis import GenerationMode

with open(os.environ["YANQIAN_KNOWN"], encoding="utf-8") as file:
    KNOWN = json.load(file)

counter = 0


@schemathesis.hook
def before_call(context, case, kwargs):
    global counter
    known = KNOWN.get(case.operation.path.rsplit("/", 1)[-1])
    body = case.body
    if known is None or not isinstance(body, dict) or case.meta is None:
        return
    if case.meta.generation.mode != GenerationMode.POSITIVE:
        return
    counter += 1
    # JSON Schema counts characters; the limit is in octets.
    if len(body["reference"].encode("utf-8", "surrogatepass")) > 128:
        body["reference"] = body["reference"][:32]
    if counter % 4:
        body["purpose"] = "account-opening"
    if counter % 2:
        own = known[counter % len(known)]
        body.update({name: own[name] for name in ("document", "portrait", "chip") if name in own})
