"""How edits travel beside the page: visitors, the route of the editor, and what the server loads at its start."""
