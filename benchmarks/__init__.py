"""How fast the parts are, as ratios to what they cannot do without, measured in one run.

Threads that wait shall sleep, not spin: beside another busy process a spinning thread keeps the processor from the one
it waits for, and a product on two threads takes many times as long. OpenMP reads this once, when torch is imported.
"""

import os

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
