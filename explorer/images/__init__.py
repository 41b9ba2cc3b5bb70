"""Pictures and sets of pictures, and a picture through a tokenizer and back."""
