"""What is computed about a tokenizer; no Streamlit here."""

import vqvae  # noqa: F401 - before torch: it says how torch's threads wait, which cannot be said once torch is loaded
