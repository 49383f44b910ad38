"""What an explanation looks like: text, HTML and heat map."""
