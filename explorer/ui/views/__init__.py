"""What belongs to one page, by page."""
