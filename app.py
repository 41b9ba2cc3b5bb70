"""VQ-VAE Explorer: streamlit run app.py"""

from explorer.ui import navigation

navigation.run()
