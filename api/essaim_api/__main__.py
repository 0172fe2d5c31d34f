"""`python -m essaim_api`: serve HTTP until SIGTERM, SIGINT or the end of the parent process, then drain and exit 0."""

import os
import sys

from essaim.jobs.process import instance_name, run_process
from essaim_api.server import serve

if __name__ == "__main__":
    code = run_process("api", instance_name(), serve)
    if code:
        sys.stderr.flush()
        os._exit(code)  # a driver's thread that is still connecting sometimes aborts the interpreter at exit
