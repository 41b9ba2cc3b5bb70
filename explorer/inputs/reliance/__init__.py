"""The reliance test: whom does the decoder follow, what can it draw without, and what does each input's loss cost?"""
