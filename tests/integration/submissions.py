"""What tests submit."""

import json

REQUEST = {"text": "a swarm of bees", "words": ["swarm"]}
BODY = json.dumps(REQUEST).encode()
JSON = {"content-type": "application/json"}
EVENT = {"specversion": "1.0", "type": "com.example.asked", "source": "/desk/7", "id": "41"}
