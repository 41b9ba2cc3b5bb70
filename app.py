"""VQ-VAE Explorer: streamlit run app.py"""

import sys
from pathlib import Path

import streamlit as st
from starlette.middleware import Middleware

import explorer.ui
from explorer.ui.transport import headers, health, lifespan, route, uploads, visitors
from vqvae.errors import BadInput

try:  # what only a visitor would come upon otherwise, in a traceback
    visitors.most()
    uploads.room()
except BadInput as refusal:
    sys.exit(str(refusal))

BASE = st.get_option("server.baseUrlPath")

app = st.App(
    Path(explorer.ui.__file__).with_name("main.py"),
    routes=[*route.routes(BASE), *health.routes(BASE)],
    middleware=[Middleware(headers.SecurityHeaders)],
    lifespan=lifespan.lifespan,
)
