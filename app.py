"""VQ-VAE Explorer: streamlit run app.py"""

from pathlib import Path

import streamlit as st
from starlette.middleware import Middleware

import explorer.ui
from explorer.ui.transport import headers, health, lifespan, route

BASE = st.get_option("server.baseUrlPath")

app = st.App(
    Path(explorer.ui.__file__).with_name("main.py"),
    routes=[*route.routes(BASE), *health.routes(BASE)],
    middleware=[Middleware(headers.SecurityHeaders)],
    lifespan=lifespan.lifespan,
)
