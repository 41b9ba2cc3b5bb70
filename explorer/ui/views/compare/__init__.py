"""The Compare page: its columns, and one module for each of its views."""
