"""What a reader gets of an executed notebook."""
