"""VQ-VAE Explorer: streamlit run app.py"""

from pathlib import Path

import streamlit as st

import explorer.ui
from explorer.ui.transport import lifespan, route

app = st.App(
    Path(explorer.ui.__file__).with_name("main.py"),
    routes=route.routes(st.get_option("server.baseUrlPath")),
    lifespan=lifespan.lifespan,
)
