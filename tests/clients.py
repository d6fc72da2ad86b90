"""Clients of servers on this machine: nothing in between, no certificates, and all the patience.

To load the certificates that a client of its own accord would know takes longer than most tests.
"""

from functools import partial

import httpx2

from tests.waiting import PATIENCE

get = partial(httpx2.get, trust_env=False, verify=False, timeout=PATIENCE)
post = partial(httpx2.post, trust_env=False, verify=False, timeout=PATIENCE)
patch = partial(httpx2.patch, trust_env=False, verify=False, timeout=PATIENCE)
client = partial(httpx2.Client, trust_env=False, verify=False, timeout=PATIENCE)
async_client = partial(httpx2.AsyncClient, trust_env=False, verify=False, timeout=PATIENCE)
