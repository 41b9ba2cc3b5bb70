"""What is computed about a tokenizer; nothing here but `explorer.ui` knows of Streamlit."""
