"""VQ-VAE Explorer: streamlit run app.py"""

import streamlit as st

st.set_page_config(page_title="VQ-VAE Explorer", page_icon="static/icon.png", layout="wide")
st.navigation([st.Page("pages/reconstruct.py", title="Reconstruct", icon=":material/compare:", default=True)]).run()
