"""The engine room of the Autoencoder Lab: data, models, training, runs and analyses.

Usable without a browser: `python -m aecore --help`. It knows nothing of Streamlit or of the pages. Importing this
package loads none of its parts, so that a page can paint before torch is there.
"""

import os

__version__ = "0.1.0"

# OpenMP's threads wait for each other by spinning, and beside any other busy program the one that got no core is
# waited for at every operation. Waiting less hotly costs a tenth to a fifth of the speed of two threads on an idle
# machine and is up to several times faster on a busy one (docs/LOG.md). Read when torch is loaded, so it has to be said
# before; processes started from this one inherit it.
os.environ.setdefault("GOMP_SPINCOUNT", "10000")
