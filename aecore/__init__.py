"""The engine room of the Autoencoder Lab: data, models, training, runs and analyses.

Usable without a browser: `python -m aecore --help`. It knows nothing of Streamlit or of the pages. Importing this
package loads none of its parts, so that a page can paint before torch is there.
"""

__version__ = "0.1.0"
