"""VQ-VAE Explorer: streamlit run app.py"""

import streamlit as st

from explorer.ui.transport import lifespan, route

app = st.App(
    "explorer/ui/main.py",
    routes=route.routes(st.get_option("server.baseUrlPath")),
    lifespan=lifespan.lifespan,
)
