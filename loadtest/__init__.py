"""Load tests and benchmarks of a running service; `loadtest/README.md` holds what they found."""

import os

# Before torch is loaded here or in any server that is started from here: threads that wait sleep.
# The service does so by itself; its peers would suffer from every neighbour, the client included.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
