"""Calls MONAI Label's own client, in its environment: each call is a method's name and its arguments."""

import json
import sys
import tempfile

from monailabel.client import MONAILabelClient
from monailabel.client.client import MONAILabelClientException

client = MONAILabelClient(sys.argv[1], tmpdir=tempfile.mkdtemp(dir=sys.argv[2]))
answers = []
for name, arguments in json.load(sys.stdin):
    try:
        answer = getattr(client, name)(**arguments)
        if name == "infer" and isinstance(answer[1], bytes):
            answer = [answer[0], json.loads(answer[1])]
    except MONAILabelClientException as error:
        answer = {"error": error.msg}
    answers.append(answer)
print(json.dumps(answers, default=lambda raw: raw.decode()))
