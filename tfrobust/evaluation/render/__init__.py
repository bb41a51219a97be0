"""What a reader sees: text tables, the HTML page and pictures."""
