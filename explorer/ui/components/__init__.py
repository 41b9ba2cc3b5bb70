"""Our own components: what the browser draws and asks, and the Python side of each."""
